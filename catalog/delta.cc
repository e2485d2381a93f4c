// Segments of the catalog delta, their lazy index, and their merging. See delta.h.

#include "catalog/delta.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "catalog/label_batch.h"

namespace nexus::catalog {
namespace {

using SeriesKeyPair = std::pair<TenantId, SeriesId>;

SeriesKeyPair KeyOf(const SeriesDefinition* definition) {
  return {definition->tenant, definition->id};
}
bool BySeries(const SeriesDefinition* a, const SeriesDefinition* b) { return KeyOf(a) < KeyOf(b); }

// Memory of a definition with what belongs to it: its labels, the string and the pointer to it, and
// its part of an index (an id and a row entry for each label; strings and labels are shared).
uint64_t MemoryOf(const SeriesDefinition& definition) {
  uint64_t labels = static_cast<uint64_t>(
      std::count(definition.canonical.begin(), definition.canonical.end(), '\xFF'));
  return sizeof(SeriesDefinition) + sizeof(void*) + definition.canonical.capacity() +
         labels * (sizeof(uint64_t) + sizeof(uint32_t));
}

}  // namespace

// The labels of one tenant's series, findable by name and value.
struct DeltaSegment::TenantIndex {
  TenantIndex(TenantId id, uint64_t hash_seed) : tenant(id), batch(hash_seed) {}

  std::pair<std::string_view, std::string_view> LabelAt(uint32_t number) const {
    LabelBatch::Label label = batch.label(number);
    return {batch.string(label.name), batch.string(label.value)};
  }
  // The first label in `order` not below (name, value).
  auto LowerBound(std::string_view name, std::string_view value) const {
    return std::lower_bound(
        order.begin(), order.end(), std::pair(name, value),
        [this](uint32_t number, const auto& wanted) { return LabelAt(number) < wanted; });
  }

  const TenantId tenant;
  LabelBatch batch;
  std::vector<uint32_t> order;  // numbers of labels, by (name, value)
};

DeltaSegment::DeltaSegment(uint64_t hash_seed) : hash_seed_(hash_seed) {}
DeltaSegment::~DeltaSegment() = default;

std::shared_ptr<const DeltaSegment> DeltaSegment::Make(std::vector<SeriesDefinition> definitions,
                                                       uint64_t hash_seed) {
  std::shared_ptr<DeltaSegment> segment(new DeltaSegment(hash_seed));
  segment->batches_.push_back(
      std::make_shared<const std::vector<SeriesDefinition>>(std::move(definitions)));
  for (const SeriesDefinition& definition : *segment->batches_.back()) {
    segment->definitions_.push_back(&definition);
    segment->bytes_ += MemoryOf(definition);
    segment->added_++;
  }
  segment->SortAndDeduplicate();
  return segment;
}

std::shared_ptr<const DeltaSegment> DeltaSegment::Merge(
    std::span<const std::shared_ptr<const DeltaSegment>> parts) {
  NEXUS_CHECK(!parts.empty());
  std::shared_ptr<DeltaSegment> merged(new DeltaSegment(parts.front()->hash_seed_));
  for (const auto& part : parts) {
    merged->batches_.insert(merged->batches_.end(), part->batches_.begin(), part->batches_.end());
    merged->definitions_.insert(merged->definitions_.end(), part->definitions_.begin(),
                                part->definitions_.end());
    merged->added_ += part->added_;
    merged->bytes_ += part->bytes_;
  }
  merged->SortAndDeduplicate();
  return merged;
}

void DeltaSegment::SortAndDeduplicate() {
  // Ids are given in rising order, so this is sorted already as a rule.
  if (!std::is_sorted(definitions_.begin(), definitions_.end(), BySeries)) {
    std::stable_sort(definitions_.begin(), definitions_.end(), BySeries);
  }
  auto same = [](const auto* a, const auto* b) { return KeyOf(a) == KeyOf(b); };
  definitions_.erase(std::unique(definitions_.begin(), definitions_.end(), same),
                     definitions_.end());
}

const SeriesDefinition* DeltaSegment::Find(TenantId tenant, SeriesId id) const {
  auto found = std::lower_bound(
      definitions_.begin(), definitions_.end(), SeriesKeyPair(tenant, id),
      [](const SeriesDefinition* d, const SeriesKeyPair& wanted) { return KeyOf(d) < wanted; });
  if (found == definitions_.end() || KeyOf(*found) != SeriesKeyPair(tenant, id)) return nullptr;
  return *found;
}

std::vector<std::unique_ptr<const DeltaSegment::TenantIndex>> DeltaSegment::BuildIndex() const {
  std::vector<std::unique_ptr<TenantIndex>> built;
  for (const SeriesDefinition* definition : definitions_) {
    if (built.empty() || built.back()->tenant != definition->tenant) {
      built.push_back(std::make_unique<TenantIndex>(definition->tenant, hash_seed_));
    }
    // A malformed definition has no labels to be found by; committing it reports it.
    (void)built.back()->batch.Add(definition->id, definition->canonical);
  }
  for (const auto& index : built) {
    index->batch.Finish();
    index->order.resize(index->batch.labels());
    std::iota(index->order.begin(), index->order.end(), 0u);
    std::sort(index->order.begin(), index->order.end(),
              [&](uint32_t a, uint32_t b) { return index->LabelAt(a) < index->LabelAt(b); });
  }
  return {std::make_move_iterator(built.begin()), std::make_move_iterator(built.end())};
}

const DeltaSegment::TenantIndex* DeltaSegment::IndexOf(TenantId tenant) const {
  std::call_once(index_once_, [this] { index_ = BuildIndex(); });
  auto found =
      std::lower_bound(index_.begin(), index_.end(), tenant,
                       [](const auto& index, TenantId wanted) { return index->tenant < wanted; });
  return found != index_.end() && (*found)->tenant == tenant ? found->get() : nullptr;
}

void DeltaSegment::AddPostings(TenantId tenant, std::string_view name, std::string_view value,
                               SeriesSet* into) const {
  const TenantIndex* index = IndexOf(tenant);
  if (index == nullptr) return;
  auto at = index->LowerBound(name, value);
  if (at == index->order.end() || index->LabelAt(*at) != std::pair(name, value)) return;
  into->AddSorted(index->batch.ids_of(*at));
}

void DeltaSegment::AddPostingsWhere(TenantId tenant, std::string_view name,
                                    absl::FunctionRef<bool(std::string_view)> accept,
                                    SeriesSet* into) const {
  const TenantIndex* index = IndexOf(tenant);
  if (index == nullptr) return;
  for (auto at = index->LowerBound(name, {}); at != index->order.end(); ++at) {
    auto [label_name, value] = index->LabelAt(*at);
    if (label_name != name) break;
    if (accept(value)) into->AddSorted(index->batch.ids_of(*at));
  }
}

void DeltaSegment::AddAllSeries(TenantId tenant, SeriesSet* into) const {
  auto begin = std::lower_bound(
      definitions_.begin(), definitions_.end(), tenant,
      [](const SeriesDefinition* d, TenantId wanted) { return d->tenant < wanted; });
  std::vector<uint64_t> ids;
  for (auto at = begin; at != definitions_.end() && (*at)->tenant == tenant; ++at) {
    ids.push_back((*at)->id.value);
  }
  into->AddSorted(ids);
}

void DeltaSegment::VisitLabelNames(TenantId tenant,
                                   absl::FunctionRef<void(std::string_view)> visit) const {
  const TenantIndex* index = IndexOf(tenant);
  if (index == nullptr) return;
  std::string_view last;
  for (uint32_t number : index->order) {
    std::string_view name = index->LabelAt(number).first;
    if (name != last) visit(name);
    last = name;
  }
}

void DeltaSegment::VisitLabelValues(TenantId tenant, std::string_view name,
                                    absl::FunctionRef<bool(std::string_view)> visit) const {
  const TenantIndex* index = IndexOf(tenant);
  if (index == nullptr) return;
  for (auto at = index->LowerBound(name, {}); at != index->order.end(); ++at) {
    auto [label_name, value] = index->LabelAt(*at);
    if (label_name != name || !visit(value)) return;
  }
}

void CatalogDelta::Add(SeriesDefinition definition) {
  series_++;
  bytes_ += MemoryOf(definition);
  adding_.push_back(std::move(definition));
}

void CatalogDelta::Seal() {
  if (adding_.empty()) return;
  segments_.push_back(DeltaSegment::Make(std::exchange(adding_, {}), options_.hash_seed));
  // Like the carries of a binary counter: while the one before is no larger than the last, both
  // become one.
  while (segments_.size() >= cut_ + 2) {
    std::span<const std::shared_ptr<const DeltaSegment>> last_two(&segments_.end()[-2], 2);
    if (last_two[0]->definitions().size() > last_two[1]->definitions().size()) break;
    std::shared_ptr<const DeltaSegment> merged = DeltaSegment::Merge(last_two);
    segments_.resize(segments_.size() - 2);
    segments_.push_back(std::move(merged));
  }
  view_ = nullptr;
}

std::shared_ptr<const DeltaView> CatalogDelta::View() {
  Seal();
  if (view_ == nullptr) view_ = std::make_shared<const DeltaView>(segments_);
  return view_;
}

std::vector<std::shared_ptr<const DeltaSegment>> CatalogDelta::Cut() {
  Seal();
  cut_ = segments_.size();
  return segments_;
}

void CatalogDelta::Committed(std::span<const std::shared_ptr<const DeltaSegment>> segments) {
  NEXUS_CHECK(segments.size() <= cut_);
  NEXUS_CHECK(std::equal(segments.begin(), segments.end(), segments_.begin()));
  for (const auto& segment : segments) {
    series_ -= segment->added();
    bytes_ -= segment->bytes();
  }
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(segments.size()));
  cut_ -= segments.size();
  view_ = nullptr;
}

}  // namespace nexus::catalog
