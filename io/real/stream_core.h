// StreamCore: one connected stream of the real world behind its handle - its two sides, and how it
// ends. A backend brings the system calls.
//
// The handle (RealStream) is the caller's and may go at any time, also inside a callback; the core
// stays until the backend has nothing in flight for it, then completes what the caller still has
// with -ECANCELED, closes the socket and destroys itself. All callbacks come from the loop: from
// Advance, which every change schedules at most once a turn, and from the backend's completions.
//
// Memory: bytes that arrive while the receiver is paused are copied aside. A backend stops
// receiving soon after, so there are never more than it had buffers for.
// Threading: the loop's.

#ifndef NEXUS_IO_REAL_STREAM_CORE_H_
#define NEXUS_IO_REAL_STREAM_CORE_H_

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "io/real/loop.h"
#include "io/stream.h"
#include "io/stream_side.h"

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
  // Pieces sent at once: 16 small answers, or 4 of four pieces.
  static constexpr size_t kSendPiecesMax = 16;
  using Pieces = std::array<iovec, kSendPiecesMax>;

  virtual ~StreamCore() = default;

  // Starts and stops what the sides below ask for. Called from the loop.
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

  ReceiveSide& receive_side() { return receive_side_; }
  bool WantsSend() const { return !send_side_.empty() && !closed_; }
  // The pieces to send next; how many.
  size_t NextPieces(Pieces* into) const;
  // That many bytes of them have gone out.
  void Sent(uint64_t bytes);
  void SendFailed(int error) { send_side_.Fail(error); }

 private:
  static void RunAdvance(RunNode* node) { static_cast<StreamCore*>(node)->Advance(); }
  void Advance();
  void EndSending();
  void EndBoth(bool reset);
  void Finish();

  RealLoop* const loop_;
  const int fd_;
  const std::string peer_;
  const std::string local_;
  ReceiveSide receive_side_;
  SendSide send_side_;
  bool sending_ended_ = false;
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
