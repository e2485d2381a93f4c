// Tests of the arithmetic of buckets and of their columns.

#include "compaction/rollup_bucket.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/layer/layer_fixture.h"

namespace nexus::compaction {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Values of every kind; sums of the finite ones are exact in a double-double.
std::vector<double> RandomValues(std::mt19937_64* random, size_t count) {
  static constexpr double kSpecials[] = {0.0, -0.0, kNaN, -kNaN, kInfinity, -kInfinity, 1e-308};
  std::vector<double> values;
  double counter = 0;
  for (size_t i = 0; i < count; ++i) {
    counter = (*random)() % 7 == 0 ? 0 : counter + static_cast<double>((*random)() % 1000) / 8;
    const bool special = (*random)() % 4 == 0;
    values.push_back(special ? kSpecials[(*random)() % std::size(kSpecials)] : counter);
  }
  return values;
}

bool Same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

void ExpectSame(const Increase& a, const Increase& b) {
  EXPECT_EQ(a.any, b.any);
  EXPECT_TRUE(Same(a.first, b.first));
  EXPECT_TRUE(Same(a.last, b.last));
  EXPECT_EQ(a.rise.high, b.rise.high);
  EXPECT_EQ(a.rise.low, b.rise.low);
}

void ExpectSame(const RollupBucket& a, const RollupBucket& b) {
  EXPECT_EQ(a.start, b.start);
  EXPECT_EQ(a.range, b.range);
  EXPECT_EQ(a.count, b.count);
  EXPECT_TRUE(layer::SameBits(a.statistics, b.statistics));
  ExpectSame(a.increase, b.increase);
}

RollupBucket BucketOf(const std::vector<double>& values, int64_t start) {
  RollupBucket bucket;
  bucket.start = start;
  std::vector<int64_t> ts;
  for (size_t i = 0; i < values.size(); ++i) ts.push_back(start + 3 + 2 * static_cast<int64_t>(i));
  bucket.Add(ts, values);
  return bucket;
}

TEST(Increase, StepsAcrossABorderCountOnce) {
  Increase left;
  left.Add(std::vector<double>{5, 8, kNaN});
  Increase right;
  right.Add(std::vector<double>{kInfinity, 10, 4, 6});
  left.Join(right);
  // 5 to 8, 8 to 10, a reset to 0 and up to 4, 4 to 6.
  EXPECT_EQ(left.rise.high, 3 + 2 + 4 + 2);
  EXPECT_EQ(left.first, 5);
  EXPECT_EQ(left.last, 6);
}

TEST(Increase, AResetAtTheBorderIsSeen) {
  Increase left;
  left.Add(std::vector<double>{100});
  Increase right;
  right.Add(std::vector<double>{3});
  left.Join(right);
  EXPECT_EQ(left.rise.high, 3);
}

TEST(Increase, AStretchWithoutFiniteValuesChangesNothing) {
  Increase left;
  left.Add(std::vector<double>{1, 2});
  const Increase before = left;
  Increase none;
  none.Add(std::vector<double>{kNaN, kInfinity});
  left.Join(none);
  ExpectSame(left, before);
  none.Join(before);
  ExpectSame(none, before);
}

// However samples are cut, joining the parts gives what all of them together do; joining from the
// left and from the right is the same.
RC_GTEST_PROP(RollupBucketProperty, JoiningIsAssociativeAndLosesNothing, (uint64_t seed)) {
  std::mt19937_64 random(seed);
  const std::vector<double> all = RandomValues(&random, 3 + random() % 60);
  const size_t a = 1 + random() % (all.size() - 2);
  const size_t b = a + 1 + random() % (all.size() - a - 1);
  const auto part = [&](size_t from, size_t to) {
    return std::vector<double>(all.begin() + static_cast<ptrdiff_t>(from),
                               all.begin() + static_cast<ptrdiff_t>(to));
  };
  const RollupBucket whole = BucketOf(all, 0);
  const RollupBucket parts[] = {BucketOf(part(0, a), 0), BucketOf(part(a, b), 0),
                                BucketOf(part(b, all.size()), 0)};
  const auto join = [](RollupBucket left, const RollupBucket& right) {
    JoinStatistics(left.count, right.statistics, right.count, &left.statistics);
    left.count += right.count;
    left.increase.Join(right.increase);
    return left;
  };
  const RollupBucket from_left = join(join(parts[0], parts[1]), parts[2]);
  const RollupBucket from_right = join(parts[0], join(parts[1], parts[2]));
  for (const RollupBucket& joined : {from_left, from_right}) {
    RC_ASSERT(joined.count == whole.count);
    RC_ASSERT(layer::SameBits(joined.statistics, whole.statistics));
    ExpectSame(joined.increase, whole.increase);
    RC_ASSERT(!::testing::Test::HasFailure());
  }
}

RC_GTEST_PROP(RollupBucketProperty, SamplesMayComeInAnyPieces, (uint64_t seed)) {
  std::mt19937_64 random(seed);
  const std::vector<double> values = RandomValues(&random, 1 + random() % 40);
  std::vector<int64_t> ts;
  for (size_t i = 0; i < values.size(); ++i) ts.push_back(3 + 2 * static_cast<int64_t>(i));
  RollupBucket pieces;
  for (size_t at = 0; at < values.size();) {
    const size_t count = 1 + random() % (values.size() - at);
    pieces.Add({ts.data() + at, count}, {values.data() + at, count});
    at += count;
  }
  ExpectSame(pieces, BucketOf(values, 0));
  RC_ASSERT(!::testing::Test::HasFailure());
}

RC_GTEST_PROP(RollupBucketProperty, ColumnsGiveBackWhatWentIn, (uint64_t seed)) {
  std::mt19937_64 random(seed);
  RollupColumns columns;
  std::vector<RollupBucket> buckets;
  for (int64_t i = 0; i < 20; ++i) {
    buckets.push_back(BucketOf(RandomValues(&random, 1 + random() % 5), (i - 10) * 1000));
    columns.Append(buckets.back());
  }
  for (size_t i = 0; i < buckets.size(); ++i) {
    StatusOr<RollupBucket> back = columns.At(i);
    RC_ASSERT(back.ok());
    ExpectSame(*back, buckets[i]);
  }
  RC_ASSERT(!::testing::Test::HasFailure());
}

TEST(RollupColumns, WhatIsNoBucketIsDamage) {
  const auto damaged = [](RollupColumn column, double value) {
    RollupColumns columns;
    columns.Append(BucketOf({1, 2, 3}, 0));
    columns.values[static_cast<size_t>(column)][0] = value;
    return absl::IsDataLoss(columns.At(0).status());
  };
  EXPECT_TRUE(damaged(RollupColumn::kCount, 0));
  EXPECT_TRUE(damaged(RollupColumn::kCount, 1.5));
  EXPECT_TRUE(damaged(RollupColumn::kCount, kNaN));
  EXPECT_TRUE(damaged(RollupColumn::kNaNs, -1));
  EXPECT_TRUE(damaged(RollupColumn::kFirstOffset, 1e18));
  EXPECT_FALSE(damaged(RollupColumn::kMinimum, kNaN));
}

TEST(Bucket, BordersHoldAtTheEndsOfTime) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(BucketStart(-1, 60), -60);
  EXPECT_EQ(BucketLast(-1, 60), -1);
  EXPECT_EQ(BucketStart(60, 60), 60);
  EXPECT_EQ(BucketStart(kMin, 60), kMin);
  EXPECT_EQ(BucketLast(kMax, 60), kMax);
  EXPECT_LE(BucketStart(kMax, 60), kMax - 1);
}

// ---- Layers of columns.

layer::LayerIdentity RollupIdentity() {
  layer::LayerIdentity identity = layer::testing::TestIdentity();
  identity.resolution_ns = 1000;
  identity.columns = kRollupColumns;
  return identity;
}

TEST(RollupLayer, IsReadAsItWasWrittenAndVerifies) {
  layer::BuilderOptions options;
  options.chunk_samples_max = 7;
  options.page_bytes = 512;
  layer::LayerBuilder builder(RollupIdentity(), options);
  std::mt19937_64 random(3);
  std::vector<RollupColumns> written;
  for (uint64_t id = 1; id <= 9; ++id) {
    RollupColumns columns;
    for (int64_t i = 0; i < static_cast<int64_t>(3 * id); ++i) {
      columns.Append(BucketOf(RandomValues(&random, 3), i * 1000));
    }
    const std::string labels = layer::testing::CanonicalOf("m", std::to_string(id));
    ASSERT_TRUE(AddRollupSeries(labels, SeriesId{id}, columns, &builder).ok());
    written.push_back(std::move(columns));
  }
  auto summary = builder.Finish();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->range, (TimeRange{0, 26'999})) << "the last bucket reaches to its end";
  auto reader = layer::testing::Open(builder.TakeOutput());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->summary(), *summary);
  auto report = layer::VerifyLayer(*reader);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->ToStatus().ok()) << report->ToStatus();
  layer::ReadContext context;
  for (uint64_t id = 1; id <= 9; ++id) {
    const auto place = (*reader)->FindSeries(SeriesId{id}, &context);
    ASSERT_TRUE(place.ok() && place->has_value());
    for (uint32_t column = 0; column < kRollupColumns; ++column) {
      std::vector<layer::ChunkInfo> chunks;
      ASSERT_TRUE((*reader)->ColumnChunks(**place, column, {}, &context, &chunks).ok());
      size_t at = 0;
      for (const layer::ChunkInfo& chunk : chunks) {
        std::vector<int64_t> ts(chunk.count);
        std::vector<double> values(chunk.count);
        ASSERT_TRUE((*reader)->ReadChunk(chunk, {}, &context, ts, values).ok());
        for (size_t i = 0; i < chunk.count; ++i, ++at) {
          EXPECT_EQ(ts[i], written[id - 1].starts[at]);
          EXPECT_TRUE(Same(values[i], written[id - 1].values[column][at]));
        }
      }
      EXPECT_EQ(at, written[id - 1].size());
    }
  }
}

TEST(RollupLayer, ASeriesHasAllItsColumns) {
  layer::LayerBuilder builder(RollupIdentity());
  const std::vector<int64_t> ts = {0};
  const std::vector<double> values = {1};
  ASSERT_TRUE(builder.BeginSeries(layer::testing::CanonicalOf("m", "a"), SeriesId{1}).ok());
  EXPECT_TRUE(builder.AddSamples(ts, values).ok());
  EXPECT_TRUE(builder.BeginColumn().ok());
  EXPECT_TRUE(builder.AddSamples(ts, values).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(builder.Finish().status())) << "14 columns are missing";
  layer::LayerBuilder samples(layer::testing::TestIdentity());
  ASSERT_TRUE(samples.BeginSeries(layer::testing::CanonicalOf("m", "a"), SeriesId{1}).ok());
  EXPECT_TRUE(samples.AddSamples(ts, values).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(samples.BeginColumn())) << "samples have one";
}

}  // namespace
}  // namespace nexus::compaction
