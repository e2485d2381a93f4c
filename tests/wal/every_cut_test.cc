// The small protocols of the log, cut at every instant, with every outcome of each cut: what was
// acknowledged is there, records are there whole or not at all, what one opening showed every later
// one shows, and the folder holds segments and spares and nothing else.

#include "tests/cuts/every_cut.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "tests/wal/remembering_machine.h"

namespace nexus::wal {
namespace {

using cuts::Census;
using sim::CrashKind;

// Long enough for the log's background work and its mark.
constexpr int64_t kSettleNs = 1'000'000'000;

// The log as a protocol works on it: each step ends at once if the world has crashed.
class CutLog : public RememberingMachine {
 public:
  using RememberingMachine::RememberingMachine;

  // Appends without waiting for the disk.
  void Submit(size_t bytes) {
    if (!world.alive()) return;
    std::string text = NextText(bytes);
    if (!world.RunUntil([&] { return CanAppend(text.size()); })) return;
    StatusOr<AppendResult> result = TryAppend(text);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_GE(result->begin, highest) << "an LSN was given out twice";
    highest = result->end;
    in_doubt_.emplace_back(result->end, std::move(text));
  }
  void SubmitAndSync(size_t bytes) {
    Submit(bytes);
    if (world.alive()) world.TryRunTask(log->Sync());
  }
  void Settle() {
    if (world.alive()) world.RunFor(kSettleNs);
  }
  // What ends at or below `below` may go from now on.
  void TrimBelow(Lsn below) {
    Note();
    std::erase_if(acknowledged_at_, [&](const auto& record) { return record.first <= below; });
    trimmed = below;
    world.TryRunTask(log->Trim(below));
  }
  void OpenNew() {
    if (world.alive()) TryOpen();
  }

  // What the log has said to be durable.
  uint64_t acknowledgements() {
    Note();
    return acknowledged_at_.size();
  }
  // Ends the incarnation, if it has not crashed; nothing more of it is acknowledged.
  void Kill() {
    Note();
    Crash(CrashKind::kProcessKill);
    in_doubt_.clear();
  }
  void Promise() {
    for (const auto& [end, text] : acknowledged_at_) acknowledged.push_back(text);
  }

  Lsn first_full;  // the end of the first full segment

 private:
  void Note() {
    if (observer == nullptr) return;
    while (!in_doubt_.empty() && in_doubt_.front().first <= observer->durable) {
      acknowledged_at_.push_back(std::move(in_doubt_.front()));
      in_doubt_.pop_front();
    }
  }

  std::deque<std::pair<Lsn, std::string>> in_doubt_;
  std::vector<std::pair<Lsn, std::string>> acknowledged_at_;
};

// Every name in the folder is one that the log knows.
void ExpectOnlyKnownFiles(CutLog* log) {
  log->world.RunFor(kSettleNs);
  const LogStats stats = log->log->stats();
  const size_t files = log->Files("segment-").size() + log->Files("spare-").size();
  EXPECT_EQ(files, stats.segments + stats.spares);
  EXPECT_EQ(log->Files("").size(), files + 1) << "there is more than segments, spares, the lock";
  for (const std::string& path : log->Files("spare-")) EXPECT_FALSE(path.ends_with(".tmp")) << path;
}

struct Script {
  std::function<void(CutLog*)> prepare;
  std::function<void(CutLog*)> run;
};

class LogProtocol : public cuts::Protocol {
 public:
  LogProtocol(const Script& script, sim::ChoiceSource* choices, sim::Options world)
      : script_(script), log_(choices, std::move(world)) {
    script_.prepare(&log_);
  }
  sim::World* world() override { return &log_.world; }
  void Run() override { script_.run(&log_); }
  uint64_t Progress() override { return log_.acknowledgements() << 32 ^ log_.trimmed.value; }
  uint64_t Reboot() override {
    log_.Kill();
    log_.Promise();
    log_.Boot();
    return 0;
  }
  void Recover() override {
    log_.ExpectRecovers();
    if (!testing::Test::HasFailure()) ExpectOnlyKnownFiles(&log_);
  }

 private:
  const Script& script_;
  CutLog log_;
};

Census Walk(std::string_view name, const Script& script, CrashKind kind) {
  auto make = [&](sim::ChoiceSource* choices, sim::Options world) {
    return std::make_unique<LogProtocol>(script, choices, std::move(world));
  };
  return cuts::WalkEveryCut(name, make, kind, {});
}

void PrepareNothing(CutLog*) {}

void PrepareSettled(CutLog* log) {
  log->OpenNew();
  log->Settle();
  log->SubmitAndSync(100);
}

// One sector of the current segment is left.
void PrepareNearlyFull(CutLog* log) {
  PrepareSettled(log);
  for (int i = 0; i < 4; i++) log->SubmitAndSync(2500);
}

// Two segments are full, the third is current.
void PrepareTwoFull(CutLog* log) {
  PrepareSettled(log);
  for (int i = 0; i < 5; i++) log->SubmitAndSync(2500);
  log->first_full = log->highest;
  for (int i = 0; i < 8; i++) log->SubmitAndSync(2500);
  log->Settle();
}

const Script kCreate = {PrepareNothing, [](CutLog* log) {
                          log->OpenNew();
                          log->Settle();
                        }};

// Frames that share a write, one that takes two sectors, and the mark behind them.
const Script kCommit = {PrepareSettled, [](CutLog* log) {
                          log->Submit(100);
                          log->Submit(100);
                          log->SubmitAndSync(5000);
                          log->SubmitAndSync(100);
                          log->Settle();
                        }};

const Script kRotate = {PrepareNearlyFull, [](CutLog* log) {
                          for (int i = 0; i < 3; i++) log->SubmitAndSync(2500);
                          log->Settle();
                        }};

const Script kRecycle = {PrepareTwoFull, [](CutLog* log) {
                           log->TrimBelow(log->first_full);
                           log->Settle();
                           if (log->world.alive()) log->TrimBelow(log->highest);
                           log->Settle();
                         }};

// A segment to recycle, a confirmed part, a tail that no frame vouches for and that breaks off.
const Script kRecover = {[](CutLog* log) {
                           PrepareTwoFull(log);
                           for (int i = 0; i < 3; i++) log->Submit(2500);
                           log->world.RunFor(100'000);
                           log->Kill();
                           log->Boot();
                         },
                         [](CutLog* log) {
                           log->OpenNew();
                           log->Settle();
                         }};

const Script kClose = {PrepareSettled, [](CutLog* log) {
                         log->Submit(2500);
                         log->Submit(5000);
                         if (log->world.alive()) log->world.TryRunTask(log->log->Close());
                       }};

// `states` is what was visited when the protocol was as it is: fewer means that the walk has become
// blind to something. Whoever changes a protocol puts the figure that is printed here.
void ExpectStates(const Census& census, uint64_t states) {
  EXPECT_GE(census.states, states) << "states are no longer visited";
}

TEST(LogEveryCut, SegmentCreate) {
  ExpectStates(Walk("segment create", kCreate, CrashKind::kPowerCut), 207);
  ExpectStates(Walk("segment create", kCreate, CrashKind::kProcessKill), 514);
}

TEST(LogEveryCut, Commit) {
  ExpectStates(Walk("commit", kCommit, CrashKind::kPowerCut), 83);
  ExpectStates(Walk("commit", kCommit, CrashKind::kProcessKill), 188);
}

TEST(LogEveryCut, Rotate) {
  ExpectStates(Walk("rotate", kRotate, CrashKind::kPowerCut), 305);
  ExpectStates(Walk("rotate", kRotate, CrashKind::kProcessKill), 930);
}

TEST(LogEveryCut, Recycle) {
  ExpectStates(Walk("recycle", kRecycle, CrashKind::kPowerCut), 66);
  ExpectStates(Walk("recycle", kRecycle, CrashKind::kProcessKill), 18);
}

TEST(LogEveryCut, Recover) {
  ExpectStates(Walk("recover", kRecover, CrashKind::kPowerCut), 409);
  ExpectStates(Walk("recover", kRecover, CrashKind::kProcessKill), 583);
}

TEST(LogEveryCut, Close) {
  ExpectStates(Walk("close", kClose, CrashKind::kPowerCut), 64);
  ExpectStates(Walk("close", kClose, CrashKind::kProcessKill), 131);
}

}  // namespace
}  // namespace nexus::wal
