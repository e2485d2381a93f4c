// Handing over, gathering and ending. See stream_core.h.

#include "io/real/stream_core.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
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
  if (!closed_) HandOverHeld();
  if (!closed_ && send_error_ != 0) FailSends(send_error_);
  if (!closed_) Drive();
  if (closed_ && !kicked_ && !InFlight()) Finish();
}

// ---- Receiving.

void StreamCore::Start(StreamHandler* handler) {
  NEXUS_CHECK(handler_ == nullptr);
  handler_ = handler;
  Kick();
}

void StreamCore::PauseReceive() {
  paused_ = true;
  interruptions_++;
  Kick();
}

void StreamCore::ResumeReceive() {
  paused_ = false;
  Kick();
}

void StreamCore::ReceiveInto(ReceiveOp* op) {
  NEXUS_CHECK(handler_ != nullptr);
  NEXUS_CHECK(receive_op_ == nullptr);
  NEXUS_CHECK(!op->buffer.empty());
  NEXUS_CHECK(!end_told_);
  receive_op_ = op;
  received_ = 0;
  interruptions_++;
  Kick();
}

bool StreamCore::WantsReceive() const {
  return handler_ != nullptr && !closed_ && !ended_ && held_.empty() &&
         (receive_op_ != nullptr || !paused_);
}

MutableBytes StreamCore::DirectTarget() const {
  return receive_op_ == nullptr ? MutableBytes() : receive_op_->buffer.subspan(received_);
}

void StreamCore::Received(Bytes bytes) {
  while (!bytes.empty() && !closed_) {
    size_t taken = held_.empty() ? HandOver(bytes) : 0;
    if (taken == 0) {
      held_ += AsString(bytes);
      return;
    }
    bytes = bytes.subspan(taken);
  }
}

size_t StreamCore::HandOver(Bytes bytes) {
  if (receive_op_ != nullptr) {
    MutableBytes target = DirectTarget();
    size_t taken = std::min(bytes.size(), target.size());
    std::memcpy(target.data(), bytes.data(), taken);
    FillReceiveOp(taken);
    return taken;
  }
  if (paused_ || handler_ == nullptr) return 0;
  handler_->OnReceive(bytes);
  return bytes.size();
}

void StreamCore::HandOverHeld() {
  while (held_at_ < held_.size() && !closed_) {
    size_t taken = HandOver(AsBytes(held_).subspan(held_at_));
    if (taken == 0) return;
    held_at_ += taken;
  }
  // Rarely needed again, so its memory goes too.
  if (!held_.empty()) held_ = std::string();
  held_at_ = 0;
  HandOverEnd();
}

void StreamCore::ReceivedDirect(uint64_t bytes) {
  if (!closed_) FillReceiveOp(bytes);
}

void StreamCore::FillReceiveOp(uint64_t bytes) {
  received_ += bytes;
  if (received_ == receive_op_->buffer.size()) {
    CompleteReceiveOp(static_cast<int64_t>(received_));
  }
}

void StreamCore::CompleteReceiveOp(int64_t result) {
  ReceiveOp* op = std::exchange(receive_op_, nullptr);
  op->result = result;
  op->done(op);
}

void StreamCore::ReceiveEnded(int error) {
  if (closed_) return;
  ended_ = true;
  end_error_ = error;
  HandOverEnd();
}

void StreamCore::HandOverEnd() {
  if (!ended_ || end_told_ || closed_ || !held_.empty()) return;
  if (receive_op_ != nullptr) {
    // It may be followed by another one, so the end is told at the next turn.
    Kick();
    CompleteReceiveOp(static_cast<int64_t>(received_));
    return;
  }
  if (paused_) return;
  end_told_ = true;
  handler_->OnReceiveEnd(end_error_);
}

// ---- Sending.

void StreamCore::Send(SendOp* op) {
  NEXUS_CHECK(!shutdown_asked_);
  sends_.Push(op);
  Kick();
}

size_t StreamCore::GatherSend(std::span<iovec> into) const {
  size_t count = 0;
  uint64_t skip = sent_;
  for (const SendOp* op = sends_.front(); op != nullptr; op = op->next) {
    for (size_t i = 0; i < op->piece_count; i++) {
      Bytes piece = op->pieces[i];
      uint64_t gone = std::min<uint64_t>(skip, piece.size());
      skip -= gone;
      piece = piece.subspan(gone);
      if (piece.empty()) continue;
      if (count == into.size()) return count;
      // The system only reads from it.
      into[count++] = iovec{const_cast<std::byte*>(piece.data()), piece.size()};
    }
  }
  return count;
}

void StreamCore::Sent(uint64_t bytes) {
  sent_ += bytes;
  while (!sends_.empty() && !closed_ && sent_ >= sends_.front()->size()) {
    SendOp* op = sends_.Pop();
    sent_ -= op->size();
    op->result = static_cast<int64_t>(op->size());
    op->done(op);
  }
  if (!closed_) EndSending();
}

void StreamCore::SendFailed(int error) {
  if (closed_) return;
  send_error_ = error;
  FailSends(error);
}

void StreamCore::FailSends(int error) {
  IntrusiveQueue<SendOp> failed = std::exchange(sends_, {});
  sent_ = 0;
  while (SendOp* op = failed.Pop()) {
    op->result = error;
    op->done(op);
  }
}

void StreamCore::ShutdownSend() {
  shutdown_asked_ = true;
  EndSending();
}

void StreamCore::EndSending() {
  if (!shutdown_asked_ || shut_down_ || !sends_.empty()) return;
  shut_down_ = true;
  // Fails only where the connection is gone, and then receiving says so.
  shutdown(fd_, SHUT_WR);
}

// ---- The end of both.

void StreamCore::Close() { EndBoth(!sends_.empty()); }
void StreamCore::Abort() { EndBoth(true); }

void StreamCore::EndBoth(bool reset) {
  closed_ = true;
  reset_ = reset;
  handler_ = nullptr;
  loop_->Hold();
  CancelInFlight();
  Kick();
}

void StreamCore::Finish() {
  if (reset_) ResetOnClose(fd_);
  close(fd_);
  if (receive_op_ != nullptr) CompleteReceiveOp(-ECANCELED);
  FailSends(-ECANCELED);
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
