// Counting for a CardinalityReport: one walk over a tenant's postings, in steps, with the best so
// far in memory and nothing else.
//
// Ids of series are given in rising order, so the new ones are those from some id on. A series has
// a label name once, so the series of a name are the sum of its values'. What is committed between
// two steps may be counted in part. Memory: six lists of `top` entries. Threading: one thread at a
// time; blocks on the catalog's file.

#ifndef NEXUS_ENGINE_CARDINALITY_COUNT_H_
#define NEXUS_ENGINE_CARDINALITY_COUNT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/catalog.h"
#include "catalog/reader.h"
#include "engine/cardinality.h"

namespace nexus::engine {

class CardinalityCount {
 public:
  // REQUIRES: `catalog` outlives it; 1 <= top <= kCardinalityTopMax.
  CardinalityCount(const catalog::Catalog* catalog, TenantId tenant, SeriesId newer_from,
                   uint32_t top);

  // Goes on for some 50 ms; true if there is more to do.
  StatusOr<bool> Step();
  // What was found, but for the tenant's own figures.
  StatusOr<CardinalityReport> Finish();

 private:
  using Count = catalog::Reader::LabelCount;
  // The `top` counts that are greatest in one figure; of equal ones those of lower symbols.
  class Best {
   public:
    Best(uint64_t Count::*figure, uint32_t top) : figure_(figure), top_(top) {}
    void Add(const Count& count);
    // The greatest first.
    std::vector<Count> Take();

   private:
    bool Before(const Count& a, const Count& b) const;
    uint64_t Count::*const figure_;
    const uint32_t top_;
    std::vector<Count> heap_;  // the least of them in front
  };
  struct Both {
    explicit Both(uint32_t top) : by_series(&Count::series, top), by_growth(&Count::newer, top) {}
    void Add(const Count& count) {
      by_series.Add(count);
      by_growth.Add(count);
    }
    Best by_series;
    Best by_growth;
  };

  // The labels of a name have all been seen.
  void EndName();
  enum class What : uint8_t { kMetric, kLabel, kPair };
  StatusOr<std::vector<CardinalityEntry>> Entries(catalog::Reader* reader, Best* best,
                                                  What what) const;

  const catalog::Catalog* const catalog_;
  const TenantId tenant_;
  const SeriesId newer_from_;
  catalog::Reader::LabelPlace from_;
  bool of_metrics_ = false;    // the name under way is that of the metric name
  std::optional<Count> name_;  // under way
  uint64_t metrics_ = 0;
  uint64_t labels_ = 0;
  uint64_t pairs_ = 0;
  Both metrics_best_;
  Both labels_best_;
  Both pairs_best_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CARDINALITY_COUNT_H_
