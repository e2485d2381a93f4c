// Tests of buckets: floor division, the ends of int64, rates' seconds.

#include "engine/buckets.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <limits>

namespace nexus::engine {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Buckets, NegativeTimesAreDividedByFloor) {
  Buckets buckets{{}, 10};
  EXPECT_EQ(buckets.IndexOf(0), 0);
  EXPECT_EQ(buckets.IndexOf(9), 0);
  EXPECT_EQ(buckets.IndexOf(10), 1);
  EXPECT_EQ(buckets.IndexOf(-1), -1);
  EXPECT_EQ(buckets.IndexOf(-10), -1);
  EXPECT_EQ(buckets.IndexOf(-11), -2);
  EXPECT_EQ(buckets.StampOf(-1), -10);
  EXPECT_EQ(buckets.LastOf(-1), -1);
}

TEST(Buckets, StepZeroIsTheWholeRange) {
  Buckets buckets{{5, 2'000'000'004}, 0};
  EXPECT_TRUE(buckets.HoldInOne({5, 2'000'000'004}));
  EXPECT_FALSE(buckets.HoldInOne({4, 6}));
  EXPECT_EQ(buckets.StampOf(buckets.IndexOf(1000)), 5);
  EXPECT_EQ(buckets.LastOf(0), 2'000'000'004);
  EXPECT_EQ(buckets.seconds(), 2.0);
}

TEST(Buckets, ABucketEndsWithTheRange) {
  Buckets buckets{{3, 14}, 10};
  EXPECT_EQ(buckets.LastOf(0), 9);
  EXPECT_EQ(buckets.LastOf(1), 14);
  EXPECT_EQ(buckets.StampOf(0), 0);
}

// Against 128-bit arithmetic, often at the ends.
RC_GTEST_PROP(Buckets, AgreesWithWideArithmetic, ()) {
  auto edge =
      rc::gen::oneOf(rc::gen::arbitrary<int64_t>(), rc::gen::inRange<int64_t>(kMin, kMin + 9),
                     rc::gen::inRange<int64_t>(kMax - 9, kMax), rc::gen::inRange<int64_t>(-20, 20),
                     rc::gen::just(kMax));
  int64_t ts = *edge;
  int64_t step = *rc::gen::oneOf(rc::gen::inRange<int64_t>(1, 20), rc::gen::just(kMax),
                                 rc::gen::inRange<int64_t>(kMax / 2, kMax),
                                 rc::gen::just<int64_t>(10'000'000'000));
  Buckets buckets{{}, step};
  __int128 wide = ts;
  wide -= (wide % step + step) % step;
  int64_t index = buckets.IndexOf(ts);
  RC_ASSERT(static_cast<__int128>(index) * step == wide);
  RC_ASSERT(buckets.StampOf(index) == (wide < kMin ? kMin : static_cast<int64_t>(wide)));
  __int128 last = wide + step - 1;
  RC_ASSERT(buckets.LastOf(index) == (last > kMax ? kMax : static_cast<int64_t>(last)));
}

}  // namespace
}  // namespace nexus::engine
