// StreamCore: one connected stream of the real world behind its handle - what is still to be handed
// over, received and sent, and how it ends. A backend brings the system calls.
//
// The handle (RealStream) is the caller's and may go at any time, also inside a callback; the core
// stays until the backend has nothing in flight for it, then completes what the caller still has
// with -ECANCELED, closes the socket and destroys itself. All callbacks come from the loop: from
// Advance, which every change schedules at most once a turn, and from the backend's completions.
//
// Memory: bytes that arrive while the receiver is paused are copied to the side. A backend stops
// receiving soon after, so there are never more than it had buffers for.
// Threading: the loop's.

#ifndef NEXUS_IO_REAL_STREAM_CORE_H_
#define NEXUS_IO_REAL_STREAM_CORE_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "io/real/intrusive_queue.h"
#include "io/real/loop.h"
#include "io/stream.h"

namespace nexus::io {

class StreamCore : RunNode {
 public:
  // Takes over the connected socket. Destroys itself after Close or Abort.
  StreamCore(RealLoop* loop, int fd);

  // ---- For the handle: see Stream.
  const std::string& peer() const { return peer_; }
  const std::string& local() const { return local_; }
  void Start(StreamHandler* handler);
  void PauseReceive();
  void ResumeReceive();
  void ReceiveInto(ReceiveOp* op);
  void Send(SendOp* op);
  void ShutdownSend();
  void Close();
  void Abort();

 protected:
  virtual ~StreamCore() = default;

  // Starts and stops what the state below asks for. Called from the loop.
  virtual void Drive() = 0;
  // Has everything in flight end soon; called once, after the stream was closed.
  virtual void CancelInFlight() = 0;
  // True while the system may still touch the socket or the caller's buffers.
  virtual bool InFlight() const = 0;

  // Runs Drive from the loop, soon.
  void Kick();

  RealLoop* loop() const { return loop_; }
  int fd() const { return fd_; }
  bool closed() const { return closed_; }

  // ---- Receiving.

  // True if more bytes are wanted now.
  bool WantsReceive() const;
  // Where they should go if not to a buffer of the backend's; empty: there.
  MutableBytes DirectTarget() const;
  // Times that the receiver paused or named a buffer: a backend that receives ahead of demand
  // should then not.
  uint64_t interruptions() const { return interruptions_; }
  // Bytes that have arrived in a buffer of the backend's; taken or copied on return.
  void Received(Bytes bytes);
  // Bytes that have arrived in DirectTarget().
  void ReceivedDirect(uint64_t bytes);
  // The end; 0 or -errno. Nothing is received after it.
  void ReceiveEnded(int error);

  // ---- Sending.

  bool WantsSend() const { return !sends_.empty() && !closed_; }
  // The pieces to send next, at most `into.size()`; returns how many.
  size_t GatherSend(std::span<iovec> into) const;
  // That many bytes of them have gone out.
  void Sent(uint64_t bytes);
  void SendFailed(int error);

 private:
  static void RunAdvance(RunNode* node) { static_cast<StreamCore*>(node)->Advance(); }
  void Advance();
  void HandOverHeld();
  // Gives what it can of the bytes to whoever is to have them now; the number taken.
  size_t HandOver(Bytes bytes);
  void FillReceiveOp(uint64_t bytes);
  void CompleteReceiveOp(int64_t result);
  void HandOverEnd();
  void FailSends(int error);
  void EndBoth(bool reset);
  void EndSending();
  void Finish();

  RealLoop* const loop_;
  const int fd_;
  std::string peer_;
  std::string local_;

  StreamHandler* handler_ = nullptr;
  ReceiveOp* receive_op_ = nullptr;
  uint64_t received_ = 0;  // bytes of receive_op_
  std::string held_;       // arrived while nobody would take it; from held_at_ on
  size_t held_at_ = 0;
  uint64_t interruptions_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  bool end_told_ = false;
  int end_error_ = 0;

  IntrusiveQueue<SendOp> sends_;
  uint64_t sent_ = 0;  // bytes of the first
  int send_error_ = 0;
  bool shutdown_asked_ = false;
  bool shut_down_ = false;

  bool kicked_ = false;
  bool closed_ = false;
  bool reset_ = false;  // closed by a reset
};

// The handle.
class RealStream : public Stream {
 public:
  explicit RealStream(StreamCore* core) : core_(core), peer_(core->peer()), local_(core->local()) {}
  ~RealStream() override {
    if (core_ != nullptr) core_->Abort();
  }
  RealStream(const RealStream&) = delete;
  RealStream& operator=(const RealStream&) = delete;

  const std::string& peer() const override { return peer_; }
  const std::string& local() const override { return local_; }
  void Start(StreamHandler* handler) override;
  void PauseReceive() override;
  void ResumeReceive() override;
  void ReceiveInto(ReceiveOp* op) override;
  void Send(SendOp* op) override;
  void ShutdownSend() override;
  void Close() override;
  void Abort() override;

 private:
  StreamCore* Open();

  StreamCore* core_;  // null once closed
  const std::string peer_;
  const std::string local_;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_STREAM_CORE_H_
