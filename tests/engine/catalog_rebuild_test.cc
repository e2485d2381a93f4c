// A lost catalog comes back: from the newest image, layers and log; from the older image; from the
// log alone; without an image as far as can be known. Answers are equal before and after.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "engine/log_replay.h"
#include "tests/engine/catalog_rebuild_fixture.h"
#include "wal/scan.h"

namespace nexus::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint64_t kProducer = 1;

class CatalogRebuildTest : public CatalogRebuildFixture {
 protected:
  // Two tenants, series that come and go, numbered batches; flushed often enough that the log
  // begins behind the first of them, and more in the log than in layers at the end.
  void Fill(int rounds = 6) {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(Append(0, 10).ok());
    ASSERT_TRUE(CreateTenant("other").ok());
    ASSERT_TRUE(OpenEpoch("default", Numbered("default")).ok());
    for (int round = 0; round < rounds; round++) {
      ASSERT_TRUE(Round(round).ok());
      ASSERT_TRUE(Flush().ok());
    }
    ASSERT_TRUE(Round(rounds).ok());
  }
  // The fixture asks for producers by these ids.
  ProducerId Numbered(const std::string& tenant) {
    return {kProducer, core_->state()->published.Find(tenant, "main")->tenant.value};
  }
  Status Round(int round) {
    const int64_t at = round * 10'000;
    const std::string own = "only-" + std::to_string(round);
    const ProducerId producer = Numbered("default");
    for (int i = 0; i < 2; i++) {
      ExactlyOnce once{producer.high, producer.low, 1, ++sequence_};
      NEXUS_RETURN_IF_ERROR(Write("default", {"always", own}, at + i * 1000, 1000, once).status);
    }
    return Write("other", {"always", own}, at, 500).status;
  }
  // No layer has the series, and the log with its definition is trimmed.
  void WriteOfASeriesMadeLongBefore() {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(CreateTenant("other").ok());
    ASSERT_TRUE(OpenEpoch("default", Numbered("default")).ok());
    for (int round = 0; round < 6; round++) {
      ASSERT_TRUE(Round(round).ok());
      ASSERT_TRUE(Flush().ok());
    }
    ASSERT_TRUE(Append(0, 10).ok());
  }
  std::string AnswersThenKill() {
    std::string answers = Answers();
    Die(sim::CrashKind::kProcessKill);
    return answers;
  }
  void ExpectEqualAnswers(const std::string& before) {
    Status opened = Open();
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_EQ(Answers(), before);
    EXPECT_THAT(Files("quarantine/"), IsEmpty()) << "no layer was forgotten";
  }
  bool LogBeginsBehind(Lsn lsn) {
    wal::LogScan scan = ScanTheLog();
    return !scan.from_the_beginning() && scan.segments.front().base > lsn;
  }
  // As `nexus wal replay --skip-damaged`.
  StatusOr<LogReplayReport> ReplaySkippingDamage() {
    LogReplayOptions options;
    options.skip_damaged = true;
    CatalogHooks hooks = BootHooks();
    auto report =
        world_.RunTask(ReplayLog(world_.environment(), options_, options, std::move(hooks)));
    world_.Crash(sim::CrashKind::kProcessKill);
    return report;
  }
  wal::LogScan ScanTheLog() {
    world_.Boot();
    auto scan =
        world_.RunTask(wal::ScanLog(world_.environment(), "/db/wal", wal::Witness{}, nullptr));
    world_.Crash(sim::CrashKind::kProcessKill);
    return *std::move(scan);
  }

  uint64_t sequence_ = 0;
};

TEST_F(CatalogRebuildTest, AnswersAreEqualBeforeAndAfter) {
  Fill();
  const std::string before = AnswersThenKill();
  ASSERT_TRUE(LogBeginsBehind(Lsn{1})) << "else the log alone would do";
  auto report = Rebuild();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->image, Files(".image").back());
  EXPECT_EQ(report->tenants, 2u);
  EXPECT_GE(report->layers, 10u);
  EXPECT_GE(report->series, 12u);
  EXPECT_EQ(report->producers, 1u);
  EXPECT_THAT(report->damage, IsEmpty());
  EXPECT_THAT(report->unknown, IsEmpty());
  ExpectEqualAnswers(before);
}

TEST_F(CatalogRebuildTest, BranchesAndSnapshotsAreAsTheyWere) {
  Fill();
  ASSERT_TRUE(CreateBranch("old", "main").ok());
  ASSERT_TRUE(CreateBranch("gone", "main").ok());
  ASSERT_TRUE(Write("default", {"always"}, 0, 1000, std::nullopt, "old").status.ok());
  ASSERT_TRUE(Write("default", {"always"}, 50, 10, std::nullopt, "gone").status.ok());
  ASSERT_TRUE(CreateBranch("heir", "gone").ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(CreateBranch("older", "old", BranchKind::kSnapshot).ok());
  ASSERT_TRUE(Write("default", {"always"}, 500, 1000, std::nullopt, "old").status.ok());
  ASSERT_TRUE(Write("default", {"always"}, 70, 10, std::nullopt, "gone").status.ok());
  ASSERT_TRUE(CreateBranch("heiress", "gone").ok());
  ASSERT_TRUE(DeleteBranch("gone").ok());
  ASSERT_TRUE(CreateBranch("new", "older").ok());
  const std::string before = AnswersThenKill();
  auto report = Rebuild();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->damage, IsEmpty());
  ExpectEqualAnswers(before);
}

TEST_F(CatalogRebuildTest, WithoutImagesBranchesHaveWhatWasWrittenToThem) {
  Fill();
  ASSERT_TRUE(CreateBranch("old", "main").ok());
  ASSERT_TRUE(CreateBranch("snap", "main", BranchKind::kSnapshot).ok());
  ASSERT_TRUE(Write("default", {"of-old"}, 0, 1000, std::nullopt, "old").status.ok());
  for (int round = 10; round < 16; round++) {
    ASSERT_TRUE(Round(round).ok());
    ASSERT_TRUE(Flush().ok());
  }
  // These the log makes again.
  ASSERT_TRUE(CreateBranch("young", "main").ok());
  ASSERT_TRUE(Write("default", {"of-young"}, 0, 10, std::nullopt, "young").status.ok());
  const std::string before = AnswersThenKill();
  for (const std::string& image : Files(".image")) world_.disk().FlipBit(image, 300, 1);
  auto refused = Rebuild();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("snapshots made before LSN"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("the name of branch 1 of tenant"));
  auto report = Rebuild(/*without_image=*/true);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(Open().ok());
  const auto branches = *world_.RunTask(core_->Branches("default"));
  ASSERT_EQ(branches.size(), 3u);
  EXPECT_EQ(branches[1].name, "branch-1");
  EXPECT_EQ(branches[2].name, "young");
  EXPECT_THAT(AnswersOf("default", branches[1]), HasSubstr("of-old,tenant=default: 1000 samples"));
  EXPECT_THAT(before, HasSubstr(AnswersOf("default", branches[0])));
  EXPECT_THAT(before, HasSubstr(AnswersOf("default", branches[2])));
  ASSERT_TRUE(CreateBranch("next", "main").ok());
}

TEST_F(CatalogRebuildTest, NumberedBatchesAreStillKnown) {
  Fill();
  AnswersThenKill();
  ASSERT_TRUE(Rebuild().ok());
  ASSERT_TRUE(Open().ok());
  const ProducerId producer = Numbered("default");
  for (uint64_t sequence : {uint64_t{1}, sequence_}) {
    ExactlyOnce once{producer.high, producer.low, 1, sequence};
    Written again = Write("default", {"always"}, 0, 10, once);
    EXPECT_TRUE(again.status.ok()) << again.status;
    EXPECT_TRUE(again.duplicate) << sequence;
  }
  ExactlyOnce next{producer.high, producer.low, 1, sequence_ + 1};
  Written fresh = Write("default", {"always"}, 900'000, 10, next);
  EXPECT_TRUE(fresh.status.ok()) << fresh.status;
  EXPECT_FALSE(fresh.duplicate);
}

TEST_F(CatalogRebuildTest, DatabaseLivesOnAndNeverUsesAnIdAgain) {
  Fill();
  uint64_t next_id = core_->state()->next_series_id;
  AnswersThenKill();
  ASSERT_TRUE(Rebuild().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ((*Intern("default", {"new"}))[0].value, next_id);
  for (int round = 7; round < 12; round++) {
    ASSERT_TRUE(Round(round).ok());
    ASSERT_TRUE(Flush().ok());
  }
  const std::string before = Answers();
  ASSERT_TRUE(Close().ok());
  ExpectEqualAnswers(before);
}

TEST_F(CatalogRebuildTest, OlderImageServesWhenTheNewestIsDamaged) {
  Fill();
  const std::string before = AnswersThenKill();
  const std::vector<std::string> images = Files(".image");
  ASSERT_EQ(images.size(), 2u);
  FlipBitIn(images.back());
  auto report = Rebuild();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->image, images.front());
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_THAT(report->damage.front(), HasSubstr(images.back()));
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Answers(), before);
}

TEST_F(CatalogRebuildTest, LogThatIsWholeNeedsNoImage) {
  options_.log_segment_bytes = 1 << 20;
  Fill(2);
  const std::string before = AnswersThenKill();
  ASSERT_FALSE(LogBeginsBehind(Lsn{1}));
  for (const std::string& image : Files(".image")) FlipBitIn(image);
  auto report = Rebuild();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->image, "");
  EXPECT_THAT(report->unknown, IsEmpty());
  EXPECT_EQ(report->damage.size(), 2u);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Answers(), before);
}

TEST_F(CatalogRebuildTest, DatabaseThatHoldsNothingYetIsRebuiltToo) {
  ASSERT_TRUE(Open().ok());
  const std::string before = AnswersThenKill();
  ASSERT_TRUE(Rebuild().ok());
  ExpectEqualAnswers(before);
}

TEST_F(CatalogRebuildTest, WithoutImagesItRefusesAndListsWhatCannotBeKnown) {
  Fill();
  AnswersThenKill();
  const std::vector<std::string> images = Files(".image");
  for (const std::string& image : images) FlipBitIn(image);
  Status refused = Rebuild().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  const std::string message(refused.message());
  EXPECT_THAT(message, HasSubstr("--without-image"));
  for (const std::string& image : images) EXPECT_THAT(message, HasSubstr(image));
  EXPECT_THAT(message, HasSubstr("the name of tenant 1: it becomes \"tenant-1\""));
  EXPECT_THAT(message, HasSubstr("producers that sent nothing since LSN"));
  EXPECT_THAT(message, HasSubstr("settings"));
  EXPECT_THAT(message, HasSubstr("retired"));
}

TEST_F(CatalogRebuildTest, WithoutImagesSeriesAndSamplesComeBackOnRequest) {
  Fill();
  std::string before = AnswersThenKill();
  for (const std::string& image : Files(".image")) FlipBitIn(image);
  auto report = Rebuild(/*without_image=*/true);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->unknown, Not(IsEmpty()));
  Status opened = Open();
  ASSERT_TRUE(opened.ok()) << opened;
  // The tenant has another name: all else is as it was, producers included, for the log holds
  // batches of them.
  for (size_t at = before.find("tenant other "); at != std::string::npos;) {
    before.replace(at, 12, "tenant tenant-1");
    at = before.find("tenant other ", at);
  }
  EXPECT_EQ(Answers(), before);
  ASSERT_TRUE(Flush().ok());
  EXPECT_EQ(Answers(), before);
}

// The log holds nothing then, so no layer may be taken for one that it can write anew.
TEST_F(CatalogRebuildTest, LostLogAndImagesCostNoLayer) {
  Fill();
  ASSERT_TRUE(Flush().ok());
  AnswersThenKill();
  const std::vector<std::string> layers = Files(".layer");
  ASSERT_FALSE(layers.empty());
  world_.Boot();
  for (const char* kind : {".image", ".log"}) {
    for (const std::string& path : Files(kind)) {
      ASSERT_EQ(world_.RunTask(world_.environment()->disk()->Unlink(path)), 0);
    }
  }
  for (const char* folder : {"/db", "/db/wal"}) {
    ASSERT_EQ(world_.RunTask(world_.environment()->disk()->SyncDirectory(folder)), 0);
  }
  world_.Crash(sim::CrashKind::kProcessKill);
  auto report = Rebuild(/*without_image=*/true);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->layers, layers.size());
  Status opened = Open();
  EXPECT_TRUE(absl::IsDataLoss(opened)) << "that the log is gone is not hidden: " << opened;
  auto replayed = ReplaySkippingDamage();
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Files("/layers/"), layers);
}

TEST_F(CatalogRebuildTest, LayerThatIsMissingIsNamedAndNothingIsChanged) {
  Fill();
  const std::string before = AnswersThenKill();
  const std::string layer = Files(".layer").front();
  const std::string content = *world_.disk().ReadDurable(layer);
  world_.Boot();
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->Unlink(layer)), 0);
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->SyncDirectory("/db/layers")), 0);
  world_.Crash(sim::CrashKind::kProcessKill);
  Status refused = Rebuild().status();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr(layer));
  world_.disk().WriteDurable(layer, AsBytes(content));
  ASSERT_TRUE(Rebuild().ok());
  ExpectEqualAnswers(before);
}

TEST_F(CatalogRebuildTest, DamagedLogIsReportedWithItsWayOut) {
  Fill();
  AnswersThenKill();
  wal::LogScan scan = ScanTheLog();
  const wal::SegmentScan& last = scan.confirmed.back();
  world_.disk().FlipBit(last.path, (last.data_begin + last.data_end) / 2, 1);
  auto report = Rebuild();
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_THAT(report->damage.front(), HasSubstr("nexus wal replay"));
  Status opened = Open();
  EXPECT_TRUE(absl::IsDataLoss(opened)) << opened;
  auto replayed = ReplaySkippingDamage();
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ((*Intern("default", {"always"}))[0], (SeriesId{2}));
}

TEST_F(CatalogRebuildTest, SeriesMadeLongBeforeItsFirstSampleKeepsItsLabels) {
  WriteOfASeriesMadeLongBefore();
  const std::string before = AnswersThenKill();
  auto report = Rebuild();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->damage, IsEmpty());
  ExpectEqualAnswers(before);
  // Nor is it forgotten by the next image.
  ASSERT_TRUE(Flush().ok());
  const std::string flushed = AnswersThenKill();
  ASSERT_TRUE(Rebuild().ok());
  ExpectEqualAnswers(flushed);
}

// Their last layer has gone, and the log does not define them any more; what is written to them
// next names them by their ids alone.
TEST_F(CatalogRebuildTest, SeriesThatWereDeletedOrInADeletedBranchKeepTheirLabels) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(CreateBranch("branch", "main").ok());
  ASSERT_TRUE(Write("default", {"deleted", "kept"}, 0, 10).status.ok());
  ASSERT_TRUE(Write("default", {"elsewhere"}, 0, 10, std::nullopt, "branch").status.ok());
  for (int round = 0; round < 3; round++) {
    ASSERT_TRUE(Write("default", {"kept"}, 100 + round, 5).status.ok());
    ASSERT_TRUE(Flush().ok());
  }
  DeleteRequest request;
  request.selector = "metric{name=\"deleted\"}";
  ASSERT_TRUE(world_.RunTask(core_->Delete(request)).ok());
  ASSERT_TRUE(DeleteBranch("branch").ok());
  ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
  world_.RunUntil([&] { return core_->state()->garbage.empty(); });
  ASSERT_EQ(core_->state()->FindBranch({}, {})->layers.size(), 1u);
  ASSERT_EQ(core_->state()->FindBranch({}, {})->layers[0].record.series, 1u);
  for (int round = 0; round < 3; round++) {
    ASSERT_TRUE(Write("default", {"kept"}, 200 + round, 5).status.ok());
    ASSERT_TRUE(Flush().ok());
  }
  ASSERT_TRUE(Write("default", {"deleted", "elsewhere"}, 50, 10).status.ok());
  const std::string before = AnswersThenKill();
  auto report = Rebuild();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->damage, IsEmpty());
  ExpectEqualAnswers(before);
}

TEST_F(CatalogRebuildTest, SamplesWhoseLabelsAreLostAreReportedWithTheirWayOut) {
  WriteOfASeriesMadeLongBefore();
  AnswersThenKill();
  for (const std::string& image : Files(".image")) FlipBitIn(image);
  auto report = Rebuild(/*without_image=*/true);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->damage.size(), 3u) << "two images, and:";
  EXPECT_THAT(report->damage.back(), HasSubstr("samples of 1 series, the first of id 1"));
  EXPECT_THAT(report->damage.back(), HasSubstr("nexus wal replay /db --skip-damaged"));
  auto replayed = ReplaySkippingDamage();
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(replayed->undefined_series, 1u);
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(20'000, 10).ok());
  EXPECT_TRUE(Flush().ok());
}

TEST_F(CatalogRebuildTest, CatalogOlderThanTheLogIsNamedAndReplaced) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, 10).ok());
  ASSERT_TRUE(Flush().ok());
  std::stringstream old;
  old << std::ifstream(world_.ScratchDirectory() + "/data.mdb", std::ios::binary).rdbuf();
  Die(sim::CrashKind::kProcessKill);
  Fill();
  const std::string before = AnswersThenKill();
  CatalogHooks hooks = BootHooks();
  std::ofstream(hooks.directory + "/data.mdb", std::ios::binary | std::ios::trunc) << old.str();
  auto opened = world_.RunTask(DatabaseCore::Open(world_.environment(), options_, hooks));
  world_.Crash(sim::CrashKind::kProcessKill);
  EXPECT_TRUE(absl::IsFailedPrecondition(opened.status())) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("older than the log"));
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("run nexus catalog rebuild /db"));
  ASSERT_TRUE(Rebuild().ok());
  ExpectEqualAnswers(before);
}

TEST_F(CatalogRebuildTest, FolderInUseIsRefused) {
  Fill(1);
  CatalogRebuildHooks hooks;
  hooks.directory = world_.ScratchDirectory();
  options_.lock_wait_ms = 10;
  auto report = world_.RunTask(RebuildCatalog(world_.environment(), options_, {}, hooks));
  EXPECT_TRUE(absl::IsFailedPrecondition(report.status())) << report.status();
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("in use"));
}

TEST_F(CatalogRebuildTest, CrashAtAnyStepLosesNothing) {
  Fill(3);
  const std::string before = AnswersThenKill();
  int crashes = 0;
  for (uint64_t step = 1;; step += 3) {
    auto kind = step % 2 == 0 ? sim::CrashKind::kProcessKill : sim::CrashKind::kPowerCut;
    auto report = SimulateRebuild(&world_, options_, {}, RebuildCrash{step, kind});
    if (report.has_value()) {
      ASSERT_TRUE(report->ok()) << report->status();
      break;
    }
    crashes++;
    if (step % 5 != 0) continue;
    // The old catalog serves as if nothing had happened.
    Status opened = Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_EQ(Answers(), before) << "step " << step;
    Die(kind);
  }
  EXPECT_GT(crashes, 20);
  ExpectEqualAnswers(before);
}

}  // namespace
}  // namespace nexus::engine
