// Tests of Database::Delete: what it takes, what it leaves, and that it lasts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/engine/database_fixture.h"
#include "tests/engine/small_database.h"

namespace nexus {
namespace {

using testing::HasSubstr;

class DeleteTest : public DatabaseTest {
 protected:
  Status Delete(const std::string& selector, TimeRange range = {}) {
    DeleteRequest request;
    request.selector = selector;
    request.range = range;
    return db_->Delete(request).status();
  }
  // Ten samples of each of two series, in a layer.
  void PrepareLayer() {
    Open();
    ASSERT_TRUE(Append("a", Samples(0, 10, 1)).ok());
    ASSERT_TRUE(Append("b", Samples(0, 10, 2)).ok());
    ASSERT_TRUE(db_->Flush().ok());
  }
  static std::vector<std::pair<int64_t, double>> Samples(int64_t from, int64_t to, double value) {
    std::vector<std::pair<int64_t, double>> samples;
    for (int64_t t = from; t < to; t++) samples.emplace_back(t, value);
    return samples;
  }
  void ExpectSamples(const std::string& name, const std::vector<std::pair<int64_t, double>>& want) {
    EXPECT_EQ(Read("metric{name=\"" + name + "\"}")[name], Bits(want)) << name;
  }
};

TEST_F(DeleteTest, IsVisibleAtOnceInMemoryAndInLayers) {
  PrepareLayer();
  ASSERT_TRUE(Append("a", Samples(20, 30, 1)).ok());
  ASSERT_TRUE(Append("b", Samples(20, 30, 2)).ok());
  ASSERT_TRUE(Delete("metric{name=\"a\"}", {5, 24}).ok());
  auto left = Samples(0, 5, 1);
  for (const auto& sample : Samples(25, 30, 1)) left.push_back(sample);
  ExpectSamples("a", left);
  EXPECT_EQ(Read()["b"].size(), 20u) << "the selector does not choose it";
  ASSERT_TRUE(db_->Flush().ok());
  ExpectSamples("a", left);
}

TEST_F(DeleteTest, KeepsWhatIsWrittenLaterToTheSamePlaces) {
  PrepareLayer();
  ASSERT_TRUE(Delete("metric").ok());
  EXPECT_TRUE(Read().empty());
  // Late and out of order, as any write may be.
  ASSERT_TRUE(Append("a", {{7, 70}, {3, 30}}).ok());
  ExpectSamples("a", {{3, 30}, {7, 70}});
  ASSERT_TRUE(db_->Flush().ok());
  ExpectSamples("a", {{3, 30}, {7, 70}});
  Reopen();
  ExpectSamples("a", {{3, 30}, {7, 70}});
}

TEST_F(DeleteTest, LeavesARunningCursorWhatItSaw) {
  PrepareLayer();
  ASSERT_TRUE(Append("a", Samples(20, 30, 1)).ok());
  SelectQuery query;
  query.selector = "metric{name=\"a\"}";
  auto cursor = db_->Select(query);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  ASSERT_TRUE(Delete("{}").ok());
  EXPECT_TRUE(Read().empty());
  size_t samples = 0;
  SeriesChunk chunk;
  for (StatusOr<bool> more = (*cursor)->Next(&chunk); more.ok() && *more;
       more = (*cursor)->Next(&chunk)) {
    samples += chunk.timestamps.size();
  }
  EXPECT_EQ(samples, 20u);
}

TEST_F(DeleteTest, LastsOverReopeningBeforeAndAfterAFlush) {
  PrepareLayer();
  ASSERT_TRUE(Append("a", Samples(20, 30, 1)).ok());
  ASSERT_TRUE(Delete("metric", {5, 24}).ok());
  ASSERT_TRUE(Append("a", {{22, 9}}).ok());
  auto left = Samples(0, 5, 1);
  left.emplace_back(22, 9);
  for (const auto& sample : Samples(25, 30, 1)) left.push_back(sample);
  Reopen();
  ExpectSamples("a", left);
  ASSERT_TRUE(db_->Flush().ok());
  ExpectSamples("a", left);
  Reopen();
  ExpectSamples("a", left);
  // Three checkpoints: the delete's record is trimmed, its tombstone is in the catalog alone.
  for (int i = 0; i < 3; i++) {
    ASSERT_TRUE(Append("c", Samples(0, 60'000, i)).ok());
    ASSERT_TRUE(db_->Flush().ok());
  }
  Reopen();
  ExpectSamples("a", left);
  ExpectSamples("b", Samples(0, 5, 2));
}

TEST_F(DeleteTest, TakesABatchThatCameOutOfOrderBeforeIt) {
  Open();
  ASSERT_TRUE(Append("a", {{50, 1}, {10, 2}, {30, 3}}).ok());
  ASSERT_TRUE(Append("a", {{20, 4}, {30, 5}}).ok());
  ASSERT_TRUE(Delete("metric", {15, 35}).ok());
  ASSERT_TRUE(Append("a", {{25, 6}}).ok());
  ExpectSamples("a", {{10, 2}, {25, 6}, {50, 1}});
}

TEST_F(DeleteTest, AggregatesDoNotCountWhatIsDeleted) {
  PrepareLayer();
  AggregateQuery count;
  count.select.selector = "metric{name=\"a\"}";
  count.function = AggregateFunction::kCount;
  auto counted = [&]() -> double {
    auto cursor = db_->Aggregate(count);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    SeriesChunk chunk;
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    return more.ok() && *more ? chunk.values[0] : 0;
  };
  EXPECT_EQ(counted(), 10);
  ASSERT_TRUE(Delete("metric", {2, 4}).ok());
  EXPECT_EQ(counted(), 7);
  ASSERT_TRUE(Delete("metric{name=\"a\"}").ok());
  EXPECT_EQ(counted(), 0);
}

TEST_F(DeleteTest, TheLatestSampleIsTheNewestThatIsLeft) {
  PrepareLayer();
  ASSERT_TRUE(Append("a", Samples(20, 30, 1)).ok());
  const SeriesId id = Series("a");
  ASSERT_TRUE(Delete("metric", {25, 40}).ok());
  EXPECT_EQ((*db_->Latest(id))->timestamp, 24);
  ASSERT_TRUE(Delete("metric", {5, 40}).ok());
  EXPECT_EQ((*db_->Latest(id))->timestamp, 4);
  ASSERT_TRUE(Delete("metric").ok());
  EXPECT_FALSE(db_->Latest(id)->has_value());
  SelectQuery query;
  query.selector = "metric";
  auto cursor = db_->Latest(query);
  ASSERT_TRUE(cursor.ok());
  SeriesChunk chunk;
  EXPECT_FALSE(*(*cursor)->Next(&chunk));
}

TEST_F(DeleteTest, ADryRunCountsAndDeletesNothing) {
  PrepareLayer();
  ASSERT_TRUE(Append("b", Samples(20, 30, 1)).ok());
  DeleteRequest request;
  request.selector = "metric";
  request.range = {8, 21};
  request.dry_run = true;
  StatusOr<DeleteResult> counted = db_->Delete(request);
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->series, 2u);
  EXPECT_EQ(counted->series_with_samples, 2u);
  EXPECT_EQ(counted->samples, 6u);
  request.range = {15, 25};
  counted = db_->Delete(request);
  EXPECT_EQ(counted->series, 2u);
  EXPECT_EQ(counted->series_with_samples, 1u);
  EXPECT_EQ(counted->samples, 6u);
  EXPECT_EQ(Read()["b"].size(), 20u);
  request.dry_run = false;
  counted = db_->Delete(request);
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->series, 2u);
  EXPECT_EQ(Read()["b"].size(), 14u);
}

TEST_F(DeleteTest, RefusesWhatItCannotDoAndChangesNothing) {
  PrepareLayer();
  EXPECT_TRUE(absl::IsInvalidArgument(Delete("metric{")));
  EXPECT_TRUE(absl::IsInvalidArgument(Delete("")));
  EXPECT_TRUE(absl::IsInvalidArgument(Delete("metric", {5, 4})));
  const Status too_long = Delete("metric{name=~\"" + std::string(4096, 'x') + "\"}");
  EXPECT_TRUE(absl::IsInvalidArgument(too_long)) << too_long;
  EXPECT_THAT(std::string(FromAbsl(too_long.message())), HasSubstr("at most 4096"));
  DeleteRequest request;
  request.selector = "metric";
  request.branch = "nowhere";
  EXPECT_TRUE(absl::IsNotFound(db_->Delete(request).status()));
  EXPECT_EQ(Read()["a"].size(), 10u);
}

TEST_F(DeleteTest, ListingsStillShowASeriesWhoseSamplesAreDeleted) {
  PrepareLayer();
  ASSERT_TRUE(Delete("metric").ok());
  EXPECT_EQ(db_->LabelValues("name")->size(), 2u);
  EXPECT_EQ(db_->SeriesLabels("metric")->size(), 2u);
}

TEST_F(DeleteTest, IsOrderedBehindWhatTheSameThreadHandedOver) {
  Open();
  const SeriesId id = Series("a");
  for (int round = 0; round < 50; round++) {
    WriteBatch before;
    before.Add(id, round, 1);
    db_->AppendAsync(std::move(before), {}, [](StatusOr<AppendOutcome> outcome) {
      EXPECT_TRUE(outcome.ok()) << outcome.status();
    });
    ASSERT_TRUE(Delete("metric", {round, round}).ok());
  }
  EXPECT_TRUE(Read().empty());
}

// Readers beside deletes see all of one or nothing of it: a scrape of the layer and one of the
// memtable are deleted together.
TEST_F(DeleteTest, IsSeenWholeOrNotAtAll) {
  Open();
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> halves = 0;
  std::thread reader([&] {
    while (!stop.load()) {
      const size_t samples = Read("metric{name=\"a\"}")["a"].size();
      if (samples % 2 != 0) halves++;
    }
  });
  for (int round = 0; round < 30; round++) {
    ASSERT_TRUE(Append("a", {{1, 1}, {2, 2}}).ok());
    ASSERT_TRUE(db_->Flush().ok());
    ASSERT_TRUE(Append("a", {{3, 1}, {4, 2}}).ok());
    ASSERT_TRUE(Delete("metric", {2, 3}).ok());
    ASSERT_TRUE(Delete("metric").ok());
  }
  stop = true;
  reader.join();
  EXPECT_EQ(halves.load(), 0u);
}

}  // namespace

namespace engine {
namespace {

using sim::CrashKind;
using Place = SmallDatabase::Place;

std::vector<Place> Places(uint32_t series, int64_t from, int64_t count) {
  std::vector<Place> places;
  for (int64_t i = 0; i < count; i++) places.push_back({series, from + i});
  return places;
}

class DeleteCrashTest : public testing::Test {
 protected:
  DeleteCrashTest() : db_(1, {}) { db_.options().compaction = false; }
  void SetUp() override { ExpectOk(db_.Open()); }

  static void ExpectOk(std::optional<Status> status) {
    ASSERT_TRUE(status.has_value());
    EXPECT_TRUE(status->ok()) << *status;
  }
  void Append(std::vector<Place> places) { ExpectOk(db_.Append(std::move(places))); }
  void Delete(int64_t from, int64_t to) { ExpectOk(db_.Delete(0, 0, from, to)); }
  void CrashAndReopen(CrashKind kind) {
    db_.Crash(kind);
    ExpectOk(db_.Open());
    db_.ExpectRight();
  }
  Stats GetStats() { return db_.world().RunTask(db_.core()->LoopStats()); }
  const BranchState& branch() { return *db_.core()->state()->FindBranch(TenantId{}, BranchId{}); }

  SmallDatabase db_;
};

TEST_F(DeleteCrashTest, SurvivesAPowerCutBeforeTheFlush) {
  Append(Places(0, 0, 20));
  Delete(5, 9);
  Append(Places(0, 7, 2));
  db_.ExpectRight();
  CrashAndReopen(CrashKind::kPowerCut);
  CrashAndReopen(CrashKind::kProcessKill);
}

TEST_F(DeleteCrashTest, SurvivesAPowerCutAfterTheFlush) {
  Append(Places(0, 0, 20));
  ExpectOk(db_.Flush());
  Append(Places(0, 20, 20));
  Delete(15, 25);
  CrashAndReopen(CrashKind::kPowerCut);
  ExpectOk(db_.Flush());
  CrashAndReopen(CrashKind::kPowerCut);
}

TEST_F(DeleteCrashTest, FiltersAMemtableThatWaitsForItsFlush) {
  Append(Places(0, 0, 20));
  db_.world().disk().FailFrom({{sim::Op::kCreate}, "/layers/"}, 1, -EIO);
  EXPECT_FALSE(db_.Flush()->ok());
  ASSERT_EQ(branch().sealed.size(), 1u);
  Append(Places(0, 20, 20));
  Delete(15, 25);
  db_.ExpectRight();
  db_.world().disk().faults()->ClearRules();
  // The layer that is written from it ends before the delete, too.
  ExpectOk(db_.Flush());
  db_.ExpectRight();
  CrashAndReopen(CrashKind::kPowerCut);
}

TEST_F(DeleteCrashTest, SurvivesAReplayThatFlushesInItsMidst) {
  // More than the memtables of the next opening may hold.
  db_.options().memtable_bytes = 4 << 20;
  db_.Crash(CrashKind::kProcessKill);
  ExpectOk(db_.Open());
  for (int64_t i = 0; i < 6; i++) {
    Append(Places(0, i * 1000, 2500));
    Append(Places(1, i * 1000, 2500));
    Delete(i * 1000 + 100, i * 1000 + 900);
  }
  db_.ExpectRight();
  db_.options().memtable_bytes = 256 << 10;
  CrashAndReopen(CrashKind::kProcessKill);
  EXPECT_GT(branch().layers.size(), 1u) << "replay had memory enough";
  CrashAndReopen(CrashKind::kPowerCut);
}

TEST_F(DeleteCrashTest, ItsTombstoneGoesOnceNothingIsFromBeforeIt) {
  Append(Places(0, 0, 20));
  Delete(5, 9);
  EXPECT_EQ(branch().tombstones->size(), 1u);
  ExpectOk(db_.Flush());
  db_.RunFor(500'000'000);
  EXPECT_EQ(branch().tombstones->size(), 0u) << "the flush has left out what is deleted";
  db_.ExpectRight();
  CrashAndReopen(CrashKind::kPowerCut);
  EXPECT_EQ(branch().tombstones->size(), 0u);
  // One that a layer needs stays.
  Delete(0, 2);
  ExpectOk(db_.Flush());
  db_.RunFor(500'000'000);
  CrashAndReopen(CrashKind::kPowerCut);
  EXPECT_EQ(branch().tombstones->size(), 1u);
}

TEST_F(DeleteCrashTest, IsCarriedOutByTheNextCompaction) {
  for (int64_t i = 0; i < 4; i++) {
    Append(Places(0, 20 * i, 20));
    ExpectOk(db_.Flush());
  }
  Delete(15, 64);
  Append(Places(0, 30, 5));
  ExpectOk(db_.Flush());
  ASSERT_EQ(branch().tombstones->size(), 1u);
  EXPECT_EQ(GetStats().tombstones, 1u);
  EXPECT_EQ(db_.world().RunTask(db_.core()->DescribeTenants())[0].tombstones, 1u);
  ExpectOk(db_.Compact());
  uint64_t samples = 0;
  for (const OpenLayer& open : branch().layers) samples += open.record.samples;
  EXPECT_EQ(samples, 15u + 5u + 15u);
  EXPECT_EQ(branch().tombstones->size(), 0u) << "nothing needs it";
  EXPECT_EQ(GetStats().tombstones, 0u);
  db_.ExpectRight();
  CrashAndReopen(CrashKind::kPowerCut);
  EXPECT_EQ(branch().tombstones->size(), 0u);
}

TEST_F(DeleteCrashTest, OfEverythingLeavesNothingOnTheDiskAfterACompaction) {
  Append(Places(0, 0, 20));
  ExpectOk(db_.Flush());
  Delete(INT64_MIN, INT64_MAX);
  ExpectOk(db_.Compact());
  EXPECT_EQ(branch().layers.size(), 0u);
  db_.ExpectRight();
  db_.ExpectOnlyKnownFiles();
  CrashAndReopen(CrashKind::kPowerCut);
}

TEST_F(DeleteCrashTest, LeavesNoLayerWhereItTookEverything) {
  Append(Places(0, 0, 20));
  Delete(INT64_MIN, INT64_MAX);
  ExpectOk(db_.Flush());
  EXPECT_EQ(branch().layers.size(), 0u);
  db_.ExpectRight();
  CrashAndReopen(CrashKind::kPowerCut);
}

TEST_F(DeleteCrashTest, IsRefusedWhereTooManyWaitForACompaction) {
  auto full = std::make_shared<Tombstones>();
  for (uint64_t lsn = 1; lsn <= kTombstonesMax; lsn++) {
    catalog::TombstoneRecord record;
    record.order.lsn.value = lsn;
    record.selector = "nothing";
    full->push_back(*Tombstone::Make(std::move(record)));
  }
  db_.core()->state()->FindBranch(TenantId{}, BranchId{})->tombstones = full;
  const std::optional<Status> refused = db_.Delete(0, 0, 0, 1);
  ASSERT_TRUE(refused.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(*refused)) << *refused;
  EXPECT_THAT(std::string(FromAbsl(refused->message())), testing::HasSubstr("nexus compact"));
}

}  // namespace
}  // namespace engine
}  // namespace nexus
