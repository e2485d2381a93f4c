// Scrub: a sound database is clean whatever it went through; each kind of damage is found at its
// place; nothing is changed.

#include "engine/scrub.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

constexpr int kBatch = 500;

std::string Describe(const ScrubReport& report) {
  std::string out;
  for (const ScrubFinding& finding : report.findings) {
    out += fmt::format("{} at {}: {} [{}]\n", finding.file,
                       finding.offset ? fmt::format("{}", *finding.offset) : "-", finding.what,
                       finding.series.empty() ? "" : finding.series.front());
  }
  for (const std::string& note : report.notes) out += "note: " + note + "\n";
  return out;
}

class ScrubTest : public SimDatabaseTest {
 protected:
  ScrubReport Live() {
    ScrubOptions options;
    auto report = world_.RunTask(Scrub(core_.get(), options));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : ScrubReport();
  }
  // Of the stopped database.
  ScrubReport Stopped() {
    CatalogHooks hooks = BootHooks();
    ScrubOptions options;
    auto report =
        world_.RunTask(ScrubFolder(world_.environment(), options_, options, std::move(hooks)));
    world_.Crash(sim::CrashKind::kProcessKill);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : ScrubReport();
  }
};

TEST_F(ScrubTest, ASoundDatabaseIsCleanWhateverItWentThrough) {
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(Live().clean()) << Describe(Live());
  ASSERT_TRUE(Append(0, kBatch).ok());
  EXPECT_TRUE(Live().clean()) << Describe(Live());
  ASSERT_TRUE(Flush().ok());
  ScrubReport flushed = Live();
  EXPECT_TRUE(flushed.clean()) << Describe(flushed);
  EXPECT_EQ(flushed.layers, 1u);
  EXPECT_EQ(flushed.samples, static_cast<uint64_t>(kBatch));
  EXPECT_EQ(flushed.series, 1u);
  EXPECT_GT(flushed.catalog_values, 5u);
  EXPECT_GT(flushed.log_segments, 0u);
  ASSERT_TRUE(Append(kBatch, kBatch).ok());
  ASSERT_TRUE(Close().ok());
  ScrubReport stopped = Stopped();
  EXPECT_TRUE(stopped.clean()) << Describe(stopped);
  EXPECT_EQ(stopped.samples, static_cast<uint64_t>(kBatch));
  EXPECT_GT(stopped.log_records, 0u);
  ASSERT_TRUE(Open().ok());
  for (int i = 2; i < 6; i++) {
    ASSERT_TRUE(Append(i * kBatch, kBatch).ok());
    if (i % 2 == 0) {
      ASSERT_TRUE(Flush().ok());
    }
    EXPECT_TRUE(Live().clean()) << Describe(Live());
    Die(i % 2 == 0 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill);
    ScrubReport report = Stopped();
    EXPECT_TRUE(report.clean()) << i << "\n" << Describe(report);
    ASSERT_TRUE(Open().ok());
  }
  EXPECT_TRUE(Live().clean()) << Describe(Live());
}

// A page of the file at rest, as a scrub of the stopped database names it.
TEST_F(ScrubTest, EveryFlippedByteOfALayerIsFoundInItAndNothingIsChanged) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1000, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Close().ok());
  const std::string path = Files(".layer").front();
  const size_t bytes = world_.disk().ReadDurable(path)->size();
  std::map<uint64_t, int> places;
  for (size_t at = 0; at < bytes; at += 11) {
    world_.disk().FlipBit(path, at, static_cast<int>(at % 8));
    ScrubReport report = Stopped();
    ASSERT_EQ(report.finding_count, 1u) << at << "\n" << Describe(report);
    const ScrubFinding& finding = report.findings.front();
    EXPECT_EQ(finding.file, path);
    ASSERT_TRUE(finding.offset.has_value()) << Describe(report);
    EXPECT_LE(*finding.offset, at);
    EXPECT_EQ(*finding.range, (TimeRange{1000, 1000 + kBatch - 1}));
    EXPECT_NE(finding.way_out.find("backup"), std::string::npos);
    places[*finding.offset]++;
    world_.disk().FlipBit(path, at, static_cast<int>(at % 8));
  }
  EXPECT_GE(places.size(), 6u) << "header, four kinds of pages, footer and tail";
  EXPECT_TRUE(Stopped().clean());
}

TEST_F(ScrubTest, ALivingDatabaseFindsWhatRotsUnderIt) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1000, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Append(5000, kBatch).ok());
  const std::string layer = Files(".layer").front();
  const std::string image = Files(".image").front();
  world_.disk().FlipBit(layer, 200, 3);  // in the first page, of chunks
  world_.disk().FlipBit(image, 150, 3);
  ScrubReport report = Live();
  ASSERT_EQ(report.finding_count, 2u) << Describe(report);
  const ScrubFinding& first = report.findings[0];
  EXPECT_EQ(first.file, image);
  EXPECT_TRUE(first.offset.has_value());
  const ScrubFinding& second = report.findings[1];
  EXPECT_EQ(second.file, layer);
  EXPECT_EQ(second.series, std::vector<std::string>{"metric{name=\"a\"}"});
  EXPECT_EQ(second.series_count, 1u);
  EXPECT_EQ(*second.range, (TimeRange{1000, 1000 + kBatch - 1}));
  EXPECT_TRUE(Append(9000, kBatch).ok()) << "it serves on";
}

TEST_F(ScrubTest, ADamagedRecordIsFoundInALivingAndInAStoppedLog) {
  ASSERT_TRUE(Open().ok());
  for (int i = 0; i < 5; i++) ASSERT_TRUE(Append(i * kBatch, kBatch).ok());
  const std::string segment = Files("segment-").front();
  // The second batch: behind the tenant, the definitions and the first batch of some 6 KiB.
  constexpr uint64_t kAt = 40'000;
  world_.disk().FlipBit(segment, kAt, 3);
  ScrubReport live = Live();
  ASSERT_EQ(live.finding_count, 1u) << Describe(live);
  EXPECT_EQ(live.findings[0].file, segment);
  ASSERT_TRUE(live.findings[0].offset.has_value());
  EXPECT_LT(*live.findings[0].offset, kAt);
  EXPECT_GT(*live.findings[0].offset + 10'000, kAt);
  EXPECT_NE(live.findings[0].way_out.find("nexus flush"), std::string::npos);
  ASSERT_TRUE(Close().ok());
  ScrubReport stopped = Stopped();
  ASSERT_EQ(stopped.finding_count, 1u) << Describe(stopped);
  EXPECT_EQ(stopped.findings[0].file, segment);
  EXPECT_EQ(stopped.findings[0].offset, live.findings[0].offset);
  EXPECT_NE(stopped.findings[0].way_out.find("nexus wal replay"), std::string::npos);
  EXPECT_TRUE(absl::IsDataLoss(Open())) << "nothing was mended";
}

TEST_F(ScrubTest, MissingAndUnknownFilesAreFound) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1000, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  const std::vector<std::string> strangers = {"/db/holiday.jpg", "/db/layers/holiday.jpg",
                                              "/db/wal/holiday.jpg"};
  for (const std::string& path : strangers) world_.disk().WriteDurable(path, AsBytes("not ours"));
  auto files_of = [](const ScrubReport& report) {
    std::vector<std::string> files;
    for (const ScrubFinding& finding : report.findings) files.push_back(finding.file);
    std::sort(files.begin(), files.end());
    return files;
  };
  ScrubReport live = Live();
  EXPECT_EQ(files_of(live), strangers) << Describe(live);
  const std::string layer = Files(".layer").front();
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->Unlink(layer)), 0);
  ASSERT_EQ(world_.RunTask(world_.environment()->disk()->SyncDirectory("/db/layers")), 0);
  for (bool stopped : {false, true}) {
    if (stopped) {
      ASSERT_TRUE(Close().ok());
    }
    ScrubReport report = stopped ? Stopped() : Live();
    ASSERT_EQ(report.finding_count, 4u) << Describe(report);
    for (const ScrubFinding& finding : report.findings) {
      if (finding.file != layer) continue;
      EXPECT_EQ(*finding.range, (TimeRange{1000, 1000 + kBatch - 1}));
      EXPECT_NE(finding.what.find("missing"), std::string::npos);
    }
  }
}

TEST_F(ScrubTest, LeftoversThatTheNextStartRemovesAreNotes) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Close().ok());
  world_.disk().WriteDurable("/db/layers/00000001-0000000000000009.tmp", AsBytes("half a layer"));
  ScrubReport report = Stopped();
  EXPECT_TRUE(report.clean()) << Describe(report);
  EXPECT_EQ(report.notes.size(), 1u);
}

TEST_F(ScrubTest, ACatalogFromABackupIsNamedNotTheLog) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  std::stringstream old;
  old << std::ifstream(world_.ScratchDirectory() + "/data.mdb", std::ios::binary).rdbuf();
  for (int i = 1; i < 20; i++) {
    for (int j = 0; j < 5; j++) ASSERT_TRUE(Append(i * 10'000 + j * 1000, kBatch).ok());
    ASSERT_TRUE(Flush().ok());
  }
  ASSERT_TRUE(Close().ok());
  CatalogHooks hooks = BootHooks();
  std::ofstream(hooks.directory + "/data.mdb", std::ios::binary | std::ios::trunc) << old.str();
  ScrubOptions options;
  auto report = world_.RunTask(ScrubFolder(world_.environment(), options_, options, hooks));
  world_.Crash(sim::CrashKind::kProcessKill);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->finding_count, 1u) << Describe(*report);
  EXPECT_NE(report->findings[0].what.find("older than the log"), std::string::npos);
  EXPECT_EQ(report->findings[0].way_out, "nexus catalog rebuild /db");
  EXPECT_EQ(report->layers, 20u) << "each is checked by itself";
}

TEST_F(ScrubTest, AStoppedDatabaseIsNotChanged) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Append(kBatch, kBatch).ok());
  Die(sim::CrashKind::kProcessKill);
  world_.disk().FlipBit(Files(".layer").front(), 100, 1);
  world_.disk().FlipBit(Files(".image").front(), 150, 1);
  world_.disk().WriteDurable("/db/layers/00000001-0000000000000009.tmp", AsBytes("half a layer"));
  auto contents = [this] {
    std::map<std::string, std::string> files;
    for (const std::string& path : world_.disk().DurableFiles()) {
      if (path != "/db/lock") files[path] = *world_.disk().ReadDurable(path);
    }
    return files;
  };
  const auto before = contents();
  EXPECT_EQ(Stopped().finding_count, 2u);
  EXPECT_EQ(contents(), before);
}

TEST_F(ScrubTest, OneScrubAtATimeAndCloseEndsIt) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, kBatch).ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(core_->BeginScrub().ok());
  ScrubOptions options;
  Status second = world_.RunTask(Scrub(core_.get(), options)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_NE(second.message().find("under way"), absl::string_view::npos);
  world_.RunOnLoop([this] { core_->EndScrub(); });
  std::atomic<bool> cancel = true;
  options.cancel = &cancel;
  EXPECT_TRUE(absl::IsCancelled(world_.RunTask(Scrub(core_.get(), options)).status()));
  EXPECT_TRUE(Live().clean()) << "the one before has ended";
}

// What rots by itself in the simulated disk, wherever it strikes, is found or harms nothing.
TEST(ScrubRotTest, WhatRotsIsFoundOrHarmsNothing) {
  class Rotten : public ScrubTest {
   public:
    void TestBody() override {}
    void Run(uint64_t seed) {
      ASSERT_TRUE(Open().ok());
      for (int i = 0; i < 3; i++) ASSERT_TRUE(Append(i * kBatch, kBatch).ok());
      ASSERT_TRUE(Flush().ok());
      ASSERT_TRUE(Append(5000, kBatch).ok());
      ASSERT_TRUE(Close().ok());
      std::vector<std::string> files = Files("/db/");
      std::erase_if(files, [](const std::string& path) {
        return path.find("spare-") != std::string::npos || path == "/db/lock";
      });
      const std::string path = files[seed % files.size()];
      const size_t bytes = world_.disk().ReadDurable(path)->size();
      world_.disk().FlipBit(path, seed * 7919 % bytes, static_cast<int>(seed % 8));
      ScrubReport report = Stopped();
      found += report.clean() ? 0 : 1;
      if (!report.clean()) {
        EXPECT_EQ(report.findings.front().file, path) << Describe(report);
        return;
      }
      ASSERT_TRUE(Open().ok()) << path << " rots, unseen";
      EXPECT_EQ(*Read(), size_t{4} * kBatch) << path;
    }
    int found = 0;
  };
  int found = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    Rotten rotten;
    rotten.Run(seed);
    found += rotten.found;
  }
  EXPECT_GT(found, 15);
}

}  // namespace
}  // namespace nexus::engine
