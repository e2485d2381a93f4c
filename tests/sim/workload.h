// The bounds of the simulator's workload: which series and timestamps there are.
//
// Series are known to the oracle by number. Small ones are the embedded writer's, those from
// kFirstFresh on are its series that come into being while it runs, and each client has a hundred
// of its own, since writers side by side are not ordered. Threading: plain values.

#ifndef NEXUS_TESTS_SIM_WORKLOAD_H_
#define NEXUS_TESTS_SIM_WORKLOAD_H_

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/labels.h"

namespace nexus::sim_test {

inline constexpr int64_t kSecondNs = 1'000'000'000;
inline constexpr int64_t kSeries = 24;
inline constexpr int64_t kFirstFresh = 100;
inline constexpr int64_t kFreshSeries = 60;
inline constexpr int64_t kClientsMax = 3;
inline constexpr int64_t kFirstClientSeries = 1000;
inline constexpr int64_t kClientStride = 100;
inline constexpr int64_t kClientSeries = 8;
// Of branches, and of snapshots, there are at most so many at once.
inline constexpr int64_t kBranchNames = 4;
// Timestamps come from a window this long in seconds, so that places are written again and out of
// order.
inline constexpr int64_t kTimestamps = 400;
// Most batches have a few samples; some have up to so many, several sectors of the log.
inline constexpr int64_t kBigBatch = 700;
// Within how many steps of an opening a crash strikes: recovery of these small databases takes
// about 300.
inline constexpr uint64_t kRecoverySteps = 400;

inline std::string SeriesText(uint32_t series) { return fmt::format("{:04}", series); }

// Of the series of these numbers; beyond the fresh ones, of all.
inline std::string SelectorOf(uint32_t first, uint32_t last) {
  if (last > kFirstFresh) return "metric";
  std::string choice;
  for (uint32_t series = first; series <= last; series++) {
    choice += (choice.empty() ? "" : "|") + SeriesText(series);
  }
  return fmt::format("metric{{series=~\"{}\"}}", choice);
}

inline std::string CanonicalOf(uint32_t series) {
  StatusOr<Labels> labels = Labels::Make("metric", {{"series", SeriesText(series)}});
  NEXUS_CHECK(labels.ok());
  return labels->Canonical();
}

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_WORKLOAD_H_
