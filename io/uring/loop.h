// UringLoop: the executor of the real world on one io_uring.
//
// Everything prepared in a turn (see io/real/loop.h) is submitted by one system call. Operations
// that find the ring full wait in line; nothing is refused or allocated.
// It does not spin before it sleeps: 20 us of spinning left durable writes (67 us) and posts after
// 200 us of silence (8 us) as they were, and helped only calls in quick succession (13 us to 2 us).
// Failure: Start returns a status; later an operation fails by its result.
// Threading: everything from the loop's own thread but Start, Stop, Post and MonotonicNanos.

#ifndef NEXUS_IO_URING_LOOP_H_
#define NEXUS_IO_URING_LOOP_H_

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "base/status.h"
#include "io/file.h"
#include "io/real/intrusive_queue.h"
#include "io/real/loop.h"
#include "io/real/open_handle.h"
#include "io/uring/ring.h"

namespace nexus::io {

// One io_uring operation that is not a FileOp: opening, renaming and their like. Owned by the
// caller and pinned until it is completed.
struct RingCall {
  using Prepare = void (*)(RingCall*, io_uring_sqe*);
  using Complete = void (*)(RingCall*, int result);
  RingCall(Prepare fill_in, Complete completed) : prepare(fill_in), complete(completed) {}
  RingCall(const RingCall&) = delete;
  RingCall& operator=(const RingCall&) = delete;

  Prepare prepare;
  Complete complete;
  RingCall* next = nullptr;  // the loop's
};

// An operation that waits for somebody else - a peer's bytes, a connection - and may do so for
// ever, or complete many times (multishot: IORING_CQE_F_MORE says that more will come). Owned by
// the caller and pinned until it is completed for the last time.
struct PeerCall {
  using Prepare = void (*)(PeerCall*, io_uring_sqe*);
  using Complete = void (*)(PeerCall*, int result, uint32_t cqe_flags);
  PeerCall(Prepare fill_in, Complete completed) : prepare(fill_in), complete(completed) {}
  PeerCall(const PeerCall&) = delete;
  PeerCall& operator=(const PeerCall&) = delete;

  Prepare prepare;
  Complete complete;
  PeerCall* next = nullptr;  // the loop's
};

class UringLoop : public RealLoop {
 public:
  struct Options {
    int workers = 1;
    uint32_t ring_entries = 256;
    uint32_t setup_flags_allowed = ~uint32_t{0};
    // NetworkFeature bits that may be used (tests try the fall-backs with it).
    uint32_t network_features_allowed = ~uint32_t{0};
  };

  UringLoop() = default;
  // Stops. REQUIRES: no operation in flight.
  ~UringLoop() override { Stop(); }

  Status Start(Options options);

  // Performs the operation on the open file. After a failed sync of it writes and syncs end -EIO
  // (D3), also those syncs that were in flight: the kernel tells a failure to one sync only.
  void Submit(FileOp* op, OpenHandle* handle);
  void Submit(RingCall* call);
  void Submit(PeerCall* call);
  // What names the call to the kernel, for cancelling it.
  static uint64_t UserData(PeerCall* call) { return Ring::Tag(CompletionKind::kPeerCall, call); }

  // Awaitable: performs the operation that `prepare(io_uring_sqe*)` fills in; its result.
  template <typename F>
  auto Call(F prepare) {
    return CallAwaiter<F>(this, std::move(prepare));
  }

  // Null before Start and after Stop.
  Ring* ring() { return ring_.get(); }
  const Options& options() const { return options_; }

 protected:
  Status Open() override;
  void Close() override { ring_.reset(); }
  void HandOutCompletions() override;
  void SubmitWaiting() override;
  bool PrepareWake() override;
  void SubmitPrepared(bool sleep, std::optional<int64_t> timeout_ns) override;

 private:
  template <typename F>
  class CallAwaiter : RingCall {
   public:
    CallAwaiter(UringLoop* loop, F function)
        : RingCall(&FillIn, &Resume), loop_(loop), function_(std::move(function)) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      loop_->Submit(this);
    }
    int await_resume() const { return result_; }

   private:
    static void FillIn(RingCall* call, io_uring_sqe* sqe) {
      static_cast<CallAwaiter*>(call)->function_(sqe);
    }
    static void Resume(RingCall* call, int result) {
      auto* self = static_cast<CallAwaiter*>(call);
      self->result_ = result;
      self->waiter_.resume();
    }
    UringLoop* loop_;
    F function_;
    std::coroutine_handle<> waiter_;
    int result_ = 0;
  };

  void HandOut(const Completion& completion);
  void HandOutOp(const Completion& completion);
  bool PrepareOp(FileOp* op);
  bool PrepareCall(RingCall* call);
  bool PrepareCall(PeerCall* call);

  Options options_;  // constant after Start

  // The loop's thread.
  std::unique_ptr<Ring> ring_;
  IntrusiveQueue<FileOp> waiting_ops_;
  IntrusiveQueue<RingCall> waiting_calls_;
  IntrusiveQueue<PeerCall> waiting_peer_calls_;
  uint64_t wake_count_ = 0;  // what the wake's read fills
  bool wake_prepared_ = false;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_LOOP_H_
