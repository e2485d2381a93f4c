// Sums in eight lanes of double-doubles, extremes by ordered bits; see statistics.h.

#include "layer/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace nexus::layer {
namespace {

constexpr int64_t kMagnitude = std::numeric_limits<int64_t>::max();
constexpr int64_t kInfinityBits = std::bit_cast<int64_t>(std::numeric_limits<double>::infinity());

int64_t Magnitude(double value) { return std::bit_cast<int64_t>(value) & kMagnitude; }

// Sum of finite values times a power of two. Eight sums side by side, so that no addition waits for
// the one before; the order of additions is part of the definition of the statistic.
template <bool kScaled>
DoubleDouble SumLanes(std::span<const double> values, double scale) {
  constexpr size_t kLanes = 8;
  std::array<double, kLanes> high{};
  std::array<double, kLanes> low{};
  size_t i = 0;
  const auto add = [&](size_t lane, double value) {
    const DoubleDouble added = DoubleDouble::Sum(high[lane], kScaled ? value * scale : value);
    high[lane] = added.high;
    low[lane] += added.low;
  };
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) add(lane, values[i + lane]);
  }
  for (size_t lane = 0; i < values.size(); ++i, ++lane) add(lane, values[i]);
  DoubleDouble sum;
  for (size_t lane = 0; lane < kLanes; ++lane) sum.Add(DoubleDouble::Sum(high[lane], low[lane]));
  return sum;
}

// The general case: counts what is not finite and leaves it out of the sum.
void CountSpecial(std::span<const double> values, Statistics* statistics) {
  int64_t low = std::numeric_limits<int64_t>::max();
  int64_t high = std::numeric_limits<int64_t>::min();
  for (double value : values) {
    if (Magnitude(value) > kInfinityBits) {
      ++statistics->nan_count;
      continue;
    }
    low = std::min(low, OrderedFromDouble(value));
    high = std::max(high, OrderedFromDouble(value));
    if (Magnitude(value) < kInfinityBits) {
      statistics->sum.Add(value);
    } else if (std::signbit(value)) {
      ++statistics->negative_infinity_count;
    } else {
      ++statistics->positive_infinity_count;
    }
  }
  const bool all_nan = statistics->nan_count == values.size();
  statistics->minimum = all_nan ? values.front() : DoubleFromOrdered(low);
  statistics->maximum = all_nan ? values.front() : DoubleFromOrdered(high);
}

bool Same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

}  // namespace

DoubleDouble SumFinite(std::span<const double> values) {
  const DoubleDouble sum = SumLanes<false>(values, 1.0);
  if (std::isfinite(sum.high)) return sum;
  // A partial sum overflowed; the whole need not. 2^14 is above the most samples of a chunk.
  DoubleDouble scaled = SumLanes<true>(values, 0x1p-14);
  scaled.high *= 0x1p14;
  scaled.low = std::isfinite(scaled.high) ? scaled.low * 0x1p14 : 0.0;
  return scaled;
}

Statistics ComputeStatistics(std::span<const double> values) {
  Statistics statistics;
  statistics.first = values.front();
  statistics.last = values.back();
  int64_t low = OrderedFromDouble(values.front());
  int64_t high = low;
  int64_t largest = 0;
  for (double value : values) {
    const int64_t ordered = OrderedFromDouble(value);
    low = std::min(low, ordered);
    high = std::max(high, ordered);
    largest = std::max(largest, Magnitude(value));
  }
  if (largest >= kInfinityBits) {
    CountSpecial(values, &statistics);
    return statistics;
  }
  statistics.minimum = DoubleFromOrdered(low);
  statistics.maximum = DoubleFromOrdered(high);
  statistics.sum = SumFinite(values);
  return statistics;
}

bool SameBits(const Statistics& a, const Statistics& b) {
  return Same(a.minimum, b.minimum) && Same(a.maximum, b.maximum) && Same(a.first, b.first) &&
         Same(a.last, b.last) && Same(a.sum.high, b.sum.high) && Same(a.sum.low, b.sum.low) &&
         a.nan_count == b.nan_count && a.positive_infinity_count == b.positive_infinity_count &&
         a.negative_infinity_count == b.negative_infinity_count;
}

}  // namespace nexus::layer
