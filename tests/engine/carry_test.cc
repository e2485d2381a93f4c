// Carries: a small memtable lets go of the log without becoming a file, and nothing of it is lost,
// there twice, or back from the dead - over deletes, branches, numbered batches and crashes.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/carrier.h"
#include "tests/engine/branch_fixture.h"
#include "tests/engine/catalog_rebuild_fixture.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;

// A look is made 10 ms after a record was applied; then come the carry and a checkpoint.
constexpr int64_t kRoundNs = 100'000'000;

class CarryTest : public BranchFixture {
 protected:
  CarryTest() {
    db_.options().memtable_bytes = 4 << 20;
    // Two or three records: each starts on a sector of its own.
    db_.options().log_bytes_max = 8 << 10;
    Restart(CrashKind::kProcessKill);
  }

  // Makes the log longer without a sample.
  void Lengthen() {
    const QuotaChanges changes = {.series_max = 1'000'000 + lengthened_++};
    ASSERT_TRUE(db_.world().RunTask(db_.core()->SetTenant("default", changes)).ok());
  }
  Lsn First(const std::string& branch) { return State(branch)->active_first.value_or(Lsn{}); }
  // Until what the branch has in memory is carried.
  void AwaitCarry(const std::string& branch = "main") {
    const Lsn first = First(branch);
    ASSERT_NE(first, Lsn{}) << "there is nothing to carry";
    for (int i = 0; i < 20 && First(branch) == first; i++) {
      Lengthen();
      db_.RunFor(kRoundNs);
    }
    ASSERT_GT(First(branch), first) << "it is not carried";
    ASSERT_TRUE(State(branch)->sealed.empty());
  }
  Lsn LogBegin() { return db_.core()->committer()->log()->Held().segments.front().base; }
  uint64_t InMemory(const std::string& branch = "main") { return State(branch)->active->samples(); }

  uint64_t lengthened_ = 0;
};

TEST_F(CarryTest, HoldsEachSampleOnceAndMakesNoFile) {
  Append(Places(0, 0, 20));
  Append(Places(0, 10, 20));
  Append(Places(1, 5, 1));
  EXPECT_EQ(InMemory(), 41u);
  AwaitCarry();
  EXPECT_EQ(InMemory(), 31u) << "what was written twice is carried once";
  AwaitCarry();
  EXPECT_EQ(InMemory(), 31u);
  const Stats stats = GetStats();
  EXPECT_EQ(stats.layers, 0u);
  EXPECT_EQ(stats.flushes, 0u);
  EXPECT_EQ(stats.carries, 2u);
  EXPECT_GT(stats.carried_bytes, 31u * 12);
  EXPECT_EQ(stats.appended_samples, 41u) << "a carry is no append";
  Restart(CrashKind::kProcessKill);
  EXPECT_EQ(InMemory(), 31u) << "replay has more than the process before it had";
  ExpectRightForEver();
}

TEST_F(CarryTest, LetsTheLogGo) {
  Append(Places(0, 0, 20));
  const Lsn first = First("main");
  // 64 KiB are a segment; the log is kept from the older of two images on.
  for (int i = 0; i < 60; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  EXPECT_GT(LogBegin(), first);
  EXPECT_EQ(GetStats().layers, 0u);
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(InMemory(), 20u);
  EXPECT_GE(db_.core()->recovery().replayed_samples, 20u);
  ExpectRightForEver();
}

TEST_F(CarryTest, IsSwitchedOff) {
  db_.options().carry_bytes_max = 0;
  Restart(CrashKind::kProcessKill);
  Append(Places(0, 0, 20));
  for (int i = 0; i < 5; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  EXPECT_EQ(GetStats().carries, 0u);
  EXPECT_EQ(GetStats().layers, 1u);
}

TEST_F(CarryTest, WhatIsLargeIsFlushed) {
  db_.options().carry_bytes_max = 1 << 10;
  Restart(CrashKind::kProcessKill);
  Append(Places(0, 0, 65));
  for (int i = 0; i < 5; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  EXPECT_EQ(GetStats().carries, 0u);
  EXPECT_EQ(GetStats().layers, 1u);
  ExpectRightForEver();
}

TEST_F(CarryTest, TimeCarriesOnlyWhatKeepsASegment) {
  db_.options().flush_interval_ms = 500;
  db_.options().log_bytes_max = 4 << 20;
  Restart(CrashKind::kProcessKill);
  Append(Places(0, 0, 20));
  db_.RunFor(10 * kSettleNs);
  EXPECT_EQ(GetStats().carries, 0u) << "nothing would be won";
  EXPECT_EQ(GetStats().layers, 0u);
  for (int i = 0; i < 20; i++) Lengthen();
  db_.RunFor(kSettleNs);
  EXPECT_EQ(GetStats().carries, 1u) << "it keeps a segment that has come to its end";
  db_.RunFor(10 * kSettleNs);
  EXPECT_EQ(GetStats().carries, 1u);
  EXPECT_EQ(GetStats().layers, 0u);
  ExpectRightForEver();
}

TEST_F(CarryTest, WhatIsDeletedStaysDeleted) {
  Append(Places(0, 0, 20));
  Append(Places(1, 0, 20));
  ASSERT_TRUE(db_.Delete(0, 0, 5, 14)->ok());
  Append(Places(0, 10, 2));
  AwaitCarry();
  EXPECT_EQ(InMemory(), 32u);
  db_.ExpectRight();
  // Behind the carry it takes what was carried, and leaves what comes.
  ASSERT_TRUE(db_.Delete(0, 1, 0, 11)->ok());
  Append(Places(1, 3, 2));
  db_.ExpectRight();
  Restart(CrashKind::kPowerCut);
  AwaitCarry();
  EXPECT_EQ(InMemory(), 5u + 8 + 2);
  ExpectRightForEver();
}

TEST_F(CarryTest, WhatIsDeletedWholeIsFlushedAway) {
  Append(Places(0, 0, 20));
  ASSERT_TRUE(db_.Delete(0, 0, INT64_MIN, INT64_MAX)->ok());
  for (int i = 0; i < 10; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  EXPECT_EQ(First("main"), Lsn{}) << "nothing pins the log";
  EXPECT_EQ(GetStats().carries, 0u);
  EXPECT_EQ(GetStats().layers, 0u);
  ExpectRightForEver();
}

// It may be forgotten while the log still has its batches, which replay then passes over: they are
// below what is in layers.
TEST_F(CarryTest, ASeriesThatIsDeletedWholeHasItsMemtableFlushed) {
  Append(Places(0, 0, 20));
  Append(Places(1, 0, 20));
  const Lsn first = First("main");
  ASSERT_TRUE(db_.Delete(0, 0, INT64_MIN, INT64_MAX)->ok());
  for (int i = 0; i < 10; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  EXPECT_EQ(GetStats().carries, 0u);
  EXPECT_EQ(GetStats().layers, 1u);
  EXPECT_GT(State("main")->record.sealed, first);
  EXPECT_EQ(First("main"), Lsn{}) << "nothing pins the log";
  ExpectRightForEver();
}

TEST_F(CarryTest, StandsAboveLayersOfItsBranch) {
  Append(Places(0, 0, 20));
  Flush();
  Append(Places(0, 10, 20));
  ASSERT_TRUE(db_.Delete(0, 0, 15, 17)->ok());
  AwaitCarry();
  db_.ExpectRight();
  Append(Places(0, 12, 4));
  AwaitCarry();
  Flush();
  db_.ExpectRight();
  Compact();
  ExpectRightForEver();
}

TEST_F(CarryTest, BranchesKeepWhatTheyBeganWith) {
  Append(Places(0, 0, 20));
  AwaitCarry();
  Create("child");
  Create("snap", "main", kSnapshot);
  Append(Places(0, 10, 20), "child");
  Append(Places(0, 15, 3));
  ASSERT_TRUE(db_.Delete(0, 0, 0, 11)->ok());
  db_.ExpectRight();
  // What they share is sealed, and must be flushed before either is carried.
  Lengthen();
  db_.RunFor(kSettleNs);
  Append(Places(1, 15, 3));
  AwaitCarry();
  AwaitCarry("child");
  db_.ExpectRight();
  Restart(CrashKind::kPowerCut);
  Delete("child");
  Append(Places(0, 18, 3));
  AwaitCarry();
  ExpectRightForEver();
}

TEST_F(CarryTest, NumberedBatchesStayKnown) {
  const ProducerId producer{7, 9};
  ASSERT_TRUE(db_.OpenProducer(producer, 1)->ok());
  const ExactlyOnce first = {producer.high, producer.low, 1, 1};
  ASSERT_TRUE(db_.AppendOnce(first, Places(0, 0, 20))->ok());
  // Until the batch itself has left the log.
  const Lsn begin = First("main");
  for (int i = 0; i < 60; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  ASSERT_GT(LogBegin(), begin);
  ASSERT_TRUE(db_.AppendOnce(first, Places(0, 0, 20))->ok());
  Restart(CrashKind::kPowerCut);
  ASSERT_TRUE(db_.AppendOnce(first, Places(0, 0, 20))->ok());
  EXPECT_EQ(InMemory(), 20u);
  const ExactlyOnce second = {producer.high, producer.low, 1, 2};
  ASSERT_TRUE(db_.AppendOnce(second, Places(0, 20, 5))->ok());
  AwaitCarry();
  Restart(CrashKind::kProcessKill);
  ASSERT_TRUE(db_.AppendOnce(second, Places(0, 20, 5))->ok());
  EXPECT_EQ(InMemory(), 25u);
  ExpectRightForEver();
}

TEST_F(CarryTest, PaysNoQuota) {
  Append(Places(0, 0, 20));
  const QuotaChanges none = {.samples_per_second = 0};
  ASSERT_TRUE(db_.world().RunTask(db_.core()->SetTenant("default", none)).ok());
  AwaitCarry();
  ExpectRightForEver();
}

TEST_F(CarryTest, WhatMayBeExpiredIsFlushedSoThatItGoes) {
  ASSERT_TRUE(db_.KeepYoung()->ok());
  Append(Places(0, SmallDatabase::kYoung, 5));
  AwaitCarry();
  // Before it is too old to be taken.
  ASSERT_TRUE(db_.world().RunTask(db_.core()->SetRetention({}, "default")).ok());
  Append(Places(1, 0, 20));
  ASSERT_TRUE(db_.KeepYoung()->ok());
  for (int i = 0; i < 5; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  EXPECT_EQ(First("main"), Lsn{});
  EXPECT_EQ(GetStats().layers, 1u);
  Compact();
  EXPECT_EQ(GetStats().samples, 5u);
  ExpectRightForEver();
}

TEST_F(CarryTest, WhatBucketsAreToBeMadeOfInTimeIsFlushed) {
  constexpr int64_t kSecondNs = 1'000'000'000;
  constexpr int64_t kCut = SmallDatabase::kYoung - 1'000 * kSecondNs;
  ASSERT_TRUE(db_.KeepYoung()->ok());
  // Of decades: an eighth of it, in which buckets hurry, reaches far over these samples.
  const int64_t now = db_.core()->Retention("default")->clock_ns;
  std::vector<RetentionRule> rules = {{"{}", now - kCut}};
  ASSERT_TRUE(db_.world().RunTask(db_.core()->SetRetention(rules, "default")).ok());
  Append(Places(0, SmallDatabase::kYoung, 5));
  AwaitCarry();
  const uint64_t carries = GetStats().carries;
  std::vector<RollupRule> rollups = {{10 * kSecondNs, 0}};
  ASSERT_TRUE(db_.world().RunTask(db_.core()->SetRollups(rollups, "default")).ok());
  for (int i = 0; i < 5; i++) {
    Lengthen();
    db_.RunFor(kRoundNs);
  }
  EXPECT_EQ(First("main"), Lsn{});
  EXPECT_EQ(GetStats().carries, carries);
  EXPECT_EQ(GetStats().flushes, 1u);
  ExpectRightForEver();
}

// Seals of all kinds fall between the reading of a memtable and the application of its carry.
TEST_F(CarryTest, IsOvertakenByFlushesAndBranches) {
  uint64_t carries = 0;
  for (int i = 0; i < 150; i++) {
    ASSERT_TRUE(db_.Submit(Places(0, 3 * i, 7)).has_value());
    Lengthen();
    // Into the round, further each time.
    db_.RunFor(10'000'000 + i % 30 * 20'000);
    if (i % 3 == 0) Flush();
    if (i % 3 == 1) Create("child");
    if (i % 5 == 4) {
      carries += GetStats().carries;
      Restart(i % 2 == 0 ? CrashKind::kProcessKill : CrashKind::kPowerCut);
    }
    if (i % 3 == 1) Delete("child");
  }
  EXPECT_GT(carries, 0u);
  ExpectRightForEver();
}

// Batches are on their way whenever a round begins.
TEST_F(CarryTest, WaitsForWhatIsOnItsWay) {
  uint64_t carries = 0;
  for (int64_t i = 0; i < 400; i++) {
    ASSERT_TRUE(db_.Submit(Places(static_cast<uint32_t>(i % 3), 2 * i, 5)).has_value());
    db_.RunFor(i % 40 * 100'000);
    if (i % 50 != 49) continue;
    carries += GetStats().carries;
    Restart(i % 100 == 49 ? CrashKind::kProcessKill : CrashKind::kPowerCut);
  }
  EXPECT_GT(carries, 10u);
  ExpectRightForEver();
}

// ---- A lost catalog.

class CarryRebuildTest : public CatalogRebuildFixture {};

// What is carried is in no layer, and its definitions have left the log.
TEST_F(CarryRebuildTest, LabelsSurviveALostCatalogWithoutImages) {
  options_.memtable_bytes = 4 << 20;
  options_.log_bytes_max = 32 << 10;
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(CreateTenant("small").ok());
  ASSERT_TRUE(Write("small", {"x", "y"}, 0, 20).status.ok());
  const TenantId tenant = core_->state()->published.Find("small", "main")->tenant;
  const Lsn first = *core_->state()->FindBranch(tenant, BranchId{})->active_first;
  for (int i = 0; i < 60; i++) {
    ASSERT_TRUE(Write("default", {"a"}, 500 * i, 500).status.ok());
    world_.RunFor(kRoundNs);
  }
  ASSERT_GT(core_->committer()->log()->Held().segments.front().base, first);
  ASSERT_TRUE(core_->state()->FindBranch(tenant, BranchId{})->layers.empty());
  Die(CrashKind::kProcessKill);
  for (const std::string& path : Files(".image")) FlipBitIn(path);
  auto report = Rebuild(/*without_image=*/true);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(Open().ok());
  // Names of tenants are lost without an image.
  const BranchState* branch = core_->state()->FindBranch(tenant, BranchId{});
  ASSERT_NE(branch, nullptr);
  EXPECT_EQ(branch->active->samples(), 40u);
  const std::string name = core_->state()->tenants.at(tenant.value)->record.name;
  auto view = core_->View(name, "main");
  ASSERT_TRUE(view.ok()) << view.status();
  SelectQuery query;
  query.selector = "metric{tenant=\"small\",name=\"y\"}";
  auto cursor = MakeSelectCursor(*std::move(view), query);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  SeriesChunk chunk;
  size_t samples = 0;
  StatusOr<bool> more = (*cursor)->Next(&chunk);
  for (; more.ok() && *more; more = (*cursor)->Next(&chunk)) samples += chunk.timestamps.size();
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_EQ(samples, 20u);
  EXPECT_TRUE(Flush().ok());
}

// ---- Many tenants.

class ManyTenantsTest : public SimDatabaseTest {
 protected:
  static constexpr int kTenants = 1'000;

  ManyTenantsTest() {
    options_.memtable_bytes = 256 << 20;
    // A quarter of it holds a carry of each.
    options_.log_segment_bytes = 2 << 20;
    options_.log_bytes_max = 4 << 20;
    options_.compaction = false;
  }

  struct Small {
    TenantId tenant;
    SeriesId series;
  };
  void MakeTenants() {
    for (int i = 0; i < kTenants; i++) {
      const std::string name = "tenant" + std::to_string(i);
      ASSERT_TRUE(world_.RunTask(core_->CreateTenant(name)).ok());
      const TenantId tenant = core_->state()->published.Find(name, "main")->tenant;
      std::vector<std::string> labels = {Labels::Make("small", {})->Canonical()};
      auto ids = world_.RunTask(core_->interner()->Intern(tenant, std::move(labels)));
      ASSERT_TRUE(ids.ok()) << ids.status();
      small_.push_back({tenant, ids->front()});
    }
  }
  // A sample of each.
  void Trickle() {
    std::vector<std::unique_ptr<BatchRequest>> batches;
    const double value = static_cast<double>(trickled_);
    for (const Small& small : small_) {
      auto& batch = batches.emplace_back(std::make_unique<BatchRequest>(small.tenant));
      batch->encoder.AddSeries(small.series, std::span(&trickled_, 1), std::span(&value, 1));
      SubmitBatch(batch.get());
    }
    world_.RunUntil([&] {
      return std::all_of(batches.begin(), batches.end(),
                         [](const auto& batch) { return batch->finished(); });
    });
    for (const auto& batch : batches) EXPECT_TRUE(batch->status().ok()) << batch->status();
    trickled_++;
  }
  // 12 MiB of log, and what trickles in beside it.
  void WriteMuch() {
    for (int64_t i = 0; i < 250; i++) {
      ASSERT_TRUE(Append(10'000 * i, 4'000).ok());
      if (i % 50 == 0) Trickle();
      world_.RunFor(20'000'000);
    }
  }
  size_t LayersOfSmall() {
    size_t layers = 0;
    for (const Small& small : small_) {
      layers += core_->state()->FindBranch(small.tenant, BranchId{})->layers.size();
    }
    return layers;
  }
  uint64_t LogHeld() {
    return core_->state()->applied.value -
           core_->committer()->log()->Held().segments.front().base.value;
  }
  void ExpectSmall() {
    for (const Small& small : small_) {
      const BranchState* branch = core_->state()->FindBranch(small.tenant, BranchId{});
      std::vector<int64_t> timestamps;
      std::vector<double> values;
      branch->active->Read(small.series, TimeRange{}, branch->active->limit(), &timestamps,
                           &values);
      ASSERT_EQ(timestamps.size(), static_cast<size_t>(trickled_)) << small.tenant.value;
      for (int64_t i = 0; i < trickled_; i++) {
        EXPECT_EQ(timestamps[static_cast<size_t>(i)], i);
        EXPECT_EQ(values[static_cast<size_t>(i)], static_cast<double>(i));
      }
    }
  }

  std::vector<Small> small_;
  int64_t trickled_ = 0;
};

TEST_F(ManyTenantsTest, NeitherPinTheLogNorBecomeFiles) {
  ASSERT_TRUE(Open().ok());
  MakeTenants();
  WriteMuch();
  const Stats stats = world_.RunTask(core_->LoopStats());
  EXPECT_EQ(LayersOfSmall(), 0u);
  EXPECT_LE(stats.layers, 20u) << "those of the tenant that wrote much";
  EXPECT_GE(stats.carries, static_cast<uint64_t>(kTenants));
  EXPECT_LE(stats.carries, static_cast<uint64_t>(8 * kTenants)) << "carries chase each other";
  EXPECT_LE(LogHeld(), 2 * options_.log_bytes_max);
  ExpectSmall();
  Die(CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  ExpectSmall();
}

TEST_F(ManyTenantsTest, BecomeFilesWithoutCarries) {
  options_.carry_bytes_max = 0;
  ASSERT_TRUE(Open().ok());
  MakeTenants();
  WriteMuch();
  world_.RunFor(20'000'000'000);
  EXPECT_GE(LayersOfSmall(), static_cast<size_t>(kTenants));
}

}  // namespace
}  // namespace nexus::engine
