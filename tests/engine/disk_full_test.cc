// A full disk: writes are refused by name, reads go on, and all is well again once there is room.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/arena.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

constexpr int kBatch = 1000;

class DiskFullTest : public SimDatabaseTest {
 protected:
  // With little memory.
  void OpenWithFailingLayers(int error) {
    options_.memtable_bytes = 256 << 10;
    ASSERT_TRUE(Open().ok());
    const sim::OpFilter layers({sim::Op::kCreate, sim::Op::kWrite}, "/layers/");
    world_.disk().FailFrom(layers, 1, error);
  }
  Status AppendUntilRefused() {
    Status status;
    for (int64_t at = 0; at < 1'000'000 && status.ok(); at += kBatch) status = Append(at, kBatch);
    return status;
  }
  std::string WriteState() { return world_.RunTask(core_->LoopStats()).write_state; }
};

TEST_F(DiskFullTest, WritesAreRefusedReadsGoOnAndWritingResumesByItself) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  world_.disk().SetCapacity(world_.disk().used_bytes());
  int64_t next = kBatch;
  Status refused;
  for (int i = 0; i < 2000 && refused.ok(); i++, next += kBatch) refused = Append(next, kBatch);
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  int64_t acknowledged = next - kBatch;
  StatusOr<size_t> read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, static_cast<size_t>(acknowledged));

  world_.disk().SetCapacity(4ull << 30);
  world_.RunFor(20'000'000'000);
  Status resumed = Append(acknowledged, kBatch);
  ASSERT_TRUE(resumed.ok()) << resumed;
  EXPECT_EQ(*Read(), static_cast<size_t>(acknowledged + kBatch));
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Read(), static_cast<size_t>(acknowledged + kBatch));
}

// They may be what makes room. Batches, which may name the series, go on waiting for it.
TEST_F(DiskFullTest, EditsNeedNoRoomForNewSeries) {
  ASSERT_TRUE(Open().ok());
  world_.disk().SetCapacity(world_.disk().used_bytes());
  // Large ones, and then what fits into the rest of the segment.
  int64_t next = 0;
  for (const int count : {kBatch, 1}) {
    Status status = Append(next, count);
    for (; next < 2000 * kBatch && status.ok(); status = Append(next, count)) next += count;
    ASSERT_TRUE(absl::IsResourceExhausted(status)) << status;
  }
  std::vector<std::string> labels = {Labels::Make("metric", {{"name", "b"}})->Canonical()};
  auto ids = world_.RunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
  ASSERT_TRUE(ids.ok()) << ids.status();
  series_ = ids->front();
  EXPECT_TRUE(absl::IsResourceExhausted(Append(0, 1)));
  for (uint64_t i = 1; i <= 3; i++) {
    const QuotaChanges changes = {.series_max = 1'000 + i};
    const Status edited = world_.RunTask(core_->SetTenant("default", changes));
    EXPECT_TRUE(edited.ok()) << edited;
  }
  EXPECT_FALSE(core_->interner()->undefined().empty());

  world_.disk().SetCapacity(4ull << 30);
  world_.RunFor(20'000'000'000);
  EXPECT_TRUE(Append(next, 1).ok());
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Read(), static_cast<size_t>(next + 1));
  ExpectClean();
}

// A failed sync, a kill, no space to write the log's tail again: what the tail says can neither be
// left out, since some of it may have been acknowledged, nor be shown, since a power cut may take
// it.
TEST_F(DiskFullTest, NothingIsShownOfATailThatCannotBeWrittenAgain) {
  ASSERT_TRUE(Open().ok());
  const sim::OpFilter syncs({sim::Op::kSync}, "/wal/");
  world_.disk().FailNext(syncs, -EIO);
  EXPECT_TRUE(absl::IsUnavailable(Append(0, kBatch)));
  Die(sim::CrashKind::kProcessKill);

  const sim::OpFilter writes({sim::Op::kCreate, sim::Op::kWrite}, "/wal/");
  world_.disk().FailFrom(writes, 1, -ENOSPC);
  Status opened = Open();
  ASSERT_TRUE(absl::IsResourceExhausted(opened)) << opened;
  EXPECT_THAT(FromAbsl(opened.message()), testing::HasSubstr("free some space"));
  core_.reset();

  world_.disk().faults()->ClearRules();
  opened = Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(*Read(), static_cast<size_t>(kBatch));
  Die(sim::CrashKind::kPowerCut);
  opened = Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(*Read(), static_cast<size_t>(kBatch)) << "what was read stays";
}

TEST_F(DiskFullTest, TailIsWrittenAgainInTheSpaceSetAside) {
  options_.reserve_bytes = 1 << 20;
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_THAT(world_.disk().VisibleFiles(), testing::Contains("/db/reserve"));
  Die(sim::CrashKind::kProcessKill);

  world_.disk().FailNext(sim::OpFilter({sim::Op::kWrite}, "/wal/"), -ENOSPC);
  Status opened = Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(*Read(), static_cast<size_t>(kBatch));
  EXPECT_TRUE(Append(kBatch, kBatch).ok());
}

TEST_F(DiskFullTest, FailedFlushKeepsItsSamplesAndIsTriedAgain) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  const sim::OpFilter layers({sim::Op::kCreate, sim::Op::kWrite}, "/layers/");
  world_.disk().FailNext(layers, -ENOSPC);
  EXPECT_TRUE(absl::IsResourceExhausted(Flush()));
  EXPECT_EQ(*Read(), static_cast<size_t>(kBatch));
  Status again = Flush();
  EXPECT_TRUE(again.ok()) << again;
  EXPECT_EQ(*Read(), static_cast<size_t>(kBatch));
  EXPECT_EQ(Files(".layer").size(), 1u);
  EXPECT_TRUE(Files(".tmp").empty());
}

TEST_F(DiskFullTest, AppendsWaitForMemoryAndAreRefusedByNameWhenItStaysFull) {
  OpenWithFailingLayers(-EIO);
  const Status refused = AppendUntilRefused();
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(FromAbsl(refused.message()), testing::HasSubstr("flushed to layers, which failed"));
  EXPECT_THAT(WriteState(), testing::HasSubstr("flushed to layers, which failed"));
  // What was admitted below the budget may have opened one more chunk of the memtable's arena.
  EXPECT_LE(core_->state()->memtable_bytes, options_.memtable_bytes + kArenaChunkBytes);
  world_.disk().faults()->ClearRules();
  world_.RunFor(5'000'000'000);
  EXPECT_TRUE(Append(5'000'000, kBatch).ok());
  EXPECT_EQ(WriteState(), "ok");
}

// Whether there is memory is a question of now, not of the last batch that was refused.
TEST_F(DiskFullTest, OnceThereIsMemoryAgainWritingIsFineWhateverElseFails) {
  OpenWithFailingLayers(-EIO);
  ASSERT_TRUE(absl::IsResourceExhausted(AppendUntilRefused()));
  world_.disk().faults()->ClearRules();
  world_.RunFor(5'000'000'000);
  ASSERT_LT(core_->state()->memtable_bytes, 1000u) << "flushed";
  core_->state()->commit_status = Unavailable("as a commit of the catalog that failed leaves it");
  EXPECT_EQ(WriteState(), "ok");
}

// The log has room in its segments, so it is the flush that meets the full disk.
TEST_F(DiskFullTest, WhereNoLayerFindsRoomTheRefusalSpeaksOfTheDisk) {
  OpenWithFailingLayers(-ENOSPC);
  const Status refused = AppendUntilRefused();
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(FromAbsl(refused.message()), testing::HasSubstr("/db/layers/"));
  EXPECT_THAT(FromAbsl(refused.message()), testing::HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace nexus::engine
