// Tests of aggregates: each function against its definition on random samples, sources and
// chunkings; groups; edge cases of each.

#include "engine/aggregate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/engine/aggregate_model.h"

namespace nexus::engine {
namespace {

RC_GTEST_PROP(Aggregate, AvgIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kAvg, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, MinIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kMin, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, MaxIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kMax, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, SumIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kSum, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, CountIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kCount, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, FirstIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kFirst, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, LastIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kLast, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, RateIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kRate, seed, FakeView);
}
RC_GTEST_PROP(Aggregate, PercentileIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kPercentile, seed, FakeView);
}

// ---- Each function's corners, in the open.

template <typename State>
double ResultOf(const std::vector<double>& values, AggregateSpec spec = {}) {
  std::vector<int64_t> ts(values.size());
  for (size_t i = 0; i < ts.size(); i++) ts[i] = static_cast<int64_t>(i);
  State state;
  state.Add({ts.data(), values.data(), values.size()});
  return state.Result(spec);
}

TEST(Aggregate, SumsOfALongRunStayWithinTwoUlp) {
  // A plain sum of these is off by hundreds of ulp.
  std::vector<double> values;
  ExactSum exact;
  for (size_t i = 0; i < 1'000'003; i++) {
    values.push_back(0.1 * static_cast<double>(i % 1000) + 1e9);
    exact.Add(values.back());
  }
  AggregateSpec sum{AggregateFunction::kSum, 0, 1};
  EXPECT_TRUE(Near(exact, 1, ResultOf<SumState>(values, sum)));
  EXPECT_TRUE(Near(exact, static_cast<double>(values.size()), ResultOf<SumState>(values)));
}

TEST(Aggregate, SumsSurviveCancellation) {
  AggregateSpec sum{AggregateFunction::kSum, 0, 1};
  EXPECT_EQ(ResultOf<SumState>({1e30, 1, -1e30, 3}, sum), 4);
}

TEST(Aggregate, ASumThatOverflowsIsInfinite) {
  AggregateSpec sum{AggregateFunction::kSum, 0, 1};
  EXPECT_EQ(ResultOf<SumState>({1.7e308, 1.7e308, 1}, sum), kInfinity);
  EXPECT_EQ(ResultOf<SumState>({-1.7e308, -1.7e308, 1}, sum), -kInfinity);
}

TEST(Aggregate, ZerosHaveAnOrder) {
  std::vector<double> zeros(20, 0.0);
  EXPECT_TRUE(SameBits(ResultOf<ExtremeState<false>>(zeros), 0.0));
  zeros[13] = -0.0;
  EXPECT_TRUE(SameBits(ResultOf<ExtremeState<false>>(zeros), -0.0));
  EXPECT_TRUE(SameBits(ResultOf<ExtremeState<true>>(zeros), 0.0));
  EXPECT_TRUE(SameBits(ResultOf<ExtremeState<true>>({-0.0, -0.0}), -0.0));
}

TEST(Aggregate, InfinityIsAnExtremeAndNaNIsNot) {
  EXPECT_EQ(ResultOf<ExtremeState<false>>({kInfinity, kNaN}), kInfinity);
  EXPECT_EQ(ResultOf<ExtremeState<true>>({-kInfinity, kNaN}), -kInfinity);
  EXPECT_EQ(ResultOf<ExtremeState<false>>({3, kNaN, 2}), 2);
  EXPECT_TRUE(SameBits(ResultOf<ExtremeState<true>>({-kNaN, -kNaN}), kNaN));
}

TEST(Aggregate, RateRemovesResetsAndPassesByWhatIsNotFinite) {
  AggregateSpec spec{AggregateFunction::kRate, 0, 10};
  EXPECT_EQ(ResultOf<RateState>({5}, spec), 0);
  EXPECT_EQ(ResultOf<RateState>({5, 15, 15, 25}, spec), 2);
  // Up 10, reset to 3, up 4.
  EXPECT_EQ(ResultOf<RateState>({5, 15, 3, 7}, spec), 1.7);
  EXPECT_EQ(ResultOf<RateState>({5, kNaN, 15, kInfinity, 25, -kInfinity}, spec), 2);
  EXPECT_EQ(ResultOf<RateState>({kNaN}, spec), 0);
}

TEST(Aggregate, RateCountsTheStepIntoABucket) {
  Database db;
  db.canonical[SeriesId{1}] = Canonical("requests", {});
  db.sources.resize(1);
  db.sources[0][SeriesId{1}] = {{{0, 5, 10, 15, 30}, {0, 10, 20, 30, 60}, true, false}};
  AggregateQuery query;
  query.select.selector = "requests";
  query.function = AggregateFunction::kRate;
  query.step_ns = 10;
  Answer answer = Drain(MakeAggregateCursor(MakeView(db.canonical, db.sources), query)->get());
  ASSERT_EQ(answer.series.size(), 1u);
  const std::vector<Sample>& rows = answer.series[0].samples;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].value, 10 / 1e-8);
  EXPECT_EQ(rows[1].value, 20 / 1e-8);
  EXPECT_EQ(rows[2].timestamp, 30);
  EXPECT_EQ(rows[2].value, 30 / 1e-8);
  // Samples in front of the range are not looked at.
  query.select.range.first = 10;
  answer = Drain(MakeAggregateCursor(MakeView(db.canonical, db.sources), query)->get());
  EXPECT_EQ(answer.series[0].samples[0].value, 10 / 1e-8);
}

TEST(Aggregate, NearestRankTakesPercentilesAsWritten) {
  EXPECT_EQ(NearestRank(50, 1), 1u);
  EXPECT_EQ(NearestRank(50, 4), 2u);
  EXPECT_EQ(NearestRank(50, 5), 3u);
  EXPECT_EQ(NearestRank(99.9, 1000), 999u);
  EXPECT_EQ(NearestRank(99.9, 1001), 1000u);
  EXPECT_EQ(NearestRank(100, 1'000'000'007), 1'000'000'007u);
  EXPECT_EQ(NearestRank(1e-300, 10), 1u);
  for (uint64_t tenths = 1; tenths <= 1000; tenths++) {
    for (uint64_t n : {1ull, 9ull, 10ull, 333ull, 1000ull, 12345ull, 1000000ull}) {
      uint64_t rank = (tenths * n + 999) / 1000;
      ASSERT_EQ(NearestRank(static_cast<double>(tenths) / 10, n), rank) << tenths << " " << n;
    }
  }
}

TEST(Aggregate, StatisticsAnswerWithoutDecoding) {
  Database db;
  db.canonical[SeriesId{1}] = Canonical("m", {});
  db.sources.resize(1);
  for (int64_t begin = 0; begin < 100; begin += 10) {
    db.sources[0][SeriesId{1}].push_back({{begin, begin + 5}, {1, 2}, true, false});
  }
  AggregateQuery query;
  query.select.selector = "m";
  query.step_ns = 20;
  for (AggregateFunction function :
       {AggregateFunction::kAvg, AggregateFunction::kMin, AggregateFunction::kMax,
        AggregateFunction::kSum, AggregateFunction::kCount, AggregateFunction::kFirst,
        AggregateFunction::kLast}) {
    query.function = function;
    auto cursor = *MakeAggregateCursor(MakeView(db.canonical, db.sources), query);
    EXPECT_EQ(Drain(cursor.get()).series[0].samples.size(), 5u);
    EXPECT_EQ(cursor->statistics().chunks_decoded, 0u);
    EXPECT_EQ(cursor->statistics().chunks_by_statistics, 10u);
    EXPECT_EQ(cursor->statistics().samples, 5u);
    EXPECT_EQ(cursor->statistics().series, 1u);
  }
}

TEST(Aggregate, BucketsOfAGroupCountAgainstTheMemoryOfTheQuery) {
  Database db;
  db.canonical[SeriesId{1}] = Canonical("m", {});
  db.sources.resize(1);
  FakeChunk chunk;
  for (int64_t i = 0; i < 8000; i++) {
    chunk.timestamps.push_back(i);
    chunk.values.push_back(1);
  }
  db.sources[0][SeriesId{1}] = {chunk};
  AggregateQuery query;
  query.select.selector = "m";
  query.step_ns = 1;
  query.select.limits.memory_bytes = 400'000;
  // By itself the series streams; as a group its rows are held.
  EXPECT_TRUE(
      Drain(MakeAggregateCursor(MakeView(db.canonical, db.sources), query)->get()).status.ok());
  query.grouped = true;
  EXPECT_EQ(
      Drain(MakeAggregateCursor(MakeView(db.canonical, db.sources), query)->get()).status.code(),
      absl::StatusCode::kResourceExhausted);
  // A percentile holds the values of a bucket, and lets them go with it.
  query.grouped = false;
  query.function = AggregateFunction::kPercentile;
  query.percentile = 50;
  query.step_ns = 1000;
  query.select.limits.memory_bytes = 270'000;
  EXPECT_TRUE(
      Drain(MakeAggregateCursor(MakeView(db.canonical, db.sources), query)->get()).status.ok());
  query.select.limits.memory_bytes = 250'000;
  EXPECT_EQ(
      Drain(MakeAggregateCursor(MakeView(db.canonical, db.sources), query)->get()).status.code(),
      absl::StatusCode::kResourceExhausted);
}

TEST(Aggregate, BadQueriesAreRefused) {
  auto error = [](AggregateQuery query) {
    query.select.selector = "m";
    Status status = MakeAggregateCursor(MakeView({}, {}), query).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(FromAbsl(status.message()));
  };
  AggregateQuery query;
  query.step_ns = -1;
  EXPECT_THAT(error(query), testing::HasSubstr("step of -1 ns"));
  query = {};
  query.function = AggregateFunction::kPercentile;
  for (double bad : {0.0, -1.0, 100.5, kNaN}) {
    query.percentile = bad;
    EXPECT_THAT(error(query), testing::HasSubstr("percentile"));
  }
  query = {};
  query.by = {"host"};
  EXPECT_THAT(error(query), testing::HasSubstr("not grouped"));
  query.grouped = true;
  query.by = {""};
  EXPECT_THAT(error(query), testing::HasSubstr("empty"));
  query = {};
  query.select.range = {5, 4};
  EXPECT_THAT(error(query), testing::HasSubstr("range is empty"));
}

TEST(ParseAggregate, KnowsEveryFunction) {
  AggregateFunction function;
  double percentile = 0;
  ASSERT_TRUE(ParseAggregate("avg", &function, &percentile).ok());
  EXPECT_EQ(function, AggregateFunction::kAvg);
  ASSERT_TRUE(ParseAggregate("rate", &function, &percentile).ok());
  EXPECT_EQ(function, AggregateFunction::kRate);
  ASSERT_TRUE(ParseAggregate("p99.9", &function, &percentile).ok());
  EXPECT_EQ(function, AggregateFunction::kPercentile);
  EXPECT_EQ(percentile, 99.9);
  ASSERT_TRUE(ParseAggregate("p100", &function, &percentile).ok());
}

TEST(ParseAggregate, RefusesTheRestByName) {
  AggregateFunction function;
  double percentile = 0;
  for (const char* text : {"", "mean", "p", "p0", "p101", "p-5", "p5x", "p1e1", "pnan", "AVG"}) {
    Status status = ParseAggregate(text, &function, &percentile);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_THAT(std::string(FromAbsl(ParseAggregate("mean", &function, &percentile).message())),
              testing::HasSubstr("use avg, min, max, sum, count, first, last, rate"));
}

}  // namespace
}  // namespace nexus::engine
