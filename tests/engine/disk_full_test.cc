// A full disk: writes are refused by name, reads go on, and all is well again once there is room.

#include <gtest/gtest.h>

#include "engine/arena.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using DiskFullTest = SimDatabaseTest;

constexpr int kBatch = 1000;

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
  options_.memtable_bytes = 256 << 10;
  ASSERT_TRUE(Open().ok());
  const sim::OpFilter layers({sim::Op::kCreate, sim::Op::kWrite}, "/layers/");
  world_.disk().FailFrom(layers, 1, -EIO);
  Status refused;
  for (int64_t at = 0; at < 1'000'000 && refused.ok(); at += kBatch) refused = Append(at, kBatch);
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_NE(refused.message().find("memtable_bytes"), absl::string_view::npos) << refused;
  // What was admitted below the budget may have opened one more chunk of the memtable's arena.
  EXPECT_LE(core_->state()->memtable_bytes, options_.memtable_bytes + kArenaChunkBytes);
  world_.disk().faults()->ClearRules();
  world_.RunFor(5'000'000'000);
  EXPECT_TRUE(Append(5'000'000, kBatch).ok());
}

}  // namespace
}  // namespace nexus::engine
