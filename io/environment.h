// Environment: everything the engine may reach outside itself, in one handle.
//
// Real: io/uring (io/real.h starts it). Simulated: io/sim. The engine is given one and never asks
// which.

#ifndef NEXUS_IO_ENVIRONMENT_H_
#define NEXUS_IO_ENVIRONMENT_H_

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "io/executor.h"
#include "io/file.h"
#include "io/stream.h"

namespace nexus::io {

// Randomness for identities and seeds; not for secrets. Loop thread only.
class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next() = 0;
};

class Environment {
 public:
  virtual ~Environment() = default;
  virtual Executor* executor() = 0;
  virtual Disk* disk() = 0;
  virtual Network* network() = 0;
  virtual Random* random() = 0;
  // Nanoseconds since the Unix epoch; may jump. Any thread.
  virtual int64_t WallNanos() = 0;
  // Never goes back. Any thread.
  virtual int64_t MonotonicNanos() = 0;
  // How many files, sockets too, this process may have open at once. Any thread.
  virtual uint64_t open_files_max() const { return 1024; }
  // "io_uring", "posix", "simulation": for logs and stats.
  virtual const char* name() const = 0;
  // Why this is not the preferred backend of the machine: for logs and stats. Empty if it is.
  virtual std::string fallback_reason() const { return {}; }
};

}  // namespace nexus::io

#endif  // NEXUS_IO_ENVIRONMENT_H_
