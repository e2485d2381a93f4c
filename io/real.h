// RealEnvironment: the operating system behind the seam - a loop thread with an io_uring, worker
// threads, the catalog thread, the kernel's clocks and randomness.
//
// Threading: Start and Stop from any one thread; Stop joins all threads it started.

#ifndef NEXUS_IO_REAL_H_
#define NEXUS_IO_REAL_H_

#include <memory>

#include "base/status.h"
#include "io/environment.h"

namespace nexus::io {

struct RealOptions {
  int workers = 1;  // 1..64; they run at nice 19
  uint32_t ring_entries = 256;
};

class RealEnvironment : public Environment {
 public:
  // Starts the threads. Errors: Unavailable/ResourceExhausted with the failed call (io_uring
  // refused or out of memory locked).
  static StatusOr<std::unique_ptr<RealEnvironment>> Start(RealOptions options);

  // Ends the loop once it has nothing ready, joins the threads. REQUIRES: no operation in flight.
  // The destructor does it too.
  virtual void Stop() = 0;

  // Runs `function()` on the loop and waits for its end. Any thread but the loop's.
  template <typename F>
  void RunOnLoop(F function);
  // Runs a task on the loop, in a scope of its own, and waits for its value.
  template <typename T>
  T BlockOn(Task<T> task);
};

// The kernel's clocks, for programs around an engine (progress, scrape times). Any thread.
int64_t RealMonotonicNanos();
int64_t RealWallNanos();

}  // namespace nexus::io

#include "io/real_inl.h"

#endif  // NEXUS_IO_REAL_H_
