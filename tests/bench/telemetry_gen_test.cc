// The benchmark data is the data that the published figures were measured with: pinned by its sums.

#include "bench/telemetry_gen.h"

#include <gtest/gtest.h>

#include <cmath>

namespace nexus::bench {
namespace {

constexpr size_t kHosts = 1000;
constexpr int kTicks = 4320;  // 12 h

struct Totals {
  long double sum[kMetricsPerHost] = {};
  uint64_t samples[kMetricsPerHost] = {};
  uint64_t all = 0;
};

Totals TotalsOf(DataSet data_set) {
  TelemetryGenerator data(data_set, kHosts);
  Totals totals;
  for (int tick = 0; tick < kTicks; tick++) {
    if (tick > 0) data.NextTick();
    for (size_t s = 0; s < data.series(); s++) {
      if (!data.present(s)) continue;
      totals.sum[s % kMetricsPerHost] += data.value(s);
      totals.samples[s % kMetricsPerHost]++;
      totals.all++;
    }
  }
  return totals;
}

TEST(TelemetryGenerator, CpuHasThePublishedSums) {
  Totals totals = TotalsOf(DataSet::kCpu);
  EXPECT_EQ(totals.all, 43'200'000u);
  EXPECT_EQ(totals.samples[0], 4'320'000u);
  EXPECT_EQ(static_cast<double>(totals.sum[0]), 217442719.0);
}

TEST(TelemetryGenerator, MixedHasThePublishedSums) {
  Totals totals = TotalsOf(DataSet::kMixed);
  auto near = [&](size_t metric, double expected) {
    EXPECT_LE(std::fabs(static_cast<double>(totals.sum[metric]) - expected), 0.005) << metric;
  };
  EXPECT_EQ(totals.all, 39'014'960u);
  near(0, 1642772685534.0);
  near(2, 213295365.07);
  near(3, 215004715.08);
  near(5, 218064960.0);
  EXPECT_EQ(totals.samples[6], 134'960u);
  near(6, 67434702.0);
  near(7, 2172857.0);
  near(8, 13094417.011);
  near(9, 38120072068227072.0);
}

}  // namespace
}  // namespace nexus::bench
