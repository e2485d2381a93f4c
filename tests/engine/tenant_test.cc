// Deleting tenants: all of one goes and nothing of another, queries under way read on, a name may
// be used again and a number never, and a crash at any step leaves it whole or gone.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/record.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;

// Long enough for what goes on in the background.
constexpr int64_t kSettleNs = 3'000'000'000;

// How many of what the catalog lists belong to the tenant.
template <typename Record>
uint64_t RowsIn(const StatusOr<std::vector<Record>>& listed, TenantId tenant) {
  EXPECT_TRUE(listed.ok()) << listed.status();
  if (!listed.ok()) return 0;
  return static_cast<uint64_t>(std::count_if(
      listed->begin(), listed->end(), [&](const Record& one) { return one.tenant == tenant; }));
}

class TenantTest : public SimDatabaseTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(Append(0, 100).ok());
  }

  Status Create(const std::string& name) { return world_.RunTask(core_->CreateTenant(name)); }
  Status Delete(const std::string& name) { return world_.RunTask(core_->DeleteTenant(name)); }
  uint32_t NumberOf(const std::string& name) {
    auto found = core_->state()->published.Find(name, "main");
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? found->tenant.value : UINT32_MAX;
  }
  StatusOr<std::vector<SeriesId>> Intern(const std::string& tenant, int count) {
    NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found,
                           core_->state()->published.Find(tenant, "main"));
    std::vector<std::string> labels;
    for (int i = 0; i < count; i++) {
      labels.push_back(
          Labels::Make("metric", {{"tenant", tenant}, {"n", std::to_string(i)}})->Canonical());
    }
    return world_.RunTask(core_->interner()->Intern(found.tenant, std::move(labels)));
  }
  // Appends a sample to each of so many series of a tenant's branch, at one timestamp.
  Status AppendTo(const std::string& tenant, int series, int64_t timestamp,
                  const std::string& branch = "main") {
    NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found,
                           core_->state()->published.Find(tenant, branch));
    NEXUS_ASSIGN_OR_RETURN(std::vector<SeriesId> ids, Intern(tenant, series));
    BatchRequest batch(found.tenant, found.branch);
    const std::vector<double> values(ids.size(), static_cast<double>(timestamp));
    batch.encoder.AddRow(timestamp, ids, values);
    return SendBatch(&batch);
  }
  StatusOr<std::unique_ptr<Cursor>> Select(const std::string& tenant,
                                           const std::string& branch = "main") {
    NEXUS_ASSIGN_OR_RETURN(ReadView view, core_->View(tenant, branch));
    SelectQuery query;
    query.selector = "metric";
    return MakeSelectCursor(std::move(view), query);
  }
  static size_t Count(Cursor* cursor) {
    SeriesChunk chunk;
    size_t samples = 0;
    while (true) {
      const StatusOr<bool> more = cursor->Next(&chunk);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return samples;
      samples += chunk.timestamps.size();
    }
  }
  // A tenant with samples in layers, in a sealed memtable of a branch, and in memory.
  void Fill(const std::string& name) {
    ASSERT_TRUE(Create(name).ok());
    ASSERT_TRUE(AppendTo(name, 5, 1).ok());
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(AppendTo(name, 5, 2).ok());
    ASSERT_TRUE(
        world_.RunTask(core_->CreateBranch("side", BranchKind::kBranch, "main", name)).ok());
    ASSERT_TRUE(AppendTo(name, 6, 3).ok());
    ASSERT_TRUE(AppendTo(name, 7, 4, "side").ok());
    ASSERT_TRUE(world_.RunTask(core_->OpenProducer(ProducerId{1, 2}, 1, name, "main")).ok());
  }
  void ExpectWhole(const std::string& name) {
    auto main = Select(name);
    auto side = Select(name, "side");
    ASSERT_TRUE(main.ok()) << main.status();
    ASSERT_TRUE(side.ok()) << side.status();
    EXPECT_EQ(Count(main->get()), 16u);
    EXPECT_EQ(Count(side->get()), 17u);
  }
  // Rows of the catalog that are the tenant's: of series and of the label index.
  uint64_t RowsOf(uint32_t number) {
    const TenantId tenant{number};
    auto reader = core_->state()->catalog->BeginRead();
    EXPECT_TRUE(reader.ok());
    auto series = reader->VisitIdentities(tenant, SeriesId{0}, UINT64_MAX,
                                          [](const catalog::SeriesIdentityRow&) {});
    EXPECT_TRUE(series.ok()) << series.status();
    uint64_t rows = *series;
    catalog::Reader::LabelPlace from;
    EXPECT_TRUE(reader
                    ->VisitLabelCounts(tenant, SeriesId{0}, UINT64_MAX, &from,
                                       [&](const catalog::Reader::LabelCount&) { rows++; })
                    .ok());
    rows += RowsIn(reader->Layers(), tenant);
    rows += RowsIn(reader->Branches(), tenant);
    rows += RowsIn(reader->Producers(), tenant);
    rows += RowsIn(reader->Unlayered(), tenant);
    return rows;
  }
  void ExpectNoOtherFiles() {
    const auto live = core_->state()->LayerFiles(DatabaseState::Garbage::kWithout);
    EXPECT_EQ(Files("/layers/").size(), live.size());
  }
  void ExpectOthersWhole() { EXPECT_EQ(*Read(0, 99), 100u); }
};

TEST_F(TenantTest, AllOfADeletedOneGoesAndNothingOfAnother) {
  Fill("acme");
  Fill("other");
  const uint32_t number = NumberOf("acme");
  const size_t files = Files("/layers/").size();
  ASSERT_TRUE(Delete("acme").ok());
  EXPECT_TRUE(absl::IsNotFound(Select("acme").status()));
  EXPECT_TRUE(absl::IsNotFound(AppendTo("acme", 1, 9)));
  EXPECT_TRUE(absl::IsNotFound(Delete("acme")));
  ExpectClean();
  world_.RunFor(kSettleNs);
  EXPECT_EQ(RowsOf(number), 0u);
  EXPECT_LT(Files("/layers/").size(), files);
  ExpectNoOtherFiles();
  ExpectWhole("other");
  ExpectOthersWhole();
  ExpectClean();
  EXPECT_EQ(world_.RunTask(core_->LoopStats()).series, 8u);
  for (const CrashKind kind : {CrashKind::kPowerCut, CrashKind::kProcessKill}) {
    Die(kind);
    ASSERT_TRUE(Open().ok());
    EXPECT_TRUE(absl::IsNotFound(Select("acme").status()));
    ExpectWhole("other");
    ExpectOthersWhole();
    ExpectClean();
    EXPECT_EQ(RowsOf(number), 0u);
  }
}

TEST_F(TenantTest, QueriesUnderWayReadOn) {
  Fill("acme");
  auto main = Select("acme");
  auto side = Select("acme", "side");
  ASSERT_TRUE(main.ok() && side.ok());
  ASSERT_TRUE(Delete("acme").ok());
  world_.RunFor(kSettleNs);
  EXPECT_EQ(Count(main->get()), 16u);
  EXPECT_EQ(Count(side->get()), 17u);
}

TEST_F(TenantTest, ANameMayBeUsedAgainAndANumberNever) {
  Fill("acme");
  EXPECT_EQ(NumberOf("acme"), 1u);
  ASSERT_TRUE(Delete("acme").ok());
  ASSERT_TRUE(Create("acme").ok());
  EXPECT_EQ(NumberOf("acme"), 2u);
  EXPECT_EQ(Count(Select("acme")->get()), 0u);
  ASSERT_TRUE(Delete("acme").ok());
  // Over purges, checkpoints and restarts, until nothing names the deleted ones any more.
  for (int round = 0; round < 4; round++) {
    world_.RunFor(kSettleNs);
    ASSERT_TRUE(Append(1000 + round, 1).ok());
    ASSERT_TRUE(Flush().ok());
    Die(CrashKind::kPowerCut);
    ASSERT_TRUE(Open().ok());
  }
  ASSERT_TRUE(Create("acme").ok());
  EXPECT_EQ(NumberOf("acme"), 3u);
  // A log is trimmed below the older of two images.
  for (int round = 0; round < 4; round++) {
    ASSERT_TRUE(Append(2000 + round, 1).ok());
    ASSERT_TRUE(Flush().ok());
    world_.RunFor(kSettleNs);
  }
  // The records of those below the highest number are gone by now.
  EXPECT_TRUE(core_->state()->deleted_tenants.empty());
  EXPECT_EQ(core_->state()->catalog->BeginRead()->Tenants()->size(), 2u);
  EXPECT_EQ(NumberOf("acme"), 3u);
  ExpectOthersWhole();
}

TEST_F(TenantTest, TheFirstOneStays) {
  Status refused = Delete("default");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_TRUE(absl::IsNotFound(Delete("nobody")));
  const Edit edits[] = {DeleteTenant{TenantId{}}};
  refused = world_.RunTask(core_->committer()->CommitEdit(EncodeEdits(edits)));
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  ExpectOthersWhole();
}

TEST_F(TenantTest, WhatWasOnItsWayToItEndsNotFound) {
  Fill("acme");
  PublishedState::Found found = *core_->state()->published.Find("acme", "main");
  found.view.reset();  // it must not outlive the database
  // Series that have an id and no place in the log yet: their definitions come behind the deletion.
  std::vector<SeriesId> ids = *Intern("acme", 40);
  BatchRequest batch(found.tenant, found.branch);
  const std::vector<double> values(ids.size(), 1);
  batch.encoder.AddRow(50, ids, values);
  batch.Finish();
  const Edit edits[] = {DeleteTenant{found.tenant}};
  const std::string encoded = EncodeEdits(edits);
  WatchedRequest deletion(CommitRequest::Kind::kEdit, AsBytes(encoded));
  // Edits go before batches: the deletion gets the lower place in the log.
  world_.RunOnLoop([&] {
    core_->committer()->Submit(&batch);
    core_->committer()->Submit(&deletion);
  });
  world_.RunUntil([&] { return batch.finished() && deletion.finished(); });
  EXPECT_TRUE(deletion.status().ok()) << deletion.status();
  EXPECT_TRUE(absl::IsNotFound(batch.status())) << batch.status();
  EXPECT_LT(deletion.begin, batch.begin);
  ASSERT_TRUE(Append(500, 1).ok());
  Die(CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  ExpectOthersWhole();
  ExpectClean();
}

TEST_F(TenantTest, AHugeOneIsPurgedInPiecesThatACrashDoesNotUndo) {
  options_.log_segment_bytes = 4 << 20;
  Die(CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Create("huge").ok());
  const uint32_t number = NumberOf("huge");
  constexpr int kSeries = 15'000;  // and more than as many rows of the label index
  ASSERT_TRUE(AppendTo("huge", kSeries, 1).ok());
  ASSERT_TRUE(Flush().ok());
  world_.RunFor(kSettleNs);
  const uint64_t before = RowsOf(number);
  ASSERT_GT(before, uint64_t{2 * kSeries});
  ASSERT_TRUE(Delete("huge").ok());
  std::vector<uint64_t> seen = {before};
  for (int i = 0; i < 1000 && seen.back() > 0; i++) {
    world_.RunFor(20'000'000);
    const uint64_t rows = RowsOf(number);
    if (rows != seen.back()) seen.push_back(rows);
    if (seen.size() == 2 && rows > 0) {
      ExpectClean();
      Die(CrashKind::kPowerCut);
      ASSERT_TRUE(Open().ok());
      EXPECT_TRUE(absl::IsNotFound(Select("huge").status()));
      seen.push_back(RowsOf(number));
    }
    // Others go on meanwhile.
    ASSERT_TRUE(Append(1000 + i, 1).ok());
  }
  EXPECT_EQ(seen.back(), 0u);
  EXPECT_GE(seen.size(), 4u) << "it went at once: before, in between, after the crash, none";
  ExpectOthersWhole();
  ExpectClean();
}

// Every instant of a deletion and of what it leaves to do.
TEST_F(TenantTest, ACrashAtAnyStepLeavesItWholeOrGone) {
  uint64_t whole = 0;
  uint64_t gone = 0;
  uint64_t step = 1;
  for (bool crashed = true; crashed; step += 1 + step / 40) {
    const std::string name = "t" + std::to_string(step);
    Fill(name);
    const uint32_t number = NumberOf(name);
    world_.CrashAfterSteps(step, step % 2 == 0 ? CrashKind::kPowerCut : CrashKind::kProcessKill);
    const std::optional<Status> acked = world_.TryRunTask(core_->DeleteTenant(name));
    if (world_.alive()) world_.RunFor(kSettleNs);
    crashed = !world_.alive();
    world_.CancelScheduledCrash();
    if (crashed) {
      core_.reset();
      ASSERT_TRUE(Open().ok());
    }
    const bool is_there = core_->state()->published.Find(name, "main").ok();
    (is_there ? whole : gone)++;
    if (is_there) {
      EXPECT_FALSE(acked.has_value() && acked->ok()) << "step " << step;
      ExpectWhole(name);
      ASSERT_TRUE(Delete(name).ok());
    }
    ExpectOthersWhole();
    ExpectClean();
    // After an opening all that were deleted are looked at again, one in 100 ms.
    world_.RunFor(kSettleNs + static_cast<int64_t>(step) * 100'000'000);
    EXPECT_EQ(RowsOf(number), 0u) << "step " << step;
    ASSERT_FALSE(HasFailure()) << "step " << step;
  }
  EXPECT_GT(whole, 1u);
  EXPECT_GT(gone, 3u);
  EXPECT_EQ(core_->state()->tenants.size(), 1u);
  ExpectNoOtherFiles();
}

}  // namespace
}  // namespace nexus::engine
