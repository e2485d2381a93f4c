// Retention in an open database, in a simulated world: what is expired goes with the next
// compaction and nothing else does, snapshots keep theirs, and neither jumps of the wall clock nor
// crashes make it drop a sample early or forget where its clock stood.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/retention_fixture.h"
#include "tests/engine/simulated_rebuild.h"

namespace nexus::engine {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class RetentionDatabaseTest : public RetentionFixture {
 protected:
  int64_t Clock() { return Info().clock_ns; }
  int64_t Wall() { return Info().wall_ns; }
  void MakeLayer(int64_t first, int count) {
    ASSERT_TRUE(Append(first, count).ok());
    ASSERT_TRUE(Flush().ok());
  }
  SeriesId InternOther() {
    std::vector<std::string> labels = {Labels::Make("metric", {{"name", "b"}})->Canonical()};
    return (*world_.RunTask(core_->interner()->Intern(TenantId{}, std::move(labels))))[0];
  }
};

TEST_F(RetentionDatabaseTest, CompactionDropsWhatIsExpiredAndNothingElse) {
  ASSERT_TRUE(Open().ok());
  MakeLayer(-10 * kDay, 100);
  MakeLayer(3'600 * kSecond, 100);
  ASSERT_TRUE(KeepFrom(0).ok());
  EXPECT_EQ(*Read(), 200u) << "queries show it until it is dropped";
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(INT64_MIN, 0), 0u);
  EXPECT_EQ(*Read(), 100u);
  EXPECT_EQ(GetStats().layers_expired, 1u) << "the layer of old samples went whole";
  EXPECT_EQ(GetStats().garbage_layers, 0u);
  ExpectClean();
}

TEST_F(RetentionDatabaseTest, YoungSamplesOfALayerThatIsCutStay) {
  ASSERT_TRUE(Open().ok());
  for (int64_t i = 0; i < 20; i++) ASSERT_TRUE(Append(i * 100 * kSecond, 1).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(KeepFrom(950 * kSecond).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 10u);
  EXPECT_EQ(*Read(1000 * kSecond, 1000 * kSecond), 1u);
  EXPECT_EQ(GetStats().layers, 1u);
  ExpectClean();
}

TEST_F(RetentionDatabaseTest, TheFirstRuleDecidesAndTheRestIsKept) {
  ASSERT_TRUE(Open().ok());
  MakeLayer(0, 100);
  const int64_t wall = Wall();
  ASSERT_TRUE(Set({{"{name=\"a\"}", wall + kDay}, {"{}", wall - 50 * kDay}}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 100u) << "the rule for it keeps it, though the one behind would not";
  ASSERT_TRUE(Set({{"{name=\"b\"}", wall - 50 * kDay}}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 100u) << "no rule chooses it";
  ASSERT_TRUE(Set({{"{name=\"b\"}", wall}, {"{name=~\"a|c\"}", wall - 50 * kDay}}).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 0u);
  ASSERT_TRUE(Set({}).ok());
  EXPECT_THAT(Info().rules, IsEmpty());
}

TEST_F(RetentionDatabaseTest, ARuleForSomeSeriesTakesTheirSamplesAlone) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, 100).ok());
  series_ = InternOther();
  ASSERT_TRUE(Append(200, 30).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(KeepFrom(kDay, "{name=\"a\"}").ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 30u);
  EXPECT_EQ(GetStats().layers, 1u);
  const uint64_t jobs = GetStats().compactions;
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().compactions, jobs) << "there is nothing left to do";
  ASSERT_TRUE(KeepFrom(kDay, "{name=~\"a|b\"}").ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().layers, 0u);
  EXPECT_EQ(GetStats().compactions, jobs) << "a layer that goes whole is not written";
  ExpectClean();
}

// Two writes of one place in two layers, the older of which is too young to go whole.
TEST_F(RetentionDatabaseTest, NoOlderWriteComesToLight) {
  options_.compaction = true;
  options_.compaction_fan_in = 100;
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, 10).ok());
  for (int64_t i = 1; i < 10; i++) ASSERT_TRUE(Append(i * kDay, 1).ok());
  ASSERT_TRUE(Flush().ok());
  MakeLayer(0, 5);
  ASSERT_TRUE(KeepFrom(3'600 * kSecond).ok());
  world_.RunFor(180 * kSecond);
  EXPECT_EQ(GetStats().layers, 1u) << "the older one was written again, so that the newer could go";
  EXPECT_EQ(*Read(), 9u);
}

TEST_F(RetentionDatabaseTest, WhatCannotBeIsRefusedAndChangesNothing) {
  ASSERT_TRUE(Open().ok());
  const std::vector<RetentionRule> rules = {{"{}", 400 * kDay}};
  ASSERT_TRUE(Set(rules).ok());
  const int64_t head_window = Info().head_window_ns;
  EXPECT_EQ(head_window, 3'600 * kSecond + 7'200 * kSecond) << "flush interval and first window";
  Status refused = Set({{"up", head_window - 1}});
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("head window"));
  EXPECT_TRUE(absl::IsInvalidArgument(Set({{"up{", kDay}})));
  EXPECT_TRUE(absl::IsInvalidArgument(Set({{"up", kDay}, {"up", 2 * kDay}})));
  EXPECT_TRUE(absl::IsNotFound(world_.RunTask(core_->SetRetention({}, "nobody"))));
  EXPECT_EQ(Info().rules, rules);
  EXPECT_TRUE(Set({{"up", head_window}}).ok());
}

TEST_F(RetentionDatabaseTest, RulesAndClockSurviveAnyEnd) {
  ASSERT_TRUE(Open().ok());
  const std::vector<RetentionRule> rules = {{"{job=\"dev\"}", 7 * kDay}, {"{}", 400 * kDay}};
  ASSERT_TRUE(Set(rules).ok());
  int64_t clock = Clock();
  for (int i = 0; i < 4; i++) {
    world_.RunFor(3'600 * kSecond);
    EXPECT_GE(*core_->state()->retention_clock.applied_ns(), clock + 3'000 * kSecond);
    clock = *core_->state()->retention_clock.applied_ns();
    // A wall clock that went back a year takes nothing with it.
    world_.JumpWallClock(-365 * kDay);
    if (i % 2 == 0) {
      ASSERT_TRUE(Flush().ok());
    }
    Die(i < 2 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill);
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(Info().rules, rules);
    EXPECT_GE(Clock(), clock);
    EXPECT_LE(Clock(), clock + 3'700 * kSecond);
  }
}

TEST_F(RetentionDatabaseTest, JumpsWhileItRunsDoNotReachTheClock) {
  ASSERT_TRUE(Open().ok());
  MakeLayer(0, 100);
  ASSERT_TRUE(KeepFrom(-kDay).ok());
  const int64_t clock = Clock();
  const int64_t before = world_.now_ns();
  world_.JumpWallClock(6 * kDay);
  world_.RunFor(3'600 * kSecond);
  EXPECT_EQ(Clock() - clock, world_.now_ns() - before);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 100u);
  // Only an opening takes it.
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_GE(Clock(), clock + 6 * kDay);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 0u);
}

TEST_F(RetentionDatabaseTest, AStepOfMoreThanSevenDaysWaitsToBeAccepted) {
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(world_.RunTask(core_->AcceptRetentionClock())))
      << "no tenant has had a retention";
  MakeLayer(0, 100);
  ASSERT_TRUE(KeepFrom(-kDay).ok());
  const int64_t clock = Clock();
  EXPECT_THAT(core_->recovery().notes, IsEmpty());
  ASSERT_TRUE(Close().ok());
  world_.JumpWallClock(8 * kDay);
  ASSERT_TRUE(Open().ok());
  EXPECT_LT(Clock(), clock + kDay);
  EXPECT_TRUE(Info().clock_waits);
  ASSERT_EQ(core_->recovery().notes.size(), 1u);
  EXPECT_THAT(core_->recovery().notes[0], HasSubstr("nexus retention accept-clock"));
  EXPECT_GT(GetStats().retention_waits_seconds, 7u * 86'400u);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 100u);
  ASSERT_TRUE(world_.RunTask(core_->AcceptRetentionClock()).ok());
  EXPECT_GE(Clock(), clock + 8 * kDay);
  EXPECT_FALSE(Info().clock_waits);
  EXPECT_EQ(GetStats().retention_waits_seconds, 0u);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 0u);
}

TEST_F(RetentionDatabaseTest, SnapshotsKeepTheirsAndBranchesLoseTheirOwn) {
  ASSERT_TRUE(Open().ok());
  MakeLayer(0, 100);
  ASSERT_TRUE(
      world_.RunTask(core_->CreateBranch("kept", BranchKind::kSnapshot, "main", "default")).ok());
  ASSERT_TRUE(
      world_.RunTask(core_->CreateBranch("try", BranchKind::kBranch, "main", "default")).ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), 0u);
  auto layers_of = [&](uint32_t branch) {
    return core_->state()->FindBranch({}, BranchId{branch})->layers.size();
  };
  EXPECT_EQ(layers_of(1), 1u) << "the snapshot";
  EXPECT_EQ(layers_of(2), 0u) << "the branch";
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(layers_of(1), 1u);
  ExpectClean();
}

TEST_F(RetentionDatabaseTest, ItWorksByItselfAndLeavesSmallPartsAlone) {
  options_.compaction = true;
  options_.compaction_fan_in = 100;  // it has nothing else to do
  ASSERT_TRUE(Open().ok());
  for (int64_t i = 0; i < 20; i++) ASSERT_TRUE(Append(i * kDay, 1).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(KeepFrom(4 * kDay + kDay / 2).ok());
  world_.RunFor(180 * kSecond);
  EXPECT_EQ(GetStats().compactions, 0u) << "a quarter of the layer is expired";
  ASSERT_TRUE(KeepFrom(12 * kDay + kDay / 2).ok());
  world_.RunFor(180 * kSecond);
  EXPECT_EQ(GetStats().compactions, 1u);
  EXPECT_EQ(*Read(), 7u);
  world_.RunFor(600 * kSecond);
  EXPECT_EQ(GetStats().compactions, 1u) << "not for every second that passes";
  ASSERT_TRUE(KeepFrom(30 * kDay).ok());
  world_.RunFor(180 * kSecond);
  EXPECT_EQ(GetStats().layers_expired, 1u);
  EXPECT_EQ(*Read(), 0u);
}

// A series whose last sample was dropped keeps its id, and a catalog that is rebuilt from what is
// left of the log knows it.
TEST_F(RetentionDatabaseTest, ARebuiltCatalogKnowsSeriesThatHaveNoSamplesLeft) {
  ASSERT_TRUE(Open().ok());
  MakeLayer(0, 100);
  const SeriesId dropped = series_;
  ASSERT_TRUE(KeepFrom(kDay).ok());
  ASSERT_TRUE(Compact().ok());
  ASSERT_EQ(GetStats().layers, 0u);
  // Others' samples and their checkpoints trim what the log held of its definition.
  series_ = InternOther();
  for (int i = 0; i < 4; i++) {
    for (int k = 0; k < 10; k++) {
      ASSERT_TRUE(Append(2 * kDay + (10 * i + k) * 2'000, 2'000).ok());
    }
    ASSERT_TRUE(Flush().ok());
  }
  series_ = dropped;
  ASSERT_TRUE(Append(3 * kDay, 100).ok());
  Die(sim::CrashKind::kPowerCut);
  auto report = *SimulateRebuild(&world_, options_, {}, std::nullopt);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->damage, IsEmpty());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(series_, dropped);
  EXPECT_EQ(*Read(3 * kDay, INT64_MAX), 100u);
  EXPECT_EQ(*Read(), 80'100u);
  ExpectClean();
}

// The same where the file of the layer that was dropped could not be read at once.
TEST_F(RetentionDatabaseTest, ALayerThatCannotBeReadDoesNotGoBeforeItsLabelsAreKnown) {
  ASSERT_TRUE(Open().ok());
  MakeLayer(0, 100);
  const SeriesId dropped = series_;
  ASSERT_TRUE(KeepFrom(kDay).ok());
  world_.disk().FailFrom(sim::OpFilter({sim::Op::kOpen}, "/layers/"), 1, -EIO);
  ASSERT_TRUE(Compact().ok());
  ASSERT_EQ(GetStats().layers, 0u);
  ASSERT_EQ(GetStats().garbage_layers, 1u);
  world_.disk().faults()->ClearRules();
  ASSERT_TRUE(Compact().ok());
  ASSERT_EQ(GetStats().garbage_layers, 0u);
  series_ = InternOther();
  for (int i = 0; i < 4; i++) {
    for (int k = 0; k < 10; k++) {
      ASSERT_TRUE(Append(2 * kDay + (10 * i + k) * 2'000, 2'000).ok());
    }
    ASSERT_TRUE(Flush().ok());
  }
  series_ = dropped;
  ASSERT_TRUE(Append(3 * kDay, 100).ok());
  Die(sim::CrashKind::kPowerCut);
  auto report = *SimulateRebuild(&world_, options_, {}, std::nullopt);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(series_, dropped);
}

// The same before an image lists the series: the file of the layer that was dropped is still there.
TEST_F(RetentionDatabaseTest, ARebuiltCatalogTakesLabelsFromLayersThatWereDroppedLately) {
  ASSERT_TRUE(Open().ok());
  MakeLayer(0, 100);
  const SeriesId dropped = series_;
  for (int i = 0; i < 2; i++) ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  ASSERT_TRUE(core_->BeginScrub().ok()) << "no file goes while somebody reads them by name";
  ASSERT_TRUE(Compact().ok());
  ASSERT_EQ(GetStats().layers, 0u);
  ASSERT_EQ(GetStats().garbage_layers, 1u);
  series_ = InternOther();
  for (int i = 0; i < 4; i++) {
    for (int k = 0; k < 10; k++) {
      ASSERT_TRUE(Append(2 * kDay + (10 * i + k) * 2'000, 2'000).ok());
    }
    ASSERT_TRUE(Flush().ok());
  }
  series_ = dropped;
  ASSERT_TRUE(Append(3 * kDay, 100).ok());
  Die(sim::CrashKind::kPowerCut);
  auto report = *SimulateRebuild(&world_, options_, {}, std::nullopt);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->damage, IsEmpty());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(series_, dropped);
  EXPECT_EQ(*Read(3 * kDay, INT64_MAX), 100u);
}

}  // namespace
}  // namespace nexus::engine
