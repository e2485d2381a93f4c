// What sessions share. See service.h.

#include "server/service.h"

namespace nexus::server {

int64_t Service::AdmissionDeadline() const {
  return environment_->MonotonicNanos() + core_->state()->options.admission_timeout_ms * 1'000'000;
}

io::Task<StatusOr<Stats>> Service::GetStats() {
  Stats stats = co_await core_->LoopStats();
  auto complete = [core = core_, stats]() mutable -> StatusOr<Stats> {
    NEXUS_RETURN_IF_ERROR(core->CompleteStats(&stats));
    return stats;
  };
  co_return co_await environment_->executor()->Run(io::Lane::kQuery, complete);
}

}  // namespace nexus::server
