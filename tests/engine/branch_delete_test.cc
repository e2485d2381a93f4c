// Deletes and branches: a branch made later inherits a delete, one made before never sees it, a
// snapshot keeps what it names; and a crash at any point leaves what was promised.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "engine/delete_edits.h"
#include "tests/engine/branch_fixture.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;

class BranchDeleteTest : public BranchFixture {
 protected:
  void DeleteSamplesOf(uint32_t series, int64_t from, int64_t to,
                       const std::string& branch = "main") {
    const std::optional<Status> status = db_.Delete(series, series, from, to, branch);
    ASSERT_TRUE(status.has_value() && status->ok()) << *status;
  }
  uint64_t SamplesInLayersOf(const std::string& branch) {
    uint64_t samples = 0;
    for (const OpenLayer& open : State(branch)->layers) samples += open.record.samples;
    return samples;
  }
};

TEST_F(BranchDeleteTest, ABranchMadeLaterInheritsADelete) {
  Append(Places(0, 0, 10));
  Flush();
  Append(Places(1, 0, 10));
  DeleteSamplesOf(0, 2, 5);
  DeleteSamplesOf(1, 4, 9);
  Create("child");
  Create("snap", "main", kSnapshot);
  Create("grandchild", "snap");
  EXPECT_EQ(State("grandchild")->tombstones->size(), State("main")->tombstones->size());
  Append(Places(0, 3, 1), "child");
  ExpectRightForEver();
}

TEST_F(BranchDeleteTest, ABranchMadeBeforeNeverSeesADelete) {
  Append(Places(0, 0, 10));
  Flush();
  Append(Places(1, 0, 10));
  Create("child");
  Create("snap", "main", kSnapshot);
  DeleteSamplesOf(0, 2, 5);
  DeleteSamplesOf(1, 0, 3);
  Append(Places(0, 4, 3));
  EXPECT_EQ(State("child")->tombstones->size(), 0u);
  ExpectRightForEver();
  Flush();
  Compact();
  EXPECT_EQ(SamplesInLayersOf("snap"), 20u);
  ExpectRightForEver();
}

TEST_F(BranchDeleteTest, ADeleteInABranchLeavesItsParentAlone) {
  Append(Places(0, 0, 10));
  Flush();
  Append(Places(0, 10, 10));
  Create("child");
  DeleteSamplesOf(0, 5, 14, "child");
  db_.ExpectRight();
  ExpectRightForEver();
}

// Nothing was written to it: what it deleted goes nevertheless.
TEST_F(BranchDeleteTest, ACompactionCarriesOutWhatABranchOnlyDeleted) {
  Append(Places(0, 0, 10));
  Flush();
  Create("child");
  DeleteSamplesOf(0, 5, 14, "child");
  Compact();
  EXPECT_EQ(SamplesInLayersOf("child"), 5u);
  EXPECT_EQ(SamplesInLayersOf("main"), 10u);
  db_.RunFor(kSettleNs);
  EXPECT_EQ(State("child")->tombstones->size(), 0u) << "nothing needs it";
  ExpectRightForEver();
}

TEST_F(BranchDeleteTest, AParentThatCarriedItsDeleteOutLeavesTheHeirItsTombstone) {
  Append(Places(0, 0, 10));
  Flush();
  DeleteSamplesOf(0, 2, 5);
  Create("snap", "main", kSnapshot);
  Append(Places(0, 20, 5));
  Flush();
  Compact();
  db_.RunFor(kSettleNs);
  EXPECT_EQ(State("main")->tombstones->size(), 0u);
  EXPECT_EQ(State("snap")->tombstones->size(), 1u);
  ExpectRightForEver();
}

// Replay must delete in the memtable of a branch that is gone, for those that came from it.
TEST_F(BranchDeleteTest, DeletesOfADeletedBranchAreReplayedForItsHeirs) {
  std::string parent = "main";
  for (int generation = 0; generation < 4; generation++) {
    const std::string child = "g" + std::to_string(generation);
    Append(Places(0, generation * 10, 10), parent);
    DeleteSamplesOf(0, generation * 10 + 5, generation * 10 + 7, parent);
    Append(Places(0, generation * 10 + 6, 1), parent);
    Create(child, parent);
    DeleteSamplesOf(0, 0, 2, parent);
    if (parent != "main") Delete(parent);
    parent = child;
  }
  db_.ExpectRight();
  Restart(CrashKind::kProcessKill);
  ExpectRightForEver();
}

// Nothing comes behind the delete that would show it.
TEST_F(BranchDeleteTest, ADeleteThatWasTheLastOfADeletedBranchIsReplayedForItsHeir) {
  Create("gone");
  Append(Places(0, 0, 10), "gone");
  DeleteSamplesOf(0, 2, 5, "gone");
  Create("snap", "gone", kSnapshot);
  Delete("gone");
  db_.ExpectRight();
  Restart(CrashKind::kProcessKill);
  ExpectRightForEver();
}

TEST_F(BranchDeleteTest, ReplayThatFlushesBetweenDeletesAndCreationsLosesNone) {
  db_.options().memtable_bytes = 64 << 20;
  Restart(CrashKind::kProcessKill);
  std::string parent = "main";
  for (int round = 0; round < 6; round++) {
    for (uint32_t series = 0; series < 8; series++) {
      Append(Places(series, round * 500, 1000), parent);
    }
    DeleteSamplesOf(3, round * 500 + 100, round * 500 + 300, parent);
    const std::string child = "child" + std::to_string(round);
    Create(child, parent);
    DeleteSamplesOf(4, round * 500, round * 500 + 50, parent);
    DeleteSamplesOf(5, round * 500, round * 500 + 50, child);
    if (round % 2 == 1) Delete(parent);
    parent = child;
  }
  db_.options().memtable_bytes = 256 << 10;
  Restart(CrashKind::kProcessKill);
  EXPECT_GT(GetStats().layers, 3u);
  ExpectRightForEver();
}

TEST_F(BranchDeleteTest, ADeletedBranchLeavesNoTombstone) {
  Append(Places(0, 0, 10));
  Flush();
  Create("child");
  DeleteSamplesOf(0, 2, 5, "child");
  DeleteSamplesOf(0, 1, 1, "child");
  Delete("child");
  ASSERT_TRUE(db_.world().RunTask(db_.core()->keeper()->Persist()).ok());
  EXPECT_THAT(*db_.core()->state()->catalog->BeginRead()->Tombstones(), testing::IsEmpty());
  ExpectRightForEver();
}

TEST_F(BranchDeleteTest, EverywhereReachesEveryBranchAndSnapshotAndTheDisk) {
  Append(Places(0, 0, 10));
  Append(Places(1, 0, 4));
  Flush();
  Create("snap", "main", kSnapshot);
  Append(Places(0, 10, 5));
  Create("child");
  Append(Places(0, 20, 5), "child");
  DeleteRequest request;
  request.selector = "metric{series=\"00\"}";
  request.everywhere = true;
  request.dry_run = true;
  auto counted = db_.world().RunTask(db_.core()->Delete(request));
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->samples, 15u + 10u + 20u);
  db_.ExpectRight();
  request.dry_run = false;
  ASSERT_TRUE(db_.world().RunTask(db_.core()->Delete(request)).ok());
  for (const char* name : {"main", "snap", "child"}) {
    const auto oracle = db_.branches().Find(name);
    oracle->Acknowledged(oracle->SubmitDelete({0, 0, INT64_MIN, INT64_MAX}));
  }
  db_.ExpectRight();
  Flush();
  Compact();
  EXPECT_EQ(SamplesInLayersOf("main"), 4u);
  EXPECT_EQ(SamplesInLayersOf("snap"), 4u);
  EXPECT_EQ(SamplesInLayersOf("child"), 4u);
  ExpectRightForEver();
}

TEST_F(BranchDeleteTest, ASnapshotRefusesADelete) {
  Append(Places(0, 0, 10));
  Create("snap", "main", kSnapshot);
  DeleteRequest request;
  request.branch = "snap";
  request.selector = "metric";
  const auto refused = db_.world().RunTask(db_.core()->Delete(request));
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  request.dry_run = true;
  EXPECT_TRUE(
      absl::IsFailedPrecondition(db_.world().RunTask(db_.core()->Delete(request)).status()));
  db_.ExpectRight();
}

}  // namespace
}  // namespace nexus::engine
