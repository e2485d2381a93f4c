// StartUring: the real environment with the choices that only tests make.

#ifndef NEXUS_IO_URING_URING_ENVIRONMENT_H_
#define NEXUS_IO_URING_URING_ENVIRONMENT_H_

#include <memory>

#include "base/status.h"
#include "io/real.h"
#include "io/uring/loop.h"

namespace nexus::io {

// As RealEnvironment::Start with this backend; the options let a test play an older kernel.
// REQUIRES: options that RealEnvironment::Start would take.
StatusOr<std::unique_ptr<RealEnvironment>> StartUring(UringLoop::Options options);

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_URING_ENVIRONMENT_H_
