// Days and months of a database that compacts by itself, in simulated time: how often each byte is
// written, and how many layers a query reads. The policy alone, on maps without data, is held to
// the same in tests/compaction:amplification_test.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "bench/telemetry_gen.h"
#include "compaction/policy.h"
#include "compaction/windows.h"
#include "engine/cursors.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using compaction::WindowIndex;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kMonth = 30 * kDay;
constexpr int64_t kInterval = 10 * kSecond;

class CompactionLife : public SimDatabaseTest {
 protected:
  CompactionLife() {
    options_.memtable_bytes = 64 << 20;
    options_.log_segment_bytes = 4 << 20;
    options_.flush_interval_ms = 0;  // the test says when
  }
  int64_t now_ns() { return world_.environment()->WallNanos(); }
};

// ---- How often a byte is written

struct Load {
  const char* name;
  size_t hosts;  // of ten series
  int64_t days;
  int64_t flush_ns;
  double amplification_max;
};

class Amplification : public CompactionLife, public testing::WithParamInterface<Load> {
 protected:
  void OpenWith(bench::TelemetryGenerator* data) {
    ASSERT_TRUE(Open().ok());
    std::vector<std::string> labels;
    for (size_t s = 0; s < data->series(); s++) labels.push_back(data->LabelsOf(s).Canonical());
    auto ids = world_.RunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
    ASSERT_TRUE(ids.ok()) << ids.status();
    ids_ = *ids;
  }
  // What comes in `ns` at the interval of 10 s, all of it at the end, which layers do not show.
  void Pass(bench::TelemetryGenerator* data, int64_t ns) {
    std::vector<int64_t> timestamps;
    std::vector<std::vector<double>> values(ids_.size());
    const int64_t begun_ns = now_ns();
    for (int64_t at = 0; at < ns; at += kInterval) {
      timestamps.push_back(begun_ns + at);
      for (size_t s = 0; s < ids_.size(); s++) values[s].push_back(data->value(s));
      data->NextTick();
    }
    world_.RunFor(ns);
    const Status appended = AppendBatch([&](BatchEncoder* encoder) {
      for (size_t s = 0; s < ids_.size(); s++) encoder->AddSeries(ids_[s], timestamps, values[s]);
    });
    ASSERT_TRUE(appended.ok()) << appended;
    ASSERT_TRUE(Flush().ok());
    samples_ += timestamps.size() * ids_.size();
  }

  std::vector<SeriesId> ids_;
  uint64_t samples_ = 0;
};

TEST_P(Amplification, StaysBelowWhatIsPromised) {
  const Load& load = GetParam();
  bench::TelemetryGenerator data(bench::DataSet::kCpu, load.hosts);
  OpenWith(&data);
  for (int64_t passed = 0; passed < load.days * kDay; passed += load.flush_ns) {
    Pass(&data, load.flush_ns);
  }
  world_.RunFor(3 * kDay);
  const Stats stats = GetStats();
  EXPECT_LE(stats.write_amplification, load.amplification_max);
  EXPECT_GE(stats.write_amplification, 1.5) << "nothing was compacted";
  EXPECT_EQ(stats.flushes, static_cast<uint64_t>(load.days * kDay / load.flush_ns));
  EXPECT_EQ(stats.layer_samples, samples_);
  EXPECT_LE(stats.layers, static_cast<uint64_t>(load.days)) << "it is not at rest";
  RecordProperty("write_amplification", std::to_string(stats.write_amplification));
}

INSTANTIATE_TEST_SUITE_P(Loads, Amplification,
                         testing::Values(Load{"ADayFlushedEachHour", 20, 1, kHour, 3},
                                         Load{"ADayFlushedEachTwentyMinutes", 20, 1, 20 * kMinute,
                                              3},
                                         Load{"ADayFlushedEachFiveMinutes", 20, 1, 5 * kMinute, 3},
                                         Load{"AMonthFlushedEachHour", 2, 31, kHour, 4}),
                         [](const auto& load) { return load.param.name; });

// ---- How many layers a query reads

class LayersRead : public CompactionLife, public testing::WithParamInterface<uint64_t> {
 protected:
  int64_t Below(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random_); }
  // Time with a sample at its end, one time in ten some that are late, and a flush.
  void Pass(int64_t ns) {
    world_.RunFor(ns);
    ASSERT_TRUE(Append(now_ns(), 3).ok());
    if (Below(10) == 0) {
      ASSERT_TRUE(Append(now_ns() - Below(2 * kDay), 3).ok());
    }
    ASSERT_TRUE(Flush().ok());
    newest_ns_ = now_ns();
  }
  // Layers that a query of the series reads, by its own statistics.
  uint64_t Read(TimeRange range) {
    auto view = core_->View("default", "main");
    EXPECT_TRUE(view.ok()) << view.status();
    SelectQuery query;
    query.selector = "metric{name=\"a\"}";
    query.range = range;
    auto cursor = MakeSelectCursor(*std::move(view), query);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    SeriesChunk chunk;
    while (*(*cursor)->Next(&chunk)) {
    }
    EXPECT_GT((*cursor)->statistics().samples, 0u);
    return (*cursor)->statistics().layers;
  }
  // Those of level 0, which are what flushes left and lie on each other.
  uint64_t Overlaps(TimeRange range) {
    uint64_t overlaps = 0;
    for (const OpenLayer& open : core_->state()->FindBranch({}, {})->layers) {
      if (open.record.level == 0 && open.record.range.Overlaps(range)) overlaps++;
    }
    return overlaps;
  }
  // Of a database at rest: past months, the past days of this month, and the windows of 2 hours of
  // this day. The newest sample says which month and day these are.
  uint64_t Windows(TimeRange range) const {
    const int64_t month = WindowIndex(newest_ns_, kMonth) * kMonth;
    const int64_t day = WindowIndex(newest_ns_, kDay) * kDay;
    auto count = [&](int64_t from, int64_t end, int64_t width) -> int64_t {
      const int64_t first = std::max(range.first, from);
      const int64_t last = std::min(range.last, end - 1);
      return first > last ? 0 : WindowIndex(last, width) - WindowIndex(first, width) + 1;
    };
    return static_cast<uint64_t>(count(INT64_MIN, month, kMonth) + count(month, day, kDay) +
                                 count(day, INT64_MAX, 2 * kHour));
  }

  std::mt19937_64 random_{GetParam()};
  int64_t newest_ns_ = 0;
};

TEST_P(LayersRead, AreAtMostTheWindowsAndWhatOverlaps) {
  ASSERT_TRUE(Open().ok());
  const int64_t begun_ns = now_ns();
  const int64_t flush_ns = (20 + Below(100)) * kMinute;
  const int64_t life_ns = 45 * kDay + Below(10 * kDay);
  const compaction::PolicyOptions policy;
  while (now_ns() - begun_ns < life_ns) {
    for (int64_t i = 0, flushes = 20 + Below(60); i < flushes; i++) Pass(flush_ns);
    const TimeRange month = {now_ns() - kMonth, now_ns()};
    const uint64_t overlaps = Overlaps(month);
    // While it works: flushes of this window, those that wait for others, and late ones; of windows
    // at most what a month and two days can have.
    EXPECT_LE(overlaps, 2 * policy.fan_in + policy.overlap_max);
    EXPECT_LE(Read(month), 2u + 30u + 24u + overlaps);
  }
  ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
  for (int i = 0; i < 50; i++) {
    const int64_t last = newest_ns_ - Below(life_ns - 31 * kDay);
    for (const TimeRange range : {TimeRange{last - kMonth, last}, TimeRange{last - kDay, last}}) {
      EXPECT_LE(Read(range), Windows(range) + Overlaps(range));
    }
  }
  const TimeRange month = {newest_ns_ - kMonth, newest_ns_};
  EXPECT_LE(Overlaps(month), static_cast<uint64_t>(2 * kHour / flush_ns + 1))
      << "flushes of the window that is not over";
}

INSTANTIATE_TEST_SUITE_P(Seeds, LayersRead, testing::Range(uint64_t{1}, uint64_t{5}));

}  // namespace
}  // namespace nexus::engine
