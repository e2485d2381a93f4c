// ReceiveSide and SendSide: the two directions of one stream as every backend keeps them - what is
// to be handed to whom, what is to go out next. No I/O; callbacks only where it says so.
//
// A callback may change everything, also close both sides; nothing is called after that.
// Threading: the loop's.

#ifndef NEXUS_IO_STREAM_SIDE_H_
#define NEXUS_IO_STREAM_SIDE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "io/stream.h"

namespace nexus::io {

class ReceiveSide {
 public:
  // See Stream. None of these calls back; afterwards HandOver() must be called from the loop.
  void Start(StreamHandler* handler);
  void Pause();
  void Resume() { paused_ = false; }
  void ReceiveInto(ReceiveOp* op);
  // Nobody is called any more, but by Cancel.
  void Close();

  // True if more bytes are wanted now.
  bool wants() const {
    return handler_ != nullptr && !ended_ && held_.empty() && (op_ != nullptr || !paused_);
  }
  // Where they should go, if the caller named a place: else empty.
  MutableBytes target() const {
    return op_ == nullptr ? MutableBytes() : op_->buffer.subspan(received_);
  }
  // Times that the receiver paused or named a place: who receives ahead of demand should then not.
  uint64_t interruptions() const { return interruptions_; }

  // Each of these may call back.
  // Bytes that have arrived elsewhere: handed over, or copied until somebody takes them.
  void Received(Bytes bytes);
  // Bytes that have arrived in target().
  void ReceivedInPlace(uint64_t bytes);
  // The end, 0 or -errno; nothing is received after it.
  void Ended(int error);
  // Hands over what is held, then the end. True if it must be called once more.
  bool HandOver();
  // Completes the operation in flight with -ECANCELED.
  void Cancel();

 private:
  size_t Give(Bytes bytes);
  void Fill(uint64_t bytes);
  void Complete(int64_t result);
  void GiveEnd();
  bool EndIsDue() const;

  StreamHandler* handler_ = nullptr;  // null: not started, or closed
  ReceiveOp* op_ = nullptr;
  uint64_t received_ = 0;  // bytes of the operation
  std::string held_;       // arrived while nobody would take it; from held_at_ on
  size_t held_at_ = 0;
  uint64_t interruptions_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  bool end_told_ = false;
  bool closed_ = false;
  int end_error_ = 0;
};

class SendSide {
 public:
  // None of these calls back. Afterwards what next() names must be sent, from the loop.
  void Send(SendOp* op);
  // No more will be sent after what is there.
  void Shutdown() { shut_down_ = true; }
  void Close() { closed_ = true; }

  bool empty() const { return head_ == nullptr; }
  // True once everything is out and Shutdown was called.
  bool finished() const { return shut_down_ && empty(); }
  int error() const { return error_; }
  // The pieces to send next, at most `into.size()`; how many. 0: none, or all are empty.
  size_t Next(std::span<Bytes> into) const;

  // Each of these may call back.
  // That many bytes of them have gone out.
  void Sent(uint64_t bytes);
  // Everything queued, and what will be, fails with this.
  void Fail(int error);
  // Completes what is queued with -ECANCELED.
  void Cancel();

 private:
  SendOp* Pop();
  void CompleteAll(int error);

  SendOp* head_ = nullptr;
  SendOp* tail_ = nullptr;  // meaningless while empty
  uint64_t sent_ = 0;       // bytes of the first
  int error_ = 0;
  bool shut_down_ = false;
  bool closed_ = false;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_STREAM_SIDE_H_
