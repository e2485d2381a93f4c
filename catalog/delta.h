// The catalog delta: series that are applied but not yet committed to LMDB.
//
// The loop adds definitions and publishes immutable views; a query reads LMDB plus the view of its
// version, so an acknowledged new series is found at once. What is in both is harmless: every
// answer is a union.
//
// A view is a list of immutable segments. Adding must cost the loop next to nothing, so a segment
// is only a list of definitions; its index (postings by label) is built by the first query that
// asks, once. Views are published as often as the log commits, so segments are merged like the
// digits of a binary counter: n series in at most log2(n) + 1 segments, each definition moved at
// most log2(n) times (16 bytes each time: labels are shared, not copied).
//
// Threading: CatalogDelta belongs to the loop. DeltaSegment and DeltaView are immutable, any
// thread.

#ifndef NEXUS_CATALOG_DELTA_H_
#define NEXUS_CATALOG_DELTA_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/types.h"
#include "catalog/records.h"
#include "catalog/series_set.h"

namespace nexus::catalog {

// A batch of definitions, sorted by (tenant, id).
class DeltaSegment {
 public:
  // Definitions in any order; if an id is there twice, the first stays. `hash_seed` should be
  // unknown outside, or chosen labels could make the index slow.
  static std::shared_ptr<const DeltaSegment> Make(std::vector<SeriesDefinition> definitions,
                                                  uint64_t hash_seed);
  static std::shared_ptr<const DeltaSegment> Merge(
      std::span<const std::shared_ptr<const DeltaSegment>> parts);
  ~DeltaSegment();

  std::span<const SeriesDefinition* const> definitions() const { return definitions_; }
  // What it was made of, repeated definitions included, and the memory of that with its index.
  uint64_t added() const { return added_; }
  uint64_t bytes() const { return bytes_; }
  const SeriesDefinition* Find(TenantId tenant, SeriesId id) const;

  void AddPostings(TenantId tenant, std::string_view name, std::string_view value,
                   SeriesSet* into) const;
  void AddPostingsWhere(TenantId tenant, std::string_view name,
                        absl::FunctionRef<bool(std::string_view value)> accept,
                        SeriesSet* into) const;
  void AddAllSeries(TenantId tenant, SeriesSet* into) const;
  void VisitLabelNames(TenantId tenant, absl::FunctionRef<void(std::string_view name)> visit) const;
  void VisitLabelValues(TenantId tenant, std::string_view name,
                        absl::FunctionRef<bool(std::string_view value)> visit) const;

 private:
  struct TenantIndex;
  using Batch = std::shared_ptr<const std::vector<SeriesDefinition>>;

  explicit DeltaSegment(uint64_t hash_seed);
  void SortAndDeduplicate();
  std::vector<std::unique_ptr<const TenantIndex>> BuildIndex() const;
  // Null if the tenant has no series here.
  const TenantIndex* IndexOf(TenantId tenant) const;

  const uint64_t hash_seed_;
  uint64_t added_ = 0;
  uint64_t bytes_ = 0;
  std::vector<Batch> batches_;  // own what definitions_ points to
  std::vector<const SeriesDefinition*> definitions_;
  mutable std::once_flag index_once_;
  mutable std::vector<std::unique_ptr<const TenantIndex>> index_;
};

// All segments that a version of the database needs.
using DeltaView = std::vector<std::shared_ptr<const DeltaSegment>>;

class CatalogDelta {
 public:
  struct Options {
    // Bounds. 64 MiB is about 130,000 series of 11 labels with their index: 130 ms of the catalog
    // thread's work at a million series a second.
    uint64_t series_max = 262'144;
    uint64_t bytes_max = 64ull << 20;
    // Of the segments' indexes (DeltaSegment::Make); random in the real world.
    uint64_t hash_seed = 0;
  };

  CatalogDelta() : CatalogDelta(Options{}) {}
  explicit CatalogDelta(Options options) : options_(options) {}

  // True if the bounds are reached: the caller must let a commit finish before it adds more.
  bool full() const { return series_ >= options_.series_max || bytes_ >= options_.bytes_max; }
  // Half of one of them: whoever would add much waits, so that nobody else ever has to.
  bool half_full() const {
    return series_ >= options_.series_max / 2 || bytes_ >= options_.bytes_max / 2;
  }
  uint64_t series() const { return series_; }
  // Labels, definitions and what the index will take.
  uint64_t bytes() const { return bytes_; }

  void Add(SeriesDefinition definition);

  // What was added so far, as a version needs it. The same pointer while nothing is added or
  // dropped.
  std::shared_ptr<const DeltaView> View();

  // All segments, to be committed in an Update; later additions go to others. A failed commit
  // needs no call: the next Cut gives the same segments and what came after.
  std::vector<std::shared_ptr<const DeltaSegment>> Cut();
  // Forgets the segments of a Cut that Catalog::Commit has returned OK for. Views taken before keep
  // them.
  void Committed(std::span<const std::shared_ptr<const DeltaSegment>> segments);

 private:
  void Seal();

  const Options options_;
  uint64_t series_ = 0;
  uint64_t bytes_ = 0;
  std::vector<SeriesDefinition> adding_;
  DeltaView segments_;
  size_t cut_ = 0;  // segments_[0, cut_) were cut: never merged with later ones
  std::shared_ptr<const DeltaView> view_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_DELTA_H_
