// Starting the real world. See real.h.

#include "io/real.h"

#include "io/uring/uring_environment.h"

namespace nexus::io {

StatusOr<std::unique_ptr<RealEnvironment>> RealEnvironment::Start(RealOptions options) {
  UringLoop::Options loop;
  loop.workers = options.workers;
  loop.ring_entries = options.ring_entries;
  return StartUring(loop);
}

}  // namespace nexus::io
