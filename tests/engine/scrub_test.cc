// Scrub: a sound database is clean whatever it went through; each kind of damage is found at its
// place; nothing is changed.

#include "engine/scrub.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace nexus::engine
