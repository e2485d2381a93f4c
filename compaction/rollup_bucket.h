// RollupBucket: what is kept of the samples of one series within one bucket of time, and its form
// in a layer of columns.
//
// Bucket k of resolution r is [k*r, (k+1)*r), by floor division for negative times too. A bucket
// says of its samples what aggregates ask: count, extremes, first and last with their timestamps,
// the sum of the finite values as a double-double, and how much a counter rose. All of it is
// computed from samples alone and joins: that of two neighbouring stretches of time is a function
// of theirs (Join), associative but for roundings below 2^-104. So it does not matter how samples
// are cut into chunks, and an aggregate over many buckets is what it is over their samples: equal
// bit for bit in count, extremes, first and last, within 2 ulp in sums (double_double.h).
//
// Increase: the steps between neighbouring finite values, a value below the one before being a
// reset of the counter to 0 (engine/aggregate.h, "rate"). A bucket holds the steps between its own
// samples, and its first and last finite value: the step into the next bucket comes of joining, so
// no step is lost or counted twice.
//
// Columns: a rollup layer has kRollupColumns values for each bucket of a series. Their timestamps
// are the buckets' beginnings, so they share one column of those. What mostly follows from another
// column is written so that it is constant, which takes no bits: the finite ends are given only
// where they differ from first and last. A reader decodes the columns that it needs.
// Threading: values. Format: docs/format/layer.md.

#ifndef NEXUS_COMPACTION_ROLLUP_BUCKET_H_
#define NEXUS_COMPACTION_ROLLUP_BUCKET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "base/double_double.h"
#include "base/status.h"
#include "base/types.h"
#include "layer/layer_builder.h"
#include "layer/statistics.h"

namespace nexus::compaction {

// How much a counter rose over a stretch of time.
struct Increase {
  bool any = false;  // a finite value was seen
  double first = 0;  // finite values: the first and the last
  double last = 0;
  DoubleDouble rise;

  // Values behind those it has. They need not be finite.
  void Add(std::span<const double> values);
  // That of the stretch behind.
  void Join(const Increase& next);
};

// Those of two stretches of a series together, `next` being the later. REQUIRES: both have samples,
// `count` and `next_count` of them.
void JoinStatistics(uint64_t count, const layer::Statistics& next, uint64_t next_count,
                    layer::Statistics* statistics);

struct RollupBucket {
  int64_t start = 0;
  TimeRange range;     // its first and its last sample
  uint64_t count = 0;  // samples, NaN too
  layer::Statistics statistics;
  Increase increase;

  // Samples behind those it has, all of the bucket. REQUIRES: not empty.
  void Add(std::span<const int64_t> timestamps, std::span<const double> values);
};

// Resolutions: from a second, below which a bucket holds too few samples to save anything, to a
// day. An offset within a bucket is a double without error (2^53 ns are 104 days).
inline constexpr int64_t kRollupResolutionMinNs = 1'000'000'000;
inline constexpr int64_t kRollupResolutionMaxNs = int64_t{24} * 3600 * 1'000'000'000;

// Rollups are made and replaced by windows of so many buckets: a day of minutes, two months of
// hours. It is as long as a chunk should be (kChunkSamplesGood), and bounds what late data costs.
inline constexpr int64_t kRollupWindowBuckets = 1440;

// The beginning of the bucket that holds `ts`; INT64_MIN if it would begin below.
constexpr int64_t BucketStart(int64_t ts, int64_t resolution_ns) {
  int64_t into = ts % resolution_ns;
  if (into < 0) into += resolution_ns;
  int64_t start;
  return __builtin_sub_overflow(ts, into, &start) ? std::numeric_limits<int64_t>::min() : start;
}
// The last timestamp of the bucket that holds `ts`; INT64_MAX if it would end above.
constexpr int64_t BucketLast(int64_t ts, int64_t resolution_ns) {
  int64_t into = ts % resolution_ns;
  if (into < 0) into += resolution_ns;
  int64_t last;
  return __builtin_add_overflow(ts, resolution_ns - 1 - into, &last)
             ? std::numeric_limits<int64_t>::max()
             : last;
}

enum class RollupColumn : uint8_t {
  kCount,
  kNaNs,
  kPositiveInfinities,
  kNegativeInfinities,
  kSumHigh,
  kSumLow,
  kMinimum,
  kMaximum,
  kFirst,
  kFirstOffset,  // of its timestamp from the bucket's beginning, in ns
  kLast,
  kLastOffset,
  kRiseHigh,
  kRiseLow,
  kFirstFinite,  // NaN: it is `first`; -infinity: there is none
  kLastFinite,   // NaN: it is `last`
};
inline constexpr uint32_t kRollupColumns = 16;
static_assert(kRollupColumns <= layer::kLayerColumnsMax);

// Some of the columns.
class RollupColumnSet {
 public:
  constexpr RollupColumnSet() = default;
  template <typename... Columns>
  static constexpr RollupColumnSet Of(Columns... columns) {
    RollupColumnSet set;
    ((set.bits_ |= 1U << static_cast<uint32_t>(columns)), ...);
    return set;
  }
  static constexpr RollupColumnSet All() {
    RollupColumnSet set;
    set.bits_ = (1U << kRollupColumns) - 1;
    return set;
  }
  constexpr bool Has(uint32_t column) const { return (bits_ >> column & 1) != 0; }
  constexpr bool empty() const { return bits_ == 0; }

 private:
  uint32_t bits_ = 0;
};

// Buckets of one series as columns.
struct RollupColumns {
  std::vector<int64_t> starts;
  std::array<std::vector<double>, kRollupColumns> values;  // each as long as `starts`, or empty

  size_t size() const { return starts.size(); }
  void Clear();
  void Append(const RollupBucket& bucket);
  // What columns that are empty would say is left as it is made. DataLoss: what they say is no
  // bucket's.
  StatusOr<RollupBucket> At(size_t i) const;
};

// Appends a series to a rollup layer. REQUIRES: `buckets` is not empty and has all columns.
Status AddRollupSeries(std::string_view canonical_labels, SeriesId id, const RollupColumns& buckets,
                       layer::LayerBuilder* builder);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_ROLLUP_BUCKET_H_
