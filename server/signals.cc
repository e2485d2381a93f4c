// Waiting for signals with a time limit. See signals.h.

#include "server/signals.h"

#include <algorithm>
#include <csignal>

namespace nexus::server {
namespace {

sigset_t Signals(bool reload) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  if (reload) sigaddset(&set, SIGHUP);
  return set;
}

bool reload_blocked = false;  // written once, before threads start

}  // namespace

void BlockSignals(bool reload) {
  reload_blocked = reload;
  sigset_t set = Signals(reload);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Signal WaitForSignal(int64_t timeout_ns) {
  constexpr int64_t kSecondNs = 1'000'000'000;
  sigset_t set = Signals(reload_blocked);
  timeout_ns = std::max<int64_t>(timeout_ns, 0);
  timespec timeout = {timeout_ns / kSecondNs, timeout_ns % kSecondNs};
  int signal = sigtimedwait(&set, nullptr, &timeout);
  if (signal <= 0) return Signal::kNone;
  return signal == SIGHUP ? Signal::kReload : Signal::kStop;
}

void LetStopSignalsKill() {
  sigset_t set = Signals(false);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace nexus::server
