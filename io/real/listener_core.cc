// Accepting, pausing, ending. See listener_core.h.

#include "io/real/listener_core.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "io/real/socket.h"

namespace nexus::io {
namespace {

// Errors of the connection, not of the listener: it died before it was accepted (accept(2)).
bool ConcernsOnlyOne(int error) {
  switch (error) {
    case -EINTR:
    case -EAGAIN:
    case -ECONNABORTED:
    case -ECANCELED:
    case -EPROTO:
    case -ENOPROTOOPT:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -ENONET:
    case -EOPNOTSUPP:
    case -EPERM:
      return true;
    default:
      return false;
  }
}

}  // namespace

ListenerCore::ListenerCore(RealLoop* loop, int fd, AcceptHandler* handler)
    : RunNode(&RunAdvance), loop_(loop), fd_(fd), handler_(handler) {}

void ListenerCore::Kick() {
  if (!std::exchange(kicked_, true)) loop_->Schedule(this);
}

void ListenerCore::Pause::Over(RunNode* node) {
  static_cast<Pause*>(static_cast<Timer*>(node))->core->Kick();
}

void ListenerCore::Accepted(int fd_or_error) {
  if (closed_) {
    if (fd_or_error >= 0) close(fd_or_error);
    return;
  }
  if (fd_or_error >= 0) {
    handler_->OnAccept(Adopt(fd_or_error));
    return;
  }
  if (ConcernsOnlyOne(fd_or_error)) return;
  if (!pause_.armed) loop_->StartTimer(&pause_, loop_->MonotonicNanos() + kAcceptPauseNs);
  handler_->OnAcceptError(fd_or_error);
}

void ListenerCore::Advance() {
  kicked_ = false;
  if (WantsAccept()) Drive();
  if (!closed_ || kicked_ || InFlight()) return;
  close(fd_);
  loop_->Release();
  delete this;
}

void ListenerCore::Close() {
  closed_ = true;
  loop_->CancelTimer(&pause_);
  // Refuses connections, and lets the address be taken, from now on; the socket itself stays until
  // the system has let go of it.
  shutdown(fd_, SHUT_RD);
  loop_->Hold();
  CancelInFlight();
  Kick();
}

RealListener::RealListener(ListenerCore* core)
    : core_(core), address_(LocalText(core->fd())), port_(LocalPort(core->fd())) {
  core->Kick();
}

}  // namespace nexus::io
