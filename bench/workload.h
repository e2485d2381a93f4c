// Workload: what the benches write, by name, as a stream of rows - the same rows, in the same
// order, for nexus and for each of its peers.
//
//   cpu       ten integer gauges a host every 10 s (telemetry_gen.h)
//   mixed     ten metrics a host of the kinds telemetry has, timestamps with jitter
//   (telemetry_gen.h) churn     cpu of pods that live 3 to 20 minutes: each has a name of its own,
//   and ten series that end with it backfill  cpu where one host in five is three days late: its
//   rows come last, in no order tenants   cpu of one host in each of `hosts` tenants nab       the
//   recorded series below `directory`, one a file, merged by time
//
// Deterministic for a name, size and seed. Threading: a stream belongs to one thread.

#ifndef NEXUS_BENCH_WORKLOAD_H_
#define NEXUS_BENCH_WORKLOAD_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "base/status.h"

namespace nexus::bench {

struct WorkloadOptions {
  std::string name = "cpu";
  size_t hosts = 1000;
  int64_t ticks = 4320;
  uint64_t seed = 42;
  std::string directory;  // of nab alone
};

// Something that is measured: a host, a pod, a recording. Its series are its metrics.
struct Source {
  std::string tenant = "default";
  std::vector<Label> tags;
};

// What one source tells at one instant. Valid until the next row.
struct Row {
  size_t source = 0;
  int64_t timestamp_ms = 0;
  std::span<const uint8_t> metrics;  // indexes of Workload::metrics(), ascending
  std::span<const double> values;    // of these
};

class Workload {
 public:
  virtual ~Workload() = default;

  // For line protocol: the fields of one measurement.
  virtual std::string_view measurement() const = 0;
  virtual std::span<const std::string_view> metrics() const = 0;
  // All there will be.
  virtual std::span<const Source> sources() const = 0;
  // Milliseconds; of all rows, closed.
  virtual int64_t first_ms() const = 0;
  virtual int64_t last_ms() const = 0;

  // False at the end.
  virtual bool Next(Row* row) = 0;

  size_t series() const { return sources().size() * metrics().size(); }
  // Series number: source * metrics().size() + metric. Its metric name is the metric's, for every
  // peer.
  Labels LabelsOf(size_t series) const;
};

// Errors: InvalidArgument - an unknown name, no hosts or ticks; NotFound - no recordings.
StatusOr<std::unique_ptr<Workload>> OpenWorkload(const WorkloadOptions& options);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_WORKLOAD_H_
