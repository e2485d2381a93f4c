// Backup and restore cut at their steps, and under failures of the disk: the older backup stays
// whole until the new one is, the database goes on, an interrupted restore leaves nothing that
// opens and can be run again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/engine/backup_fixture.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;
using sim::Op;
using ::testing::IsEmpty;

// A cut at each step of a protocol of some hundreds, half of them with power, takes minutes where
// each is followed by restoring and reading; every fifth step, begun anew in each test, meets
// each kind of step many times.
constexpr uint64_t kStride = 5;
constexpr uint64_t kStepsMax = 20'000;
// A scenario has fewer operations of one kind than this.
constexpr uint64_t kOperationsMax = 80;

CrashKind KindOf(uint64_t step) {
  return step / kStride % 2 == 0 ? CrashKind::kPowerCut : CrashKind::kProcessKill;
}

struct Failure {
  const char* name;
  sim::OpFilter operations;
  int error;
};
std::vector<Failure> Failures() {
  return {
      {"write", {Op::kWrite}, -EIO},
      {"no space",
       {Op::kWrite, Op::kCreate, Op::kAllocate, Op::kMakeDirectory, Op::kLink},
       -ENOSPC},
      {"sync", {Op::kSync}, -EIO},
      {"directory sync", {Op::kSyncDirectory}, -EIO},
      {"open", {Op::kOpen, Op::kCreate}, -EMFILE},
      {"name", {Op::kRename, Op::kUnlink, Op::kMakeDirectory, Op::kLink}, -EIO},
      {"list", {Op::kList}, -EIO},
      {"read", {Op::kRead, Op::kOpen}, -EIO},
  };
}

class BackupCrashTest : public BackupFixture {
 protected:
  // A backup that is complete, `old_`, and what is there now, `now_`: another set of layers.
  void FillAndBackUp() {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(CreateTenant("other").ok());
    ASSERT_TRUE(Write("default", {"a", "b"}, 0, 200).status.ok());
    ASSERT_TRUE(Write("other", {"a"}, 0, 50).status.ok());
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(Write("default", {"a"}, 100, 200).status.ok());
    old_ = Answers();
    ASSERT_TRUE(MakeBackup().ok());
    ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
    ASSERT_TRUE(Write("default", {"c"}, 0, 50).status.ok());
    now_ = Answers();
  }
  // nullopt if it was cut at this step; else it ended before.
  std::optional<StatusOr<BackupResult>> CutBackup(uint64_t step,
                                                  const std::string& destination = kBackup) {
    world_.CrashAfterSteps(step, KindOf(step));
    const BackupOptions options;
    auto made = world_.TryRunTask(Backup(core_.get(), destination, options));
    world_.CancelScheduledCrash();
    return made;
  }
  // Runs `attempt` while the nth of these operations fails, if there are so many: was_met_ tells.
  template <typename Attempt>
  auto WithFailure(const Failure& failure, uint64_t nth, Attempt attempt) {
    const uint64_t hits = world_.disk().faults()->rules_hit();
    world_.disk().FailNth(failure.operations, nth, failure.error);
    auto result = attempt();
    was_met_ = world_.disk().faults()->rules_hit() > hits;
    world_.disk().faults()->ClearRules();
    return result;
  }
  // Runs `round` with each failure: of the first operation, the second, until it is met no more.
  template <typename Round>
  void ForEachFailure(Round round) {
    for (const Failure& failure : Failures()) {
      for (uint64_t nth = 1; nth < kOperationsMax && !HasFailure(); nth++) {
        SCOPED_TRACE(std::string(failure.name) + " " + std::to_string(nth));
        was_met_ = false;
        round(failure, nth);
        if (!was_met_) break;
        failures_++;
      }
    }
    EXPECT_GT(failures_, 50u);
  }
  // What is restored is the old or the new, whole.
  void ExpectOldOrNew() {
    const StatusOr<std::string> answers = RestoredAnswers();
    ASSERT_TRUE(answers.ok()) << answers.status();
    EXPECT_TRUE(*answers == old_ || *answers == now_) << *answers;
    if (*answers == now_) new_seen_++;
  }

  std::string old_;
  std::string now_;
  int new_seen_ = 0;
  bool was_met_ = false;  // the failure
  uint64_t failures_ = 0;
};

TEST_F(BackupCrashTest, TheOlderBackupIsWholeUntilTheNewOneIs) {
  FillAndBackUp();
  Die(CrashKind::kPowerCut);
  int cuts = 0;
  bool ended = false;
  for (uint64_t step = 0; !ended && !HasFailure(); step += kStride) {
    ASSERT_LT(step, kStepsMax);
    ASSERT_TRUE(Open().ok());
    ASSERT_EQ(Answers(), now_);
    const auto made = CutBackup(step);
    ended = made.has_value();
    if (ended) {
      EXPECT_TRUE(made->ok()) << made->status();
    }
    Die(CrashKind::kPowerCut);
    SCOPED_TRACE(step);
    world_.Boot();
    ExpectOldOrNew();
    world_.Crash(CrashKind::kProcessKill);
    cuts++;
  }
  EXPECT_GT(cuts, 10);
  EXPECT_GT(new_seen_, 0);
  ASSERT_TRUE(Open().ok());
  auto last = MakeBackup();
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(*RestoredAnswers(), now_);
  EXPECT_EQ(Visible("/backup/layers/").size(), last->layers) << "nothing is left of the cut ones";
  EXPECT_EQ(Visible("/backup/").size(), last->layers + 3) << "manifest, image and lock";
}

TEST_F(BackupCrashTest, AFirstBackupThatIsCutIsNotOneAndCanBeRunAgain) {
  FillAndBackUp();
  Die(CrashKind::kPowerCut);
  int absent = 0;
  bool ended = false;
  for (uint64_t step = 3; !ended && !HasFailure(); step += kStride) {
    ASSERT_LT(step, kStepsMax);
    const std::string place = "/first-" + std::to_string(step);
    ASSERT_TRUE(Open().ok());
    ended = CutBackup(step, place).has_value();
    Die(CrashKind::kPowerCut);
    SCOPED_TRACE(step);
    ASSERT_TRUE(Open().ok());
    const StatusOr<std::string> answers = RestoredAnswers(place);
    if (answers.ok()) {
      EXPECT_EQ(*answers, now_);
    } else {
      absent++;
      EXPECT_TRUE(absl::IsNotFound(answers.status()) ||
                  absl::IsFailedPrecondition(answers.status()))
          << answers.status();
    }
    auto again = MakeBackup(place);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*RestoredAnswers(place), now_);
    Die(CrashKind::kProcessKill);
  }
  EXPECT_GT(absent, 5);
}

TEST_F(BackupCrashTest, ARestoreThatIsCutLeavesNothingThatOpensAndCanBeRunAgain) {
  FillAndBackUp();
  Die(CrashKind::kPowerCut);
  int cuts = 0;
  bool ended = false;
  for (uint64_t step = 0; !ended && !HasFailure(); step += kStride) {
    ASSERT_LT(step, kStepsMax);
    const std::string place = "/restored-" + std::to_string(step);
    options_.directory = place;
    auto cut = TryRestore(place, kBackup, RebuildCrash{step, KindOf(step)});
    ended = cut.has_value();
    SCOPED_TRACE(step);
    options_.create = false;
    const bool is_there = world_.disk().ReadVisible(place + "/IDENTITY").has_value();
    const Status opened = Open();
    EXPECT_EQ(opened.ok(), is_there) << opened;
    if (opened.ok()) {
      EXPECT_EQ(Answers(), old_);
      // Also where the killed process had not come to make its name durable.
      Die(CrashKind::kPowerCut);
      ASSERT_TRUE(Open().ok());
      EXPECT_EQ(Answers(), old_);
      Die(CrashKind::kProcessKill);
    }
    options_.create = true;
    if (is_there) continue;
    cuts++;
    // Where anything but the lock is there, a database is not made either.
    if (!Visible(place + "/RESTORE.tmp").empty()) {
      const Status made = Open();
      EXPECT_TRUE(absl::IsFailedPrecondition(made)) << made;
    }
    auto again = RestoreAndMove(place);
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(Answers(), old_);
    ExpectClean();
    EXPECT_THAT(Visible(place + "/quarantine/"), IsEmpty());
    Die(CrashKind::kPowerCut);
  }
  EXPECT_GT(cuts, 10);
}

TEST_F(BackupCrashTest, AFailureOfABackupIsNamedAndLeavesTheOlderOne) {
  FillAndBackUp();
  Die(CrashKind::kPowerCut);
  ForEachFailure([&](const Failure& failure, uint64_t nth) {
    ASSERT_TRUE(Open().ok());
    const auto made = WithFailure(failure, nth, [&] { return MakeBackup(); });
    if (!made.ok()) {
      EXPECT_THAT(made.status().ToString(), ::testing::HasSubstr("/")) << "names no file";
    }
    Die(CrashKind::kPowerCut);
    world_.Boot();
    ExpectOldOrNew();
    world_.Crash(CrashKind::kProcessKill);
  });
}

TEST_F(BackupCrashTest, AFailureOfARestoreIsNamedAndItCanBeRunAgain) {
  FillAndBackUp();
  Die(CrashKind::kPowerCut);
  ForEachFailure([&](const Failure& failure, uint64_t nth) {
    const std::string place = fmt::format("/restored-{}-{}", failures_, nth);
    const auto restored =
        WithFailure(failure, nth, [&] { return TryRestore(place, kBackup, std::nullopt); });
    options_.directory = place;
    if (!restored->ok()) {
      EXPECT_THAT(restored->status().ToString(), ::testing::HasSubstr("/"));
      auto again = RestoreAndMove(place);
      // Unless all that failed was the end of it.
      const bool is_there = world_.disk().ReadVisible(place + "/IDENTITY").has_value();
      ASSERT_TRUE(again.ok() || is_there) << restored->status() << ", and then " << again.status();
    }
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(Answers(), old_);
    Die(CrashKind::kPowerCut);
  });
}

}  // namespace
}  // namespace nexus::engine
