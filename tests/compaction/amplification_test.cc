// How often each byte is written and how many layers a query reads, measured on loads of a day, a
// month and a backfill. The numbers are those of docs/compaction.md.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "compaction/policy.h"
#include "tests/compaction/load_model.h"

namespace nexus::compaction {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
// A moment where windows of every default level begin.
constexpr int64_t kMonthBegin = int64_t{666} * 30 * kDay;
// Bytes of a layer that a minute of samples takes: 100,000 series at 10 s and 0.5 byte a sample. A
// month of it is less than a job may merge.
constexpr uint64_t kMinuteBytes = 300'000;

struct Load {
  int64_t begin = kMonthBegin;
  int64_t for_ns = kDay;
  int64_t flush_age = kHour;
  uint64_t flush_bytes = UINT64_MAX;
  uint64_t minute_bytes = kMinuteBytes;
  uint64_t late_share = 0;  // one of so many samples is up to 6 hours late; 0: none
};

class Amplification : public ::testing::Test {
 protected:
  // Samples come as time goes; what is counted goes on until the model rests for two days.
  void Live(LoadModel* model, const Load& load) {
    model->map.now_ns = load.begin;
    uint64_t random = 1;
    for (int64_t end = load.begin + load.for_ns; model->map.now_ns < end;) {
      model->Pass(kMinute);
      const int64_t now = model->map.now_ns;
      uint64_t late = load.late_share == 0 ? 0 : load.minute_bytes / load.late_share;
      model->Arrive(now - kMinute, load.minute_bytes - late);
      for (int i = 0; i < 3 && late > 0; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        model->Arrive(now - static_cast<int64_t>((random >> 33) % 360) * kMinute, late / 3);
      }
      uint64_t flushes = model->flushes;
      model->FlushIfDue(load.flush_bytes, load.flush_age);
      if (flushes != model->flushes || now % (30 * kMinute) == 0) Compact(model);
    }
    model->Flush();
    Compact(model);
  }
  void Idle(LoadModel* model, int64_t ns) {
    for (int64_t passed = 0; passed < ns; passed += 30 * kMinute) {
      model->Pass(30 * kMinute);
      Compact(model);
    }
  }
  static void Compact(LoadModel* model) {
    std::string broken = model->Compact();
    ASSERT_EQ(broken, "");
  }
  static PolicyOptions Default() { return {}; }
  // For docs/compaction.md.
  static void Report(const LoadModel& model, const std::string& load) {
    fmt::print(
        "{}: {} flushes, {} jobs, written {:.2f} times, at most {} runs at an instant and {} "
        "layers\n",
        load, model.flushes, model.jobs_done, model.WriteAmplification(), model.depth_most,
        model.layers_most);
  }
};

TEST_F(Amplification, ADayIsWrittenAtMostThreeTimesWhateverTheFlushes) {
  for (int64_t minutes : {60, 40, 27, 20, 15, 10, 5, 2}) {
    for (int64_t phase : {0, 7, 37}) {
      LoadModel model(Default());
      Load load;
      load.begin = kMonthBegin + phase * kMinute;
      load.flush_age = minutes * kMinute;
      Live(&model, load);
      Idle(&model, 3 * kDay);
      Report(model, fmt::format("a day, a flush each {} min from minute {}", minutes, phase));
      EXPECT_LE(model.WriteAmplification(), 3.0);
      EXPECT_EQ(model.map.layers.size(), phase == 0 ? 1u : 2u);
    }
  }
}

TEST_F(Amplification, AMonthIsWrittenAtMostFourTimes) {
  for (int64_t minutes : {60, 27, 10}) {
    LoadModel model(Default());
    Load load;
    load.for_ns = 31 * kDay;
    load.flush_age = minutes * kMinute;
    Live(&model, load);
    Idle(&model, 3 * kDay);
    Report(model, fmt::format("a month, a flush each {} min", minutes));
    EXPECT_LE(model.WriteAmplification(), 4.0);
    EXPECT_EQ(model.map.layers.size(), 2u) << "a month and a day";
  }
}

TEST_F(Amplification, AMemtableOfAQuarterGibibyteIsWrittenNoMoreOften) {
  // 1,000,000 series at 10 s: 16 bytes a sample in the memtable, half a byte in a layer.
  LoadModel model(Default());
  Load load;
  load.minute_bytes = 3 * kMib;
  load.flush_bytes = 256 * kMib / 32;
  Live(&model, load);
  Idle(&model, 3 * kDay);
  Report(model, "a day, memtables of 256 MiB, 1,000,000 series");
  EXPECT_LE(model.WriteAmplification(), 3.0);
  EXPECT_GT(model.flushes, 400u);
}

TEST_F(Amplification, MoreFlushesAWindowThanSixtyFourCostOneMoreWriting) {
  LoadModel model(Default());
  Load load;
  load.flush_bytes = 1;
  Live(&model, load);
  Idle(&model, 3 * kDay);
  Report(model, "a day, a flush each minute");
  EXPECT_GT(model.WriteAmplification(), 3.0);
  EXPECT_LE(model.WriteAmplification(), 4.0);
}

TEST_F(Amplification, OneLateSampleInAHundredCostsLessThanOneMoreWriting) {
  for (int64_t minutes : {60, 20, 5}) {
    LoadModel model(Default());
    Load load;
    load.flush_age = minutes * kMinute;
    load.late_share = 100;
    Live(&model, load);
    Idle(&model, 4 * kDay);
    Report(model, fmt::format("a day, a flush each {} min, one sample of 100 late", minutes));
    EXPECT_LE(model.WriteAmplification(), 4.0);
  }
}

TEST_F(Amplification, AQueryReadsFewLayersAtEveryMoment) {
  for (uint64_t late_share : {0, 100}) {
    LoadModel model(Default());
    Load load;
    load.for_ns = 33 * kDay;
    load.late_share = late_share;
    Live(&model, load);
    Report(model, fmt::format("33 days, a flush an hour, {}",
                              late_share == 0 ? "none late" : "one sample of 100 late"));
    PolicyOptions options;
    EXPECT_LE(model.depth_most, options.overlap_max + options.windows.levels());
    // Of the last 30 days: one month, or its days; the windows of today; its flushes.
    const size_t windows = 1 + 30 + 12;
    const size_t overlaps = 2 * options.fan_in + (late_share == 0 ? 0 : 3 * 30);
    EXPECT_LE(model.RunsWithin({model.map.now_ns - 30 * kDay, model.map.now_ns}),
              windows + overlaps);
    EXPECT_LE(model.layers_most, windows + overlaps);
  }
}

// A month of another host beside nothing, or beside as much that is there.
class Backfill : public Amplification {
 protected:
  void Base(LoadModel* model) {
    model->map.now_ns = kMonthBegin + 60 * kDay;
    for (int64_t ts = 0; ts < 30 * kDay; ts += kMinute) {
      model->Arrive(kMonthBegin + ts, kMinuteBytes);
    }
    model->Flush();
    Idle(model, 3 * kDay);
    ASSERT_EQ(model->map.layers.size(), 1u);
    model->flushed = model->merged = 0;
  }
  static const char* Beside(bool base) { return base ? "beside a month" : "beside nothing"; }
  void Hours(LoadModel* model, int64_t hours) {
    for (int64_t ts = 0; ts < 30 * kDay; ts += kMinute) {
      model->Arrive(kMonthBegin + ts, kMinuteBytes);
      if ((ts + kMinute) % (hours * kHour) == 0) {
        model->Flush();
        model->Pass(kMinute);
        Compact(model);
      }
    }
  }
  // Each flush has the whole month of a few hosts.
  void Hosts(LoadModel* model, int64_t flushes) {
    for (int64_t i = 0; i < flushes; i++) {
      for (int64_t ts = 0; ts < 30 * kDay; ts += 10 * kMinute) {
        model->Arrive(kMonthBegin + ts, 10 * kMinuteBytes / static_cast<uint64_t>(flushes));
      }
      model->Flush();
      model->Pass(kMinute);
      Compact(model);
    }
  }
};

TEST_F(Backfill, AMonthInOrderOfTimeIsWrittenAtMostFiveTimes) {
  for (bool base : {false, true}) {
    for (int64_t hours : {1, 6, 24}) {
      LoadModel model(Default());
      if (base) Base(&model);
      model.map.now_ns = kMonthBegin + 70 * kDay;
      Hours(&model, hours);
      Idle(&model, 3 * kDay);
      Report(model, fmt::format("a month backfilled by {} h, {}", hours, Beside(base)));
      EXPECT_LE(model.WriteAmplification(), 5.0);
      EXPECT_EQ(model.map.layers.size(), 1u);
    }
  }
}

TEST_F(Backfill, AMonthHostByHostIsWrittenAtMostFiveTimes) {
  for (bool base : {false, true}) {
    for (int64_t flushes : {10, 60, 120}) {
      LoadModel model(Default());
      if (base) Base(&model);
      model.map.now_ns = kMonthBegin + 70 * kDay;
      Hosts(&model, flushes);
      EXPECT_LE(model.depth_most, PolicyOptions().overlap_max + 1);
      Idle(&model, 3 * kDay);
      Report(model, fmt::format("a month backfilled host by host, {}", Beside(base)));
      EXPECT_LE(model.WriteAmplification(), 5.0);
      EXPECT_EQ(model.map.layers.size(), 1u);
    }
  }
}

TEST_F(Backfill, TouchesOnlyItsWindows) {
  LoadModel model(Default());
  Load load;
  load.begin = kMonthBegin - 30 * kDay;
  load.for_ns = 91 * kDay;
  Live(&model, load);
  Idle(&model, 5 * kDay);
  model.written_windows.clear();
  for (int i = 0; i < 40; i++) {
    for (int64_t ts = 0; ts < 5 * kDay; ts += kMinute) {
      model.Arrive(kMonthBegin + 3 * kDay + ts, kMinuteBytes / 10);
    }
    model.Flush();
    model.Pass(kMinute);
    Compact(&model);
  }
  Idle(&model, 40 * kDay);
  for (int64_t window : model.written_windows) {
    EXPECT_TRUE(window == kMonthBegin || window > kMonthBegin + 59 * kDay) << window;
  }
  EXPECT_TRUE(model.written_windows.contains(kMonthBegin));
}

}  // namespace
}  // namespace nexus::compaction
