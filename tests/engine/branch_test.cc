// Branches and snapshots: a new one holds everything acknowledged before, parent and child go their
// own ways, a snapshot never changes, files go with their last reference and never before, and a
// crash at any point leaves what was promised.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/branches.h"
#include "engine/scrub.h"
#include "tests/engine/branch_fixture.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;
using testing::HasSubstr;
using Place = SmallDatabase::Place;

using BranchTest = BranchFixture;

TEST_F(BranchTest, AChildSeesEverythingAcknowledgedBefore) {
  Append(Places(0, 0, 20));
  Flush();
  Append(Places(0, 10, 20));  // overwrites, in memory
  Append(Places(1, 0, 5));
  Create("child");
  db_.ExpectRight();
  EXPECT_EQ(State("child")->sealed.size(), 1u);
  ExpectRightForEver();
}

TEST_F(BranchTest, ParentAndChildDiverge) {
  Append(Places(0, 0, 20));
  Create("child");
  Append(Places(0, 5, 5), "child");
  Append(Places(0, 8, 5));
  Append(Places(2, 0, 3), "child");
  db_.ExpectRight();
  Flush();
  Append(Places(0, 0, 4));
  Append(Places(0, 2, 4), "child");
  ExpectRightForEver();
}

TEST_F(BranchTest, ASnapshotNeverChanges) {
  Append(Places(0, 0, 20));
  Create("snap", "main", kSnapshot);
  for (int round = 0; round < 4; round++) {
    Append(Places(0, 0, 30));
    if (round % 2 == 1) Flush();
    db_.ExpectRight();
  }
  ExpectRightForEver();
  const auto refused = db_.core()->state()->published.FindWritable("default", "snap");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("branch create NAME --from snap"));
}

TEST_F(BranchTest, ABranchMadeFromASnapshotBeginsWithIt) {
  Append(Places(0, 0, 20));
  Create("snap", "main", kSnapshot);
  Append(Places(0, 0, 30));
  Create("again", "snap");
  Append(Places(1, 0, 3), "again");
  Append(Places(0, 25, 3), "again");
  ExpectRightForEver();
}

TEST_F(BranchTest, GrandchildrenHoldWhatEachGenerationWrote) {
  std::string parent = "main";
  for (int generation = 0; generation < 4; generation++) {
    Append(Places(0, generation * 3, 10), parent);
    const std::string child = "g" + std::to_string(generation);
    Create(child, parent);
    Append(Places(1, generation, 2), parent);
    parent = child;
  }
  Append(Places(2, 0, 2), parent);
  EXPECT_GT(State(parent)->record.inherited.size(), 1u);
  ExpectRightForEver();
  EXPECT_EQ(State(parent)->record.inherited.size(), 0u);
}

TEST_F(BranchTest, AFlushIsWrittenOnceAndGoesToAllWhoHaveIt) {
  Append(Places(0, 0, 20));
  Create("a");
  Create("b", "a", kSnapshot);
  Create("c");
  Flush();
  const std::set<std::string> files = FilesOf("main");
  EXPECT_EQ(files.size(), 1u);
  EXPECT_EQ(FilesOf("a"), files);
  EXPECT_EQ(FilesOf("b"), files);
  EXPECT_EQ(FilesOf("c"), files);
  // One open file, one count.
  EXPECT_EQ(State("a")->layers[0].file, State("main")->layers[0].file);
  EXPECT_EQ(GetStats().layers, 1u);
  EXPECT_EQ(GetStats().layer_samples, 20u);
  EXPECT_EQ(Info("a").layers, 1u);
  EXPECT_EQ(Info("a").own_bytes, 0u);
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(State("b")->layers[0].file, State("main")->layers[0].file);
  EXPECT_EQ(GetStats().layers, 1u);
}

TEST_F(BranchTest, MemoryIsGivenBackOnce) {
  const uint64_t before = GetStats().memtable_bytes;
  Append(Places(0, 0, 2000));
  Create("a");
  Create("b");
  EXPECT_EQ(GetStats().memtable_samples, 2000u);
  Delete("a");
  EXPECT_EQ(GetStats().memtable_samples, 2000u);
  Flush();
  Delete("b");
  // Empty memtables are left, one a branch.
  EXPECT_LE(GetStats().memtable_bytes, before + 64 * 1024);
  EXPECT_EQ(GetStats().memtable_samples, 0u);
}

TEST_F(BranchTest, DeletingTheParentKeepsTheChild) {
  Append(Places(0, 0, 20));
  Create("parent");
  Append(Places(1, 0, 20), "parent");
  Create("child", "parent");
  Append(Places(2, 0, 5), "parent");
  Delete("parent");
  db_.ExpectRight();
  // Its unflushed samples are in the log alone, under a branch that is gone.
  Restart(CrashKind::kProcessKill);
  Append(Places(3, 0, 5), "child");
  ExpectRightForEver();
  EXPECT_EQ(Info("child").parent, "");
}

TEST_F(BranchTest, ALineOfDeletedAncestorsIsReplayed) {
  std::string parent = "main";
  for (int generation = 0; generation < 5; generation++) {
    Append(Places(0, generation * 3, 10), parent);
    const std::string child = "g" + std::to_string(generation);
    Create(child, parent);
    Append(Places(1, generation, 2), parent);
    if (parent != "main") Delete(parent);
    parent = child;
  }
  Create("side", parent, kSnapshot);
  Append(Places(2, 0, 2), parent);
  Restart(CrashKind::kProcessKill);
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(db_.core()->state()->FindBranch({}, BranchId{2}), nullptr) << "a stand-in is left";
  ExpectRightForEver();
}

TEST_F(BranchTest, TheNameOfADeletedBranchIsFreeAndItsNumberIsNot) {
  Append(Places(0, 0, 10));
  Create("b");
  Append(Places(1, 0, 10), "b");
  const BranchId number = State("b")->record.id;
  Delete("b");
  Create("b");
  EXPECT_GT(State("b")->record.id, number);
  ExpectRightForEver();
  Delete("b");
  Restart(CrashKind::kPowerCut);
  Create("b");
  EXPECT_GT(State("b")->record.id.value, number.value + 1);
}

TEST_F(BranchTest, OfADeletedBranchOnlyWhatNoOtherNamesRetires) {
  Append(Places(0, 0, 20));
  Flush();
  Create("child");
  Append(Places(1, 0, 20), "child");
  Flush();
  EXPECT_EQ(Info("child").layers, 2u);
  EXPECT_GT(Info("child").own_bytes, 0u);
  EXPECT_LT(Info("child").own_bytes, Info("child").layer_bytes);
  Delete("child");
  EXPECT_EQ(FilesOf("main").size(), 1u);
  db_.ExpectRight();
  Restart(CrashKind::kPowerCut);
  ExpectClean();
}

TEST_F(BranchTest, FilesGoWithTheLastThatNamesThem) {
  for (int64_t round = 0; round < 6; round++) {
    Append(Places(0, round * 5, 20));
    Flush();
  }
  Create("snap", "main", kSnapshot);
  const std::set<std::string> before = FilesOf("main");
  Compact();
  for (const std::string& file : before) {
    EXPECT_FALSE(FilesOf("main").contains(file));
    EXPECT_TRUE(IsOnDisk(file)) << "the snapshot names it";
  }
  EXPECT_EQ(FilesOf("snap"), before) << "a snapshot is not compacted";
  db_.ExpectRight();
  Restart(CrashKind::kPowerCut);
  ExpectClean();
  Create("branch", "snap");
  Delete("snap");
  db_.RunFor(kSettleNs);
  for (const std::string& file : before) EXPECT_TRUE(IsOnDisk(file)) << "the branch names it";
  Restart(CrashKind::kProcessKill);
  Delete("branch");
  db_.RunFor(kSettleNs);
  for (const std::string& file : before) EXPECT_FALSE(IsOnDisk(file));
  ExpectRightForEver();
}

TEST_F(BranchTest, EachBranchIsCompactedForItself) {
  for (int64_t round = 0; round < 6; round++) {
    Append(Places(0, round * 5, 20));
    Flush();
  }
  const std::set<std::string> before = FilesOf("main");
  Create("child");
  Create("idle");
  Append(Places(0, 0, 30), "child");
  Flush();
  Compact();
  EXPECT_FALSE(FilesOf("child").contains(*before.begin()));
  EXPECT_NE(FilesOf("main"), FilesOf("child"));
  for (const std::string& file : before) EXPECT_TRUE(IsOnDisk(file));
  EXPECT_EQ(FilesOf("idle"), before) << "nothing was written to it";
  ExpectRightForEver();
  Delete("idle");
  db_.RunFor(kSettleNs);
  ExpectRightForEver();
}

TEST_F(BranchTest, ReplayInSmallMemoryWritesLayersForAllWhoNeedThem) {
  // Replay flushes several times, also between the creations.
  db_.options().memtable_bytes = 64 << 20;
  Restart(CrashKind::kProcessKill);
  for (int round = 0; round < 6; round++) {
    for (uint32_t series = 0; series < 8; series++) Append(Places(series, round * 500, 1000));
    Create("snap" + std::to_string(round), "main", kSnapshot);
    if (round == 2) Create("branch", "snap1");
    if (round >= 2) Append(Places(9, round * 10, 1000), "branch");
  }
  db_.options().memtable_bytes = 256 << 10;
  Restart(CrashKind::kProcessKill);
  EXPECT_GT(GetStats().layers, 3u);
  ExpectRightForEver();
}

TEST_F(BranchTest, MakingOneWritesNoLayerAndTakesNoSamples) {
  for (uint32_t series = 0; series < 16; series++) Append(Places(series, 0, 3000));
  Flush();
  const auto written = db_.world().disk().VisibleFiles();
  Create("snap", "main", kSnapshot);
  Create("branch", "snap");
  EXPECT_EQ(GetStats().layer_bytes, Info("main").layer_bytes);
  EXPECT_EQ(Info("snap").layer_bytes, Info("main").layer_bytes);
  std::vector<std::string> layers;
  for (const std::string& path : db_.world().disk().VisibleFiles()) {
    if (path.find("/layers/") != std::string::npos) layers.push_back(path);
  }
  EXPECT_EQ(layers.size(), FilesOf("main").size());
}

TEST_F(BranchTest, CursorsOfADeletedBranchReadOn) {
  Append(Places(0, 0, 3000));
  Flush();
  Create("b");
  Append(Places(0, 3000, 3000), "b");
  Flush();
  SelectQuery query;
  query.selector = "metric";
  query.branch = "b";
  auto view = db_.core()->View(query);
  ASSERT_TRUE(view.ok()) << view.status();
  auto cursor = MakeSelectCursor(*std::move(view), query);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  Delete("b");
  Flush();
  db_.RunFor(2'000'000'000);
  uint64_t samples = 0;
  SeriesChunk chunk;
  while (true) {
    const StatusOr<bool> more = (*cursor)->Next(&chunk);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    samples += chunk.timestamps.size();
  }
  EXPECT_EQ(samples, 6000u);
  EXPECT_TRUE(absl::IsNotFound(db_.core()->View("default", "b").status()));
}

TEST_F(BranchTest, WhatCannotBeDoneIsRefusedByNameAndChangesNothing) {
  Create("b");
  Create("s", "main", kSnapshot);
  EXPECT_TRUE(absl::IsAlreadyExists(CreateRefused("b")));
  EXPECT_TRUE(absl::IsAlreadyExists(CreateRefused("s")));
  EXPECT_TRUE(absl::IsAlreadyExists(CreateRefused("main")));
  EXPECT_TRUE(absl::IsNotFound(CreateRefused("c", "nowhere")));
  EXPECT_TRUE(absl::IsInvalidArgument(CreateRefused("no spaces")));
  EXPECT_TRUE(absl::IsInvalidArgument(CreateRefused(std::string(65, 'a'))));
  EXPECT_TRUE(absl::IsFailedPrecondition(DeleteRefused("main")));
  EXPECT_TRUE(absl::IsNotFound(DeleteRefused("nowhere")));
  EXPECT_TRUE(absl::IsFailedPrecondition(DeleteRefused("s")));
  EXPECT_TRUE(absl::IsFailedPrecondition(DeleteRefused("b", kSnapshot)));
  SelectQuery query;
  query.as_of = "b";
  EXPECT_TRUE(absl::IsFailedPrecondition(db_.core()->View(query).status()));
  query.as_of = "s";
  EXPECT_TRUE(db_.core()->View(query).ok());
  query.branch = "b";
  EXPECT_TRUE(absl::IsInvalidArgument(db_.core()->View(query).status()));
  db_.ExpectRight();
}

TEST_F(BranchTest, ABranchWithAppendsUnderWayIsInUse) {
  Create("b");
  ASSERT_TRUE(db_.Submit(Places(0, 0, 10), "b").has_value());
  const Status refused = DeleteRefused("b");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("in use"));
  db_.AwaitAnswers();
  Delete("b");
  db_.ExpectRight();
}

TEST_F(BranchTest, AtMost256OfThem) {
  for (size_t i = 1; i < catalog::kBranchesMax; i++) Create("b" + std::to_string(i));
  const Status refused = CreateRefused("one-more");
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  Delete("b7");
  Create("one-more");
  Restart(CrashKind::kPowerCut);
  EXPECT_TRUE(absl::IsResourceExhausted(CreateRefused("and-one")));
}

TEST_F(BranchTest, BranchesThatReplaceOneAnotherWithoutAFlushDoNotPileUp) {
  Append(Places(0, 0, 10));
  Flush();
  std::string parent = "main";
  for (int i = 0; i < 600; i++) {
    const std::string child = "b" + std::to_string(i);
    Create(child, parent);
    if (parent != "main") Delete(parent);
    parent = child;
  }
  EXPECT_EQ(State(parent)->record.inherited.size(), 0u);
  db_.ExpectRight();
}

TEST_F(BranchTest, AChildBeginsWithoutProducers) {
  const ProducerId producer{1, 2};
  const auto opened = db_.OpenProducer(producer, 1);
  ASSERT_TRUE(opened.has_value() && opened->ok());
  const auto sent = db_.AppendOnce({1, 2, 1, 1}, Places(0, 0, 5));
  ASSERT_TRUE(sent.has_value() && sent->ok()) << *sent;
  Create("b");
  EXPECT_EQ(State("b")->producers.size(), 0u);
  const auto there = db_.world().RunTask(db_.core()->OpenProducer(producer, 1, "default", "b"));
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(there->last_sequence, 0u);
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(State("b")->producers.size(), 1u);
  Delete("b");
  Flush();
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(State("main")->producers.size(), 1u);
}

TEST_F(BranchTest, FlushesAndDeletionsMayCross) {
  // The memtable of a deleted branch is given up in the middle of its flush.
  Create("b");
  Append(Places(0, 0, 3000), "b");
  for (uint64_t steps = 0; steps < 60; steps += 3) {
    const std::string name = "c" + std::to_string(steps);
    Create(name, "b");
    Append(Places(1, 0, 200), name);
    db_.world().RunOnLoop([] {});
    SmallDatabase* db = &db_;
    io::TaskScope flushing(db->world().environment()->executor());
    db->world().RunOnLoop([&] {
      flushing.Spawn([](DatabaseCore* core) -> io::Task<void> {
        (co_await core->Flush()).IgnoreError();
      }(db->core()));
    });
    db->RunFor(static_cast<int64_t>(steps) * 20'000);
    Delete(name);
    db->world().RunTask(flushing.Join());
    db_.ExpectRight();
    EXPECT_TRUE(db_.core()->state()->flush_status.ok()) << db_.core()->state()->flush_status;
  }
  ExpectRightForEver();
}

}  // namespace
}  // namespace nexus::engine
