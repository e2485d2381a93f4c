// The nth operation on the disk fails, once and from then on, for every n, around each thing that a
// database does: nothing crashes or hangs, errors say what and where, reads go on, the database
// opens again, nothing acknowledged is lost, nothing refused is there.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/engine/small_database.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;
using sim::Op;

// A scenario has fewer operations of one kind than this.
constexpr uint64_t kOperationsMax = 300;
// Steps of a whole scenario with everything that follows take a tenth of this.
constexpr uint64_t kHangSteps = 1'000'000;

// What goes wrong.
struct Failure {
  const char* name;
  sim::OpFilter operations;
  int error;  // 0: moves no more than `bytes`
  uint64_t bytes = 0;
  bool of_reads = false;  // a query may then end with an error

  void Install(sim::FaultPlan* faults, uint64_t nth, bool from_then_on) const {
    if (error != 0) {
      faults->Fail(operations, nth, error, from_then_on);
    } else {
      faults->Shorten(operations, nth, bytes, from_then_on);
    }
  }
};

const std::vector<Failure>& Failures() {
  static const std::vector<Failure> kFailures = {
      {"WriteError", {Op::kWrite}, -EIO},
      {"WriteWithoutSpace", {Op::kWrite}, -ENOSPC},
      {"ShortWrite", {Op::kWrite}, 0, io::kSectorBytes},
      {"SyncError", {Op::kSync}, -EIO},
      {"DirectorySyncError", {Op::kSyncDirectory}, -EIO},
      {"OpenError", {Op::kOpen, Op::kCreate}, -EMFILE, 0, true},
      {"NameError", {Op::kRename, Op::kUnlink, Op::kMakeDirectory, Op::kTruncate}, -EIO},
      {"CreateWithoutSpace", {Op::kCreate, Op::kAllocate, Op::kMakeDirectory}, -ENOSPC},
      {"ListError", {Op::kList}, -EIO},
      {"ReadError", {Op::kRead, Op::kOpen}, -EIO, 0, true},
      {"ShortRead", {Op::kRead}, 0, io::kSectorBytes},
  };
  return kFailures;
}

std::vector<SmallDatabase::Place> Places(uint32_t series, int64_t from, int64_t count) {
  std::vector<SmallDatabase::Place> places;
  for (int64_t i = 0; i < count; i++) places.push_back({series, from + i});
  return places;
}

// An error that a user can act on: of a class that says what to do, and naming the file or the
// setting that it is about.
void ExpectNamed(const Status& status) {
  if (status.ok()) return;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
      break;
    default:
      ADD_FAILURE() << "an error of no class that callers know: " << status;
  }
  EXPECT_THAT(std::string(FromAbsl(status.message())),
              testing::AnyOf(testing::HasSubstr("/"), testing::HasSubstr("memtable_bytes")));
}

// What a scenario calls; all errors must be named.
class Calls {
 public:
  explicit Calls(SmallDatabase* database) : db(database) {}
  void Open() { Judge(db->Open(), "open"); }
  void Append(std::vector<SmallDatabase::Place> places, const std::string& branch = "main") {
    if (Has(branch)) Judge(db->Append(std::move(places), branch), "append");
  }
  void CreateBranch(const std::string& name, const std::string& from, BranchKind kind) {
    if (Has(from)) Judge(db->CreateBranch(name, from, kind), "create branch");
  }
  void DeleteBranch(const std::string& name) {
    if (Has(name)) Judge(db->DeleteBranch(name), "delete branch");
  }
  void Delete() {
    if (db->is_open()) Judge(db->Delete(0, 1, 3, 1'500), "delete");
  }
  void Flush() {
    if (db->is_open()) Judge(db->Flush(), "flush");
  }
  void KeepYoung() {
    if (db->is_open()) Judge(db->KeepYoung(), "set retention");
  }
  void Compact() {
    if (db->is_open()) Judge(db->Compact(), "compact");
  }
  void Close() {
    if (db->is_open()) Judge(db->Close(), "close");
  }
  void Settle() {
    if (db->alive()) db->RunFor(300'000'000);
  }
  Status last;  // of the last call

  SmallDatabase* const db;

 private:
  bool Has(const std::string& branch) const {
    const std::vector<std::string> names = db->branches().Names();
    return db->is_open() && std::find(names.begin(), names.end(), branch) != names.end();
  }
  void Judge(std::optional<Status> status, std::string_view call) {
    ASSERT_TRUE(status.has_value()) << call << " hangs";
    SCOPED_TRACE(call);
    ExpectNamed(*status);
    last = *std::move(status);
  }
};

struct Scenario {
  const char* name;
  // How many failures it was put through when this was written: fewer means that the test has
  // become blind to some. Whoever changes what the engine does puts the figure that is printed.
  uint64_t failures;
  std::function<void(Calls*)> prepare;
  std::function<void(Calls*)> run;
};
void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

void PrepareOpen(Calls* calls) {
  calls->Open();
  calls->Settle();
  calls->Append(Places(0, 0, 10));
  calls->Settle();
}

void PrepareToRotate(Calls* calls) {
  calls->db->options().memtable_bytes = 4 << 20;  // nothing is flushed
  PrepareOpen(calls);
}

// Images, layers and log segments of more than one life.
void PrepareOld(Calls* calls) {
  calls->db->options().memtable_bytes = 1 << 20;
  PrepareOpen(calls);
  for (uint32_t i = 0; i < 4; i++) {
    calls->Append(Places(i, 1000, 2500));
    if (i < 3) calls->Flush();
  }
  calls->Settle();
}

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario> kScenarios = {
      {"Create", 180, [](Calls*) {},
       [](Calls* calls) {
         calls->Open();
         calls->Append(Places(0, 0, 10));
         calls->Settle();
       }},
      {"Commit", 24, PrepareOpen,
       [](Calls* calls) {
         calls->Append(Places(0, 5, 10));
         calls->Append(Places(1, 0, 10));
         calls->Settle();
       }},
      {"Rotate", 224, PrepareToRotate,
       [](Calls* calls) {
         for (int i = 0; i < 5; i++) calls->Append(Places(2, 3000 * i, 3000));
         calls->Settle();
       }},
      {"Flush", 92, PrepareOpen,
       [](Calls* calls) {
         calls->Append(Places(0, 5, 10));
         calls->Flush();
         calls->Settle();
         calls->Append(Places(0, 7, 10));
       }},
      {"Delete", 136, PrepareOld,
       [](Calls* calls) {
         calls->Delete();
         calls->Append(Places(0, 7, 10));
         calls->Flush();
         calls->Settle();
       }},
      {"Checkpoint", 128, PrepareOld,
       [](Calls* calls) {
         calls->Flush();
         calls->Settle();
         calls->Append(Places(0, 7, 10));
       }},
      {"Compact", 168, PrepareOld,
       [](Calls* calls) {
         calls->Compact();
         calls->Settle();
         calls->Append(Places(0, 7, 10));
       }},
      {"Recover", 328,
       [](Calls* calls) {
         PrepareOld(calls);
         calls->db->Submit(Places(5, 0, 10));
         calls->db->Crash(CrashKind::kProcessKill);
         calls->db->Boot();
       },
       [](Calls* calls) {
         calls->Open();
         calls->Append(Places(5, 5, 10));
         calls->Settle();
       }},
      {"Query", 36, PrepareOld, [](Calls*) {}},
      {"Close", 16, PrepareOpen,
       [](Calls* calls) {
         calls->db->Submit(Places(0, 5, 10));
         calls->Close();
       }},
  };
  return kScenarios;
}

const std::vector<Scenario>& BranchScenarios() {
  static const std::vector<Scenario> kScenarios = {
      {"Branch", 326, PrepareOpen,
       [](Calls* calls) {
         calls->CreateBranch("snap", "main", BranchKind::kSnapshot);
         calls->Append(Places(0, 5, 10));
         calls->CreateBranch("child", "main", BranchKind::kBranch);
         calls->Append(Places(1, 0, 10), "child");
         calls->Flush();
         calls->DeleteBranch("snap");
         calls->Append(Places(0, 7, 10), "child");
         calls->Flush();
         calls->Settle();
       }},
      {"RecoverBranches", 376,
       [](Calls* calls) {
         PrepareOpen(calls);
         calls->CreateBranch("gone", "main", BranchKind::kBranch);
         calls->Append(Places(1, 0, 10), "gone");
         calls->CreateBranch("child", "gone", BranchKind::kBranch);
         calls->Append(Places(0, 5, 10));
         calls->CreateBranch("snap", "main", BranchKind::kSnapshot);
         calls->DeleteBranch("gone");
         calls->db->Crash(CrashKind::kProcessKill);
         calls->db->Boot();
       },
       [](Calls* calls) {
         calls->Open();
         calls->Append(Places(5, 5, 10), "child");
         calls->Flush();
         calls->Settle();
       }},
  };
  return kScenarios;
}

const std::vector<Scenario>& RetentionScenarios() {
  static const std::vector<Scenario> kScenarios = {
      {"Expire", 164, PrepareOld,
       [](Calls* calls) {
         calls->KeepYoung();
         calls->Compact();
         calls->Settle();
         calls->Append(Places(0, SmallDatabase::kYoung, 10));
       }},
  };
  return kScenarios;
}

class NthFailure : public testing::TestWithParam<Scenario> {
 protected:
  // Puts the scenario through every failure of this kind; how many there were.
  uint64_t FailEach(const Failure& failure, bool from_then_on) {
    uint64_t nth = 1;
    while (FailNth(failure, nth, from_then_on)) {
      if (HasFailure()) {
        ADD_FAILURE() << failure.name << " of operation " << nth
                      << (from_then_on ? " and all after it" : "");
        break;
      }
      nth++;
      EXPECT_LT(nth, kOperationsMax);
    }
    return nth - 1;
  }

 private:
  // False if the scenario has no nth operation.
  static bool FailNth(const Failure& failure, uint64_t nth, bool from_then_on) {
    SmallDatabase db(nth, {});
    Calls calls(&db);
    GetParam().prepare(&calls);
    EXPECT_TRUE(calls.last.ok()) << calls.last;
    sim::FaultPlan* faults = db.world().disk().faults();
    db.Boot();
    db.world().CrashAfterSteps(kHangSteps, CrashKind::kProcessKill);
    failure.Install(faults, nth, from_then_on);
    GetParam().run(&calls);
    if (db.is_open()) ExpectReadable(&db, failure);
    const bool hit = faults->rules_hit() > 0;
    EndLife(&calls, nth);
    faults->ClearRules();
    db.ExpectRecovers();
    return hit;
  }
  // Reads go on whatever became of writing.
  static void ExpectReadable(SmallDatabase* db, const Failure& failure) {
    const Status read = db->QueryAll();
    EXPECT_TRUE(read.ok() || failure.of_reads) << read;
    ExpectNamed(read);
  }
  // In order, or not.
  static void EndLife(Calls* calls, uint64_t nth) {
    if (nth % 2 == 0) calls->Close();
    calls->db->world().CancelScheduledCrash();
    calls->db->Crash(nth % 3 == 0 ? CrashKind::kProcessKill : CrashKind::kPowerCut);
  }
};

TEST_P(NthFailure, IsNamedAndHarmless) {
  uint64_t failures = 0;
  for (const Failure& failure : Failures()) {
    for (const bool from_then_on : {false, true}) {
      failures += FailEach(failure, from_then_on);
      if (HasFailure()) return;
    }
  }
  fmt::print("{}: {} failures\n", GetParam().name, failures);
  EXPECT_GE(failures, GetParam().failures) << "operations no longer fail";
}

std::string NameOf(const testing::TestParamInfo<Scenario>& at) { return at.param.name; }

INSTANTIATE_TEST_SUITE_P(Engine, NthFailure, testing::ValuesIn(Scenarios()), NameOf);
INSTANTIATE_TEST_SUITE_P(Branches, NthFailure, testing::ValuesIn(BranchScenarios()), NameOf);
INSTANTIATE_TEST_SUITE_P(Retention, NthFailure, testing::ValuesIn(RetentionScenarios()), NameOf);

}  // namespace
}  // namespace nexus::engine
