// HostMetrics: this machine's telemetry into the served database, a batch each interval.
//
// Failure: a scrape that cannot be stored is lost and returned as the error; the next one is tried.
// Threading: one thread that is not the loop's; it waits for each batch.

#ifndef NEXUS_SERVER_HOST_METRICS_H_
#define NEXUS_SERVER_HOST_METRICS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/core.h"
#include "io/real.h"
#include "server/host_sampler.h"

namespace nexus::server {

class HostMetrics {
 public:
  // Both outlive it. Into tenant "default", branch "main".
  HostMetrics(io::RealEnvironment* environment, engine::DatabaseCore* core)
      : environment_(environment), core_(core), sampler_(environment->disk(), "", "") {}

  // Samples the machine and stores it, durably. The number of samples.
  StatusOr<size_t> Record();

 private:
  StatusOr<size_t> Append(const HostReadings& readings);

  io::RealEnvironment* const environment_;
  engine::DatabaseCore* const core_;
  HostSampler sampler_;
  std::vector<SeriesId> ids_;  // of the sampler's series
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_HOST_METRICS_H_
