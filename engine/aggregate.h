// Aggregates: what each function keeps of a bucket, and what comes of it.
//
// A bucket (buckets.h) has a row if it holds a sample. Definitions:
//   count  samples, NaN too
//   min, max   of the values that are not NaN, -0.0 below +0.0; NaN if all are NaN
//   sum, avg   NaN if a value is NaN or both infinities are there; an infinity if one is; else the
//          sum of the finite values, in double-double (about 106 bits) and rounded once, over the
//          count for avg. So the result is within 2 ulp of the exact one however samples are cut
//          into chunks, unless positive and negative values cancel to less than 2^-50 of the sum of
//          their magnitudes (then the error is below 2^-100 of that) or a partial sum exceeds
//          1.8e308 (then the result is that infinity).
//   first, last   the value with the least and the greatest timestamp, bit for bit
//   rate   how much a counter rose within the bucket, over the step in seconds. A value below the
//          one before it is a reset: the counter began again at 0. The step from the series' last
//          sample in front of the bucket, within the range, counts to the bucket. Values that are
//          not finite are passed by. A bucket without a step has rate 0. With step 0 the seconds
//          are those of the range.
//   pNN    the nearest rank: of n values that are not NaN the ceil(NN / 100 * n)th in ascending
//          order, an actual value; NaN if all are NaN. -0.0 is below +0.0.
// A NaN that is a result and not a sample is the quiet NaN 0x7ff8000000000000.
// Groups: count, min, max, sum, avg and pNN are of all samples of the group's series in the bucket;
// first and last order samples by (timestamp, label order of the series); rate is the sum of the
// series' rates.
//
// The states below are fed the samples of one series in time order, then merged with those of other
// series in label order. Threading: values.

#ifndef NEXUS_ENGINE_AGGREGATE_H_
#define NEXUS_ENGINE_AGGREGATE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/double_double.h"
#include "compaction/rollup_bucket.h"
#include "engine/query.h"
#include "engine/sample_source.h"

namespace nexus::engine {

using compaction::RollupBucket;
using compaction::RollupColumn;
using compaction::RollupColumnSet;

inline constexpr double kQuietNaN = std::numeric_limits<double>::quiet_NaN();

// What a state needs to know to give its result.
struct AggregateSpec {
  AggregateFunction function = AggregateFunction::kAvg;
  double percentile = 0;
  double seconds = 1;  // of a step
};

// Every state has:
//   kFromStatistics    a chunk's statistics say all it needs (then AddChunk exists)
//   Add(span)          samples of the series behind those it has; not empty
//   AddChunk(chunk)    the same by statistics
//   kRollup            the columns of rollups that say all it needs (then AddBucket exists)
//   AddBucket(bucket)  the same by a bucket
//   Merge(other)       the same bucket of a series later in label order
//   StartNext()        becomes what the series' next bucket with samples begins with
//   Result(spec)
//   kBytesPerSample    memory it needs for each sample of the bucket, beside its own size

class CountState {
 public:
  static constexpr bool kFromStatistics = true;
  static constexpr uint64_t kBytesPerSample = 0;
  void Add(SampleSpan span) { count_ += span.count; }
  void AddChunk(const ChunkRef& chunk) { count_ += chunk.count; }
  static constexpr auto kRollup = RollupColumnSet::Of(RollupColumn::kCount);
  void AddBucket(const RollupBucket& bucket) { count_ += bucket.count; }
  void Merge(const CountState& other) { count_ += other.count_; }
  void StartNext() { *this = {}; }
  double Result(const AggregateSpec&) const { return static_cast<double>(count_); }

 private:
  uint64_t count_ = 0;
};

template <bool kMaximum>
class ExtremeState {
 public:
  static constexpr bool kFromStatistics = true;
  static constexpr uint64_t kBytesPerSample = 0;
  void Add(SampleSpan span);
  void AddChunk(const ChunkRef& chunk) {
    Take(kMaximum ? chunk.statistics.maximum : chunk.statistics.minimum);
  }
  static constexpr auto kRollup =
      RollupColumnSet::Of(kMaximum ? RollupColumn::kMaximum : RollupColumn::kMinimum);
  void AddBucket(const RollupBucket& bucket) {
    Take(kMaximum ? bucket.statistics.maximum : bucket.statistics.minimum);
  }
  void Merge(const ExtremeState& other) { Take(other.extreme_); }
  void StartNext() { *this = {}; }
  double Result(const AggregateSpec&) const { return extreme_; }

 private:
  void Take(double value);
  double extreme_ = kQuietNaN;  // NaN until another value was seen
};

class SumState {
 public:
  static constexpr bool kFromStatistics = true;
  static constexpr uint64_t kBytesPerSample = 0;
  void Add(SampleSpan span);
  void AddChunk(const ChunkRef& chunk) { Add(chunk.count, chunk.statistics); }
  static constexpr auto kRollup = RollupColumnSet::Of(
      RollupColumn::kCount, RollupColumn::kNaNs, RollupColumn::kPositiveInfinities,
      RollupColumn::kNegativeInfinities, RollupColumn::kSumHigh, RollupColumn::kSumLow);
  void AddBucket(const RollupBucket& bucket) { Add(bucket.count, bucket.statistics); }
  void Merge(const SumState& other);
  void StartNext() { *this = {}; }
  double Result(const AggregateSpec& spec) const;

 private:
  void Add(uint64_t count, const layer::Statistics& statistics);

  DoubleDouble sum_;  // of the finite values
  uint64_t count_ = 0;
  uint64_t nan_count_ = 0;
  uint64_t positive_infinity_count_ = 0;
  uint64_t negative_infinity_count_ = 0;
};

template <bool kLast>
class EdgeState {
 public:
  static constexpr bool kFromStatistics = true;
  static constexpr uint64_t kBytesPerSample = 0;
  void Add(SampleSpan span);
  void AddChunk(const ChunkRef& chunk) { Add(chunk.range, chunk.statistics); }
  static constexpr auto kRollup =
      kLast ? RollupColumnSet::Of(RollupColumn::kLast, RollupColumn::kLastOffset)
            : RollupColumnSet::Of(RollupColumn::kFirst, RollupColumn::kFirstOffset);
  void AddBucket(const RollupBucket& bucket) { Add(bucket.range, bucket.statistics); }
  void Merge(const EdgeState& other) { Take(other.edge_); }
  void StartNext() { *this = {}; }
  double Result(const AggregateSpec&) const { return edge_.value; }

 private:
  void Add(TimeRange range, const layer::Statistics& statistics);
  void Take(Sample sample);
  bool any_ = false;
  Sample edge_;
};

class RateState {
 public:
  static constexpr bool kFromStatistics = false;
  static constexpr uint64_t kBytesPerSample = 0;
  void Add(SampleSpan span) { increase_.Add({span.values, span.count}); }
  static constexpr auto kRollup = RollupColumnSet::Of(
      RollupColumn::kFirst, RollupColumn::kLast, RollupColumn::kRiseHigh, RollupColumn::kRiseLow,
      RollupColumn::kFirstFinite, RollupColumn::kLastFinite);
  void AddBucket(const RollupBucket& bucket) { increase_.Join(bucket.increase); }
  void Merge(const RateState& other) { increase_.rise.Add(other.increase_.rise); }
  // The last value stays: the step from it counts to the next bucket.
  void StartNext() { increase_.rise = {}; }
  double Result(const AggregateSpec& spec) const {
    return (increase_.rise.high + increase_.rise.low) / spec.seconds;
  }

 private:
  compaction::Increase increase_;
};

class PercentileState {
 public:
  static constexpr bool kFromStatistics = false;
  static constexpr auto kRollup = RollupColumnSet();
  // A vector has up to twice the room it needs.
  static constexpr uint64_t kBytesPerSample = 2 * sizeof(int64_t);
  void Add(SampleSpan span);
  void Merge(const PercentileState& other);
  void StartNext() { values_.clear(); }
  // Reorders the values.
  double Result(const AggregateSpec& spec);

 private:
  std::vector<int64_t> values_;  // OrderedFromDouble of all that are not NaN
};

// The nearest rank of the percentile, 1..n. A percentile is meant as the decimal it was written as:
// the 99.9th of 1000 values is the 999th, though 99.9 has no exact double. REQUIRES: n > 0.
uint64_t NearestRank(double percentile, uint64_t n);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_AGGREGATE_H_
