// ExtraWorkload: rows that no question is about, behind another workload's end - for new series and
// for the latency of small batches.
//
// Hosts named <name>_<n> with the tags and metrics of the generator's hosts; each has `rows` rows
// of ten samples, which begin kAfterMs behind the other's last sample. That is beyond the last
// minute of any question, and no question names these hosts. Rows are kIntervalMs apart: a
// Prometheus refuses what is an hour older than its newest sample, so its clock must not be moved
// far. Deterministic. Threading: one thread.

#ifndef NEXUS_BENCH_PEERS_LOAD_EXTRA_H_
#define NEXUS_BENCH_PEERS_LOAD_EXTRA_H_

#include <array>
#include <string_view>
#include <vector>

#include "bench/telemetry_gen.h"
#include "bench/workload.h"

namespace nexus::bench {

class ExtraWorkload : public Workload {
 public:
  static constexpr int64_t kAfterMs = 120'000;
  static constexpr int64_t kIntervalMs = 10;

  ExtraWorkload(const Workload& before, std::string_view name, size_t sources, size_t rows);

  std::string_view measurement() const override { return "cpu"; }
  std::span<const std::string_view> metrics() const override { return metrics_; }
  std::span<const Source> sources() const override { return sources_; }
  int64_t first_ms() const override { return first_ms_; }
  int64_t last_ms() const override { return TimeOf(rows_ - 1); }
  bool Next(Row* row) override;

 private:
  int64_t TimeOf(size_t row) const { return first_ms_ + static_cast<int64_t>(row) * kIntervalMs; }

  const TelemetryGenerator generator_;  // of names
  const int64_t first_ms_;
  const size_t rows_;
  std::vector<std::string_view> metrics_;
  std::vector<uint8_t> all_metrics_;
  std::vector<Source> sources_;
  std::array<double, kMetricsPerHost> values_ = {};
  size_t row_ = 0;
  size_t source_ = 0;
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_EXTRA_H_
