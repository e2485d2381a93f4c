// Opening on a full disk: what is replayed is served from memory, and flushed once there is room.

#include <gtest/gtest.h>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

constexpr int kBatch = 1000;
constexpr int64_t kRetryNs = 5'000'000'000;

class DiskFullOpenTest : public SimDatabaseTest {
 protected:
  DiskFullOpenTest() { options_.memtable_bytes = 512 << 10; }

  // Appends until more than half of the memory for samples is taken, while no layer can be written;
  // the number of samples.
  size_t AppendWithoutFlushes() {
    int64_t next = 0;
    while (core_->state()->memtable_bytes < options_.memtable_bytes * 3 / 4) {
      EXPECT_TRUE(Append(next, kBatch).ok());
      next += kBatch;
    }
    return static_cast<size_t>(next);
  }

  const sim::OpFilter layers_ = sim::OpFilter({sim::Op::kCreate, sim::Op::kWrite}, "/layers/");
};

TEST_F(DiskFullOpenTest, WhatFindsNoRoomForItsLayerIsReplayedIntoMemory) {
  ASSERT_TRUE(Open().ok());
  world_.disk().FailFrom(layers_, 1, -ENOSPC);
  const size_t appended = AppendWithoutFlushes();
  Die(sim::CrashKind::kPowerCut);
  Status opened = Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(*Read(), appended);
  EXPECT_TRUE(Files(".layer").empty());

  world_.disk().faults()->ClearRules();
  world_.RunFor(kRetryNs);
  EXPECT_FALSE(Files(".layer").empty()) << "no flush by itself";
  Status resumed = Append(static_cast<int64_t>(appended), kBatch);
  ASSERT_TRUE(resumed.ok()) << resumed;
  EXPECT_EQ(*Read(), appended + kBatch);
}

TEST_F(DiskFullOpenTest, OtherErrorsOfLayersStillEndTheOpening) {
  ASSERT_TRUE(Open().ok());
  world_.disk().FailFrom(layers_, 1, -ENOSPC);
  AppendWithoutFlushes();
  Die(sim::CrashKind::kPowerCut);
  world_.disk().faults()->ClearRules();
  world_.disk().FailFrom(layers_, 1, -EIO);
  EXPECT_FALSE(Open().ok());
}

// The reserve of an earlier opening is given up, also where there is too little room to make one.
TEST_F(DiskFullOpenTest, ReserveOfAnEarlierOpeningIsGivenUp) {
  options_.reserve_bytes = 4 << 20;
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_EQ(Files("/reserve").size(), 1u);
  Die(sim::CrashKind::kPowerCut);

  world_.disk().SetCapacity(world_.disk().used_bytes() + options_.reserve_bytes);
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(kBatch, kBatch).ok());
  world_.disk().FailNext(layers_, -ENOSPC);
  Status flushed = Flush();
  EXPECT_TRUE(flushed.ok()) << flushed;
  EXPECT_EQ(*Read(), size_t{2 * kBatch});
  world_.RunFor(kRetryNs);
  EXPECT_TRUE(Files("/reserve").empty()) << "there is no room for another";
}

}  // namespace
}  // namespace nexus::engine
