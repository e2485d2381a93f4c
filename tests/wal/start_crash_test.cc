// Crashing and failing at every step of Log::Start, also twice in a row, changes nothing: what was
// acknowledged is there, what a successful open showed stays, what it did not show is gone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <tuple>

#include "tests/wal/remembering_machine.h"

namespace nexus::wal {
namespace {

using sim::CrashKind;
using sim::Op;

// Opening takes about a hundred steps; far more means that the loop below does not end.
constexpr uint64_t kStepsMax = 5000;

sim::Options HarshOptions() {
  sim::Options options;
  options.faults[sim::Fault::kGarbageSector] = 300'000;
  return options;
}

// A machine whose log has segments that were trimmed, recycled and torn: some records acknowledged,
// some in flight when the power went.
class TornMachine : public RememberingMachine {
 public:
  explicit TornMachine(uint64_t seed) : RememberingMachine(seed, HarshOptions()) {
    NEXUS_CHECK(Open().ok());
    for (int i = 0; i < 6; i++) trimmed = AppendDurable().end;
    acknowledged.clear();
    for (int i = 0; i < 6; i++) AppendDurable();
    NEXUS_CHECK(Trim(trimmed).ok());
    Crash(CrashKind::kProcessKill);
    NEXUS_CHECK(Open().ok());
    for (int i = 0; i < 6; i++) AppendDurable();
    std::vector<AppendResult> in_doubt;
    for (int i = 0; i < 8; i++) in_doubt.push_back(Append());
    world.RunFor(100'000);
    for (size_t i = 0; i < in_doubt.size() && in_doubt[i].end <= log->durable(); i++) {
      acknowledged.push_back(texts[18 + i]);
    }
    Crash(CrashKind::kPowerCut);
  }
};

class StartCrash : public testing::TestWithParam<std::tuple<CrashKind, CrashKind>> {};

TEST_P(StartCrash, AtEveryStepChangesNothing) {
  auto [first, second] = GetParam();
  uint64_t steps = 0;
  for (bool crashed = true; crashed; steps++) {
    TornMachine machine(11 + steps % 5);
    machine.Boot();
    machine.world.CrashAfterSteps(steps, first);
    crashed = !machine.TryOpen().has_value();
    machine.Crash(first);
    // The second crash strikes the recovery from the first, at a step that wanders.
    machine.Boot();
    machine.world.CrashAfterSteps(steps * 31 % 97, second);
    machine.TryOpen();
    machine.Crash(second);
    machine.world.CancelScheduledCrash();
    machine.ExpectRecovers();
    if (HasFailure()) FAIL() << "at step " << steps;
    ASSERT_LT(steps, kStepsMax);
  }
  EXPECT_GT(steps, 20u) << "opening has more steps than that";
}

INSTANTIATE_TEST_SUITE_P(Kinds, StartCrash,
                         testing::Values(std::tuple(CrashKind::kPowerCut, CrashKind::kPowerCut),
                                         std::tuple(CrashKind::kPowerCut, CrashKind::kProcessKill),
                                         std::tuple(CrashKind::kProcessKill, CrashKind::kPowerCut),
                                         std::tuple(CrashKind::kProcessKill,
                                                    CrashKind::kProcessKill)));

class StartFailure : public testing::TestWithParam<bool> {};

TEST_P(StartFailure, AtEveryOperationIsHarmless) {
  bool from_then_on = GetParam();
  uint64_t failing = 1;
  for (bool hit = true; hit; failing++) {
    TornMachine machine(21);
    machine.Boot();
    sim::OpFilter changes({Op::kWrite, Op::kSync, Op::kCreate, Op::kOpen, Op::kAllocate,
                           Op::kRename, Op::kUnlink, Op::kSyncDirectory, Op::kList});
    machine.world.disk().faults()->Fail(changes, failing, -EIO, from_then_on);
    Status opened = machine.Open();
    hit = machine.world.disk().faults()->rules_hit() > 0;
    if (opened.ok()) {
      machine.world.RunFor(1'000'000'000);
      if (machine.log->writable().ok() && machine.CanAppend(3000)) {
        machine.Append();
      }
    }
    machine.world.disk().faults()->ClearRules();
    if (opened.ok()) machine.CheckedTexts();
    machine.Crash(CrashKind::kPowerCut);
    machine.ExpectRecovers();
    if (HasFailure()) FAIL() << "at operation " << failing;
    ASSERT_LT(failing, kStepsMax);
  }
  EXPECT_GT(failing, 5u);
}

INSTANTIATE_TEST_SUITE_P(Once, StartFailure, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(FromThenOn, StartFailure, testing::Values(true));

TEST(StartSync, AFailedSyncOfThePastIsNotTriedAgain) {
  TornMachine machine(5);
  machine.Boot();
  machine.world.disk().FailNext({Op::kSync}, -EIO);
  EXPECT_FALSE(machine.Open().ok());
  EXPECT_EQ(machine.log, nullptr);
}

}  // namespace
}  // namespace nexus::wal
