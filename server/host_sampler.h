// HostSampler: this machine's telemetry as series - CPU, memory, disks, network, load, pressure,
// the process itself - from /proc and /sys.
//
// Names and labels are those that Prometheus' node exporter made customary
// (node_cpu_seconds_total{cpu, mode}, node_memory_MemFree_bytes, ...), so dashboards fit. A file
// that is missing (another kernel, a container) is left out; what is in it in another form than
// expected is left out too. Files are read through the seam, on the calling thread. Threading: one
// thread.

#ifndef NEXUS_SERVER_HOST_SAMPLER_H_
#define NEXUS_SERVER_HOST_SAMPLER_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "io/file.h"

namespace nexus::server {

// Series of a host in the order in which they were first seen, and their values of one moment.
struct HostReadings {
  std::vector<Labels> series;     // grows; what was there keeps its place
  std::vector<uint32_t> present;  // places in `series` that have a value now
  std::vector<double> values;     // of those
};

class HostSampler {
 public:
  // `root` is put in front of "/proc/..." and "/sys/..." (tests give a folder of their own).
  // `host` becomes the label `host` of every series if it is not empty.
  HostSampler(io::Disk* disk, std::string root, std::string host);

  // Reads the machine. The readings stay until the next call.
  // Errors: Unavailable if not even /proc/stat can be read.
  StatusOr<const HostReadings*> Sample();

 private:
  std::string ReadFile(std::string_view path) const;
  void Take(std::string_view metric, std::initializer_list<Label> labels, double value);

  io::Disk* const disk_;
  const std::string root_;
  const std::string host_;
  HostReadings readings_;
  std::map<std::string, uint32_t, std::less<>> places_;  // metric and labels as text -> place
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_HOST_SAMPLER_H_
