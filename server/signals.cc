// Waiting for signals with a time limit. See signals.h.

#include "server/signals.h"

#include <algorithm>
#include <csignal>

namespace nexus::server {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

void BlockStopSignals() {
  sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool WaitForStop(int64_t timeout_ns) {
  constexpr int64_t kSecondNs = 1'000'000'000;
  sigset_t set = StopSignals();
  timeout_ns = std::max<int64_t>(timeout_ns, 0);
  timespec timeout = {timeout_ns / kSecondNs, timeout_ns % kSecondNs};
  return sigtimedwait(&set, nullptr, &timeout) > 0;
}

}  // namespace nexus::server
