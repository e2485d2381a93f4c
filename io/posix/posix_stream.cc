// Receiving and sending without waiting. See posix_stream.h.

#include "io/posix/posix_stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace nexus::io {

PosixStream::PosixStream(PosixLoop* loop, int fd, MutableBytes scratch)
    : StreamCore(loop, fd), posix_loop_(loop), scratch_(scratch) {
  int error = loop->Watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, this);
  watched_ = error == 0;
  // The machine has no memory to watch it: the stream ends as soon as it starts.
  if (error != 0) receive_side().Ended(error);
}

void PosixStream::OnEvents(uint32_t events) {
  constexpr uint32_t kEnds = EPOLLERR | EPOLLHUP | EPOLLRDHUP;
  if ((events & (EPOLLIN | kEnds)) != 0) readable_ = true;
  if ((events & (EPOLLOUT | kEnds)) != 0) writable_ = true;
  Kick();
}

void PosixStream::Drive() {
  for (int i = 0; i < kCallsPerTurn && receive_side().wants() && readable_; i++) ReceiveOnce();
  for (int i = 0; i < kCallsPerTurn && WantsSend() && writable_; i++) SendOnce();
  if (closed()) return;
  bool more = (receive_side().wants() && readable_) || (WantsSend() && writable_);
  if (more) Kick();
}

void PosixStream::ReceiveOnce() {
  MutableBytes target = receive_side().target();
  MutableBytes into = target.empty() ? scratch_ : target;
  ssize_t got = recv(fd(), into.data(), into.size(), MSG_DONTWAIT);
  if (got > 0 && target.empty()) {
    receive_side().Received(into.first(static_cast<size_t>(got)));
  } else if (got > 0) {
    receive_side().ReceivedInPlace(static_cast<uint64_t>(got));
  } else if (got == 0) {
    receive_side().Ended(0);
  } else if (errno == EAGAIN) {
    readable_ = false;
  } else if (errno != EINTR) {
    receive_side().Ended(-errno);
  }
}

void PosixStream::SendOnce() {
  Pieces pieces;
  msghdr message = {};
  message.msg_iov = pieces.data();
  message.msg_iovlen = NextPieces(&pieces);
  if (message.msg_iovlen == 0) return Sent(0);
  ssize_t sent = sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) {
    Sent(static_cast<uint64_t>(sent));
  } else if (errno == EAGAIN) {
    writable_ = false;
  } else if (errno != EINTR) {
    SendFailed(-errno);
  }
}

void PosixStream::CancelInFlight() {
  if (std::exchange(watched_, false)) posix_loop_->Unwatch(fd());
}

}  // namespace nexus::io
