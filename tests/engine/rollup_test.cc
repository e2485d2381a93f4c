// Rollups in an open database, in a simulated world: queries that use them get what samples would
// give, whatever was written late, deleted, compacted, restarted or cut off by a crash; and where
// samples are gone they stay as they were.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/engine/retention_fixture.h"
#include "tests/engine/simulated_rebuild.h"

namespace nexus::engine {
namespace {

constexpr int64_t kHour = 3'600 * kSecond;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Row {
  int64_t stamp;
  double value;
};
struct Answer {
  std::vector<Row> rows;
  QueryStatistics statistics;
};

bool Same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

// Equal to within 2 ulp, or within what cancellation leaves of values up to `magnitude` in sum.
bool Near(double a, double b, double magnitude) {
  if (Same(a, b) || a == b) return true;
  if (!std::isfinite(a) || !std::isfinite(b)) return false;
  const double larger = std::max(std::abs(a), std::abs(b));
  const double ulp = std::nextafter(larger, kInfinity) - larger;
  return std::abs(a - b) <= 2 * ulp || std::abs(a - b) <= magnitude * 0x1p-98;
}

class RollupTest : public RetentionFixture {
 protected:
  explicit RollupTest(uint64_t seed = 1) : RetentionFixture(seed) {}

  Status SetRollups(std::vector<RollupRule> rules) {
    return world_.RunTask(core_->SetRollups(std::move(rules), "default"));
  }
  Status Delete(TimeRange range) {
    DeleteRequest request;
    request.selector = "metric";
    request.range = range;
    const StatusOr<DeleteResult> done = world_.RunTask(core_->Delete(request));
    frozen_left_ = done.ok() ? done->frozen_left : 0;
    return done.status();
  }
  // A counter with resets, `step_ns` apart.
  void AppendCounter(TimeRange range, int64_t step_ns = 5 * kSecond) {
    std::vector<int64_t> ts;
    std::vector<double> values;
    for (int64_t at = range.first; at <= range.last; at += step_ns) {
      ts.push_back(at);
      values.push_back(static_cast<double>(at / step_ns % 1000) / 8);
    }
    ASSERT_TRUE(Append(ts, values).ok());
  }

  enum class Use { kRollups, kSamples };
  StatusOr<Answer> Ask(AggregateFunction function, int64_t step_ns, TimeRange range, Use use) {
    NEXUS_ASSIGN_OR_RETURN(ReadView view, core_->View("default", "main"));
    if (use == Use::kSamples) view.rollups.reset();
    AggregateQuery query;
    query.select.selector = "metric";
    query.select.range = range;
    query.function = function;
    query.step_ns = step_ns;
    NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor,
                           MakeAggregateCursor(std::move(view), query));
    Answer answer;
    SeriesChunk chunk;
    for (;;) {
      NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
      if (!more) break;
      for (size_t i = 0; i < chunk.timestamps.size(); i++) {
        answer.rows.push_back({chunk.timestamps[i], chunk.values[i]});
      }
    }
    answer.statistics = cursor->statistics();
    return answer;
  }
  void ExpectSameRows(AggregateFunction function, const Answer& got, const Answer& want,
                      double magnitude = 0) {
    ASSERT_EQ(got.rows.size(), want.rows.size());
    const bool exact = function != AggregateFunction::kSum && function != AggregateFunction::kAvg &&
                       function != AggregateFunction::kRate;
    for (size_t i = 0; i < got.rows.size(); i++) {
      const Row& a = got.rows[i];
      const Row& b = want.rows[i];
      ASSERT_EQ(a.stamp, b.stamp);
      ASSERT_TRUE(exact ? Same(a.value, b.value) : Near(a.value, b.value, magnitude))
          << "function " << static_cast<int>(function) << " at " << a.stamp << ": " << a.value
          << " by rollups, " << b.value << " by samples";
    }
  }
  // The answers are those of samples; returns how many buckets were used in place of these.
  uint64_t ExpectRight(int64_t step_ns, TimeRange range, double magnitude = 1e7) {
    uint64_t buckets = 0;
    for (auto function :
         {AggregateFunction::kCount, AggregateFunction::kSum, AggregateFunction::kAvg,
          AggregateFunction::kMin, AggregateFunction::kMax, AggregateFunction::kFirst,
          AggregateFunction::kLast, AggregateFunction::kRate}) {
      auto got = Ask(function, step_ns, range, Use::kRollups);
      auto want = Ask(function, step_ns, range, Use::kSamples);
      EXPECT_TRUE(got.ok() && want.ok()) << got.status() << want.status();
      if (!got.ok() || !want.ok()) return 0;
      EXPECT_EQ(want->statistics.rollup_buckets, 0u);
      ExpectSameRows(function, *got, *want, magnitude);
      buckets += got->statistics.rollup_buckets;
    }
    return buckets;
  }
  // How many samples rollups of the branch say that there were.
  double CountIn(const std::string& branch) {
    auto view = core_->View("default", branch);
    AggregateQuery query;
    query.select.selector = "metric";
    query.function = AggregateFunction::kCount;
    auto cursor = MakeAggregateCursor(*std::move(view), query);
    SeriesChunk chunk;
    EXPECT_TRUE(*(*cursor)->Next(&chunk)) << branch;
    EXPECT_GT((*cursor)->statistics().rollup_buckets, 0u) << branch;
    return chunk.values.empty() ? 0 : chunk.values[0];
  }
  // Four hours of a counter, rolled up by 10 s and by a minute.
  void MakeRollups() {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(SetRollups({{10 * kSecond, 0}, {60 * kSecond, 0}}).ok());
    AppendCounter({0, 4 * kHour - 1});
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(Compact().ok());
    ASSERT_EQ(GetStats().rollup_layers, 2u);
  }
  // Lets the samples of these go, but for the last hour's, and returns what rollups by a minute
  // answered before that.
  StatusOr<Answer> FreezeAllButAnHour(AggregateFunction function) {
    MakeRollups();
    NEXUS_ASSIGN_OR_RETURN(Answer before,
                           Ask(function, 60 * kSecond, {0, 4 * kHour - 1}, Use::kRollups));
    NEXUS_RETURN_IF_ERROR(KeepFrom(3 * kHour + 30 * kSecond));
    NEXUS_RETURN_IF_ERROR(Compact());
    return before;
  }

  uint64_t frozen_left_ = 0;  // as the last delete said
};

TEST_F(RollupTest, AnswerQueriesWhoseStepIsAMultiple) {
  MakeRollups();
  const auto used = [&](int64_t step_ns, TimeRange range) {
    auto answer = Ask(AggregateFunction::kAvg, step_ns, range, Use::kRollups);
    EXPECT_TRUE(answer.ok());
    return answer->statistics;
  };
  EXPECT_EQ(used(kHour, {0, 4 * kHour - 1}).rollup_buckets, 240u) << "the coarser one is used";
  EXPECT_EQ(used(kHour, {0, 4 * kHour - 1}).rollup_layers, 1u);
  EXPECT_EQ(used(kHour, {0, 4 * kHour - 1}).chunks_decoded, 0u);
  EXPECT_EQ(used(20 * kSecond, {0, 4 * kHour - 1}).rollup_buckets, 1440u);
  EXPECT_EQ(used(15 * kSecond, {0, 4 * kHour - 1}).rollup_buckets, 0u) << "no multiple";
  EXPECT_EQ(used(0, {0, 4 * kHour - 1}).rollup_buckets, 240u) << "one bucket, the whole range";
  EXPECT_EQ(used(60 * kSecond, {1, 180 * kSecond}).rollup_buckets, 2u + 5u)
      << "whole buckets alone, and finer ones where a minute is cut";
  ExpectRight(kHour, {0, 4 * kHour - 1});
  ExpectRight(20 * kSecond, {0, 4 * kHour - 1});
  ExpectRight(60 * kSecond, {kSecond, 3 * kHour + 7});
  ExpectRight(0, {});
  ExpectClean();
}

TEST_F(RollupTest, AreNoSamples) {
  MakeRollups();
  EXPECT_EQ(GetStats().samples, 2880u);
  auto answer = Ask(AggregateFunction::kCount, 0, {}, Use::kSamples);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->rows[0].value, 2880);
  EXPECT_EQ(answer->statistics.layers, GetStats().layers - 2);
}

TEST_F(RollupTest, LateSamplesAreInTheAnswerAtOnceAndInTheRollupsLater) {
  MakeRollups();
  const TimeRange all = {0, 4 * kHour - 1};
  ASSERT_TRUE(Append({kHour + 1, kHour + 600 * kSecond}, {1e6, -7}).ok());
  const auto ask = [&] { return Ask(AggregateFunction::kMax, 60 * kSecond, all, Use::kRollups); };
  auto late = ask();
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(late->rows[60].value, 1e6);
  EXPECT_EQ(late->statistics.rollup_buckets, 240u - 11u) << "only what they reach over is read";
  ExpectRight(60 * kSecond, all);
  ASSERT_TRUE(Flush().ok());
  ExpectRight(60 * kSecond, all);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(ask()->statistics.rollup_buckets, 240u);
  ExpectRight(60 * kSecond, all);
  ExpectClean();
}

TEST_F(RollupTest, DeletedSamplesAreNotInTheAnswer) {
  MakeRollups();
  const TimeRange all = {0, 4 * kHour - 1};
  ASSERT_TRUE(Delete({kHour + 7 * kSecond, kHour + 95 * kSecond}).ok());
  EXPECT_EQ(frozen_left_, 0u) << "their samples are there";
  ExpectRight(10 * kSecond, all);
  ExpectRight(60 * kSecond, all);
  ASSERT_TRUE(Append({kHour + 8 * kSecond}, {42}).ok());
  ExpectRight(10 * kSecond, all);
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_GT(ExpectRight(10 * kSecond, all), 0u);
  auto counted = Ask(AggregateFunction::kCount, 60 * kSecond, all, Use::kRollups);
  EXPECT_EQ(counted->statistics.chunks_decoded, 0u) << "made anew without them";
  ASSERT_TRUE(Delete({}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().layers, 0u) << "of a window without samples no rollups are left";
  ExpectClean();
}

TEST_F(RollupTest, FrozenBucketsAnswerWhenTheirSamplesAreGone) {
  const TimeRange all = {0, 4 * kHour - 1};
  const StatusOr<Answer> before = FreezeAllButAnHour(AggregateFunction::kSum);
  ASSERT_TRUE(before.ok()) << before.status();
  auto samples = Ask(AggregateFunction::kSum, 60 * kSecond, all, Use::kSamples);
  ASSERT_TRUE(samples.ok());
  ASSERT_LE(samples->rows.size(), 60u) << "the rest is gone";
  auto after = Ask(AggregateFunction::kSum, 60 * kSecond, all, Use::kRollups);
  ASSERT_TRUE(after.ok());
  ExpectSameRows(AggregateFunction::kSum, *after, *before);
  // Late for a bucket of which samples are gone: it stays as it is, also when it is made anew.
  ASSERT_TRUE(Append({3 * kHour + 50 * kSecond, 3 * kHour + 90 * kSecond}, {1e9, 1e9}).ok());
  for (int round = 0; round < 3; round++) {
    after = Ask(AggregateFunction::kSum, 60 * kSecond, all, Use::kRollups);
    ASSERT_TRUE(after.ok());
    ASSERT_EQ(after->rows.size(), 240u);
    EXPECT_EQ(after->rows[180].value, before->rows[180].value) << "frozen; round " << round;
    EXPECT_GE(after->rows[181].value, 1e9) << "whole; round " << round;
    if (round == 0) {
      ASSERT_TRUE(Flush().ok());
      ASSERT_TRUE(Compact().ok());
    }
    if (round == 1) {
      ASSERT_TRUE(Close().ok());
      ASSERT_TRUE(Open().ok());
    }
  }
  ExpectClean();
}

TEST_F(RollupTest, ALongerRetentionDoesNotMakeGoneSamplesWhole) {
  const TimeRange all = {0, 4 * kHour - 1};
  const StatusOr<Answer> before = FreezeAllButAnHour(AggregateFunction::kCount);
  ASSERT_TRUE(before.ok()) << before.status();
  ASSERT_TRUE(Set({}).ok());
  // Would be enough to make the window anew.
  ASSERT_TRUE(Append({kHour + 1}, {5}).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  auto after = Ask(AggregateFunction::kCount, 60 * kSecond, all, Use::kRollups);
  ASSERT_TRUE(after.ok());
  ExpectSameRows(AggregateFunction::kCount, *after, *before);
}

TEST_F(RollupTest, WhatWasNeverInABucketIsReadFromSamples) {
  MakeRollups();
  ASSERT_TRUE(KeepFrom(3 * kHour + 30 * kSecond).ok());
  ASSERT_TRUE(Set({}).ok());
  // Of no rule now, and below the cut of one that was: its buckets are never made.
  std::vector<std::string> labels = {Labels::Make("metric", {{"name", "b"}})->Canonical()};
  series_ = world_.RunTask(core_->interner()->Intern(TenantId{}, std::move(labels)))->front();
  AppendCounter({kHour, 2 * kHour - 1});
  for (int round = 0; round < 2; round++) {
    EXPECT_GT(ExpectRight(600 * kSecond, {0, 4 * kHour - 1}), 0u);
    auto answer = Ask(AggregateFunction::kCount, 0, {}, Use::kRollups);
    ASSERT_TRUE(answer.ok());
    ASSERT_EQ(answer->rows.size(), 2u) << "of each series one";
    EXPECT_EQ(answer->rows[1].value, 720);
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(Compact().ok());
  }
  ExpectClean();
}

TEST_F(RollupTest, AResolutionThatIsAddedLaterHidesNothingOfFinerOnes) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(SetRollups({{10 * kSecond, 0}}).ok());
  AppendCounter({0, 4 * kHour - 1});
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  const TimeRange all = {0, 4 * kHour - 1};
  auto before = Ask(AggregateFunction::kCount, 600 * kSecond, all, Use::kRollups);
  ASSERT_TRUE(KeepFrom(3 * kHour + 30 * kSecond).ok());
  ASSERT_TRUE(Compact().ok());
  ASSERT_TRUE(SetRollups({{10 * kSecond, 0}, {60 * kSecond, 0}}).ok());
  ASSERT_TRUE(Compact().ok());
  ASSERT_EQ(GetStats().rollup_layers, 2u);
  auto after = Ask(AggregateFunction::kCount, 600 * kSecond, all, Use::kRollups);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(after->statistics.rollup_layers, 2u);
  ExpectSameRows(AggregateFunction::kCount, *after, *before);
}

TEST_F(RollupTest, ADeleteTakesFrozenBucketsThatItCoversWhole) {
  MakeRollups();
  const TimeRange all = {0, 4 * kHour - 1};
  ASSERT_TRUE(KeepFrom(3 * kHour).ok());
  ASSERT_TRUE(Compact().ok());
  auto before = Ask(AggregateFunction::kCount, 60 * kSecond, all, Use::kRollups);
  ASSERT_TRUE(Delete({kHour, kHour + 90 * kSecond}).ok());
  EXPECT_EQ(frozen_left_, 2u) << "of each resolution the one in which it ends";
  for (int round = 0; round < 2; round++) {
    auto after = Ask(AggregateFunction::kCount, 60 * kSecond, all, Use::kRollups);
    ASSERT_TRUE(before.ok() && after.ok());
    ASSERT_EQ(after->rows.size(), before->rows.size() - 1);
    EXPECT_EQ(after->rows[59].stamp, kHour - 60 * kSecond);
    EXPECT_EQ(after->rows[60].stamp, kHour + 60 * kSecond) << "half covered, it stays";
    EXPECT_EQ(after->rows[60].value, 12);
    ASSERT_TRUE(Compact().ok());
  }
  ExpectClean();
}

TEST_F(RollupTest, AreKeptByTheirOwnRule) {
  MakeRollups();
  ASSERT_TRUE(SetRollups({{60 * kSecond, kHour}}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().rollup_layers, 0u) << "one is not kept any more, the other is too old";
  EXPECT_EQ(GetStats().samples, 2880u);
  ASSERT_TRUE(SetRollups({{60 * kSecond, 0}}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().rollup_layers, 1u) << "made again of samples that are there";
  EXPECT_GT(ExpectRight(kHour, {}), 0u);
  ASSERT_TRUE(SetRollups({}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().rollup_layers, 0u);
}

TEST_F(RollupTest, AVersionIsReadToItsEndThoughItsRollupsWent) {
  options_.layer_metadata_bytes = 0;
  options_.layer_files_open_max = 2;
  options_.page_cache_bytes = 0;
  MakeRollups();
  AggregateQuery query;
  query.select.selector = "metric";
  query.select.limits.deadline_ms = 0;
  query.function = AggregateFunction::kCount;
  std::unique_ptr<Cursor> cursor = *MakeAggregateCursor(*core_->View("default", "main"), query);
  ASSERT_TRUE(Delete({}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().layers, 0u);
  EXPECT_GE(GetStats().garbage_layers, 2u) << "nothing was opened yet: the names must stay";
  SeriesChunk chunk;
  auto more = cursor->Next(&chunk);
  ASSERT_TRUE(more.ok()) << more.status();
  ASSERT_TRUE(*more);
  EXPECT_EQ(chunk.values[0], 2880);
  EXPECT_GT(cursor->statistics().rollup_buckets, 0u);
  cursor.reset();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, 0u);
  ExpectClean();
}

TEST_F(RollupTest, RulesAndRollupsLast) {
  MakeRollups();
  const std::vector<RollupRule> rules = {{10 * kSecond, 0}, {60 * kSecond, 0}};
  EXPECT_EQ(*core_->Rollups("default"), rules);
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*core_->Rollups("default"), rules);
  EXPECT_EQ(GetStats().rollup_layers, 2u);
  EXPECT_GT(ExpectRight(kHour, {}), 0u);
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_GT(ExpectRight(kHour, {}), 0u);
  ExpectClean();
}

TEST_F(RollupTest, BadRulesAreRefusedAndChangeNothing) {
  MakeRollups();
  const std::vector<std::vector<RollupRule>> bad = {
      {{kSecond / 2, 0}},
      {{7 * kSecond, 0}},
      {{48 * kHour, 0}},
      {{20 * kSecond, 0}, {30 * kSecond, 0}},
      {{60 * kSecond, 0}, {60 * kSecond, 0}},
      {{60 * kSecond, kSecond}},
      {{60 * kSecond, -1}},
      {{kSecond, 0}, {10 * kSecond, 0}, {60 * kSecond, 0}, {600 * kSecond, 0}, {kHour, 0}}};
  for (const std::vector<RollupRule>& rules : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(SetRollups(rules)));
  }
  EXPECT_EQ(core_->Rollups("default")->size(), 2u);
}

TEST_F(RollupTest, WhatCannotBeMadeInTimeIsRefused) {
  ASSERT_TRUE(Open().ok());
  const int64_t head_window = Info().head_window_ns;
  const std::vector<RetentionRule> rules = {{"up", 400 * kDay}, {"{}", head_window + kHour}};
  ASSERT_TRUE(Set(rules).ok());
  const Status refused = SetRollups({{60 * kSecond, 0}, {2 * kHour, 0}});
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("rollups of 7200 s need"));
  EXPECT_TRUE(core_->Rollups("default")->empty());
  ASSERT_TRUE(SetRollups({{60 * kSecond, 0}, {kHour, 0}}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Set({{"{}", head_window + kHour - 1}})));
  EXPECT_EQ(Info().rules, rules);
  EXPECT_TRUE(Set({}).ok());
  EXPECT_TRUE(SetRollups({{24 * kHour, 0}}).ok()) << "without retention any resolution is made";
}

TEST_F(RollupTest, BranchesHaveTheirOwn) {
  MakeRollups();
  ASSERT_TRUE(
      world_.RunTask(core_->CreateBranch("other", BranchKind::kBranch, "main", "default")).ok());
  ASSERT_TRUE(Delete({0, kHour - 1}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(CountIn("main"), 2160);
  EXPECT_EQ(CountIn("other"), 2880);
  ExpectClean();
}

TEST_F(RollupTest, ABranchThatWasNeverWrittenMakesWhatRetentionIsAboutToTake) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(SetRollups({{10 * kSecond, 0}}).ok());
  AppendCounter({0, 4 * kHour - 1});
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(
      world_.RunTask(core_->CreateBranch("other", BranchKind::kBranch, "main", "default")).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().rollup_layers, 1u) << "its samples are all there";
  // Nothing is too old yet, but an eighth of decades reaches over all of it.
  ASSERT_TRUE(KeepFrom(-kDay).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().rollup_layers, 2u);
  ASSERT_TRUE(KeepFrom(5 * kHour).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().samples, 0u);
  EXPECT_EQ(CountIn("main"), 2880);
  EXPECT_EQ(CountIn("other"), 2880);
  ExpectClean();
}

TEST_F(RollupTest, WithoutRulesThatAreKnownTheyStay) {
  MakeRollups();
  // As a catalog that was rebuilt without an image leaves it.
  TenantState& tenant = *core_->state()->tenants.begin()->second;
  tenant.record.settings.clear();
  tenant.TakeSettings();
  ASSERT_TRUE(core_->Rollups("default")->empty());
  EXPECT_GT(ExpectRight(kHour, {}), 0u) << "what there is answers";
  AppendCounter({4 * kHour, 8 * kHour - 1});
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().rollup_layers, 2u) << "none dropped, none made";
  ExpectRight(kHour, {});
  ASSERT_TRUE(SetRollups({}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().rollup_layers, 0u) << "nobody wants them";
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(core_->state()->tenants.begin()->second->knows_rollups) << "that lasts";
}

// ---- Anything, in any order.

class RandomRollups : public RollupTest {
 public:
  explicit RandomRollups(uint64_t seed) : RollupTest(seed), random_(seed) {}
  void TestBody() override {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(SetRollups({{10 * kSecond, 0}, {60 * kSecond, 0}}).ok());
    for (int i = 0; i < 40 && !HasFailure(); i++) Act();
    Check();
    ASSERT_TRUE(Compact().ok());
    Check();
  }
  uint64_t buckets_used() const { return used_; }

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }
  int64_t Time() { return static_cast<int64_t>(Below(6 * 3'600)) * kSecond - 2 * kHour; }
  double Value() {
    static constexpr double kSpecials[] = {0.0, -0.0, kNaN, -kNaN, kInfinity, -kInfinity};
    if (Below(8) == 0) return kSpecials[Below(std::size(kSpecials))];
    return static_cast<double>(Below(1'000'000)) / 7;
  }
  TimeRange Range() {
    TimeRange range = {Time(), Time()};
    if (range.first > range.last) std::swap(range.first, range.last);
    return range;
  }
  void AppendSome() {
    int64_t at = Time();
    const auto step = static_cast<int64_t>(1 + Below(40)) * kSecond / 2;
    std::vector<int64_t> ts;
    std::vector<double> values;
    for (uint64_t i = 1 + Below(400); i > 0; i--, at += step) {
      ts.push_back(at);
      values.push_back(Value());
    }
    ASSERT_TRUE(Append(ts, values).ok());
  }
  void Act() {
    switch (Below(10)) {
      case 0:
        ASSERT_TRUE(Delete(Range()).ok());
        break;
      case 1:
      case 2:
        ASSERT_TRUE(Flush().ok());
        break;
      case 3:
        ASSERT_TRUE(Compact().ok());
        break;
      case 4:
        Die(Below(2) == 0 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill);
        options_.compaction = Below(2) == 0;
        ASSERT_TRUE(Open().ok());
        break;
      case 5:
        world_.RunFor(static_cast<int64_t>(Below(3'000)) * kSecond / 10);
        break;
      case 6:
        Check();
        break;
      default:
        AppendSome();
        break;
    }
  }
  void Check() {
    static constexpr int64_t kSteps[] = {0, 10, 15, 60, 90, 120, 3'600, 86'400};
    const int64_t step_ns = kSteps[Below(std::size(kSteps))] * kSecond;
    used_ += ExpectRight(step_ns, Below(4) == 0 ? TimeRange() : Range(), 1e10);
  }

  std::mt19937_64 random_;
  uint64_t used_ = 0;
};

TEST(RollupProperty, AnswersAreThoseOfSamples) {
  uint64_t used = 0;
  const bool right = rc::check([&used](uint64_t seed) {
    RandomRollups run(seed);
    run.TestBody();
    used += run.buckets_used();
    RC_ASSERT(!::testing::Test::HasFailure());
  });
  EXPECT_TRUE(right);
  EXPECT_GT(used, 10'000u) << "else it says nothing of rollups";
}

}  // namespace
}  // namespace nexus::engine
