// The arithmetic of aggregates. See aggregate.h for what each means.

#include "engine/aggregate.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/status.h"
#include "layer/statistics.h"

namespace nexus {
namespace engine {
namespace {

using layer::DoubleFromOrdered;
using layer::OrderedFromDouble;

// Independent partial results, so that the compiler can use vector registers and the processor
// need not wait for one addition before it begins the next.
constexpr size_t kLanes = 8;
// Fewer values than this are not worth setting up lanes.
constexpr size_t kLanesCountMin = 64;
// Samples after which the lanes of a sum are added up exactly. The error of a lane is below
// (n * 2^-53)^2 of its magnitudes for n = 1024 values: 2^-86.
constexpr size_t kSumBlock = 8192;
static_assert(kSumBlock % kLanes == 0);

// The sum of a block's values (Ogita, Rump, Oishi: "Accurate sum and dot product", 2005, algorithm
// Sum2, in lanes). Not finite if a value is not, or if a partial sum overflows.
DoubleDouble SumBlock(const double* values, size_t count) {
  if (count < kLanesCountMin) {
    double high = 0;
    double low = 0;
    for (size_t i = 0; i < count; i++) {
      DoubleDouble sum = DoubleDouble::Sum(high, values[i]);
      high = sum.high;
      low += sum.low;
    }
    DoubleDouble total{high, 0};
    total.Add(low);
    return total;
  }
  double high[kLanes] = {};
  double low[kLanes] = {};
  auto add = [&](size_t lane, double value) {
    DoubleDouble sum = DoubleDouble::Sum(high[lane], value);
    high[lane] = sum.high;
    low[lane] += sum.low;
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; lane++) add(lane, values[i + lane]);
  }
  for (; i < count; i++) add(i % kLanes, values[i]);
  DoubleDouble total;
  bool finite = true;
  for (size_t lane = 0; lane < kLanes; lane++) {
    finite &= std::isfinite(high[lane]);
    total.Add(high[lane]);
    total.Add(low[lane]);
  }
  return finite ? total : DoubleDouble{kQuietNaN, 0};
}

// The extreme of values, -0.0 below +0.0; NaN if all are NaN.
template <bool kMaximum>
double ExtremeOf(const double* values, size_t count) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kStart = kMaximum ? -kInfinity : kInfinity;
  // False for NaN: such a value is never taken.
  auto beyond = [](double a, double b) { return kMaximum ? a > b : a < b; };
  double lanes[kLanes];
  std::fill(lanes, lanes + kLanes, kStart);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; lane++) {
      double value = values[i + lane];
      lanes[lane] = beyond(value, lanes[lane]) ? value : lanes[lane];
    }
  }
  double extreme = kStart;
  for (double lane : lanes) extreme = beyond(lane, extreme) ? lane : extreme;
  for (; i < count; i++) extreme = beyond(values[i], extreme) ? values[i] : extreme;

  auto holds = [&](double wanted) {
    return std::any_of(values, values + count, [=](double value) {
      return std::bit_cast<uint64_t>(value) == std::bit_cast<uint64_t>(wanted);
    });
  };
  // Comparing says nothing of two cases: the start itself among the values, and the zeros.
  bool is_start = std::bit_cast<uint64_t>(extreme) == std::bit_cast<uint64_t>(kStart);
  if (is_start) return holds(kStart) ? kStart : kQuietNaN;
  constexpr double kOuterZero = kMaximum ? 0.0 : -0.0;
  bool is_zero = std::bit_cast<uint64_t>(extreme) << 1 == 0;
  if (is_zero) return holds(kOuterZero) ? kOuterZero : -kOuterZero;
  return extreme;
}

}  // namespace

template <bool kMaximum>
void ExtremeState<kMaximum>::Add(SampleSpan span) {
  Take(ExtremeOf<kMaximum>(span.values, span.count));
}

template <bool kMaximum>
void ExtremeState<kMaximum>::Take(double value) {
  if (std::isnan(value)) return;
  bool beyond = kMaximum ? OrderedFromDouble(value) > OrderedFromDouble(extreme_)
                         : OrderedFromDouble(value) < OrderedFromDouble(extreme_);
  if (std::isnan(extreme_) || beyond) extreme_ = value;
}

template class ExtremeState<false>;
template class ExtremeState<true>;

void SumState::Add(SampleSpan span) {
  count_ += span.count;
  for (size_t begin = 0; begin < span.count; begin += kSumBlock) {
    size_t end = std::min(begin + kSumBlock, span.count);
    DoubleDouble block = SumBlock(span.values + begin, end - begin);
    if (std::isfinite(block.high)) {
      sum_.Add(block);
      continue;
    }
    for (size_t i = begin; i < end; i++) {
      double value = span.values[i];
      if (std::isfinite(value)) {
        sum_.Add(value);
      } else if (std::isnan(value)) {
        nan_count_++;
      } else {
        (value > 0 ? positive_infinity_count_ : negative_infinity_count_)++;
      }
    }
  }
}

void SumState::Add(uint64_t count, const layer::Statistics& statistics) {
  count_ += count;
  nan_count_ += statistics.nan_count;
  positive_infinity_count_ += statistics.positive_infinity_count;
  negative_infinity_count_ += statistics.negative_infinity_count;
  sum_.Add(statistics.sum);
}

void SumState::Merge(const SumState& other) {
  count_ += other.count_;
  nan_count_ += other.nan_count_;
  positive_infinity_count_ += other.positive_infinity_count_;
  negative_infinity_count_ += other.negative_infinity_count_;
  sum_.Add(other.sum_);
}

double SumState::Result(const AggregateSpec& spec) const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  bool both = positive_infinity_count_ > 0 && negative_infinity_count_ > 0;
  if (nan_count_ > 0 || both) return kQuietNaN;
  if (positive_infinity_count_ > 0) return kInfinity;
  if (negative_infinity_count_ > 0) return -kInfinity;
  if (spec.function == AggregateFunction::kSum) return sum_.high;
  return sum_.high / static_cast<double>(count_);
}

template <bool kLast>
void EdgeState<kLast>::Add(SampleSpan span) {
  size_t at = kLast ? span.count - 1 : 0;
  Take({span.timestamps[at], span.values[at]});
}

template <bool kLast>
void EdgeState<kLast>::Add(TimeRange range, const layer::Statistics& statistics) {
  Take(kLast ? Sample{range.last, statistics.last} : Sample{range.first, statistics.first});
}

// Samples come in the order (label, timestamp), so of equal timestamps the one that comes later is
// the later one.
template <bool kLast>
void EdgeState<kLast>::Take(Sample sample) {
  bool beyond = kLast ? sample.timestamp >= edge_.timestamp : sample.timestamp < edge_.timestamp;
  if (!any_ || beyond) edge_ = sample;
  any_ = true;
}

template class EdgeState<false>;
template class EdgeState<true>;

void PercentileState::Add(SampleSpan span) {
  for (size_t i = 0; i < span.count; i++) {
    if (!std::isnan(span.values[i])) values_.push_back(OrderedFromDouble(span.values[i]));
  }
}

void PercentileState::Merge(const PercentileState& other) {
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
}

double PercentileState::Result(const AggregateSpec& spec) {
  if (values_.empty()) return kQuietNaN;
  auto rank = static_cast<ptrdiff_t>(NearestRank(spec.percentile, values_.size()));
  auto nth = values_.begin() + (rank - 1);
  std::nth_element(values_.begin(), nth, values_.end());
  return DoubleFromOrdered(*nth);
}

uint64_t NearestRank(double percentile, uint64_t n) {
  double exact = percentile * static_cast<double>(n) / 100;
  double nearest = std::round(exact);
  // Two roundings and that of the percentile itself are below 4 * 2^-53 of the result.
  bool whole = std::abs(exact - nearest) <= exact * 0x1p-51;
  auto rank = static_cast<uint64_t>(whole ? nearest : std::ceil(exact));
  return std::clamp<uint64_t>(rank, 1, n);
}

}  // namespace engine

Status ParseAggregate(std::string_view text, AggregateFunction* function, double* percentile) {
  struct Name {
    std::string_view text;
    AggregateFunction function;
  };
  static constexpr Name kNames[] = {
      {"avg", AggregateFunction::kAvg},     {"min", AggregateFunction::kMin},
      {"max", AggregateFunction::kMax},     {"sum", AggregateFunction::kSum},
      {"count", AggregateFunction::kCount}, {"first", AggregateFunction::kFirst},
      {"last", AggregateFunction::kLast},   {"rate", AggregateFunction::kRate},
  };
  for (const Name& name : kNames) {
    if (text != name.text) continue;
    *function = name.function;
    *percentile = 0;
    return OkStatus();
  }
  if (text.size() >= 2 && text[0] == 'p' && text[1] >= '0' && text[1] <= '9') {
    double number = 0;
    const char* end = text.data() + text.size();
    auto parsed = std::from_chars(text.data() + 1, end, number, std::chars_format::fixed);
    if (parsed.ec == std::errc() && parsed.ptr == end && number > 0 && number <= 100) {
      *function = AggregateFunction::kPercentile;
      *percentile = number;
      return OkStatus();
    }
    return InvalidArgument("percentile \"{}\" is not above 0 and at most 100, as p50 or p99.9 are",
                           text.substr(0, 64));
  }
  return InvalidArgument(
      "unknown aggregate \"{}\": use avg, min, max, sum, count, first, last, rate, or a percentile "
      "such as p50 or p99.9",
      text.substr(0, 64));
}

}  // namespace nexus
