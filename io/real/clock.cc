// The kernel's clocks without an environment. See io/real.h.

#include <ctime>

#include "io/real.h"

namespace nexus::io {
namespace {

int64_t Now(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int64_t RealMonotonicNanos() { return Now(CLOCK_MONOTONIC); }
int64_t RealWallNanos() { return Now(CLOCK_REALTIME); }

}  // namespace nexus::io
