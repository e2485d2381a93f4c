// Resolution of selectors. See resolve.h.

#include "engine/resolve.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/labels.h"

namespace nexus::engine {
namespace {

using catalog::SeriesSet;

static_assert(kCanonicalBytesMax < 1u << 17, "SeriesList::Entry::size holds every length");

// Series whose labels are fetched between two looks at deadline and memory: about 2 ms.
constexpr uint64_t kSeriesPerCheck = 1024;

// One selector on its way from "all series" to a list.
class Resolution {
 public:
  Resolution(SeriesIndex* index, const Selector& selector, QueryGuard* guard,
             const ResolveOptions& options)
      : index_(index), guard_(guard), options_(options) {
    for (const Matcher& matcher : selector.matchers()) {
      if (!MatchesEverything(matcher)) matchers_.push_back(&matcher);
    }
  }

  StatusOr<SeriesList> Run() {
    NEXUS_RETURN_IF_ERROR(Narrow());
    return FetchLabels();
  }

  StatusOr<uint64_t> Count() {
    NEXUS_RETURN_IF_ERROR(Narrow());
    if (matchers_.empty()) return candidates_->size();
    NEXUS_ASSIGN_OR_RETURN(SeriesList list, FetchLabels());
    return uint64_t{list.size()};
  }

 private:
  // Leaves candidates, and the matchers that are to be tried on their labels.
  Status Narrow() {
    NEXUS_RETURN_IF_ERROR(guard_->Check());
    NEXUS_RETURN_IF_ERROR(IntersectSpelledOut());
    // Those that keep few series first: what must be present, then what must not.
    std::stable_partition(matchers_.begin(), matchers_.end(),
                          [](const Matcher* matcher) { return !matcher->matches_empty(); });
    while (!matchers_.empty() && !FewLeft()) {
      NEXUS_RETURN_IF_ERROR(guard_->Check());
      NEXUS_RETURN_IF_ERROR(Apply(*matchers_.front()));
      matchers_.erase(matchers_.begin());
    }
    return NeedCandidates();
  }

  static bool MatchesEverything(const Matcher& matcher) {
    return matcher.op() == MatchOperator::kRegex && matcher.text() == ".*";
  }

  bool FewLeft() const {
    return candidates_ && candidates_->size() <= options_.filter_by_labels_max;
  }

  Status NeedCandidates() {
    if (candidates_) return OkStatus();
    NEXUS_ASSIGN_OR_RETURN(candidates_, index_->AllSeries());
    return OkStatus();
  }

  void Intersect(SeriesSet&& set) {
    if (candidates_) {
      candidates_->IntersectWith(set);
    } else {
      candidates_ = std::move(set);
    }
  }

  // The union of the postings of some values. The empty value has none.
  StatusOr<SeriesSet> PostingsOf(const Matcher& matcher) {
    SeriesSet all;
    for (const std::string& value : *matcher.literals()) {
      if (value.empty()) continue;
      NEXUS_ASSIGN_OR_RETURN(SeriesSet one, index_->Postings(matcher.label(), value));
      all.UnionWith(one);
    }
    return all;
  }

  // Takes the matchers that are look-ups, which are the cheapest and mostly the sharpest.
  Status IntersectSpelledOut() {
    std::vector<SeriesSet> sets;
    std::vector<const Matcher*> rest;
    for (const Matcher* matcher : matchers_) {
      bool look_up = matcher->literals() && !matcher->negated() && !matcher->matches_empty();
      if (!look_up) {
        rest.push_back(matcher);
        continue;
      }
      NEXUS_ASSIGN_OR_RETURN(SeriesSet set, PostingsOf(*matcher));
      sets.push_back(std::move(set));
    }
    std::sort(sets.begin(), sets.end(),
              [](const SeriesSet& a, const SeriesSet& b) { return a.size() < b.size(); });
    for (SeriesSet& set : sets) Intersect(std::move(set));
    matchers_ = std::move(rest);
    return OkStatus();
  }

  // Narrows the candidates by one matcher, by walking its label's values unless the values that
  // break it are spelled out.
  Status Apply(const Matcher& matcher) {
    if (!matcher.matches_empty()) {
      NEXUS_ASSIGN_OR_RETURN(SeriesSet set,
                             index_->PostingsWhere(matcher.label(), [&](std::string_view value) {
                               return matcher.Matches(value);
                             }));
      Intersect(std::move(set));
      return OkStatus();
    }
    NEXUS_RETURN_IF_ERROR(NeedCandidates());
    StatusOr<SeriesSet> breaking =
        matcher.literals() && matcher.negated()
            ? PostingsOf(matcher)
            : index_->PostingsWhere(
                  matcher.label(), [&](std::string_view value) { return !matcher.Matches(value); });
    NEXUS_RETURN_IF_ERROR(breaking.status());
    candidates_->Subtract(*breaking);
    return OkStatus();
  }

  // Reads the candidates' labels, trying on them the matchers that are left.
  StatusOr<SeriesList> FetchLabels() {
    const uint64_t series_max = guard_->limits().series_max;
    if (matchers_.empty() && candidates_->size() > series_max) return TooMany(candidates_->size());
    const uint64_t id_bytes = candidates_->size() * sizeof(SeriesId);
    NEXUS_RETURN_IF_ERROR(guard_->Reserve(id_bytes, "ids of series"));
    SeriesList list;
    uint64_t reserved = 0;
    uint64_t seen = 0;
    for (SeriesId id : candidates_->ToVector()) {
      if (seen++ % kSeriesPerCheck == 0) {
        NEXUS_RETURN_IF_ERROR(guard_->Check());
        NEXUS_RETURN_IF_ERROR(guard_->Reserve(list.bytes() - reserved, "labels of series"));
        reserved = list.bytes();
      }
      StatusOr<std::string> canonical = index_->Canonical(id);
      if (canonical.status().code() == absl::StatusCode::kNotFound) {
        return DataLoss("series {} is listed by its labels but has none: run nexus catalog rebuild",
                        id.value);
      }
      NEXUS_RETURN_IF_ERROR(canonical.status());
      if (!MatchesRest(*canonical)) continue;
      if (list.size() == series_max) return TooMany(list.size() + 1);
      list.Add(id, *canonical);
    }
    NEXUS_RETURN_IF_ERROR(guard_->Reserve(list.bytes() - reserved, "labels of series"));
    guard_->Release(id_bytes);
    list.Sort();
    return list;
  }

  bool MatchesRest(std::string_view canonical) const {
    for (const Matcher* matcher : matchers_) {
      std::string_view found;
      VisitCanonical(canonical, [&](std::string_view name, std::string_view value) {
        if (name == matcher->label()) found = value;
      });
      if (!matcher->Matches(found)) return false;
    }
    return true;
  }

  Status TooMany(uint64_t at_least) const {
    return ResourceExhausted("selector matches at least {} series; series_max is {}", at_least,
                             guard_->limits().series_max);
  }

  SeriesIndex* const index_;
  QueryGuard* const guard_;
  const ResolveOptions options_;
  std::vector<const Matcher*> matchers_;  // not yet applied
  std::optional<SeriesSet> candidates_;   // nullopt: all series
};

}  // namespace

void SeriesList::Add(SeriesId id, std::string_view canonical) {
  entries_.push_back({id, labels_.size() & ((1ull << 47) - 1), canonical.size() & 0x1ffff});
  labels_ += canonical;
}

void SeriesList::Sort() {
  const std::string_view labels = labels_;
  auto labels_of = [&](const Entry& entry) { return labels.substr(entry.begin, entry.size); };
  std::sort(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) {
    const int order = labels_of(a).compare(labels_of(b));
    return order != 0 ? order < 0 : b.id < a.id;
  });
  auto same = [&](const Entry& a, const Entry& b) { return labels_of(a) == labels_of(b); };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
}

StatusOr<SeriesList> ResolveSelector(SeriesIndex* index, const Selector& selector,
                                     QueryGuard* guard, const ResolveOptions& options) {
  return Resolution(index, selector, guard, options).Run();
}

StatusOr<uint64_t> CountSeries(SeriesIndex* index, const Selector& selector, QueryGuard* guard,
                               const ResolveOptions& options) {
  return Resolution(index, selector, guard, options).Count();
}

}  // namespace nexus::engine
