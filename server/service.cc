// What sessions ask of the database. See service.h.

#include "server/service.h"

namespace nexus::server {

int64_t Service::AdmissionDeadline() const {
  constexpr int64_t kNanosPerMilli = 1'000'000;
  return environment_->MonotonicNanos() +
         core_->state()->options.admission_timeout_ms * kNanosPerMilli;
}

}  // namespace nexus::server
