// Signals of a long-running command: SIGINT and SIGTERM are waited for, not handled.
//
// Block() must run before any thread starts, so that all threads inherit the mask; then one thread
// waits. Threading: Block and Wait on the main thread.

#ifndef NEXUS_SERVER_SIGNALS_H_
#define NEXUS_SERVER_SIGNALS_H_

#include <cstdint>

namespace nexus::server {

// From now on SIGINT and SIGTERM wait for WaitForStop.
void BlockStopSignals();
// Sleeps for at most `timeout_ns`; true if a stop signal came.
bool WaitForStop(int64_t timeout_ns);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SIGNALS_H_
