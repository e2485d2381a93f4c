// Driving and ending. See stream_core.h.

#include "io/real/stream_core.h"

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"
#include "io/real/socket.h"

namespace nexus::io {

StreamCore::StreamCore(RealLoop* loop, int fd)
    : RunNode(&RunAdvance), loop_(loop), fd_(fd), peer_(PeerText(fd)), local_(LocalText(fd)) {
  SendAtOnce(fd);
}

void StreamCore::Kick() {
  if (!std::exchange(kicked_, true)) loop_->Schedule(this);
}

void StreamCore::Advance() {
  kicked_ = false;
  if (!closed_ && receive_side_.HandOver()) Kick();
  if (!closed_ && send_side_.error() != 0) send_side_.Fail(send_side_.error());
  if (!closed_) Drive();
  if (closed_ && !kicked_ && !InFlight()) Finish();
}

void StreamCore::Start(StreamHandler* handler) {
  receive_side_.Start(handler);
  Kick();
}

void StreamCore::PauseReceive() {
  receive_side_.Pause();
  Kick();
}

void StreamCore::ResumeReceive() {
  receive_side_.Resume();
  Kick();
}

void StreamCore::ReceiveInto(ReceiveOp* op) {
  receive_side_.ReceiveInto(op);
  Kick();
}

void StreamCore::Send(SendOp* op) {
  send_side_.Send(op);
  Kick();
}

size_t StreamCore::NextPieces(Pieces* into) const {
  std::array<Bytes, kSendPiecesMax> pieces;
  size_t count = send_side_.Next(pieces);
  for (size_t i = 0; i < count; i++) {
    // The system only reads from it.
    (*into)[i] = iovec{const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
  }
  return count;
}

void StreamCore::Sent(uint64_t bytes) {
  send_side_.Sent(bytes);
  if (!closed_) EndSending();
}

void StreamCore::ShutdownSend() {
  send_side_.Shutdown();
  EndSending();
}

void StreamCore::EndSending() {
  if (!send_side_.finished() || std::exchange(sending_ended_, true)) return;
  // Fails only where the connection is gone, and then receiving says so.
  shutdown(fd_, SHUT_WR);
}

void StreamCore::Close() { EndBoth(!send_side_.empty()); }
void StreamCore::Abort() { EndBoth(true); }

void StreamCore::EndBoth(bool reset) {
  closed_ = true;
  reset_ = reset;
  receive_side_.Close();
  send_side_.Close();
  loop_->Hold();
  CancelInFlight();
  Kick();
}

void StreamCore::Finish() {
  if (reset_) ResetOnClose(fd_);
  close(fd_);
  receive_side_.Cancel();
  send_side_.Cancel();
  loop_->Release();
  delete this;
}

// ---- The handle.

StreamCore* RealStream::Open() {
  NEXUS_CHECK(core_ != nullptr);
  return core_;
}

void RealStream::Start(StreamHandler* handler) { Open()->Start(handler); }
void RealStream::PauseReceive() { Open()->PauseReceive(); }
void RealStream::ResumeReceive() { Open()->ResumeReceive(); }
void RealStream::ReceiveInto(ReceiveOp* op) { Open()->ReceiveInto(op); }
void RealStream::Send(SendOp* op) { Open()->Send(op); }
void RealStream::ShutdownSend() { Open()->ShutdownSend(); }

void RealStream::Close() {
  if (core_ != nullptr) std::exchange(core_, nullptr)->Close();
}

void RealStream::Abort() {
  if (core_ != nullptr) std::exchange(core_, nullptr)->Abort();
}

}  // namespace nexus::io
