// Metrics: what the server counts about itself, and its text form for Prometheus.
//
// Counters are plain numbers: everything that counts runs on the loop. The engine's own figures
// come from engine Stats when they are rendered. Names are DESIGN's and the issue's; scripts rely
// on them. Threading: loop only. Source of the format: Prometheus, "Exposition formats" 0.0.4.

#ifndef NEXUS_SERVER_METRICS_H_
#define NEXUS_SERVER_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/nexus.h"

namespace nexus::server {

// Durations in buckets, as a Prometheus histogram.
class DurationHistogram {
 public:
  // Upper bounds in seconds; the last bucket is +Inf.
  static constexpr std::array<double, 12> kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                     0.01,   0.05,    0.1,    0.5,   1,      10};
  void Add(int64_t nanoseconds);
  void AppendText(std::string_view name, std::string_view labels, std::string* out) const;

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_ = {};
  double sum_seconds_ = 0;
};

struct Metrics {
  uint64_t connections_active = 0;
  uint64_t connections_total = 0;
  uint64_t connections_refused = 0;
  uint64_t samples_received = 0;  // that were accepted and acknowledged, by any protocol
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  // By request: "write_batch", "query", "http_write", ...; a fixed set of the server's own words.
  std::map<std::string, DurationHistogram, std::less<>> request_seconds;
  // Lines, frames and requests that could not be read, by reason; a fixed set.
  std::map<std::string, uint64_t, std::less<>> parse_errors;

  void CountRequest(std::string_view request, int64_t nanoseconds);
  void CountParseError(std::string_view reason);
};

// Figures of the process itself.
struct ProcessFigures {
  uint64_t resident_bytes = 0;
  uint64_t page_cache_bytes = 0;    // verified pages of layers
  uint64_t series_index_bytes = 0;  // the map from series to their ids
  double cpu_seconds = 0;           // of all threads since the start
  double uptime_seconds = 0;
};

// Tenants that have samples of their own on the page, those with the most bytes; what the others
// have is summed under tenant="(others)", which is no name that a tenant can have.
inline constexpr size_t kTenantsShown = 50;

// The whole page of GET /metrics.
std::string RenderMetrics(const Metrics& metrics, const Stats& stats, const ProcessFigures& process,
                          std::vector<TenantInfo> tenants = {});

}  // namespace nexus::server

#endif  // NEXUS_SERVER_METRICS_H_
