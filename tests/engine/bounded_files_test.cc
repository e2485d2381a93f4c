// Many layers and few descriptors: everything that reads layers works with 4 open files and hardly
// a reader in memory, versions stay readable though their layers were compacted away, damage is
// told where it is met, and a query that nobody reads frees what it holds.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/backup.h"
#include "engine/scrub.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

constexpr int kBatch = 20;
constexpr int kLayers = 50;
constexpr size_t kSamples = size_t{kBatch} * kLayers;
constexpr int64_t kNanosPerSecond = 1'000'000'000;

class BoundedFilesTest : public SimDatabaseTest {
 protected:
  BoundedFilesTest() {
    options_.compaction = false;
    options_.layer_files_open_max = 4;
    options_.layer_metadata_bytes = 0;
    options_.page_cache_bytes = 0;
  }

  void MakeLayers(int count = kLayers) {
    ASSERT_TRUE(Open().ok());
    for (int i = 0; i < count; i++) {
      ASSERT_TRUE(Append(i * kBatch, kBatch).ok());
      ASSERT_TRUE(Flush().ok());
    }
  }
  uint64_t OpenFiles() { return core_->state()->files->counters().open; }
  void ExpectBounded() { EXPECT_LE(OpenFiles(), 4u); }

  StatusOr<std::unique_ptr<Cursor>> Select(int64_t deadline_ms = 0) {
    NEXUS_ASSIGN_OR_RETURN(ReadView view, core_->View("default", "main"));
    SelectQuery query;
    query.selector = "metric";
    query.limits.deadline_ms = deadline_ms;
    return MakeSelectCursor(std::move(view), query);
  }
  static StatusOr<size_t> Drain(Cursor* cursor) {
    SeriesChunk chunk;
    size_t samples = 0;
    while (true) {
      NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
      if (!more) return samples;
      samples += chunk.timestamps.size();
    }
  }
  StatusOr<DeleteResult> Delete(TimeRange range, bool dry_run) {
    DeleteRequest request;
    request.selector = "metric";
    request.range = range;
    request.dry_run = dry_run;
    return world_.RunTask(core_->Delete(request));
  }
  ScrubReport ScrubNow() {
    ScrubOptions options;
    return *world_.RunTask(Scrub(core_.get(), options));
  }
};

TEST_F(BoundedFilesTest, FiftyLayersAreReadThroughFourFiles) {
  MakeLayers();
  EXPECT_EQ(*Read(), kSamples);
  ExpectBounded();
  ASSERT_TRUE(core_->LatestOf(series_, "default", "main")->has_value());
  EXPECT_EQ(core_->LatestOf(series_, "default", "main")->value().timestamp, kSamples - 1);
  // Several at a time, in turn.
  std::vector<std::unique_ptr<Cursor>> cursors;
  for (int i = 0; i < 10; i++) cursors.push_back(*Select());
  for (const auto& cursor : cursors) EXPECT_EQ(*Drain(cursor.get()), kSamples);
  ExpectBounded();
  EXPECT_GT(core_->state()->files->counters().openings, uint64_t{kLayers});
}

TEST_F(BoundedFilesTest, DeletesCompactionBranchesScrubAndBackupNeedNoMore) {
  MakeLayers();
  EXPECT_EQ(Delete({0, 29}, /*dry_run=*/true)->samples, 30u);
  ASSERT_TRUE(Delete({0, 29}, /*dry_run=*/false).ok());
  ASSERT_TRUE(
      world_.RunTask(core_->CreateBranch("b", BranchKind::kBranch, "main", "default")).ok());
  EXPECT_EQ(*Read(), kSamples - 30);
  ASSERT_TRUE(Compact().ok());
  ExpectBounded();
  EXPECT_EQ(*Read(), kSamples - 30);
  EXPECT_LT(core_->state()->FindBranch({}, {})->layers.size(), 5u);
  EXPECT_TRUE(ScrubNow().clean());
  auto backup = world_.RunTask(Backup(core_.get(), "/backup", {}));
  ASSERT_TRUE(backup.ok()) << backup.status();
  ExpectBounded();
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(OpenFiles(), 0u) << "opening the database opens no layer";
  EXPECT_EQ(*Read(), kSamples - 30);
}

TEST_F(BoundedFilesTest, AVersionWhoseLayersWereCompactedAwayIsReadToItsEnd) {
  MakeLayers();
  const std::vector<std::string> before = Files(".layer");
  auto cursor = *Select();
  SeriesChunk chunk;
  ASSERT_TRUE(*cursor->Next(&chunk));
  const size_t shown = chunk.timestamps.size();
  auto view = *core_->View("default", "main");
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(*Read(), kSamples);
  for (const std::string& file : before) {
    EXPECT_TRUE(world_.disk().ReadVisible(file).has_value()) << file << " may still be opened";
  }
  EXPECT_EQ(GetStats().garbage_layers, uint64_t{kLayers});
  EXPECT_EQ(shown + *Drain(cursor.get()), kSamples);
  // The cursor has come to its end; the view has not.
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, uint64_t{kLayers});
  SelectQuery query;
  query.selector = "metric";
  EXPECT_EQ(*Drain(MakeSelectCursor(std::move(view), query)->get()), kSamples);
  view = {};
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, 0u);
  for (const std::string& file : before) {
    EXPECT_FALSE(world_.disk().ReadVisible(file).has_value()) << file;
  }
}

TEST_F(BoundedFilesTest, WhatAQueryHeldGoesAfterACrash) {
  MakeLayers(5);
  {
    const auto cursor = *Select();
    ASSERT_TRUE(Compact().ok());
    EXPECT_EQ(GetStats().garbage_layers, 5u);
  }
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Read(), size_t{5 * kBatch});
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, 0u);
  EXPECT_EQ(Files(".layer").size(), 1u);
  EXPECT_TRUE(ScrubNow().clean());
}

TEST_F(BoundedFilesTest, AQueryThatNobodyReadsFreesItsLayersAtItsDeadline) {
  MakeLayers(5);
  // One that has come half way, one that has not begun, one without a deadline.
  const auto half = *Select(1'000);
  const auto idle = *Select(1'000);
  SeriesChunk chunk;
  ASSERT_TRUE(*half->Next(&chunk));
  const int64_t first = chunk.timestamps[0];
  auto endless = *Select(0);
  EXPECT_EQ(core_->state()->query_leases->open(), 2u);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, 5u);
  world_.RunFor(2 * kNanosPerSecond);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(core_->state()->query_leases->open(), 0u);
  EXPECT_EQ(GetStats().garbage_layers, 5u) << "one has no deadline";
  EXPECT_EQ(chunk.timestamps[0], first) << "what was shown last is valid";
  EXPECT_TRUE(absl::IsDeadlineExceeded(half->Next(&chunk).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(idle->Next(&chunk).status()));
  endless.reset();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, 0u) << "the others hold nothing";
}

// Nobody asks for a compaction: the compactor looks by itself.
TEST_F(BoundedFilesTest, WhatIsFreedGoesByItselfWithinTwoMinutes) {
  MakeLayers(5);
  const auto idle = *Select(1'000);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, 5u);
  world_.RunFor(120 * kNanosPerSecond);
  EXPECT_EQ(GetStats().garbage_layers, 0u);
}

TEST_F(BoundedFilesTest, ACursorAtItsEndHoldsNothing) {
  MakeLayers(5);
  const auto cursor = *Select();
  EXPECT_EQ(*Drain(cursor.get()), size_t{5 * kBatch});
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().garbage_layers, 0u);
  SeriesChunk chunk;
  EXPECT_FALSE(*cursor->Next(&chunk));
}

TEST_F(BoundedFilesTest, StatsTellOfOpenFilesAndMemory) {
  options_.layer_metadata_bytes = 1 << 20;
  MakeLayers(10);
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  const Stats before = GetStats();
  EXPECT_EQ(before.layers, 10u);
  EXPECT_EQ(before.layer_files_open, 0u);
  EXPECT_GT(before.layer_metadata_bytes, 10 * sizeof(OpenLayer));
  EXPECT_EQ(*Read(), size_t{10 * kBatch});
  const Stats after = GetStats();
  EXPECT_EQ(after.layer_files_open, 4u);
  EXPECT_GT(after.layer_metadata_bytes, before.layer_metadata_bytes + 10 * 100);
}

TEST_F(BoundedFilesTest, AFileThatIsMissingOrShortRefusesToOpen) {
  MakeLayers(3);
  ASSERT_TRUE(Close().ok());
  const std::string layer = Files(".layer")[1];
  const std::string content = *world_.disk().ReadDurable(layer);
  for (const size_t bytes : {size_t{0}, size_t{10}, content.size() - 1}) {
    world_.disk().WriteDurable(layer, AsBytes(content.substr(0, bytes)));
    const Status status = Open();
    ASSERT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_NE(status.message().find(layer), std::string_view::npos) << status;
  }
  world_.disk().WriteDurable(layer, AsBytes(content));
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Read(), size_t{3 * kBatch});
}

TEST_F(BoundedFilesTest, ADamagedFileIsNamedByItsFirstUseAndByScrubAndHarmsNoOther) {
  MakeLayers(5);
  ASSERT_TRUE(Close().ok());
  const std::string layer = Files(".layer")[2];
  const size_t bytes = world_.disk().ReadDurable(layer)->size();
  world_.disk().FlipBit(layer, bytes - 20, 1);
  ASSERT_TRUE(Open().ok()) << "what is in a file is not looked at";
  // Ranges of the others are read.
  EXPECT_EQ(*Read(0, 2 * kBatch - 1), size_t{2 * kBatch});
  for (int i = 0; i < 2; i++) {
    const Status read = Read().status();
    ASSERT_TRUE(absl::IsDataLoss(read)) << read;
    EXPECT_NE(read.message().find(layer), std::string_view::npos) << read;
  }
  const ScrubReport report = ScrubNow();
  ASSERT_EQ(report.finding_count, 1u);
  EXPECT_EQ(report.findings.front().file, layer);
  EXPECT_FALSE(Compact().ok());
  world_.disk().FlipBit(layer, bytes - 20, 1);
  EXPECT_EQ(*Read(), size_t{5 * kBatch}) << "no error is kept";
}

TEST_F(BoundedFilesTest, AnErrorOfOpeningIsTheQuerysAndPasses) {
  MakeLayers(5);
  world_.disk().FailFrom({{sim::Op::kOpen}, ".layer"}, 3, -EMFILE);
  EXPECT_FALSE(Read().ok());
  world_.disk().faults()->ClearRules();
  EXPECT_EQ(*Read(), size_t{5 * kBatch});
}

TEST_F(BoundedFilesTest, AFileThatVanishesUnderTheDatabaseIsDataLoss) {
  options_.layer_files_open_max = 1;
  options_.layer_metadata_bytes = 1 << 20;
  MakeLayers(2);
  EXPECT_EQ(*Read(), size_t{2 * kBatch});
  const std::string layer = Files(".layer").front();
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->Unlink(layer)), 0);
  const Status read = Read().status();
  EXPECT_TRUE(absl::IsDataLoss(read)) << read;
  EXPECT_NE(read.message().find(".layer"), std::string_view::npos) << read;
}

}  // namespace
}  // namespace nexus::engine
