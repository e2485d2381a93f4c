// See random.h.

#include "io/real/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace nexus::io {

uint64_t KernelRandom::Next() {
  uint64_t value = 0;
  ssize_t got;
  do {
    got = getrandom(&value, sizeof(value), 0);
  } while (got < 0 && errno == EINTR);
  // So few bytes come whole; only a kernel without the call can refuse.
  NEXUS_CHECK(got == sizeof(value));
  return value;
}

}  // namespace nexus::io
