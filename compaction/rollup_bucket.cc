// The arithmetic of buckets, and their columns. See rollup_bucket.h.

#include "compaction/rollup_bucket.h"

#include <bit>
#include <cmath>

namespace nexus::compaction {
namespace {

constexpr double kQuietNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kNone = -std::numeric_limits<double>::infinity();

bool Same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

// A count or offset of a column. False if it is none, or above `max`.
bool ToInteger(double value, uint64_t max, uint64_t* integer) {
  if (!(value >= 0 && value <= static_cast<double>(max))) return false;
  *integer = static_cast<uint64_t>(value);
  return static_cast<double>(*integer) == value;
}

bool ToCount(double value, uint32_t* count) {
  uint64_t integer = 0;
  if (!ToInteger(value, std::numeric_limits<uint32_t>::max(), &integer)) return false;
  *count = static_cast<uint32_t>(integer);
  return true;
}

}  // namespace

void Increase::Add(std::span<const double> values) {
  const double* at = values.data();
  const double* const end = at + values.size();
  while (at < end) {
    double value = *at++;
    if (!std::isfinite(value)) continue;
    if (!any) {
      any = true;
      first = last = value;
    } else if (value < last) {
      rise.Add(value);
      last = value;
    } else {
      // A rising stretch counts by its ends: no sum of steps, no error.
      while (at < end && *at >= value && *at <= std::numeric_limits<double>::max()) value = *at++;
      rise.Add(DoubleDouble::Sum(value, -last));
      last = value;
    }
  }
}

void Increase::Join(const Increase& next) {
  if (!next.any) return;
  if (!any) {
    *this = next;
    return;
  }
  if (next.first < last) {
    rise.Add(next.first);
  } else {
    rise.Add(DoubleDouble::Sum(next.first, -last));
  }
  rise.Add(next.rise);
  last = next.last;
}

void JoinStatistics(uint64_t count, const layer::Statistics& next, uint64_t next_count,
                    layer::Statistics* statistics) {
  const bool all_nan = statistics->nan_count == count;
  const bool next_all_nan = next.nan_count == next_count;
  if (!next_all_nan) {
    const auto ordered = [](double value) { return layer::OrderedFromDouble(value); };
    const bool lower = ordered(next.minimum) < ordered(statistics->minimum);
    const bool higher = ordered(next.maximum) > ordered(statistics->maximum);
    if (all_nan || lower) statistics->minimum = next.minimum;
    if (all_nan || higher) statistics->maximum = next.maximum;
  }
  statistics->last = next.last;
  statistics->sum.Add(next.sum);
  statistics->nan_count += next.nan_count;
  statistics->positive_infinity_count += next.positive_infinity_count;
  statistics->negative_infinity_count += next.negative_infinity_count;
}

void RollupBucket::Add(std::span<const int64_t> timestamps, std::span<const double> values) {
  const layer::Statistics added = layer::ComputeStatistics(values);
  if (count == 0) {
    range.first = timestamps.front();
    statistics = added;
  } else {
    JoinStatistics(count, added, values.size(), &statistics);
  }
  range.last = timestamps.back();
  count += values.size();
  increase.Add(values);
}

void RollupColumns::Clear() {
  starts.clear();
  for (std::vector<double>& column : values) column.clear();
}

void RollupColumns::Append(const RollupBucket& bucket) {
  const layer::Statistics& statistics = bucket.statistics;
  const Increase& increase = bucket.increase;
  const auto end = [&](double finite, double stands_for) {
    if (!increase.any) return kNone;
    return Same(finite, stands_for) ? kQuietNaN : finite;
  };
  const auto offset = [&](int64_t ts) {
    return static_cast<double>(static_cast<uint64_t>(ts) - static_cast<uint64_t>(bucket.start));
  };
  const std::array<double, kRollupColumns> row = {
      static_cast<double>(bucket.count),
      static_cast<double>(statistics.nan_count),
      static_cast<double>(statistics.positive_infinity_count),
      static_cast<double>(statistics.negative_infinity_count),
      statistics.sum.high,
      statistics.sum.low,
      statistics.minimum,
      statistics.maximum,
      statistics.first,
      offset(bucket.range.first),
      statistics.last,
      offset(bucket.range.last),
      increase.rise.high,
      increase.rise.low,
      end(increase.first, statistics.first),
      end(increase.last, statistics.last)};
  starts.push_back(bucket.start);
  for (uint32_t column = 0; column < kRollupColumns; ++column) {
    values[column].push_back(row[column]);
  }
}

StatusOr<RollupBucket> RollupColumns::At(size_t i) const {
  const auto has = [this](RollupColumn column) {
    return !values[static_cast<size_t>(column)].empty();
  };
  const auto of = [this, i](RollupColumn column) {
    const std::vector<double>& cells = values[static_cast<size_t>(column)];
    return cells.empty() ? 0.0 : cells[i];
  };
  RollupBucket bucket;
  bucket.start = starts[i];
  layer::Statistics& statistics = bucket.statistics;
  uint64_t first_offset = 0;
  uint64_t last_offset = 0;
  const auto longest = static_cast<uint64_t>(kRollupResolutionMaxNs);
  const bool sound =
      ToInteger(of(RollupColumn::kCount), uint64_t{1} << 53, &bucket.count) &&
      ToCount(of(RollupColumn::kNaNs), &statistics.nan_count) &&
      ToCount(of(RollupColumn::kPositiveInfinities), &statistics.positive_infinity_count) &&
      ToCount(of(RollupColumn::kNegativeInfinities), &statistics.negative_infinity_count) &&
      ToInteger(of(RollupColumn::kFirstOffset), longest, &first_offset) &&
      ToInteger(of(RollupColumn::kLastOffset), longest, &last_offset);
  if (!sound || (has(RollupColumn::kCount) && bucket.count == 0)) {
    return DataLoss("the bucket that begins at {} ns is malformed", bucket.start);
  }
  const auto at = [&](uint64_t offset) {
    return static_cast<int64_t>(static_cast<uint64_t>(bucket.start) + offset);
  };
  bucket.range = {at(first_offset), at(last_offset)};
  statistics.sum = {of(RollupColumn::kSumHigh), of(RollupColumn::kSumLow)};
  statistics.minimum = of(RollupColumn::kMinimum);
  statistics.maximum = of(RollupColumn::kMaximum);
  statistics.first = of(RollupColumn::kFirst);
  statistics.last = of(RollupColumn::kLast);
  Increase& increase = bucket.increase;
  increase.rise = {of(RollupColumn::kRiseHigh), of(RollupColumn::kRiseLow)};
  const double first = of(RollupColumn::kFirstFinite);
  const double last = of(RollupColumn::kLastFinite);
  increase.any = has(RollupColumn::kFirstFinite) && !Same(first, kNone);
  if (increase.any) {
    increase.first = std::isnan(first) ? statistics.first : first;
    increase.last = std::isnan(last) ? statistics.last : last;
  }
  return bucket;
}

Status AddRollupSeries(std::string_view canonical_labels, SeriesId id, const RollupColumns& buckets,
                       layer::LayerBuilder* builder) {
  NEXUS_RETURN_IF_ERROR(builder->BeginSeries(canonical_labels, id));
  for (uint32_t column = 0; column < kRollupColumns; ++column) {
    if (column > 0) NEXUS_RETURN_IF_ERROR(builder->BeginColumn());
    NEXUS_RETURN_IF_ERROR(builder->AddSamples(buckets.starts, buckets.values[column]));
  }
  return OkStatus();
}

}  // namespace nexus::compaction
