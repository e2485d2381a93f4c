// StartPosix: the real world without io_uring. See io/real.h.

#ifndef NEXUS_IO_POSIX_POSIX_ENVIRONMENT_H_
#define NEXUS_IO_POSIX_POSIX_ENVIRONMENT_H_

#include <memory>

#include "base/status.h"
#include "io/real.h"

namespace nexus::io {

// As RealEnvironment::Start with this backend.
StatusOr<std::unique_ptr<RealEnvironment>> StartPosix(int workers);

}  // namespace nexus::io

#endif  // NEXUS_IO_POSIX_POSIX_ENVIRONMENT_H_
