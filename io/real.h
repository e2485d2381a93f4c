// RealEnvironment: the operating system behind the seam - a loop thread, worker threads, the
// catalog thread, the kernel's clocks and randomness.
//
// Two backends keep the same contract: io/uring, and io/posix (threads and epoll) where io_uring is
// refused, as containers commonly do, or too old. The choice is made at the start; name() and
// fallback_reason() tell it.
// Threading: Start and Stop from any one thread; Stop joins all threads it started.

#ifndef NEXUS_IO_REAL_H_
#define NEXUS_IO_REAL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "io/environment.h"

namespace nexus::io {

enum class RealBackend : uint8_t {
  kAutomatic,  // io_uring, or posix where it cannot be had; NEXUS_IO=uring or =posix overrides it
  kUring,
  kPosix,
};

struct RealOptions {
  int workers = 1;              // 1..64; they run at nice 19
  uint32_t ring_entries = 256;  // 8..16384; of io_uring
  RealBackend backend = RealBackend::kAutomatic;
};

class RealEnvironment : public Environment {
 public:
  // Starts the threads. Errors: InvalidArgument for options or NEXUS_IO out of range;
  // ResourceExhausted with the failed call (threads, descriptors, locked memory); Unavailable where
  // kUring was asked for and is refused or too old.
  static StatusOr<std::unique_ptr<RealEnvironment>> Start(RealOptions options);

  // Why io_uring is not used although it could have been.
  std::string fallback_reason() const override { return fallback_reason_; }

  // Ends the loop once it has nothing ready, joins the threads. REQUIRES: no operation in flight.
  // The destructor does it too.
  virtual void Stop() = 0;

  // Runs `function()` on the loop and waits for its end. Any thread but the loop's.
  template <typename F>
  void RunOnLoop(F function);
  // Runs a task on the loop, in a scope of its own, and waits for its value.
  template <typename T>
  T BlockOn(Task<T> task);

 private:
  std::string fallback_reason_;  // constant after Start
};

// The kernel's clocks, for programs around an engine (progress, scrape times). Any thread.
int64_t RealMonotonicNanos();
int64_t RealWallNanos();

}  // namespace nexus::io

#include "io/real_inl.h"

#endif  // NEXUS_IO_REAL_H_
