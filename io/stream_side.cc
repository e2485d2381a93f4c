// Handing over, gathering, completing. See stream_side.h.

#include "io/stream_side.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace nexus::io {

// ---- Receiving.

void ReceiveSide::Start(StreamHandler* handler) {
  NEXUS_CHECK(handler_ == nullptr);
  handler_ = handler;
}

void ReceiveSide::Pause() {
  paused_ = true;
  interruptions_++;
}

void ReceiveSide::ReceiveInto(ReceiveOp* op) {
  NEXUS_CHECK(handler_ != nullptr);
  NEXUS_CHECK(op_ == nullptr);
  NEXUS_CHECK(!op->buffer.empty());
  NEXUS_CHECK(!end_told_);
  op_ = op;
  received_ = 0;
  interruptions_++;
}

void ReceiveSide::Close() {
  closed_ = true;
  handler_ = nullptr;
}

void ReceiveSide::Received(Bytes bytes) {
  while (!bytes.empty() && !closed_) {
    size_t taken = held_.empty() ? Give(bytes) : 0;
    if (taken == 0) {
      held_ += AsString(bytes);
      return;
    }
    bytes = bytes.subspan(taken);
  }
}

size_t ReceiveSide::Give(Bytes bytes) {
  if (op_ != nullptr) {
    size_t taken = std::min(bytes.size(), target().size());
    std::memcpy(target().data(), bytes.data(), taken);
    Fill(taken);
    return taken;
  }
  if (paused_ || handler_ == nullptr) return 0;
  handler_->OnReceive(bytes);
  return bytes.size();
}

void ReceiveSide::ReceivedInPlace(uint64_t bytes) {
  if (!closed_) Fill(bytes);
}

void ReceiveSide::Fill(uint64_t bytes) {
  received_ += bytes;
  if (received_ == op_->buffer.size()) Complete(static_cast<int64_t>(received_));
}

void ReceiveSide::Complete(int64_t result) {
  ReceiveOp* op = std::exchange(op_, nullptr);
  op->result = result;
  op->done(op);
}

void ReceiveSide::Ended(int error) {
  if (closed_) return;
  ended_ = true;
  end_error_ = error;
  GiveEnd();
}

bool ReceiveSide::EndIsDue() const {
  bool somebody_takes_it = handler_ != nullptr && (op_ != nullptr || !paused_);
  return ended_ && !end_told_ && held_.empty() && somebody_takes_it;
}

void ReceiveSide::GiveEnd() {
  if (!EndIsDue()) return;
  if (op_ != nullptr) {
    // Another one may follow, so the end is told the next time.
    Complete(static_cast<int64_t>(received_));
    return;
  }
  end_told_ = true;
  handler_->OnReceiveEnd(end_error_);
}

bool ReceiveSide::HandOver() {
  while (held_at_ < held_.size() && !closed_) {
    size_t taken = Give(AsBytes(held_).subspan(held_at_));
    if (taken == 0) return false;
    held_at_ += taken;
  }
  // Rarely needed again, so its memory goes too.
  if (!held_.empty()) held_ = std::string();
  held_at_ = 0;
  GiveEnd();
  return EndIsDue();
}

void ReceiveSide::Cancel() {
  if (op_ != nullptr) Complete(-ECANCELED);
}

// ---- Sending.

void SendSide::Send(SendOp* op) {
  NEXUS_CHECK(!shut_down_);
  op->next = nullptr;
  (head_ == nullptr ? head_ : tail_->next) = op;
  tail_ = op;
}

SendOp* SendSide::Pop() {
  SendOp* op = head_;
  head_ = std::exchange(op->next, nullptr);
  return op;
}

size_t SendSide::Next(std::span<Bytes> into) const {
  size_t count = 0;
  uint64_t skip = sent_;
  for (const SendOp* op = head_; op != nullptr; op = op->next) {
    for (size_t i = 0; i < op->piece_count; i++) {
      Bytes piece = op->pieces[i];
      uint64_t gone = std::min<uint64_t>(skip, piece.size());
      skip -= gone;
      piece = piece.subspan(gone);
      if (piece.empty()) continue;
      if (count == into.size()) return count;
      into[count++] = piece;
    }
  }
  return count;
}

void SendSide::Sent(uint64_t bytes) {
  sent_ += bytes;
  while (!empty() && !closed_ && error_ == 0 && sent_ >= head_->size()) {
    SendOp* op = Pop();
    sent_ -= op->size();
    op->result = static_cast<int64_t>(op->size());
    op->done(op);
  }
}

void SendSide::Fail(int error) {
  if (closed_) return;
  error_ = error;
  CompleteAll(error);
}

void SendSide::Cancel() { CompleteAll(-ECANCELED); }

void SendSide::CompleteAll(int error) {
  // Those that are sent meanwhile wait for the next call.
  SendOp* op = std::exchange(head_, nullptr);
  sent_ = 0;
  while (op != nullptr) {
    SendOp* following = std::exchange(op->next, nullptr);
    op->result = error;
    op->done(op);
    op = following;
  }
}

}  // namespace nexus::io
