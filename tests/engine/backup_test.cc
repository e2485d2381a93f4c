// Backup and restore: a restored database answers as the original did at one moment, with its
// tenants, branches, deletes and producers; a backup beside appends and compactions is exact; a
// second one takes what is new; later writes win over restored ones; what is something else, or
// damaged, is refused by name.

#include "engine/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/engine/backup_fixture.h"

namespace nexus::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kProducer = 1;

// A backup that runs beside what a test does.
io::Task<void> BackUpInto(DatabaseCore* core, std::optional<StatusOr<BackupResult>>* made) {
  const BackupOptions options;
  made->emplace(co_await Backup(core, kBackup, options));
}

class BackupTest : public BackupFixture {
 protected:
  ProducerId Numbered(const std::string& tenant) {
    return {kProducer, core_->state()->published.Find(tenant, "main")->tenant.value};
  }
  Written WriteNumbered(uint64_t sequence, int64_t first, int count) {
    const ProducerId producer = Numbered("default");
    return Write("default", {"numbered"}, first, count,
                 ExactlyOnce{producer.high, producer.low, 1, sequence});
  }
  Status Delete(const std::string& selector, int64_t from, int64_t to) {
    DeleteRequest request;
    request.selector = selector;
    request.range = {from, to};
    return world_.RunTask(core_->Delete(request)).status();
  }

  // Something of everything, in layers and in memory.
  void Fill() {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(CreateTenant("other").ok());
    ASSERT_TRUE(OpenEpoch("default", Numbered("default")).ok());
    for (uint64_t round = 0; round < 3; round++) {
      const auto at = static_cast<int64_t>(round) * 500;
      ASSERT_TRUE(Write("default", {"a", "b"}, at, 1000).status.ok());
      ASSERT_TRUE(Write("other", {"a"}, at, 100).status.ok());
      ASSERT_TRUE(WriteNumbered(round + 1, at, 10).status.ok());
      ASSERT_TRUE(Flush().ok());
    }
    ASSERT_TRUE(CreateBranch("before", "main", BranchKind::kSnapshot).ok());
    ASSERT_TRUE(CreateBranch("child", "main").ok());
    ASSERT_TRUE(Write("default", {"c"}, 0, 100, std::nullopt, "child").status.ok());
    ASSERT_TRUE(Delete("metric{name=\"a\"}", 100, 300).ok());
    ASSERT_TRUE(Write("default", {"a"}, 200, 50).status.ok());
    ASSERT_TRUE(WriteNumbered(4, 5000, 10).status.ok());
  }
  // The original is killed; what its backup gives is open.
  Status MoveToRestored(const std::string& directory = "/restored",
                        const std::string& source = kBackup) {
    Die(sim::CrashKind::kProcessKill);
    NEXUS_RETURN_IF_ERROR(RestoreAndMove(directory, source).status());
    return Open();
  }
  // One sample of series "mine" at 7, and what is read there.
  Status Put(double value) {
    auto ids = Intern("default", {"mine"});
    if (!ids.ok()) return ids.status();
    BatchRequest batch;
    const std::vector<int64_t> timestamps = {7};
    const std::vector<double> values = {value};
    batch.encoder.AddSeries(ids->front(), timestamps, values);
    return SendBatch(&batch);
  }
  double Got() {
    SelectQuery query;
    query.selector = "metric{name=\"mine\"}";
    auto cursor = MakeSelectCursor(*core_->View("default", "main"), query);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    SeriesChunk chunk;
    double value = -1;
    while (*(*cursor)->Next(&chunk)) value = chunk.values.back();
    return value;
  }
  void ExpectPutWins(double value) {
    ASSERT_TRUE(Put(value).ok());
    EXPECT_EQ(Got(), value) << "in memory";
    ASSERT_TRUE(Flush().ok());
    EXPECT_EQ(Got(), value) << "in a layer";
    Die(sim::CrashKind::kPowerCut);
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(Got(), value) << "after a crash";
    ASSERT_TRUE(Compact().ok());
    EXPECT_EQ(Got(), value) << "merged";
    EXPECT_EQ(GetStats().layers, 1u);
  }
};

TEST_F(BackupTest, ARestoredDatabaseAnswersAsTheOriginalDid) {
  Fill();
  const std::string before = Answers();
  auto made = MakeBackup();
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_GE(made->layers, 8u);
  EXPECT_EQ(made->placed.linked, made->layers);
  EXPECT_EQ(Answers(), before);
  // What comes later changes nothing.
  ASSERT_TRUE(Write("default", {"a", "later"}, 0, 2000).status.ok());
  ASSERT_TRUE(Delete("metric{name=\"b\"}", INT64_MIN, INT64_MAX).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*RestoredAnswers(), before);
  Die(sim::CrashKind::kPowerCut);
  auto restored = RestoreAndMove("/restored");
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->lsn, made->lsn);
  EXPECT_EQ(restored->timeline, 1u);
  EXPECT_EQ(restored->tenants, 2u);
  EXPECT_EQ(restored->layers, made->layers);
  for (const auto kind : {sim::CrashKind::kProcessKill, sim::CrashKind::kPowerCut}) {
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(Answers(), before);
    ExpectClean();
    Die(kind);
  }
  EXPECT_THAT(Files("/restored/quarantine/"), IsEmpty());
}

TEST_F(BackupTest, ARestoredDatabaseIsAnotherOneWithTheSameLayers) {
  Fill();
  const DatabaseId original = core_->state()->database;
  ASSERT_TRUE(MakeBackup().ok());
  ASSERT_TRUE(MoveToRestored().ok());
  EXPECT_NE(core_->state()->database, original);
  EXPECT_EQ(core_->state()->origin, original);
  EXPECT_EQ(core_->state()->timeline, 1u);
  // Into the folder of the original's backup it does not go.
  const Status refused = MakeBackup().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(refused.ToString(), HasSubstr("of another database"));
  // And all that it writes is above all that was restored.
  ASSERT_TRUE(Write("default", {"a"}, 0, 10).status.ok());
  ASSERT_TRUE(Flush().ok());
  WriteOrder restored;
  std::vector<WriteOrder> own;
  for (const OpenLayer& open : core_->state()->FindBranch({}, {})->layers) {
    if (open.record.low.timeline == 1) {
      own.push_back(open.record.low);
    } else {
      restored = std::max(restored, open.record.high);
    }
  }
  ASSERT_THAT(own, SizeIs(1));
  EXPECT_GT(own.front(), restored);
  EXPECT_GT(own.front().lsn, restored.lsn);
}

TEST_F(BackupTest, ProducersGoOnBehindWhatTheBackupHas) {
  Fill();
  ASSERT_TRUE(MakeBackup().ok());
  ASSERT_TRUE(WriteNumbered(5, 6000, 10).status.ok());  // lost with the original
  ASSERT_TRUE(MoveToRestored().ok());
  const Written again = WriteNumbered(4, 5000, 10);
  EXPECT_TRUE(again.status.ok()) << again.status;
  EXPECT_TRUE(again.duplicate);
  const Status gap = WriteNumbered(6, 7000, 10).status;
  EXPECT_EQ(ExpectedSequence(gap), 5u) << gap;
  const Written next = WriteNumbered(5, 6000, 10);
  EXPECT_TRUE(next.status.ok()) << next.status;
  EXPECT_FALSE(next.duplicate);
}

TEST_F(BackupTest, LaterWritesWinOverRestoredOnesThroughTwoRestores) {
  ASSERT_TRUE(Open().ok());
  ExpectPutWins(1);
  ASSERT_TRUE(MakeBackup("/backup-1").ok());
  ASSERT_TRUE(MoveToRestored("/restored-1", "/backup-1").ok());
  EXPECT_EQ(Got(), 1);
  ExpectPutWins(2);
  ASSERT_TRUE(MakeBackup("/backup-2").ok());
  Die(sim::CrashKind::kProcessKill);
  auto restored = RestoreAndMove("/restored-2", "/backup-2");
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->timeline, 2u);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Got(), 2);
  ExpectPutWins(3);
  // A delete takes restored samples, and leaves what comes behind it.
  ASSERT_TRUE(Delete("metric{name=\"mine\"}", 0, 100).ok());
  EXPECT_EQ(Got(), -1);
  ExpectPutWins(4);
}

TEST_F(BackupTest, ARestoredDeleteDoesNotTakeLaterWrites) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Put(1).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Delete("metric{name=\"mine\"}", 0, 100).ok());
  ASSERT_TRUE(MakeBackup().ok());
  ASSERT_TRUE(MoveToRestored().ok());
  EXPECT_EQ(Got(), -1) << "the delete was restored";
  EXPECT_THAT(*core_->state()->FindBranch({}, {})->tombstones, SizeIs(1));
  ExpectPutWins(2);
}

// Memory is ordered behind the layers of its timeline, so it keeps none of them from going.
TEST_F(BackupTest, WhatIsExpiredInARestoredDatabaseGoesThoughMemoryHoldsLaterWrites) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(MakeBackup().ok());
  ASSERT_TRUE(MoveToRestored().ok());
  ASSERT_TRUE(Write("default", {"a"}, 0, 100).status.ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Write("default", {"a"}, 50, 10).status.ok());
  constexpr int64_t kYearNs = 365ll * 24 * 3600 * 1'000'000'000;
  ASSERT_TRUE(world_.RunTask(core_->SetRetention({{"{}", kYearNs}}, "default")).ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().layers, 0u);
  EXPECT_EQ(GetStats().memtable_samples, 10u);
}

TEST_F(BackupTest, ABatchIsInABackupIfAndOnlyIfItsNumberIs) {
  Fill();
  std::optional<StatusOr<BackupResult>> made;
  io::TaskScope scope(world_.environment()->executor());
  world_.RunOnLoop([&] { scope.Spawn(BackUpInto(core_.get(), &made)); });
  uint64_t sequence = 4;
  while (!made.has_value()) {
    sequence++;
    ASSERT_TRUE(WriteNumbered(sequence, static_cast<int64_t>(sequence) * 10'000, 500).status.ok());
  }
  ASSERT_TRUE(made->ok()) << made->status();
  ASSERT_GT(sequence, 6u) << "appends did not run beside the backup";
  ASSERT_TRUE(MoveToRestored().ok());
  const auto known = core_->state()->FindBranch({}, {})->producers.Find(Numbered("default"));
  ASSERT_TRUE(known.has_value());
  EXPECT_GE(known->last_sequence, 4u);
  for (uint64_t number = 5; number <= sequence; number++) {
    SelectQuery query;
    query.selector = "metric{name=\"numbered\"}";
    const auto at = static_cast<int64_t>(number) * 10'000;
    query.range = {at, at + 9'999};
    auto cursor = MakeSelectCursor(*core_->View("default", "main"), query);
    SeriesChunk chunk;
    size_t samples = 0;
    while (*(*cursor)->Next(&chunk)) samples += chunk.timestamps.size();
    EXPECT_EQ(samples, number <= known->last_sequence ? 500u : 0u) << number;
  }
}

TEST_F(BackupTest, CompactionsBesideABackupTakeNothingFromIt) {
  Fill();
  // More files to link than a compaction takes steps.
  for (int64_t i = 0; i < 40; i++) {
    ASSERT_TRUE(Write("default", {"a"}, i * 10, 15).status.ok());
    ASSERT_TRUE(Flush().ok());
  }
  const std::string before = Answers();
  std::optional<StatusOr<BackupResult>> made;
  io::TaskScope scope(world_.environment()->executor());
  world_.RunOnLoop([&] { scope.Spawn(BackUpInto(core_.get(), &made)); });
  const uint64_t links = world_.disk().submitted(sim::Op::kLink);
  world_.RunUntil([&] { return world_.disk().submitted(sim::Op::kLink) > links; });
  ASSERT_FALSE(made.has_value());
  ASSERT_TRUE(Compact().ok());
  ASSERT_FALSE(made.has_value()) << "it ended before anything could be taken from it";
  world_.RunUntil([&] { return made.has_value(); });
  ASSERT_TRUE(made->ok()) << made->status();
  EXPECT_EQ(*RestoredAnswers(), before);
  // And then nothing holds what was merged.
  ASSERT_TRUE(Compact().ok());
  world_.RunFor(2'000'000'000);
  EXPECT_EQ(GetStats().garbage_layers, 0u);
}

TEST_F(BackupTest, ASecondBackupTakesWhatIsNewAndRemovesWhatIsOld) {
  Fill();
  auto first = MakeBackup();
  ASSERT_TRUE(first.ok()) << first.status();
  const size_t files = Visible("/backup/layers/").size();
  EXPECT_EQ(files, first->layers);
  auto nothing_new = MakeBackup();
  ASSERT_TRUE(nothing_new.ok());
  EXPECT_EQ(nothing_new->placed.kept, first->layers);
  EXPECT_EQ(nothing_new->placed.linked, 0u);
  ASSERT_TRUE(Write("default", {"b"}, 10'000, 100).status.ok());
  auto one_more = MakeBackup();
  ASSERT_TRUE(one_more.ok());
  EXPECT_EQ(one_more->placed.kept, first->layers);
  EXPECT_EQ(one_more->placed.linked, 1u);
  EXPECT_EQ(one_more->removed, 1u) << "the older image";
  ASSERT_TRUE(Compact().ok());
  const std::string before = Answers();
  auto merged = MakeBackup();
  ASSERT_TRUE(merged.ok());
  EXPECT_GT(merged->removed, 2u);
  EXPECT_EQ(merged->not_removed, 0u);
  EXPECT_THAT(Visible("/backup/layers/"), SizeIs(merged->layers));
  EXPECT_THAT(Visible("/backup/catalog-"), SizeIs(1));
  EXPECT_EQ(*RestoredAnswers(), before);
}

TEST_F(BackupTest, WhereThereAreNoLinksLayersAreCopied) {
  Fill();
  const std::string before = Answers();
  world_.disk().FailFrom({sim::Op::kLink}, 1, -EXDEV);
  auto made = MakeBackup();
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->placed.copied, made->layers);
  EXPECT_EQ(made->placed.copied_bytes, made->layer_bytes);
  auto kept = MakeBackup();
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->placed.kept, made->layers);
  EXPECT_EQ(*RestoredAnswers(), before);
}

TEST_F(BackupTest, ALayerThatIsDamagedInTheBackupIsReplacedByTheNextOne) {
  Fill();
  world_.disk().FailFrom({sim::Op::kLink}, 1, -EXDEV);
  ASSERT_TRUE(MakeBackup().ok());
  const std::string before = Answers();
  const std::string layer = Visible("/backup/layers/").front();
  const size_t bytes = world_.disk().ReadVisible(layer)->size();
  world_.disk().FlipBit(layer, bytes - 20, 1);  // in the footer
  EXPECT_TRUE(absl::IsDataLoss(RestoredAnswers().status()));
  auto again = MakeBackup();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->placed.copied, 1u);
  EXPECT_EQ(*RestoredAnswers(), before);
}

TEST_F(BackupTest, DamageOfABackupIsNamedByRestore) {
  Fill();
  world_.disk().FailFrom({sim::Op::kLink}, 1, -EXDEV);
  ASSERT_TRUE(MakeBackup().ok());
  const std::string layer = Visible("/backup/layers/").front();
  const std::string image = Visible("/backup/catalog-").front();
  for (const std::string& path : {layer, image, std::string("/backup/BACKUP")}) {
    const size_t at = world_.disk().ReadVisible(path)->size() / 3;
    world_.disk().FlipBit(path, at, 2);
    const Status status = RestoredAnswers().status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << path << ": " << status;
    EXPECT_THAT(status.ToString(), HasSubstr(path));
    world_.disk().FlipBit(path, at, 2);
  }
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->Unlink(layer)), 0);
  const Status missing = RestoredAnswers().status();
  EXPECT_TRUE(absl::IsDataLoss(missing)) << missing;
  EXPECT_THAT(missing.ToString(), HasSubstr(layer));
}

TEST_F(BackupTest, AFolderThatIsSomethingElseIsRefused) {
  Fill();
  world_.disk().WriteDurable("/mine/letter.txt", AsBytes("dear"));
  const Status foreign = MakeBackup("/mine").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(foreign)) << foreign;
  EXPECT_THAT(foreign.ToString(), HasSubstr("letter.txt"));
  EXPECT_THAT(Visible("/mine/"), SizeIs(1)) << "nothing is written there";
  for (const char* own : {"/db", "/db/backup", "/", "/db//./layers"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MakeBackup(own).status())) << own;
  }
  world_.disk().WriteDurable("/odd/BACKUP", AsBytes("not one of ours"));
  EXPECT_TRUE(absl::IsDataLoss(MakeBackup("/odd").status()));
}

TEST_F(BackupTest, RestoreRefusesWhatItCannotDo) {
  Fill();
  ASSERT_TRUE(MakeBackup().ok());
  Die(sim::CrashKind::kProcessKill);
  world_.disk().WriteDurable("/full/file", AsBytes("x"));
  const Status full = RestoreAndMove("/full").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(full)) << full;
  EXPECT_THAT(full.ToString(), HasSubstr("\"file\""));
  const Status database = RestoreAndMove("/db").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(database)) << database;
  EXPECT_THAT(database.ToString(), HasSubstr("there is a database in this folder"));
  EXPECT_TRUE(absl::IsInvalidArgument(RestoreAndMove("/backup/new").status()));
  EXPECT_TRUE(absl::IsNotFound(RestoreAndMove("/new", "/nowhere").status()));
  EXPECT_TRUE(absl::IsNotFound(RestoreAndMove("/new", "/db").status()));
}

TEST_F(BackupTest, ABackupIsNoDatabase) {
  Fill();
  ASSERT_TRUE(MakeBackup().ok());
  Die(sim::CrashKind::kProcessKill);
  options_.directory = kBackup;
  const Status opened = Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(opened)) << opened;
}

TEST_F(BackupTest, ACancelledBackupLeavesTheOlderOne) {
  Fill();
  const std::string before = Answers();
  ASSERT_TRUE(MakeBackup().ok());
  ASSERT_TRUE(Write("default", {"b"}, 10'000, 100).status.ok());
  const std::atomic<bool> cancel = true;
  BackupOptions options;
  options.cancel = &cancel;
  auto cancelled = world_.RunTask(Backup(core_.get(), kBackup, options));
  EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
  EXPECT_EQ(*RestoredAnswers(), before);
  EXPECT_TRUE(MakeBackup().ok());
}

TEST_F(BackupTest, ALostCatalogOfARestoredDatabaseIsNotTakenForANewOne) {
  Fill();
  const std::string before = Answers();
  ASSERT_TRUE(MakeBackup().ok());
  Die(sim::CrashKind::kProcessKill);
  ASSERT_TRUE(RestoreAndMove("/restored").ok());
  options_.directory = "/restored";
  auto rebuilt = Rebuild();
  ASSERT_TRUE(rebuilt.ok()) << rebuilt.status();
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Answers(), before);
  Die(sim::CrashKind::kPowerCut);
  for (const std::string& image : Files("/restored/catalog-")) {
    world_.Boot();
    ASSERT_EQ(world_.RunTask(world_.environment()->disk()->Unlink(image)), 0);
    ASSERT_EQ(world_.RunTask(world_.environment()->disk()->SyncDirectory("/restored")), 0);
    world_.Crash(sim::CrashKind::kProcessKill);
  }
  const Status refused = Rebuild().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(refused.ToString(), HasSubstr("--without-image"));
}

TEST_F(BackupTest, ClosingEndsABackup) {
  Fill();
  std::optional<StatusOr<BackupResult>> made;
  io::TaskScope scope(world_.environment()->executor());
  world_.RunOnLoop([&] { scope.Spawn(BackUpInto(core_.get(), &made)); });
  world_.RunUntil([&] { return world_.disk().submitted(sim::Op::kLink) > 0; });
  const Status second = MakeBackup("/another").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_THAT(second.ToString(), HasSubstr("under way"));
  const Status closed = world_.RunTask(core_->Close());
  EXPECT_TRUE(closed.ok()) << closed;
  ASSERT_TRUE(made.has_value());
  EXPECT_TRUE(absl::IsFailedPrecondition(made->status())) << made->status();
  world_.RunOnLoop([this] { core_.reset(); });
}

}  // namespace
}  // namespace nexus::engine
