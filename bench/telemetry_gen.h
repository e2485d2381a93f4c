// TelemetryGenerator: the deterministic data sets that nexus and its peers are measured with.
//
// `cpu`: ten integer gauges a host that walk between 0 and 100. `mixed`: ten metrics a host of the
// kinds telemetry has (counters with resets, decimals, full-mantissa noise, constant, sparse, flag,
// skewed latency, multiples of 4096), timestamps with jitter. Only integer arithmetic and single
// IEEE operations, so every machine makes the same bits - built with -ffp-contract=off, or the
// noise differs in its last bit. Sums that pin the data are in tests/bench/telemetry_gen_test.cc.
// Threading: a generator belongs to one thread.

#ifndef NEXUS_BENCH_TELEMETRY_GEN_H_
#define NEXUS_BENCH_TELEMETRY_GEN_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/labels.h"

namespace nexus::bench {

inline constexpr size_t kMetricsPerHost = 10;
inline constexpr int64_t kFirstTickMs = 1'735'689'600'000;  // 2025-01-01T00:00:00Z
inline constexpr int64_t kTickMs = 10'000;

enum class DataSet : uint8_t { kCpu, kMixed };

class TelemetryGenerator {
 public:
  TelemetryGenerator(DataSet data_set, size_t hosts, uint64_t seed = 42);

  size_t hosts() const { return hosts_; }
  size_t series() const { return hosts_ * kMetricsPerHost; }
  int64_t tick() const { return tick_; }

  // Of the present tick. Series number: host * 10 + metric.
  double value(size_t series) const { return values_[series]; }
  // False for a sparse event that does not happen in this tick.
  bool present(size_t series) const { return present_[series]; }
  int64_t timestamp_ms(size_t host) const { return timestamps_ms_[host]; }
  std::span<const double> values() const { return values_; }

  void NextTick();

  std::string_view MetricName(size_t metric) const;
  // Metric name and ten host tags, as the Time Series Benchmark Suite gives its hosts.
  Labels LabelsOf(size_t series) const;

 private:
  struct Random {
    uint64_t state = 0;
    uint64_t Next();
  };

  void Start(size_t series);
  void Step(size_t series);
  void Compute();
  void ComputeMixed(size_t host);
  double Noise(size_t series) const;

  const DataSet data_set_;
  const size_t hosts_;
  const uint64_t seed_;
  int64_t tick_ = 0;
  std::vector<Random> random_;
  std::vector<int64_t> state_;
  std::vector<double> values_;
  std::vector<uint8_t> present_;
  std::vector<int64_t> timestamps_ms_;
  std::vector<double> wave_;
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_TELEMETRY_GEN_H_
