// Statistics: extremes that do not depend on chunking, and sums good to two units in the last
// place.

#include "layer/statistics.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "layer/chunk.h"
#include "layer/codec/bitpack.h"
#include "tests/layer/generators.h"

namespace nexus::layer {
namespace {

using testing::Mixer;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNaN = std::numeric_limits<double>::quiet_NaN();

uint64_t Bits(double value) { return std::bit_cast<uint64_t>(value); }

TEST(OrderedBits, KeepTheOrderOfDoublesAndAreTheirOwnInverse) {
  const std::vector<double> ascending = {-kInfinity, -1e300,    -1.0, -0x1p-1074, -0.0,
                                         0.0,        0x1p-1074, 1.0,  1e300,      kInfinity};
  for (size_t i = 0; i < ascending.size(); ++i) {
    EXPECT_EQ(Bits(DoubleFromOrdered(OrderedFromDouble(ascending[i]))), Bits(ascending[i]));
    if (i == 0) continue;
    EXPECT_LT(OrderedFromDouble(ascending[i - 1]), OrderedFromDouble(ascending[i]));
  }
}

TEST(Statistics, ExtremesIgnoreNanAndPutNegativeZeroBelowZero) {
  const Statistics mixed = ComputeStatistics(std::vector<double>{kNaN, 0.0, -0.0, kNaN, 0.0});
  EXPECT_EQ(Bits(mixed.minimum), Bits(-0.0));
  EXPECT_EQ(Bits(mixed.maximum), Bits(0.0));
  EXPECT_EQ(mixed.nan_count, 2U);
  EXPECT_EQ(Bits(mixed.first), Bits(kNaN));
  EXPECT_EQ(Bits(mixed.last), Bits(0.0));
}

TEST(Statistics, OfNanAloneHaveTheFirstForExtremes) {
  const double stale = std::bit_cast<double>(uint64_t{0x7ff0000000000002});
  const Statistics all = ComputeStatistics(std::vector<double>{stale, kNaN});
  EXPECT_EQ(Bits(all.minimum), Bits(stale));
  EXPECT_EQ(Bits(all.maximum), Bits(stale));
  EXPECT_EQ(all.nan_count, 2U);
  EXPECT_EQ(all.sum.high, 0.0);
}

TEST(Statistics, InfinitiesAreExtremesAndCountedButNotSummed) {
  const Statistics s = ComputeStatistics(std::vector<double>{1.5, kInfinity, -kInfinity, 2.0});
  EXPECT_EQ(s.minimum, -kInfinity);
  EXPECT_EQ(s.maximum, kInfinity);
  EXPECT_EQ(s.positive_infinity_count, 1U);
  EXPECT_EQ(s.negative_infinity_count, 1U);
  EXPECT_EQ(s.sum.high, 3.5);
}

TEST(Statistics, SumsThatCancelKeepTheSmallRest) {
  const Statistics s = ComputeStatistics(std::vector<double>{1e16, 1.0, -1e16, 1e-16});
  EXPECT_EQ(s.sum.high, 1.0);
  EXPECT_EQ(s.sum.low, 1e-16);
}

TEST(Statistics, SumsWhosePartsOverflowAreRight) {
  const double huge = std::numeric_limits<double>::max();
  EXPECT_EQ(ComputeStatistics(std::vector<double>{huge, huge, -huge, 1.0}).sum.high, huge);
  std::vector<double> lanes(64, huge);
  for (size_t i = 0; i < lanes.size(); i += 2) lanes[i] = -huge;
  EXPECT_EQ(ComputeStatistics(lanes).sum.high, 0.0);
  EXPECT_EQ(ComputeStatistics(std::vector<double>{huge, huge}).sum.high, kInfinity);
  EXPECT_EQ(ComputeStatistics(std::vector<double>{-huge, -huge}).sum.high, -kInfinity);
  EXPECT_EQ(ComputeStatistics(std::vector<double>{huge, huge}).sum.low, 0.0);
}

// x86's long double has 64 bits of mantissa; 300 summands of one sign cost it 2^-55 at most.
RC_GTEST_PROP(Statistics, SumsAgreeWithLongDoubles, (uint64_t seed)) {
  Mixer mix{seed};
  std::vector<double> values(1 + mix.Below(300));
  long double sum = 0;
  for (double& value : values) {
    value = std::ldexp(static_cast<double>(mix.Next() >> 11), static_cast<int>(mix.Below(30)));
    sum += value;
  }
  const Statistics s = ComputeStatistics(values);
  const long double error = std::fabs((static_cast<long double>(s.sum.high) - sum) + s.sum.low);
  RC_ASSERT(error <= sum * 0x1p-55L);
}

RC_GTEST_PROP(Statistics, ExtremesAndSumsDoNotDependOnTheChunking, ()) {
  const std::vector<double> values = *testing::Values(600);
  const size_t cut = *rc::gen::inRange<size_t>(0, values.size());
  RC_PRE(cut > 0);
  const std::span<const double> all = values;
  const Statistics whole = ComputeStatistics(all);
  const Statistics head = ComputeStatistics(all.first(cut));
  const Statistics tail = ComputeStatistics(all.subspan(cut));
  RC_ASSERT(whole.nan_count == head.nan_count + tail.nan_count);
  RC_ASSERT(whole.positive_infinity_count ==
            head.positive_infinity_count + tail.positive_infinity_count);
  if (head.nan_count < cut && tail.nan_count < values.size() - cut) {
    RC_ASSERT(OrderedFromDouble(whole.minimum) ==
              std::min(OrderedFromDouble(head.minimum), OrderedFromDouble(tail.minimum)));
    RC_ASSERT(OrderedFromDouble(whole.maximum) ==
              std::max(OrderedFromDouble(head.maximum), OrderedFromDouble(tail.maximum)));
  }
  DoubleDouble joined = head.sum;
  joined.Add(tail.sum);
  if (!std::isfinite(whole.sum.high) || !std::isfinite(joined.high)) return;
  double magnitude = 0;
  for (double value : values) {
    if (std::isfinite(value)) magnitude = std::max(magnitude, std::fabs(value));
  }
  if (magnitude > 1e300) return;  // where parts overflow, the whole may not
  const double difference = (whole.sum.high - joined.high) + (whole.sum.low - joined.low);
  RC_ASSERT(std::fabs(difference) <= magnitude * static_cast<double>(values.size()) * 0x1p-95);
}

// What a chunk's header tells is what its samples give, to the last bit.
RC_GTEST_PROP(ChunkStatistics, AreThoseOfTheValues, ()) {
  const std::vector<double> values = *testing::Values();
  auto encoder = std::make_unique<ChunkEncoder>();
  std::string bytes;
  const ChunkHeader header = encoder->Encode(values, &bytes);
  RC_ASSERT(bytes.size() == ChunkBytes(header));
  RC_ASSERT(header.bytes == bytes.size());
  Statistics statistics;
  RC_ASSERT(ReadStatistics(header, AsBytes(bytes), &statistics));
  RC_ASSERT(SameBits(statistics, ComputeStatistics(values)));
  const size_t size = bytes.size();
  bytes.append(kReadSlackBytes, '\0');
  std::vector<uint64_t> x(values.size());
  std::vector<double> back(values.size());
  RC_ASSERT(DecodeChunk(header, AsBytes(bytes).first(size), x.data(), back.data()));
  for (size_t i = 0; i < values.size(); ++i) RC_ASSERT(Bits(back[i]) == Bits(values[i]));
}

TEST(ChunkStatistics, OfWholeNumbersAtTheLimitsAreExact) {
  auto encoder = std::make_unique<ChunkEncoder>();
  const auto limit = static_cast<double>(kMantissaLimit - 1);
  for (const auto& values :
       {std::vector<double>(8192, limit), std::vector<double>(8192, -limit),
        std::vector<double>{limit, -limit, 0.0}, std::vector<double>{-limit, -limit, limit - 1}}) {
    std::string bytes;
    const ChunkHeader header = encoder->Encode(values, &bytes);
    Statistics statistics;
    ASSERT_TRUE(ReadStatistics(header, AsBytes(bytes), &statistics));
    EXPECT_TRUE(SameBits(statistics, ComputeStatistics(values)));
  }
}

}  // namespace
}  // namespace nexus::layer
