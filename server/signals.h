// Signals of a long-running command: they are waited for, not handled.
//
// Block() must run before any thread starts, so that all threads inherit the mask; then one thread
// waits. Threading: all on the main thread.

#ifndef NEXUS_SERVER_SIGNALS_H_
#define NEXUS_SERVER_SIGNALS_H_

#include <cstdint>

namespace nexus::server {

enum class Signal : uint8_t {
  kNone,
  kStop,    // SIGINT, SIGTERM
  kReload,  // SIGHUP
};

// From now on SIGINT and SIGTERM wait for WaitForSignal; SIGHUP too if `reload`.
void BlockSignals(bool reload);
// Sleeps for at most `timeout_ns`; which signal came.
Signal WaitForSignal(int64_t timeout_ns);
// From now on a stop signal ends the process at once: the second one, while the first is obeyed.
void LetStopSignalsKill();

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SIGNALS_H_
