// LineEncoder: rows of a workload as Influx line protocol, a line each, as telegraf sends them.
//
//   cpu,hostname=host_0,region=... usage_user=58,usage_system=2,... 1735689600000000000
//
// Tags in the workload's order, timestamps in nanoseconds, values as the shortest decimal that
// reads back as the same double. A source's tenant is not told: the peers' single servers have
// none. What precedes the values is made once for each source and kept. Threading: one thread.

#ifndef NEXUS_BENCH_PEERS_LOAD_LINE_PROTOCOL_H_
#define NEXUS_BENCH_PEERS_LOAD_LINE_PROTOCOL_H_

#include <string>
#include <vector>

#include "bench/workload.h"

namespace nexus::bench {

class LineEncoder {
 public:
  // `workload` outlives it.
  explicit LineEncoder(const Workload& workload);

  // Appends one line. REQUIRES: the row has values.
  void Append(const Row& row, std::string* out);

 private:
  const std::string& SeriesOf(size_t source);

  const Workload& workload_;
  std::vector<std::string> fields_;  // names, with their equals sign
  std::vector<std::string> series_;  // by source; made at its first row
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_LINE_PROTOCOL_H_
