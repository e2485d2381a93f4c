// The double-double sum against exact sums in 128-bit integers, however the values are grouped.

#include "base/double_double.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

namespace nexus {
namespace {

// Distance in units of the last place: doubles of one sign are ordered as their bits.
int64_t UlpsBetween(double a, double b) {
  auto ordered = [](double value) {
    auto bits = std::bit_cast<int64_t>(value);
    return bits < 0 ? std::numeric_limits<int64_t>::min() - bits : bits;
  };
  return std::llabs(ordered(a) - ordered(b));
}

bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

// Whole numbers below 2^84, whose sums 128 bits hold exactly.
struct Values {
  std::vector<double> doubles;
  __int128 exact = 0;
};

Values ValuesOf(const std::vector<std::pair<int64_t, uint8_t>>& numbers) {
  Values values;
  for (auto [mantissa, shift] : numbers) {
    __int128 value = static_cast<__int128>(mantissa >> 11) << (shift % 31);
    values.exact += value;
    values.doubles.push_back(static_cast<double>(value));
  }
  return values;
}

RC_GTEST_PROP(DoubleDouble, SumIsWithinTwoUlpHoweverItIsGrouped,
              (const std::vector<std::pair<int64_t, uint8_t>>& numbers, uint8_t group)) {
  Values values = ValuesOf(numbers);
  DoubleDouble one_by_one;
  DoubleDouble of_groups;
  DoubleDouble part;
  for (size_t i = 0; i < values.doubles.size(); i++) {
    one_by_one.Add(values.doubles[i]);
    part.Add(values.doubles[i]);
    if (i % (group % 7 + 1U) == 0) {
      of_groups.Add(part);
      part = DoubleDouble();
    }
  }
  of_groups.Add(part);
  auto exact = static_cast<double>(values.exact);
  RC_ASSERT(UlpsBetween(one_by_one.high, exact) <= 2);
  RC_ASSERT(UlpsBetween(of_groups.high, exact) <= 2);
}

TEST(DoubleDouble, KeepsWhatAPlainSumLoses) {
  DoubleDouble sum;
  for (double value : {1.0, 0x1p60, 1.0, -0x1p60}) sum.Add(value);
  EXPECT_TRUE(SameBits(sum.high, 2.0));
  EXPECT_TRUE(SameBits(sum.low, 0.0));
}

RC_GTEST_PROP(DoubleDouble, LowIsAtMostHalfAnUlpOfHigh,
              (const std::vector<std::pair<int64_t, uint8_t>>& numbers)) {
  DoubleDouble sum;
  for (double value : ValuesOf(numbers).doubles) {
    sum.Add(value / 3);
    RC_ASSERT(SameBits(sum.high + sum.low, sum.high));
  }
}

TEST(DoubleDouble, OverflowIsInfiniteAndStays) {
  constexpr double kMax = std::numeric_limits<double>::max();
  for (double sign : {1.0, -1.0}) {
    DoubleDouble sum;
    sum.Add(sign * kMax);
    sum.Add(sign * kMax);
    EXPECT_TRUE(SameBits(sum.high, sign * std::numeric_limits<double>::infinity()));
    EXPECT_TRUE(SameBits(sum.low, 0.0));
    sum.Add(-sign * kMax);
    EXPECT_TRUE(std::isinf(sum.high));
    DoubleDouble other;
    other.Add(sign);
    other.Add(sum);
    EXPECT_TRUE(SameBits(other.high, sign * std::numeric_limits<double>::infinity()));
  }
}

}  // namespace
}  // namespace nexus
