// UringLoop: the executor of the real world - one thread, one io_uring.
//
// A turn of the loop: take posted nodes, hand out completions, fire timers, run what was ready when
// the turn began, submit everything prepared meanwhile by one system call. It sleeps when nothing
// is ready. Completions and timers run directly from the turn, never inside the call that submitted
// or armed them. Operations that find the ring full wait in line; nothing is refused or allocated.
// It does not spin before it sleeps: 20 us of spinning left durable writes (67 us) and posts after
// 200 us of silence (8 us) as they were, and helped only calls in quick succession (13 us to 2 us).
// Failure: Start returns a status; later an operation fails by its result.
// Threading: everything from the loop's own thread but Start, Stop, Post and MonotonicNanos.

#ifndef NEXUS_IO_URING_LOOP_H_
#define NEXUS_IO_URING_LOOP_H_

#include <coroutine>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "io/executor.h"
#include "io/file.h"
#include "io/uring/intrusive_queue.h"
#include "io/uring/mailbox.h"
#include "io/uring/ring.h"
#include "io/uring/timer_heap.h"
#include "io/uring/worker_pool.h"

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

// An open file as the loop knows it.
struct OpenHandle {
  int fd = -1;
  bool sync_failed = false;  // D3: what follows on this handle fails, but for reads
};

class UringLoop : public Executor {
 public:
  struct Options {
    int workers = 1;
    uint32_t ring_entries = 256;
    uint32_t setup_flags_allowed = ~uint32_t{0};
  };

  UringLoop() = default;
  // Stops. REQUIRES: no operation in flight.
  ~UringLoop() override { Stop(); }
  UringLoop(const UringLoop&) = delete;
  UringLoop& operator=(const UringLoop&) = delete;

  Status Start(Options options);
  // Ends the loop once nothing is ready, then the workers. May be called again.
  void Stop();

  void Schedule(RunNode* node) override { ready_.Push(node); }
  void Post(RunNode* node) override;
  void Offload(Work* work) override;
  void StartTimer(Timer* timer, int64_t deadline_ns) override { timers_.Add(timer, deadline_ns); }
  void CancelTimer(Timer* timer) override { timers_.Remove(timer); }
  int64_t MonotonicNanos() const override;

  // Performs the operation on the open file. After a failed sync of it writes and syncs end -EIO
  // (D3), also those syncs that were in flight: the kernel tells a failure to one sync only.
  void Submit(FileOp* op, OpenHandle* handle);
  void Submit(RingCall* call);

  // Awaitable: performs the operation that `prepare(io_uring_sqe*)` fills in; its result.
  template <typename F>
  auto Call(F prepare) {
    return CallAwaiter<F>(this, std::move(prepare));
  }

  // Null before Start and after Stop.
  Ring* ring() { return ring_.get(); }

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

  void ThreadMain(Options options, Status* opened, Notification* started);
  void RunTurns();
  void TakePosted();
  void HandOutCompletions();
  void HandOut(const Completion& completion);
  void FireTimers();
  void RunReady();
  void SubmitWaiting();
  void SubmitOrSleep();
  void HandOutOp(const Completion& completion);
  bool PrepareOp(FileOp* op);
  bool PrepareCall(RingCall* call);
  void PrepareWake();

  // Constant between Start and Stop.
  int wake_fd_ = -1;
  std::thread thread_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<WorkerPool> catalog_;

  // Any thread.
  Mailbox mailbox_;

  // The loop's thread.
  std::unique_ptr<Ring> ring_;
  IntrusiveQueue<RunNode> ready_;
  TimerHeap timers_;
  IntrusiveQueue<FileOp> waiting_ops_;
  IntrusiveQueue<RingCall> waiting_calls_;
  uint64_t wake_count_ = 0;  // what the wake's read fills
  bool wake_prepared_ = false;
  bool stopping_ = false;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_LOOP_H_
