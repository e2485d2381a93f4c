// Which deletes concern what. See tombstone.h.

#include "engine/tombstone.h"

#include <algorithm>
#include <limits>

namespace nexus::engine {
namespace {

bool Before(const std::shared_ptr<const Tombstone>& a, const WriteOrder& order) {
  return a->order() < order;
}

}  // namespace

StatusOr<std::shared_ptr<const Tombstone>> Tombstone::Make(catalog::TombstoneRecord record) {
  NEXUS_ASSIGN_OR_RETURN(Selector selector, Selector::Parse(record.selector));
  return std::shared_ptr<const Tombstone>(new Tombstone(std::move(record), std::move(selector)));
}

std::shared_ptr<const Tombstone> Tombstone::Of(BranchId branch) const {
  catalog::TombstoneRecord record = record_;
  record.branch = branch;
  return std::shared_ptr<const Tombstone>(new Tombstone(std::move(record), selector_));
}

size_t Tombstone::expressions() const {
  const auto matchers = selector_.matchers();
  return static_cast<size_t>(
      std::count_if(matchers.begin(), matchers.end(),
                    [](const Matcher& matcher) { return !matcher.literals().has_value(); }));
}

Tombstones TombstonesFor(const Tombstones& all, const DeleteMark& mark, TimeRange range) {
  Tombstones found;
  for (auto at = std::lower_bound(all.begin(), all.end(), mark.high, Before); at != all.end();
       ++at) {
    const Tombstone& tombstone = **at;
    if (Filters(tombstone.order(), mark) && tombstone.range().Overlaps(range)) {
      found.push_back(*at);
    }
  }
  return found;
}

std::vector<TimeRange> DeletedRanges(const Tombstones& tombstones, std::string_view canonical,
                                     TimeRange range) {
  std::vector<TimeRange> found;
  for (const auto& tombstone : tombstones) {
    const TimeRange deleted = {std::max(range.first, tombstone->range().first),
                               std::min(range.last, tombstone->range().last)};
    if (!deleted.empty() && tombstone->Covers(canonical)) found.push_back(deleted);
  }
  if (found.size() < 2) return found;
  std::sort(found.begin(), found.end());
  size_t kept = 0;
  for (size_t i = 1; i < found.size(); i++) {
    TimeRange& last = found[kept];
    const bool joins =
        last.last == std::numeric_limits<int64_t>::max() || found[i].first <= last.last + 1;
    if (joins) {
      last.last = std::max(last.last, found[i].last);
    } else {
      found[++kept] = found[i];
    }
  }
  found.resize(kept + 1);
  return found;
}

std::shared_ptr<const Tombstones> WithTombstone(std::shared_ptr<const Tombstones> list,
                                                std::shared_ptr<const Tombstone> added) {
  auto at = std::lower_bound(list->begin(), list->end(), added->order(), Before);
  if (at != list->end() && (*at)->order() == added->order()) return list;
  auto longer = std::make_shared<Tombstones>();
  longer->reserve(list->size() + 1);
  longer->assign(list->begin(), at);
  longer->push_back(std::move(added));
  longer->insert(longer->end(), at, list->end());
  return longer;
}

}  // namespace nexus::engine
