// Tests of aggregates: each function against its definition on random samples, sources and
// chunkings; groups; edge cases of each.

#include "engine/aggregate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/buckets.h"
#include "tests/engine/fake_sources.h"
#include "tests/engine/random_samples.h"

namespace nexus::engine {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ---- The reference: the definitions of aggregate.h, one bucket at a time.

struct Placed {
  int64_t timestamp;
  size_t series;  // in label order
  double value;
};

// Below in the order that has -0.0 below +0.0.
bool Below(double a, double b) { return a < b || (a == b && std::signbit(a) && !std::signbit(b)); }

// 113 bits: exact for the sums of these tests' ordinary values.
struct ExactSum {
  __float128 sum = 0;
  __float128 magnitude = 0;
  void Add(double v) {
    sum += v;
    magnitude += std::abs(v);
  }
  // Within 2 ulp, or below what cancellation leaves.
  bool Near(double got, __float128 scale) const {
    auto wanted = static_cast<double>(sum / scale);
    double ulp = std::nextafter(std::abs(wanted), kInfinity) - std::abs(wanted);
    auto error = std::abs(static_cast<double>(got - sum / scale));
    return error <= 2 * ulp || error <= static_cast<double>(magnitude / scale) * 0x1p-100;
  }
};

bool Near(const ExactSum& exact, double scale, double got) {
  return std::isfinite(got) && exact.Near(got, scale);
}

// True if `got` is the sum or average of the values.
bool IsSum(const std::vector<Placed>& samples, double count, double got) {
  ExactSum exact;
  bool nan = false, up = false, down = false;
  for (const Placed& s : samples) {
    nan |= std::isnan(s.value);
    up |= s.value == kInfinity;
    down |= s.value == -kInfinity;
    if (std::isfinite(s.value)) exact.Add(s.value);
  }
  if (nan || (up && down)) return SameBits(got, kNaN);
  if (up || down) return SameBits(got, up ? kInfinity : -kInfinity);
  return Near(exact, count, got);
}

// The increase of one series within a bucket, `before` being its samples in front of it.
ExactSum Increase(const std::vector<Placed>& before, const std::vector<Placed>& samples) {
  std::optional<double> previous;
  for (const Placed& s : before) {
    if (std::isfinite(s.value)) previous = s.value;
  }
  ExactSum exact;
  for (const Placed& s : samples) {
    if (!std::isfinite(s.value)) continue;
    if (previous && s.value < *previous) {
      exact.Add(s.value);
    } else if (previous) {
      exact.sum += static_cast<__float128>(s.value) - *previous;
      exact.magnitude += std::abs(s.value) + std::abs(*previous);
    }
    previous = s.value;
  }
  return exact;
}

// True if `got` is the result of a function other than rate over a bucket's samples, which are in
// the order (timestamp, series).
bool IsResult(const AggregateSpec& spec, const std::vector<Placed>& samples, double got) {
  std::vector<double> numbers;
  for (const Placed& s : samples) {
    if (!std::isnan(s.value)) numbers.push_back(s.value);
  }
  std::sort(numbers.begin(), numbers.end(), Below);
  switch (spec.function) {
    case AggregateFunction::kCount:
      return SameBits(got, static_cast<double>(samples.size()));
    case AggregateFunction::kFirst:
      return SameBits(got, samples.front().value);
    case AggregateFunction::kLast:
      return SameBits(got, samples.back().value);
    case AggregateFunction::kMin:
      return SameBits(got, numbers.empty() ? kNaN : numbers.front());
    case AggregateFunction::kMax:
      return SameBits(got, numbers.empty() ? kNaN : numbers.back());
    case AggregateFunction::kSum:
      return IsSum(samples, 1, got);
    case AggregateFunction::kAvg:
      return IsSum(samples, static_cast<double>(samples.size()), got);
    case AggregateFunction::kPercentile: {
      if (numbers.empty()) return SameBits(got, kNaN);
      size_t rank = 1;
      // Tests use percentiles of one decimal: exact in integers.
      auto tenths = static_cast<size_t>(std::llround(spec.percentile * 10));
      while (rank * 1000 < tenths * numbers.size()) rank++;
      return SameBits(got, numbers[rank - 1]);
    }
    case AggregateFunction::kRate:
      break;
  }
  return false;
}

// ---- Random databases.

struct Database {
  std::map<SeriesId, std::string> canonical;
  std::vector<FakeSource::Chunks> sources;
};

Database RandomDatabase(RandomSamples* random, AggregateFunction function) {
  Database db;
  size_t series = 1 + random->Below(5);
  for (size_t i = 0; i < series; i++) {
    // Ids descend while labels ascend; dc and host group the series differently.
    db.canonical[SeriesId{100 - i}] =
        Canonical(i % 2 == 0 ? "cpu" : "mem", {{"dc", i < 3 ? "eu" : "us"},
                                               {"host", "h" + std::to_string(i)},
                                               {"rack", i % 2 == 0 ? "r1" : ""}});
  }
  auto kind = function == AggregateFunction::kRate ? RandomSamples::Values::kCounter
              : random->OneIn(3)                   ? RandomSamples::Values::kOrdinary
                                                   : RandomSamples::Values::kSpecial;
  db.sources.resize(1 + random->Below(3));
  for (auto& chunks : db.sources) {
    for (const auto& [id, canonical] : db.canonical) {
      auto from = static_cast<int64_t>(random->Below(400)) - 200;
      auto ts = random->Timestamps(random->Below(200), from, random->OneIn(2) ? 2 : 20);
      if (ts.empty()) continue;
      chunks[id] = random->Cut(ts, random->Numbers(ts.size(), kind), 1 + random->Below(40));
    }
  }
  return db;
}

// The samples of a group of series in each bucket, in the order (timestamp, series).
using BucketModel = std::map<int64_t, std::vector<Placed>>;

struct GroupModel {
  std::vector<std::string> members;  // canonical, in label order
  BucketModel buckets;
};

// Groups by their canonical labels.
std::map<std::string, GroupModel> ModelGroups(const Database& db, const AggregateQuery& query) {
  std::map<std::string, SeriesId> by_label;
  for (const auto& [id, canonical] : db.canonical) by_label[canonical] = id;
  std::map<std::string, GroupModel> groups;
  Buckets buckets{query.select.range, query.step_ns};
  for (const auto& [canonical, id] : by_label) {
    Labels labels = *Labels::FromCanonical(canonical);
    std::string key = canonical;
    if (query.grouped) {
      auto by = [&](const std::string& name) {
        return std::find(query.by.begin(), query.by.end(), name) != query.by.end();
      };
      key = by("__name__") ? labels.metric() : "";
      key += '\xFF';
      for (const Label& label : labels.labels()) {
        if (by(label.name)) key += label.name + '\xFE' + label.value + '\xFF';
      }
    }
    GroupModel& group = groups[key];
    for (auto [ts, value] : ModelOf(db.sources, id, query.select.range)) {
      group.buckets[buckets.IndexOf(ts)].push_back({ts, group.members.size(), value});
    }
    group.members.push_back(canonical);
  }
  std::erase_if(groups, [](const auto& group) { return group.second.buckets.empty(); });
  for (auto& [key, group] : groups) {
    for (auto& [bucket, samples] : group.buckets) {
      std::sort(samples.begin(), samples.end(), [](const Placed& a, const Placed& b) {
        return std::pair(a.timestamp, a.series) < std::pair(b.timestamp, b.series);
      });
    }
  }
  return groups;
}

bool IsRate(const GroupModel& group, int64_t bucket, double seconds, double got) {
  ExactSum total;
  for (size_t member = 0; member < group.members.size(); member++) {
    std::vector<Placed> before, within;
    for (const auto& [index, samples] : group.buckets) {
      for (const Placed& s : samples) {
        if (s.series == member && index <= bucket) (index < bucket ? before : within).push_back(s);
      }
    }
    ExactSum one = Increase(before, within);
    total.sum += one.sum;
    total.magnitude += one.magnitude;
  }
  return Near(total, seconds, got);
}

std::string Shown(std::string_view key) {
  std::string_view metric;
  std::vector<Label> labels;
  VisitCanonical(key, [&](std::string_view name, std::string_view value) {
    if (name == kMetricNameLabel) {
      metric = value;
    } else {
      labels.push_back({std::string(name), std::string(value)});
    }
  });
  return ShowLabels(metric, labels);
}

AggregateQuery RandomQuery(RandomSamples* random, AggregateFunction function) {
  AggregateQuery query;
  query.select.selector = "{}";
  query.function = function;
  query.percentile = static_cast<double>(1 + random->Below(1000)) / 10;
  constexpr int64_t kSteps[] = {0, 1, 7, 100, 5000, std::numeric_limits<int64_t>::max()};
  query.step_ns = kSteps[random->Below(std::size(kSteps))];
  if (random->OneIn(2)) {
    query.select.range.first = static_cast<int64_t>(random->Below(600)) - 300;
    query.select.range.last = query.select.range.first + static_cast<int64_t>(random->Below(900));
  }
  query.grouped = random->OneIn(2);
  if (query.grouped) {
    for (const char* label : {"__name__", "dc", "rack", "absent"}) {
      if (random->OneIn(2)) query.by.push_back(label);
    }
  }
  return query;
}

void CheckFunction(AggregateFunction function, uint64_t seed) {
  RandomSamples random(seed);
  Database db = RandomDatabase(&random, function);
  AggregateQuery query = RandomQuery(&random, function);
  StatusOr<std::unique_ptr<Cursor>> cursor =
      MakeAggregateCursor(MakeView(db.canonical, db.sources), query);
  RC_ASSERT(cursor.ok());
  Answer answer = Drain(cursor->get());
  RC_ASSERT(answer.status.ok());

  Buckets buckets{query.select.range, query.step_ns};
  AggregateSpec spec{query.function, query.percentile, buckets.seconds()};
  std::map<std::string, GroupModel> groups = ModelGroups(db, query);
  RC_ASSERT(answer.series.size() == groups.size());
  auto series = answer.series.begin();
  for (const auto& [key, group] : groups) {
    RC_ASSERT(series->labels == Shown(key));
    RC_ASSERT(series->samples.size() == group.buckets.size());
    auto row = series->samples.begin();
    for (const auto& [bucket, samples] : group.buckets) {
      RC_ASSERT(row->timestamp == buckets.StampOf(bucket));
      bool right = function == AggregateFunction::kRate
                       ? IsRate(group, bucket, spec.seconds, row->value)
                       : IsResult(spec, samples, row->value);
      RC_ASSERT(right);
      ++row;
    }
    ++series;
  }
}

RC_GTEST_PROP(Aggregate, AvgIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kAvg, seed);
}
RC_GTEST_PROP(Aggregate, MinIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kMin, seed);
}
RC_GTEST_PROP(Aggregate, MaxIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kMax, seed);
}
RC_GTEST_PROP(Aggregate, SumIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kSum, seed);
}
RC_GTEST_PROP(Aggregate, CountIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kCount, seed);
}
RC_GTEST_PROP(Aggregate, FirstIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kFirst, seed);
}
RC_GTEST_PROP(Aggregate, LastIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kLast, seed);
}
RC_GTEST_PROP(Aggregate, RateIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kRate, seed);
}
RC_GTEST_PROP(Aggregate, PercentileIsAsDefined, (uint64_t seed)) {
  CheckFunction(AggregateFunction::kPercentile, seed);
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
