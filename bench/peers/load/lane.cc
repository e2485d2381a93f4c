// Lanes by the name of their path. See lane.h.

#include "bench/peers/load/lane.h"

namespace nexus::bench {

StatusOr<std::unique_ptr<Lane>> OpenLane(const LaneOptions& options, const Workload& workload,
                                         std::atomic<uint64_t>* acknowledged) {
  if (options.path == "influx-http") return OpenInfluxHttp(options, workload, acknowledged);
  if (options.path == "influx-tcp") return OpenInfluxTcp(options, workload, acknowledged);
  if (options.path == "remote-write") return OpenRemoteWrite(options, workload, acknowledged);
  if (options.path == "nxp1") return OpenNxp1(options, workload, acknowledged);
  return InvalidArgument(
      "there is no path '{}'; there are influx-http, influx-tcp, remote-write and nxp1",
      options.path);
}

}  // namespace nexus::bench
