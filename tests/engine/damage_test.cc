// Damage at rest: a flipped bit anywhere is detected and named, and never returned as data.

#include <gtest/gtest.h>

#include "engine/log_replay.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using DamageTest = SimDatabaseTest;

constexpr int kBatch = 500;

TEST_F(DamageTest, BitFlippedInALayerIsNamedAndNeverReturnedAsData) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Close().ok());
  ASSERT_EQ(Files(".layer").size(), 1u);
  const std::string layer = Files(".layer").front();
  const size_t bytes = world_.disk().ReadDurable(layer)->size();
  size_t detected = 0;
  for (size_t offset = 0; offset < bytes; offset += 7) {
    world_.disk().FlipBit(layer, offset, static_cast<int>(offset % 8));
    Status status = Open();
    if (status.ok()) {
      StatusOr<size_t> read = Read();  // checks the values
      status = read.status();
      if (read.ok()) {
        EXPECT_EQ(*read, static_cast<size_t>(kBatch)) << "offset " << offset;
      }
      Die(sim::CrashKind::kProcessKill);
    }
    if (!status.ok()) {
      detected++;
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      EXPECT_NE(status.message().find(".layer"), absl::string_view::npos) << status;
    }
    world_.disk().FlipBit(layer, offset, static_cast<int>(offset % 8));
  }
  EXPECT_GT(detected, bytes / 7 / 2) << "most bytes take part in an answer";
}

TEST_F(DamageTest, BitFlippedInAnAcknowledgedLogRecordRefusesToOpenAndNamesTheWayOut) {
  ASSERT_TRUE(Open().ok());
  for (int i = 0; i < 5; i++) ASSERT_TRUE(Append(i * kBatch, kBatch).ok());
  ASSERT_TRUE(Close().ok());
  const std::string segment = Files("segment-").front();
  // The second batch: behind the tenant, the definitions and the first batch of some 6 KiB.
  world_.disk().FlipBit(segment, 40'000, 3);
  Status status = Open();
  ASSERT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find(segment), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("nexus wal replay"), absl::string_view::npos) << status;

  LogReplayOptions replay;
  auto run = [&] {
    CatalogHooks hooks = BootHooks();
    auto report =
        world_.RunTask(ReplayLog(world_.environment(), options_, replay, std::move(hooks)));
    world_.Crash(sim::CrashKind::kProcessKill);
    return report;
  };
  EXPECT_TRUE(absl::IsDataLoss(run().status())) << "damage is passed over only when asked";
  replay.skip_damaged = true;
  replay.dry_run = true;
  auto dry = run();
  ASSERT_TRUE(dry.ok()) << dry.status();
  EXPECT_EQ(dry->damage.size(), 1u);
  EXPECT_EQ(dry->kept.batches, 4u);
  replay.dry_run = false;
  auto report = run();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->kept.batches, 4u);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Read(), size_t{4 * kBatch});
  EXPECT_FALSE(Files("quarantine/segment-").empty()) << "nothing is deleted";
  ASSERT_TRUE(Append(100'000, kBatch).ok()) << "the database lives on";
}

TEST_F(DamageTest, DamagedImageIsNamedSetAsideAndWrittenAnew) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Close().ok());
  const std::string image = Files(".image").front();
  world_.disk().FlipBit(image, 40, 5);
  ASSERT_TRUE(Open().ok());
  ASSERT_EQ(core_->recovery().damage.size(), 1u);
  EXPECT_NE(core_->recovery().damage.front().find(".image"), std::string::npos);
  EXPECT_EQ(*Read(), static_cast<size_t>(kBatch));
  ASSERT_TRUE(Append(kBatch, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(core_->recovery().damage.empty());
}

TEST_F(DamageTest, ImageThatCannotBeReadStaysWhereItIs) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Close().ok());
  const std::vector<std::string> images = Files(".image");
  ASSERT_FALSE(images.empty());
  const sim::OpFilter of_images({sim::Op::kOpen, sim::Op::kRead}, ".image");
  for (uint64_t failing = 1; failing <= 2 * images.size(); failing++) {
    world_.disk().FailFrom(of_images, failing, -EIO);
    ASSERT_TRUE(Open().ok());
    ASSERT_FALSE(core_->recovery().damage.empty());
    EXPECT_NE(core_->recovery().damage.front().find(".image"), std::string::npos);
    world_.disk().faults()->ClearRules();
    Die(sim::CrashKind::kProcessKill);
    EXPECT_EQ(Files(".image"), images);
    EXPECT_EQ(Files("quarantine/"), std::vector<std::string>());
  }
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(core_->recovery().damage.empty());
}

TEST_F(DamageTest, MissingLayerIsNamed) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  const std::string layer = Files(".layer").front();
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->Unlink(layer)), 0);
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->SyncDirectory("/db/layers")), 0);
  ASSERT_TRUE(Close().ok());
  Status status = Open();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find(layer), absl::string_view::npos) << status;
}

TEST_F(DamageTest, LeftoversOfAnInterruptedFlushAreRemovedAndStrangersSetAside) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Close().ok());
  world_.disk().WriteDurable("/db/layers/00000001-0000000000000009.tmp", AsBytes("half a layer"));
  world_.disk().WriteDurable("/db/layers/holiday.jpg", AsBytes("not ours"));
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(core_->recovery().notes.size(), 2u);
  EXPECT_TRUE(Files("/layers/").empty());
  EXPECT_EQ(Files("quarantine/holiday.jpg").size(), 1u);
}

// A rename that a power cut left half done (D5) leaves both names.
TEST_F(DamageTest, LeftoversOfInterruptedReplacementsAreRemoved) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Close().ok());
  const std::string content = *world_.disk().ReadDurable("/db/IDENTITY");
  world_.disk().WriteDurable("/db/IDENTITY.tmp", AsBytes(content));
  world_.disk().WriteDurable("/db/catalog-0000000000000abc.image.tmp", AsBytes(content));
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Close().ok());
  for (const std::string& path : world_.disk().VisibleFiles()) {
    EXPECT_FALSE(path.ends_with(".tmp")) << path;
  }
}

}  // namespace
}  // namespace nexus::engine
