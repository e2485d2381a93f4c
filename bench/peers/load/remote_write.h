// RemoteWriteEncoder: rows of a workload as a WriteRequest of Prometheus remote write 1.0, before
// compression.
//
// Protocol buffers, four messages and no unknown ones, encoded by hand (prometheus.WriteRequest in
// the remote write specification 1.0, section "Protocol"):
//   WriteRequest { repeated TimeSeries timeseries = 1 }
//   TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
//   Label        { string name = 1; string value = 2 }
//   Sample       { double value = 1; int64 timestamp = 2 }   timestamp in milliseconds
// Labels are in byte order of their names, `__name__` is the metric. Each sample is a TimeSeries of
// its own, as Prometheus and its agents send them. A source's labels are encoded once and kept.
// Threading: one thread.

#ifndef NEXUS_BENCH_PEERS_LOAD_REMOTE_WRITE_H_
#define NEXUS_BENCH_PEERS_LOAD_REMOTE_WRITE_H_

#include <string>
#include <vector>

#include "bench/workload.h"

namespace nexus::bench {

class RemoteWriteEncoder {
 public:
  // `workload` outlives it.
  explicit RemoteWriteEncoder(const Workload& workload);

  // Appends a TimeSeries for each value of the row. A WriteRequest is any number of them.
  void Append(const Row& row, std::string* out);

 private:
  // Encoded labels that come before and after `__name__`.
  struct SourceLabels {
    bool made = false;
    std::string before;
    std::string after;
  };
  const SourceLabels& LabelsOf(size_t source);

  const Workload& workload_;
  std::vector<std::string> names_;  // of metrics: the encoded label `__name__`
  std::vector<SourceLabels> sources_;
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_REMOTE_WRITE_H_
