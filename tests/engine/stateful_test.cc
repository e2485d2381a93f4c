// Any sequence of commands - appends of every form, numbered appends that are sent again, deletes,
// branches that are made, written and deleted, flushes, queries, kills, power cuts, cuts within
// commands and within openings, clean closes - leaves what the oracle says. rapidcheck draws the
// commands and, if one is answered wrongly, takes away what is not needed for it.
//
// What a command meets after a crash is the database's to decide, so the model of the commands is
// empty and the knowledge is in the system under test: SmallDatabase's oracle, and what the
// clients of numbered batches remember.

#include <fmt/format.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/state.h>

#include <array>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/small_database.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;
using Place = SmallDatabase::Place;

// The last series are the producers'.
constexpr uint32_t kProducers = 2;
constexpr uint32_t kShared = SmallDatabase::kSeries - kProducers;
constexpr int64_t kTimes = 40;
// Openings and flushes of these databases take up to about this many steps.
constexpr uint64_t kSteps = 300;

// A client that numbers its batches and sends one again until it is answered.
struct Producer {
  uint64_t epoch = 0;  // 0: none is open
  uint64_t next = 1;   // the sequence that is sent next
  uint64_t acknowledged = 0;
  uint64_t in_doubt = 0;  // the last sequence whose answer did not come
};

struct Nothing {};

// What the runs met with; a run without it would say nothing about it.
struct Exercised {
  uint64_t commands = 0;
  uint64_t batches = 0;
  uint64_t lives = 0;
  uint64_t openings_cut = 0;
  uint64_t flushes_cut = 0;
  uint64_t numbered = 0;    // batches
  uint64_t sent_again = 0;  // of them, whose first answer did not come
  uint64_t refused = 0;     // numbers that are not the next
  uint64_t deletes = 0;
  uint64_t deletes_cut = 0;
  uint64_t branch_deletes = 0;
  uint64_t branches = 0;  // made
  uint64_t branches_deleted = 0;
  uint64_t branch_batches = 0;
};

struct Sut {
  Sut(uint64_t seed, const sim::Options& world, Exercised* counts)
      : db(seed, world), exercised(counts) {
    // Sealed and rotated by little.
    db.options().flush_interval_ms = 500;
    Reopen();
  }
  // Opens until it succeeds: a cut may strike the opening too.
  void Reopen() {
    for (int attempt = 0; !db.is_open() && attempt < 3; attempt++) {
      const std::optional<Status> opened = db.Open();
      db.world().CancelScheduledCrash();
      if (!opened.has_value()) {
        exercised->openings_cut++;
        db.Crash(CrashKind::kProcessKill);
        continue;
      }
      ASSERT_TRUE(opened->ok()) << *opened;
    }
    exercised->lives++;
    db.ExpectRight();
  }
  // After a command within which the world may have crashed.
  void ReopenIfCrashed() {
    db.world().CancelScheduledCrash();
    if (db.alive() && db.is_open()) return;
    db.Crash(CrashKind::kProcessKill);
    Reopen();
  }

  ExactlyOnce Number(uint32_t producer, uint64_t sequence) const {
    return {1, producer + 1, producers[producer].epoch, sequence};
  }
  // Every sequence writes to places of its own.
  static std::vector<Place> NumberedPlaces(uint32_t producer, uint64_t sequence) {
    std::vector<Place> places;
    for (int64_t i = 0; i < 3; i++) {
      places.push_back({kShared + producer, static_cast<int64_t>(sequence) * 10 + i});
    }
    return places;
  }

  SmallDatabase db;
  Exercised* const exercised;
  std::array<Producer, kProducers> producers;
};

// Failures of GoogleTest's within a command are rapidcheck's, which can then look for fewer
// commands.
class Command : public rc::state::Command<Nothing, Sut> {
 public:
  void run(const Nothing&, Sut& sut) const override {
    sut.exercised->commands++;
    testing::TestPartResultArray failures;
    {
      testing::ScopedFakeTestPartResultReporter reporter(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
      Do(&sut);
    }
    if (failures.size() > 0) RC_FAIL(failures.GetTestPartResult(0).message());
  }
  virtual void Do(Sut* sut) const = 0;
};

std::vector<Place> DrawPlaces() {
  std::set<Place> places;
  const auto form = *rc::gen::inRange(0, 3);
  const auto series = *rc::gen::inRange<uint32_t>(0, kShared);
  const auto start = *rc::gen::inRange<int64_t>(0, kTimes);
  const auto count = *rc::gen::inRange<int64_t>(1, 20);
  for (int64_t i = 0; i < count; i++) {
    if (form == 0) {  // a scrape
      places.insert({static_cast<uint32_t>(i) % kShared, start});
    } else if (form == 1) {  // a run
      places.insert({series, start + i});
    } else {
      places.insert(
          {*rc::gen::inRange<uint32_t>(0, kShared), *rc::gen::inRange<int64_t>(0, kTimes)});
    }
  }
  // The ends of time are times.
  if (*rc::gen::inRange(0, 8) == 7) places.insert({series, INT64_MIN});
  if (*rc::gen::inRange(0, 8) == 7) places.insert({series, INT64_MAX});
  return {places.begin(), places.end()};
}

CrashKind DrawCrash() { return *rc::gen::element(CrashKind::kProcessKill, CrashKind::kPowerCut); }

const char* Shown(CrashKind kind) { return kind == CrashKind::kPowerCut ? "power cut" : "kill"; }

struct Append : Command {
  const std::vector<Place> places = DrawPlaces();
  const bool waits = *rc::gen::arbitrary<bool>();
  void Do(Sut* sut) const override {
    sut->exercised->batches++;
    if (!waits) {
      EXPECT_TRUE(sut->db.Submit(places).has_value());
      return;
    }
    const std::optional<Status> answer = sut->db.Append(places);
    ASSERT_TRUE(answer.has_value());
    EXPECT_TRUE(answer->ok()) << *answer;
  }
  void show(std::ostream& out) const override {
    out << (waits ? "append" : "submit");
    for (const Place& place : places) out << ' ' << place.series << '@' << place.timestamp;
  }
};

// Of the branches that are there for sure, number `which`; empty if there is none.
std::string BranchNumber(const Sut& sut, uint32_t which, bool main_too, bool snapshots_too) {
  std::vector<std::string> names = sut.db.branches().Names();
  std::erase_if(names, [&](const std::string& name) {
    if (name == "main") return !main_too;
    return !snapshots_too && sut.db.branches().IsSnapshot(name);
  });
  return names.empty() ? std::string() : names[which % names.size()];
}

struct Delete : Command {
  const uint32_t first = *rc::gen::inRange<uint32_t>(0, kShared);
  const uint32_t last = *rc::gen::inRange<uint32_t>(first, kShared);
  const int64_t from = *rc::gen::element<int64_t>(INT64_MIN, INT64_MIN + 1, 0, kTimes / 4);
  const int64_t to = *rc::gen::element<int64_t>(kTimes / 4, kTimes, INT64_MAX - 1, INT64_MAX);
  const bool of_branch = *rc::gen::inRange(0, 3) == 2;
  const uint32_t which = *rc::gen::inRange<uint32_t>(0, 4);
  const bool crashes = *rc::gen::inRange(0, 4) == 3;
  const CrashKind kind = DrawCrash();
  const uint64_t steps = *rc::gen::inRange<uint64_t>(0, 40);
  void Do(Sut* sut) const override {
    const std::string name = of_branch ? BranchNumber(*sut, which, false, false) : "main";
    if (name.empty()) return;
    if (of_branch) sut->exercised->branch_deletes++;
    if (crashes) sut->db.world().CrashAfterSteps(steps, kind);
    const std::optional<Status> answer = sut->db.Delete(first, last, from, to, name);
    EXPECT_TRUE(answer.has_value() ? answer->ok() : crashes) << *answer;
    (answer.has_value() ? sut->exercised->deletes : sut->exercised->deletes_cut)++;
    sut->ReopenIfCrashed();
  }
  void show(std::ostream& out) const override {
    out << "delete series " << first << " to " << last << " from " << from << " to " << to;
    if (of_branch) out << " of branch " << which;
    if (crashes) out << " until " << Shown(kind) << " after " << steps << " steps";
  }
};

struct Flush : Command {
  void Do(Sut* sut) const override {
    const std::optional<Status> flushed = sut->db.Flush();
    ASSERT_TRUE(flushed.has_value());
    EXPECT_TRUE(flushed->ok()) << *flushed;
  }
  void show(std::ostream& out) const override { out << "flush"; }
};

struct Pass : Command {
  const int64_t ns = *rc::gen::element<int64_t>(1'000, 100'000, 10'000'000, 1'000'000'000);
  void Do(Sut* sut) const override { sut->db.RunFor(ns); }
  void show(std::ostream& out) const override { out << ns << " ns pass"; }
};

struct Query : Command {
  const uint32_t first = *rc::gen::inRange<uint32_t>(0, SmallDatabase::kSeries);
  const uint32_t last = *rc::gen::inRange<uint32_t>(first, SmallDatabase::kSeries);
  const int64_t from = *rc::gen::element<int64_t>(INT64_MIN, INT64_MIN + 1, 0, kTimes / 2);
  const int64_t to = *rc::gen::element<int64_t>(kTimes / 2, kTimes, INT64_MAX - 1, INT64_MAX);
  void Do(Sut* sut) const override {
    const Status read = sut->db.Query(first, last, from, to);
    EXPECT_TRUE(read.ok()) << read;
  }
  void show(std::ostream& out) const override {
    out << "query series " << first << " to " << last << " from " << from << " to " << to;
  }
};

struct Crash : Command {
  const CrashKind kind = DrawCrash();
  void Do(Sut* sut) const override {
    sut->db.Crash(kind);
    sut->Reopen();
  }
  void show(std::ostream& out) const override { out << Shown(kind) << ", reopen"; }
};

struct CrashInReopening : Command {
  const CrashKind first = DrawCrash();
  const CrashKind second = DrawCrash();
  const uint64_t steps = *rc::gen::inRange<uint64_t>(0, kSteps);
  void Do(Sut* sut) const override {
    sut->db.Crash(first);
    sut->db.Boot();
    sut->db.world().CrashAfterSteps(steps, second);
    sut->Reopen();
  }
  void show(std::ostream& out) const override {
    out << Shown(first) << ", reopen until " << Shown(second) << " after " << steps
        << " steps, reopen";
  }
};

struct CrashInFlush : Command {
  const CrashKind kind = DrawCrash();
  const uint64_t steps = *rc::gen::inRange<uint64_t>(0, kSteps);
  void Do(Sut* sut) const override {
    sut->db.world().CrashAfterSteps(steps, kind);
    if (!sut->db.Flush().has_value()) sut->exercised->flushes_cut++;
    sut->ReopenIfCrashed();
  }
  void show(std::ostream& out) const override {
    out << "flush until " << Shown(kind) << " after " << steps << " steps";
  }
};

struct Reopen : Command {
  void Do(Sut* sut) const override {
    const std::optional<Status> closed = sut->db.Close();
    ASSERT_TRUE(closed.has_value());
    EXPECT_TRUE(closed->ok()) << *closed;
    sut->db.Crash(CrashKind::kProcessKill);
    sut->Reopen();
  }
  void show(std::ostream& out) const override { out << "close, reopen"; }
};

struct OpenEpoch : Command {
  const uint32_t producer = *rc::gen::inRange<uint32_t>(0, kProducers);
  void Do(Sut* sut) const override {
    Producer* client = &sut->producers[producer];
    const auto opened = sut->db.OpenProducer({1, producer + 1}, client->epoch + 1);
    ASSERT_TRUE(opened.has_value());
    ASSERT_TRUE(opened->ok()) << opened->status();
    EXPECT_EQ((*opened)->epoch, client->epoch + 1);
    // What was acknowledged is counted; at most the one in doubt is besides.
    EXPECT_GE((*opened)->last_sequence, client->acknowledged);
    EXPECT_LE((*opened)->last_sequence, client->next);
    client->epoch++;
  }
  void show(std::ostream& out) const override {
    out << "producer " << producer << " opens an epoch";
  }
};

// Sends the next numbered batch, or again the one whose answer did not come.
struct SendNumbered : Command {
  const uint32_t producer = *rc::gen::inRange<uint32_t>(0, kProducers);
  const bool crashes = *rc::gen::inRange(0, 3) == 2;
  const CrashKind kind = DrawCrash();
  const uint64_t steps = *rc::gen::inRange<uint64_t>(0, 40);
  void Do(Sut* sut) const override {
    Producer* client = &sut->producers[producer];
    if (client->epoch == 0) return;
    const uint64_t sequence = client->next;
    (sequence == client->in_doubt ? sut->exercised->sent_again : sut->exercised->numbered)++;
    if (crashes) sut->db.world().CrashAfterSteps(steps, kind);
    const auto answer = sut->db.AppendOnce(sut->Number(producer, sequence),
                                           Sut::NumberedPlaces(producer, sequence));
    if (answer.has_value()) {
      EXPECT_TRUE(answer->ok()) << *answer;
      client->acknowledged = sequence;
      client->next++;
    } else {
      EXPECT_TRUE(crashes);
      client->in_doubt = sequence;
    }
    sut->ReopenIfCrashed();
  }
  void show(std::ostream& out) const override {
    out << "producer " << producer << " sends";
    if (crashes) out << " until " << Shown(kind) << " after " << steps << " steps";
  }
};

// What was acknowledged is sent again, a number is left out, an older epoch is used.
struct SendWrongly : Command {
  const uint32_t producer = *rc::gen::inRange<uint32_t>(0, kProducers);
  const int how = *rc::gen::inRange(0, 3);
  void Do(Sut* sut) const override {
    const Producer& client = sut->producers[producer];
    if (client.epoch == 0) return;
    if (how == 0 && client.acknowledged > 0) {
      const auto again = Send(sut, client.epoch, client.acknowledged);
      EXPECT_TRUE(again.has_value() && again->ok()) << *again;
    } else if (how == 1) {
      const auto gap = Send(sut, client.epoch, client.next + 2);
      EXPECT_TRUE(gap.has_value() && absl::IsFailedPrecondition(*gap)) << *gap;
      sut->exercised->refused++;
    } else if (how == 2 && client.epoch > 1) {
      const auto fenced = Send(sut, client.epoch - 1, client.next);
      EXPECT_TRUE(fenced.has_value() && absl::IsFailedPrecondition(*fenced)) << *fenced;
      sut->exercised->refused++;
    }
  }
  void show(std::ostream& out) const override {
    constexpr std::array<const char*, 3> kHow = {"again", "with a gap", "in an older epoch"};
    out << "producer " << producer << " sends " << kHow[static_cast<size_t>(how)];
  }

 private:
  std::optional<Status> Send(Sut* sut, uint64_t epoch, uint64_t sequence) const {
    return sut->db.AppendOnce({1, producer + 1, epoch, sequence},
                              Sut::NumberedPlaces(producer, sequence));
  }
};

struct MakeBranch : Command {
  const int number = *rc::gen::inRange(0, 4);
  const uint32_t parent = *rc::gen::inRange<uint32_t>(0, 5);
  const bool is_snapshot = *rc::gen::arbitrary<bool>();
  const bool crashes = *rc::gen::inRange(0, 3) == 2;
  const CrashKind kind = DrawCrash();
  const uint64_t steps = *rc::gen::inRange<uint64_t>(0, 40);
  void Do(Sut* sut) const override {
    const std::string name = fmt::format("b{}", number);
    if (sut->db.branches().Find(name) != nullptr) return;
    const std::string from = BranchNumber(*sut, parent, true, true);
    if (crashes) sut->db.world().CrashAfterSteps(steps, kind);
    const auto made =
        sut->db.CreateBranch(name, from, is_snapshot ? BranchKind::kSnapshot : BranchKind::kBranch);
    if (made.has_value()) {
      EXPECT_TRUE(made->ok()) << *made;
      sut->exercised->branches++;
    }
    sut->ReopenIfCrashed();
  }
  void show(std::ostream& out) const override {
    out << "make b" << number << (is_snapshot ? ", a snapshot, of " : " of ") << parent;
    if (crashes) out << " until " << Shown(kind) << " after " << steps << " steps";
  }
};

struct DropBranch : Command {
  const uint32_t which = *rc::gen::inRange<uint32_t>(0, 4);
  const bool crashes = *rc::gen::inRange(0, 3) == 2;
  const CrashKind kind = DrawCrash();
  const uint64_t steps = *rc::gen::inRange<uint64_t>(0, 40);
  void Do(Sut* sut) const override {
    const std::string name = BranchNumber(*sut, which, false, true);
    if (name.empty()) return;
    if (crashes) sut->db.world().CrashAfterSteps(steps, kind);
    const auto deleted = sut->db.DeleteBranch(name);
    if (deleted.has_value()) {
      // Refused where a batch to it was submitted and is not answered.
      EXPECT_TRUE(deleted->ok() || absl::IsFailedPrecondition(*deleted)) << *deleted;
      sut->exercised->branches_deleted += deleted->ok() ? 1 : 0;
    }
    sut->ReopenIfCrashed();
  }
  void show(std::ostream& out) const override {
    out << "delete branch " << which;
    if (crashes) out << " until " << Shown(kind) << " after " << steps << " steps";
  }
};

struct AppendToBranch : Command {
  const std::vector<Place> places = DrawPlaces();
  const uint32_t which = *rc::gen::inRange<uint32_t>(0, 4);
  const bool waits = *rc::gen::arbitrary<bool>();
  void Do(Sut* sut) const override {
    const std::string name = BranchNumber(*sut, which, false, false);
    if (name.empty()) return;
    sut->exercised->branch_batches++;
    if (!waits) {
      EXPECT_TRUE(sut->db.Submit(places, name).has_value());
      return;
    }
    const std::optional<Status> answer = sut->db.Append(places, name);
    ASSERT_TRUE(answer.has_value());
    EXPECT_TRUE(answer->ok()) << *answer;
  }
  void show(std::ostream& out) const override {
    out << (waits ? "append" : "submit") << " to branch " << which;
    for (const Place& place : places) out << ' ' << place.series << '@' << place.timestamp;
  }
};

// Nothing more happens: everything is answered, is right, and stays so.
void ExpectEndsWell(Sut* sut) {
  sut->db.AwaitAnswers();
  sut->db.ExpectRight();
  sut->db.Crash(CrashKind::kPowerCut);
  sut->db.ExpectRecovers();
}

struct End : Command {
  void Do(Sut* sut) const override { ExpectEndsWell(sut); }
  void show(std::ostream& out) const override { out << "power cut, reopen, the end"; }
};

// Garbage, short transfers and interruptions are everyday.
sim::Options World() {
  sim::Options world;
  world.faults[sim::Fault::kGarbageSector] = 100'000;
  world.faults[sim::Fault::kShortRead] = 10'000;
  world.faults[sim::Fault::kInterrupted] = 10'000;
  return world;
}

// Found by the test below: the log held nothing but the batch that was being flushed, so starting
// it gave that a new position, and the layer was taken for a stranger's.
TEST(StatefulScenario, ALayerWhoseRecordsWereMovedIsRemoved) {
  Exercised exercised;
  uint64_t removed = 0;
  for (uint64_t steps = 0; steps < 24; steps++) {
    for (uint64_t cut = 0; cut < 40; cut++) {
      Sut sut(0, World(), &exercised);
      sut.db.Flush();
      sut.db.Crash(CrashKind::kProcessKill);
      sut.Reopen();
      sut.db.Crash(CrashKind::kPowerCut);
      sut.Reopen();
      sut.db.world().CrashAfterSteps(cut, CrashKind::kPowerCut);
      sut.db.Flush();
      sut.ReopenIfCrashed();
      sut.db.Submit({{0, 0}});
      sut.db.world().CrashAfterSteps(steps, CrashKind::kProcessKill);
      sut.db.Flush();
      sut.ReopenIfCrashed();
      for (const std::string& note : sut.db.core()->recovery().notes) {
        removed += note.find(".layer deleted") != std::string::npos ? 1 : 0;
        ASSERT_EQ(note.find("quarantine"), std::string::npos)
            << note << " at cut " << cut << ", steps " << steps;
      }
      sut.db.ExpectOnlyKnownFiles();
    }
  }
  EXPECT_GT(removed, 0u);
}

TEST(Stateful, AnyCommandsLeaveWhatTheOracleSays) {
  Exercised exercised;
  const bool right = rc::check("any commands leave what the oracle says", [&](uint64_t seed) {
    const Nothing model;
    Sut sut(seed, World(), &exercised);
    rc::state::check(
        model, sut,
        rc::state::gen::execOneOfWithArgs<
            Append, Append, Append, Delete, Flush, Pass, Query, Crash, CrashInReopening,
            CrashInFlush, Reopen, OpenEpoch, SendNumbered, SendNumbered, SendNumbered, SendWrongly,
            MakeBranch, MakeBranch, DropBranch, AppendToBranch, AppendToBranch>());
    End().run(model, sut);
  });
  ASSERT_TRUE(right);
  fmt::print(
      "{} commands: {} batches, {} lives, {} openings cut, {} flushes cut, {} numbered "
      "batches, {} of them sent again, {} refused, {} deletes, {} of them of "
      "branches, {} cut, {} branches made, {} deleted, {} batches to them\n",
      exercised.commands, exercised.batches, exercised.lives, exercised.openings_cut,
      exercised.flushes_cut, exercised.numbered, exercised.sent_again, exercised.refused,
      exercised.deletes, exercised.branch_deletes, exercised.deletes_cut, exercised.branches,
      exercised.branches_deleted, exercised.branch_batches);
  EXPECT_GT(exercised.batches, 1000u);
  EXPECT_GT(exercised.lives, 1000u);
  EXPECT_GT(exercised.openings_cut, 50u);
  EXPECT_GT(exercised.flushes_cut, 50u);
  EXPECT_GT(exercised.numbered, 100u);
  EXPECT_GT(exercised.sent_again, 20u);
  EXPECT_GT(exercised.refused, 20u);
  EXPECT_GT(exercised.deletes, 100u);
  EXPECT_GT(exercised.deletes_cut, 10u);
  EXPECT_GT(exercised.branch_deletes, 30u);
  EXPECT_GT(exercised.branches, 500u);
  EXPECT_GT(exercised.branches_deleted, 100u);
  EXPECT_GT(exercised.branch_batches, 300u);
}

}  // namespace
}  // namespace nexus::engine
