// The small protocols of the engine, cut at every instant, with every outcome of each cut: what was
// acknowledged is there, batches are there whole or not at all, what one opening showed every later
// one shows, and the folder holds what the database refers to and nothing else.

#include "tests/cuts/every_cut.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>

#include "tests/engine/small_database.h"

namespace nexus::engine {
namespace {

using cuts::Census;
using sim::CrashKind;

struct Script {
  std::function<void(SmallDatabase*)> prepare;
  std::function<void(SmallDatabase*)> run;
};

class EngineProtocol : public cuts::Protocol {
 public:
  EngineProtocol(const Script& script, sim::ChoiceSource* choices, sim::Options world)
      : script_(script), database_(choices, std::move(world)) {
    script_.prepare(&database_);
    database_.Boot();
  }
  sim::World* world() override { return &database_.world(); }
  void Run() override { script_.run(&database_); }
  uint64_t Progress() override { return database_.Progress(); }
  uint64_t Reboot() override {
    database_.Crash(CrashKind::kProcessKill);
    database_.Boot();
    return database_.CatalogHash();
  }
  void Recover() override { database_.ExpectRecovers(); }

 private:
  const Script& script_;
  SmallDatabase database_;
};

// A protocol that takes much preparation is walked with fewer outcomes and in one schedule.
enum class Weight : uint8_t { kLight, kHeavy };

Census Walk(std::string_view name, const Script& script, CrashKind kind, Weight weight) {
  auto make = [&](sim::ChoiceSource* choices, sim::Options world) {
    return std::make_unique<EngineProtocol>(script, choices, std::move(world));
  };
  cuts::WalkLimits limits;
  const bool light = weight == Weight::kLight;
  limits.schedules = light ? 3 : 1;
  limits.walked = light ? 60 : 12;
  limits.drawn = light ? 4 : 2;
  limits.drawn_beyond = light ? 40 : 12;
  return cuts::WalkEveryCut(name, make, kind, limits);
}

// Long enough for a commit of the catalog.
constexpr int64_t kSettleNs = 300'000'000;

// `count` samples of one series; neighbouring batches overlap.
std::vector<SmallDatabase::Place> Places(uint32_t series, int64_t from, int64_t count) {
  std::vector<SmallDatabase::Place> places;
  for (int64_t i = 0; i < count; i++) places.push_back({series, from + i});
  return places;
}

void PrepareNothing(SmallDatabase*) {}

void OpenAndSettle(SmallDatabase* db) {
  db->Open();
  if (db->alive()) db->RunFor(kSettleNs);
}

void PrepareOneSeries(SmallDatabase* db) {
  OpenAndSettle(db);
  db->Append(Places(0, 0, 10));
  db->RunFor(kSettleNs);
}

// Two images, two layers, a log of several segments whose first can go, and samples in memory.
void PrepareCheckpoints(SmallDatabase* db) {
  db->options().memtable_bytes = 1 << 20;  // none is flushed by itself
  PrepareOneSeries(db);
  for (uint32_t i = 0; i < 4; i++) {
    db->Append(Places(i, 1000, 3000));
    if (i < 3) db->Flush();
  }
  db->RunFor(kSettleNs);
}

const Script kCreate = {PrepareNothing, OpenAndSettle};

const Script kCommit = {PrepareOneSeries, [](SmallDatabase* db) {
                          if (db->alive()) db->Submit(Places(0, 5, 10));
                          if (db->alive()) db->Append(Places(1, 0, 10));
                          if (db->alive()) db->RunFor(kSettleNs);
                        }};

const Script kFlush = {[](SmallDatabase* db) {
                         PrepareOneSeries(db);
                         db->Append(Places(1, 0, 10));
                       },
                       [](SmallDatabase* db) {
                         db->Flush();
                         if (db->alive()) db->RunFor(kSettleNs);
                       }};

const Script kCheckpoint = {PrepareCheckpoints, [](SmallDatabase* db) {
                              db->Flush();
                              if (db->alive()) db->RunFor(kSettleNs);
                            }};

// A kill with a catalog that lags, a layer that was never published, and a tail.
const Script kRecover = {[](SmallDatabase* db) {
                           PrepareCheckpoints(db);
                           db->Append(Places(3, 0, 10));
                           db->world().disk().FailFrom({{sim::Op::kWrite}, "/wal/"}, 1, -EIO);
                           db->Flush();
                           db->Crash(CrashKind::kProcessKill);
                           db->world().disk().faults()->ClearRules();
                         },
                         OpenAndSettle};

// Three layers that overlap become one, and their files go.
const Script kCompact = {[](SmallDatabase* db) {
                           PrepareOneSeries(db);
                           for (uint32_t i = 0; i < 3; i++) {
                             db->Append(Places(static_cast<uint32_t>(i % 2), 5 * i, 10));
                             db->Flush();
                           }
                           db->RunFor(kSettleNs);
                         },
                         [](SmallDatabase* db) {
                           db->Compact();
                           if (db->alive()) db->RunFor(kSettleNs);
                         }};

const Script kClose = {PrepareOneSeries, [](SmallDatabase* db) {
                         db->Submit(Places(0, 5, 10));
                         if (db->alive()) db->Submit(Places(1, 0, 10));
                         if (db->alive()) db->Close();
                       }};

// A branch with memtables to share, one made from a snapshot, and writes to all.
const Script kBranch = {[](SmallDatabase* db) {
                          PrepareOneSeries(db);
                          db->CreateBranch("snap", "main", BranchKind::kSnapshot);
                          db->Append(Places(1, 0, 10));
                        },
                        [](SmallDatabase* db) {
                          if (db->alive()) db->CreateBranch("child", "main");
                          if (db->alive()) db->Submit(Places(0, 5, 10));
                          if (db->alive()) db->CreateBranch("other", "snap");
                          if (db->alive()) db->RunFor(kSettleNs);
                        }};

// One memtable for four branches, of which one has been deleted, and one of a child's own.
const Script kFlushShared = {[](SmallDatabase* db) {
                               PrepareOneSeries(db);
                               db->CreateBranch("gone", "main");
                               db->CreateBranch("child", "gone");
                               db->CreateBranch("snap", "child", BranchKind::kSnapshot);
                               db->Append(Places(0, 5, 10), "child");
                               db->DeleteBranch("gone");
                             },
                             [](SmallDatabase* db) {
                               db->Flush();
                               if (db->alive()) db->RunFor(kSettleNs);
                             }};

// Layers that are shared, layers that are not, and memtables of both sorts.
const Script kDeleteBranch = {[](SmallDatabase* db) {
                                PrepareOneSeries(db);
                                db->Flush();
                                db->CreateBranch("child", "main");
                                db->Append(Places(0, 5, 10), "child");
                                db->Flush();
                                db->Append(Places(1, 0, 10), "child");
                                db->CreateBranch("grandchild", "child");
                                db->Append(Places(0, 0, 3), "child");
                                db->RunFor(kSettleNs);
                              },
                              [](SmallDatabase* db) {
                                db->DeleteBranch("child");
                                if (db->alive()) db->RunFor(kSettleNs);
                              }};

// As kRecover, with memtables that the dead process shared between branches, deleted ones too.
const Script kRecoverBranches = {
    [](SmallDatabase* db) {
      db->options().memtable_bytes = 1 << 20;
      PrepareOneSeries(db);
      db->world().disk().FailFrom({{sim::Op::kCreate}, "/layers/"}, 1, -EIO);
      db->CreateBranch("gone", "main");
      db->Append(Places(1, 0, 10), "gone");
      db->CreateBranch("child", "gone");
      db->Append(Places(0, 3, 5));
      db->CreateBranch("snap", "main", BranchKind::kSnapshot);
      db->Append(Places(0, 0, 5), "child");
      db->DeleteBranch("gone");
      db->Crash(CrashKind::kProcessKill);
      db->world().disk().faults()->ClearRules();
    },
    OpenAndSettle};

// What is deleted lies in a layer, in a memtable that is being flushed, and in the active one,
// which gets more behind the delete.
const Script kDelete = {[](SmallDatabase* db) {
                          PrepareOneSeries(db);
                          db->Flush();
                          db->RunFor(kSettleNs);
                          db->Append(Places(0, 100, 10));
                          db->Append(Places(1, 0, 10));
                        },
                        [](SmallDatabase* db) {
                          if (db->alive()) db->Delete(0, 0, 5, 104);
                          if (db->alive()) db->Append(Places(0, 103, 4));
                          if (db->alive()) db->Flush();
                          if (db->alive()) db->RunFor(kSettleNs);
                        }};

// A layer that goes whole, one that is written again, and one in a snapshot that stays.
const Script kExpire = {[](SmallDatabase* db) {
                          PrepareOneSeries(db);
                          db->Flush();
                          db->CreateBranch("snap", "main", BranchKind::kSnapshot);
                          db->Append(Places(1, 0, 10));
                          db->Append(Places(0, SmallDatabase::kYoung, 3));
                          db->Flush();
                          db->RunFor(kSettleNs);
                        },
                        [](SmallDatabase* db) {
                          db->KeepYoung();
                          if (db->alive()) db->Compact();
                          if (db->alive()) db->Append(Places(1, SmallDatabase::kYoung, 3));
                          if (db->alive()) db->RunFor(kSettleNs);
                        }};

// A small memtable leaves the log, for the sixth time: a segment can go. Deletes and layers beside
// it.
const Script kCarry = {[](SmallDatabase* db) {
                         db->options().memtable_bytes = 1 << 20;
                         db->options().log_bytes_max = 8 << 10;
                         PrepareOneSeries(db);
                         db->Flush();
                         for (int64_t i = 0; i < 11; i++) {
                           db->Append(Places(static_cast<uint32_t>(i % 2), 5 * i, 10));
                           db->RunFor(kSettleNs);
                         }
                         db->Delete(0, 0, 25, 34);
                       },
                       [](SmallDatabase* db) {
                         if (db->alive()) db->Append(Places(0, 33, 4));
                         if (db->alive()) db->Append(Places(1, 33, 4));
                         if (db->alive()) db->RunFor(kSettleNs);
                         if (db->alive()) db->Submit(Places(0, 0, 4));
                         if (db->alive()) db->RunFor(kSettleNs);
                       }};

// `states` is what was visited when the protocol was as it is: fewer means that the walk has become
// blind to something. Whoever changes a protocol puts the figure that is printed here.
void ExpectStates(const Census& census, uint64_t states) {
  EXPECT_GE(census.states, states) << "states are no longer visited";
}

TEST(EngineEveryCut, CreatePowerCut) {
  ExpectStates(Walk("create", kCreate, CrashKind::kPowerCut, Weight::kLight), 480);
}
TEST(EngineEveryCut, CreateKill) {
  ExpectStates(Walk("create", kCreate, CrashKind::kProcessKill, Weight::kLight), 537);
}
TEST(EngineEveryCut, CommitPowerCut) {
  ExpectStates(Walk("commit", kCommit, CrashKind::kPowerCut, Weight::kLight), 186);
}
TEST(EngineEveryCut, CommitKill) {
  ExpectStates(Walk("commit", kCommit, CrashKind::kProcessKill, Weight::kLight), 60);
}
TEST(EngineEveryCut, FlushPowerCut) {
  ExpectStates(Walk("flush publish", kFlush, CrashKind::kPowerCut, Weight::kLight), 389);
}
TEST(EngineEveryCut, FlushKill) {
  ExpectStates(Walk("flush publish", kFlush, CrashKind::kProcessKill, Weight::kLight), 123);
}
TEST(EngineEveryCut, CheckpointPowerCut) {
  ExpectStates(Walk("checkpoint", kCheckpoint, CrashKind::kPowerCut, Weight::kHeavy), 75);
}
TEST(EngineEveryCut, CheckpointKill) {
  ExpectStates(Walk("checkpoint", kCheckpoint, CrashKind::kProcessKill, Weight::kHeavy), 45);
}
TEST(EngineEveryCut, CompactPowerCut) {
  ExpectStates(Walk("compact", kCompact, CrashKind::kPowerCut, Weight::kLight), 199);
}
TEST(EngineEveryCut, CompactKill) {
  ExpectStates(Walk("compact", kCompact, CrashKind::kProcessKill, Weight::kLight), 120);
}
TEST(EngineEveryCut, RecoverPowerCut) {
  ExpectStates(Walk("recover", kRecover, CrashKind::kPowerCut, Weight::kHeavy), 110);
}
TEST(EngineEveryCut, RecoverKill) {
  ExpectStates(Walk("recover", kRecover, CrashKind::kProcessKill, Weight::kHeavy), 105);
}
TEST(EngineEveryCut, BranchPowerCut) {
  ExpectStates(Walk("branch", kBranch, CrashKind::kPowerCut, Weight::kLight), 829);
}
TEST(EngineEveryCut, BranchKill) {
  ExpectStates(Walk("branch", kBranch, CrashKind::kProcessKill, Weight::kLight), 383);
}
TEST(EngineEveryCut, FlushSharedPowerCut) {
  ExpectStates(Walk("flush shared", kFlushShared, CrashKind::kPowerCut, Weight::kLight), 257);
}
TEST(EngineEveryCut, FlushSharedKill) {
  ExpectStates(Walk("flush shared", kFlushShared, CrashKind::kProcessKill, Weight::kLight), 169);
}
TEST(EngineEveryCut, DeleteBranchPowerCut) {
  ExpectStates(Walk("delete branch", kDeleteBranch, CrashKind::kPowerCut, Weight::kLight), 311);
}
TEST(EngineEveryCut, DeleteBranchKill) {
  ExpectStates(Walk("delete branch", kDeleteBranch, CrashKind::kProcessKill, Weight::kLight), 298);
}
TEST(EngineEveryCut, RecoverBranchesPowerCut) {
  ExpectStates(Walk("recover branches", kRecoverBranches, CrashKind::kPowerCut, Weight::kHeavy),
               195);
}
TEST(EngineEveryCut, RecoverBranchesKill) {
  ExpectStates(Walk("recover branches", kRecoverBranches, CrashKind::kProcessKill, Weight::kHeavy),
               178);
}
TEST(EngineEveryCut, DeletePowerCut) {
  ExpectStates(Walk("delete", kDelete, CrashKind::kPowerCut, Weight::kLight), 316);
}
TEST(EngineEveryCut, DeleteKill) {
  ExpectStates(Walk("delete", kDelete, CrashKind::kProcessKill, Weight::kLight), 201);
}
TEST(EngineEveryCut, ExpirePowerCut) {
  ExpectStates(Walk("expire", kExpire, CrashKind::kPowerCut, Weight::kHeavy), 174);
}
TEST(EngineEveryCut, ExpireKill) {
  ExpectStates(Walk("expire", kExpire, CrashKind::kProcessKill, Weight::kHeavy), 189);
}
TEST(EngineEveryCut, CarryPowerCut) {
  ExpectStates(Walk("carry", kCarry, CrashKind::kPowerCut, Weight::kHeavy), 147);
}
TEST(EngineEveryCut, CarryKill) {
  ExpectStates(Walk("carry", kCarry, CrashKind::kProcessKill, Weight::kHeavy), 117);
}
TEST(EngineEveryCut, ClosePowerCut) {
  ExpectStates(Walk("close", kClose, CrashKind::kPowerCut, Weight::kLight), 162);
}
TEST(EngineEveryCut, CloseKill) {
  ExpectStates(Walk("close", kClose, CrashKind::kProcessKill, Weight::kLight), 66);
}

}  // namespace
}  // namespace nexus::engine
