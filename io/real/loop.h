// RealLoop: what the executors of the real world share - the thread, the run queue, timers, posting
// and its wake, the worker and catalog threads, and the order of a turn.
//
// A turn: take posted nodes, hand out what the system has completed, fire timers, run what was
// ready when the turn began, give the system what was prepared meanwhile, and sleep if nothing is
// ready. Completions and timers run directly from the turn, never inside the call that submitted or
// armed them. A backend brings the parts that talk to the system. Failure: starting returns a
// status; later an operation fails by its result. Threading: everything from the loop's own thread
// but starting, Stop, Post and MonotonicNanos.

#ifndef NEXUS_IO_REAL_LOOP_H_
#define NEXUS_IO_REAL_LOOP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "base/status.h"
#include "io/executor.h"
#include "io/real/intrusive_queue.h"
#include "io/real/mailbox.h"
#include "io/real/timer_heap.h"
#include "io/real/worker_pool.h"

namespace nexus::io {

class RealLoop : public Executor {
 public:
  RealLoop() = default;
  RealLoop(const RealLoop&) = delete;
  RealLoop& operator=(const RealLoop&) = delete;

  // Ends the loop once nothing is ready and nothing is held, then the workers. May be called again.
  void Stop();

  void Schedule(RunNode* node) override { ready_.Push(node); }
  void Post(RunNode* node) override;
  void Offload(Work* work) override;
  void StartTimer(Timer* timer, int64_t deadline_ns) override { timers_.Add(timer, deadline_ns); }
  void CancelTimer(Timer* timer) override { timers_.Remove(timer); }
  int64_t MonotonicNanos() const override;

  // Keeps the loop turning until as many calls of Release: for what ends by itself, such as
  // closing.
  void Hold() { holds_++; }
  void Release() { holds_--; }

 protected:
  // A backend's destructor stops the loop itself: its thread calls the functions below. REQUIRES:
  // whoever may Post has ended.
  ~RealLoop() override;

  // Starts all threads and runs Open() on the loop's. Errors: those of Open and of the threads.
  Status StartThreads(int workers);

  // On the loop's thread, first and last of all.
  virtual Status Open() = 0;
  virtual void Close() = 0;
  // Calls back those whose operations have completed.
  virtual void HandOutCompletions() = 0;
  // Prepares what found no room before.
  virtual void SubmitWaiting() = 0;
  // Makes sure that a write to wake_fd() would end a sleep; false if that cannot be now.
  virtual bool PrepareWake() = 0;
  // Gives the system what is prepared; with `sleep`, returns when something has completed or
  // `timeout_ns` (none: for ever) has passed.
  virtual void SubmitPrepared(bool sleep, std::optional<int64_t> timeout_ns) = 0;

  int wake_fd() const { return wake_fd_; }

 private:
  void ThreadMain(Status* opened, Notification* started);
  void RunTurns();
  void TakePosted();
  void FireTimers();
  void RunReady();
  void SubmitOrSleep();

  // Constant between start and Stop.
  int wake_fd_ = -1;
  std::thread thread_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<WorkerPool> queries_;
  std::unique_ptr<WorkerPool> catalog_;

  // Any thread.
  Mailbox mailbox_;

  // The loop's thread.
  IntrusiveQueue<RunNode> ready_;
  TimerHeap timers_;
  int holds_ = 0;
  bool stopping_ = false;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_LOOP_H_
