// The compactor at work in a simulated world: layers are merged into their windows, what they held
// is read as before, what was replaced goes, and nothing that goes wrong costs a sample.

#include "engine/compactor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

constexpr int kBatch = 500;
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kDay = 86'400 * kSecond;

class CompactorTest : public SimDatabaseTest {
 protected:
  CompactorTest() { options_.compaction = false; }

  // `count` flushes of a batch each; each overlaps half of the one before.
  void MakeLayers(int count, int64_t first = 0) {
    for (int i = 0; i < count; i++) {
      ASSERT_TRUE(Append(first + i * kBatch / 2, kBatch).ok());
      ASSERT_TRUE(Flush().ok());
    }
  }
  // Samples that MakeLayers leaves.
  static size_t SamplesOf(int layers) { return static_cast<size_t>((layers + 1) * kBatch / 2); }

  // On the disk as the next opening would find it.
  size_t LayerFiles() {
    const std::vector<std::string> files = world_.disk().VisibleFiles();
    return static_cast<size_t>(std::count_if(files.begin(), files.end(), [](const auto& path) {
      return path.find("/layers/") != std::string::npos;
    }));
  }
};

TEST_F(CompactorTest, LayersOfAWindowBecomeOneAndReadAsBefore) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(5);
  ASSERT_EQ(GetStats().layers, 5u);
  ASSERT_TRUE(Compact().ok());
  const Stats stats = GetStats();
  EXPECT_EQ(stats.layers, 1u);
  EXPECT_EQ(stats.layer_samples, SamplesOf(5)) << "samples that were written twice are still there";
  EXPECT_GE(stats.compactions, 1u);
  EXPECT_GT(stats.compacted_bytes, 0u);
  EXPECT_EQ(*Read(), SamplesOf(5));
  ExpectClean();
}

TEST_F(CompactorTest, EachWindowGetsItsOwnLayer) {
  options_.compaction_windows = "1s,4s";
  ASSERT_TRUE(Open().ok());
  // Across a border of windows, and around the epoch.
  ASSERT_TRUE(Append(-kBatch / 2, kBatch).ok());
  ASSERT_TRUE(Append(4 * kSecond - 10, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  const BranchState* main = core_->state()->FindBranch({}, {});
  for (const OpenLayer& open : main->layers) {
    const TimeRange range = open.record.range;
    EXPECT_GE(open.record.level, 1u);
    const auto window = [](int64_t ts) { return compaction::WindowIndex(ts, 4 * kSecond); };
    EXPECT_EQ(window(range.first), window(range.last)) << range.first << " to " << range.last;
  }
  EXPECT_EQ(main->layers.size(), 3u);
  EXPECT_EQ(*Read(), 2u * kBatch);
}

TEST_F(CompactorTest, WhatWasReplacedIsDeletedAndStaysSo) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(4);
  ASSERT_EQ(LayerFiles(), 4u);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(LayerFiles(), 1u);
  EXPECT_EQ(GetStats().garbage_layers, 0u);
  for (sim::CrashKind kind : {sim::CrashKind::kPowerCut, sim::CrashKind::kProcessKill}) {
    Die(kind);
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(*Read(), SamplesOf(4));
    EXPECT_EQ(GetStats().layers, 1u);
    ExpectClean();
  }
}

TEST_F(CompactorTest, ItWorksByItselfOnceThereIsEnough) {
  options_.compaction = true;
  options_.compaction_quiet_ms = 500;
  ASSERT_TRUE(Open().ok());
  MakeLayers(6);
  // Their window is over.
  ASSERT_TRUE(Append(kDay, 1).ok());
  ASSERT_TRUE(Flush().ok());
  EXPECT_EQ(GetStats().layers, 7u);
  world_.RunFor(100 * kSecond);
  EXPECT_GE(GetStats().compactions, 1u);
  EXPECT_EQ(GetStats().layers, 1u);
  EXPECT_EQ(*Read(), SamplesOf(6) + 1);
}

TEST_F(CompactorTest, ACursorReadsOnInWhatWasReplaced) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(4);
  auto view = core_->View("default", "main");
  ASSERT_TRUE(view.ok()) << view.status();
  SelectQuery query;
  query.selector = "metric";
  auto cursor = MakeSelectCursor(*std::move(view), query);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().layers, 1u);
  ASSERT_EQ(LayerFiles(), 1u + 4u) << "those that it reads stay";
  SeriesChunk chunk;
  size_t samples = 0;
  while (true) {
    auto more = (*cursor)->Next(&chunk);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    samples += chunk.timestamps.size();
  }
  EXPECT_EQ(samples, SamplesOf(4));
  cursor->reset();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(LayerFiles(), 1u);
}

TEST_F(CompactorTest, WhatIsAppendedMeanwhileStaysAboveIt) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(3);
  ASSERT_TRUE(Append(0, 10).ok());  // in memory
  ASSERT_TRUE(Compact().ok());
  ASSERT_TRUE(Flush().ok());
  EXPECT_EQ(GetStats().layers, 2u);
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().layers, 1u);
  EXPECT_EQ(*Read(), SamplesOf(3));
}

TEST_F(CompactorTest, ADamagedLayerStopsItsJobAndNothingElse) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(3);
  const OpenLayer& damaged = core_->state()->FindBranch({}, {})->layers.front();
  const std::string file = "/db/layers/" + damaged.record.file_name;
  const uint64_t at = (*damaged.file->Reader())->page(0).offset + 20;
  ASSERT_TRUE(Close().ok());
  world_.disk().FlipBit(file, at, 3);
  ASSERT_TRUE(Open().ok());
  const Status compacted = Compact();
  EXPECT_TRUE(absl::IsDataLoss(compacted)) << compacted;
  EXPECT_NE(compacted.message().find("/layers/"), absl::string_view::npos) << compacted;
  EXPECT_EQ(GetStats().layers, 3u) << "a layer that could not be read was retired";
  EXPECT_EQ(LayerFiles(), 3u);
  EXPECT_NE(GetStats().compaction_state.find("failed"), std::string::npos);
  EXPECT_TRUE(Append(10'000, kBatch).ok());
  EXPECT_EQ(*Read(10'000, 20'000), static_cast<size_t>(kBatch));
}

TEST_F(CompactorTest, AFullDiskKeepsTheInputsAndHeals) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(3);
  world_.disk().SetCapacity(world_.disk().used_bytes());
  const Status full = Compact();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(GetStats().layers, 3u);
  EXPECT_EQ(*Read(), SamplesOf(3));
  EXPECT_EQ(LayerFiles(), 3u) << "the output that did not end is still there";
  world_.disk().SetCapacity(sim::Options().capacity_bytes);
  EXPECT_TRUE(Compact().ok());
  EXPECT_EQ(GetStats().layers, 1u);
}

TEST_F(CompactorTest, PausedItDoesNothingUntilItIsResumed) {
  options_.compaction = true;
  options_.compaction_quiet_ms = 500;
  ASSERT_TRUE(Open().ok());
  world_.RunOnLoop([this] { core_->PauseCompaction(); });
  MakeLayers(4);
  ASSERT_TRUE(Append(kDay, 1).ok());
  ASSERT_TRUE(Flush().ok());
  world_.RunFor(200 * kSecond);
  EXPECT_EQ(GetStats().layers, 5u);
  EXPECT_EQ(GetStats().compaction_state, "paused");
  EXPECT_TRUE(absl::IsFailedPrecondition(Compact()));
  world_.RunOnLoop([this] { core_->ResumeCompaction(); });
  world_.RunFor(200 * kSecond);
  EXPECT_EQ(GetStats().layers, 1u);
  EXPECT_EQ(*Read(), SamplesOf(4) + 1);
}

TEST_F(CompactorTest, RetiredFilesStayWhileAScrubReadsThem) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(3);
  ASSERT_TRUE(core_->BeginScrub().ok());
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(LayerFiles(), 4u);
  EXPECT_EQ(GetStats().garbage_layers, 3u);
  core_->EndScrub();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(LayerFiles(), 1u);
  EXPECT_EQ(GetStats().garbage_layers, 0u);
}

TEST_F(CompactorTest, ARetiredFileThatMayNotBeReadStaysAndOthersGo) {
  ASSERT_TRUE(Open().ok());
  MakeLayers(3);
  const std::string file = core_->state()->FindBranch({}, {})->layers.front().record.file_name;
  ASSERT_TRUE(core_->BeginScrub().ok());
  ASSERT_TRUE(Compact().ok());
  ASSERT_EQ(GetStats().garbage_layers, 3u);
  world_.disk().FailFrom(sim::OpFilter({sim::Op::kOpen, sim::Op::kRead}, file), 1, -EACCES);
  core_->EndScrub();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(LayerFiles(), 2u);
  EXPECT_EQ(GetStats().garbage_layers, 1u);
  world_.disk().faults()->ClearRules();
  ASSERT_TRUE(Compact().ok());
  EXPECT_EQ(LayerFiles(), 1u);
  EXPECT_EQ(GetStats().garbage_layers, 0u);
  ExpectClean();
}

TEST_F(CompactorTest, OtherWindowsAreReachedOnALiveDatabase) {
  options_.compaction_windows = "1s,4s";
  ASSERT_TRUE(Open().ok());
  for (int64_t at : {0, 1, 2, 5, 9}) ASSERT_TRUE(Append(at * kSecond, 20).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  ASSERT_TRUE(Close().ok());
  for (const char* windows : {"3s,6s", "2s", "1s,2s,20s"}) {
    options_.compaction_windows = windows;
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(Compact().ok()) << windows;
    EXPECT_EQ(*Read(), 100u) << windows;
    ExpectClean();
    const auto settings = compaction::WindowSettings::Parse(windows);
    const int64_t width = settings->width_ns(settings->levels());
    for (const OpenLayer& open : core_->state()->FindBranch({}, {})->layers) {
      EXPECT_TRUE(compaction::WithinOneWindow(open.record.range, width)) << windows;
    }
    ASSERT_TRUE(Close().ok());
  }
}

TEST_F(CompactorTest, WrongWindowsAreRefusedByName) {
  for (const char* windows : {"", "2h,3h", "1d,2h", "nonsense", "0s"}) {
    options_.compaction_windows = windows;
    const Status opened = Open();
    EXPECT_TRUE(absl::IsInvalidArgument(opened)) << windows << ": " << opened;
    EXPECT_NE(opened.message().find("compaction_windows"), absl::string_view::npos) << opened;
  }
}

TEST_F(CompactorTest, ClosingEndsAJobUnderWay) {
  options_.compaction = true;
  options_.compaction_quiet_ms = 500;
  // An hour for each KiB.
  options_.compaction_bytes_per_second = 1;
  ASSERT_TRUE(Open().ok());
  MakeLayers(4);
  ASSERT_TRUE(Append(kDay, 1).ok());
  ASSERT_TRUE(Flush().ok());
  world_.RunFor(100 * kSecond);
  EXPECT_NE(GetStats().compaction_state.find("running"), std::string::npos);
  const int64_t begun = world_.now_ns();
  ASSERT_TRUE(Close().ok());
  EXPECT_LT(world_.now_ns() - begun, 10 * kSecond);
  options_.compaction = false;
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Read(), SamplesOf(4) + 1);
  EXPECT_EQ(LayerFiles(), 5u) << "the output that did not end is still there";
}

}  // namespace
}  // namespace nexus::engine
