// Executor: one logical thread of control - a run queue, timers, and work done elsewhere.
//
// All state of a database belongs to one executor: what runs on it never runs twice at once, so it
// needs no locks. Three ways in: Schedule (from the executor itself), Post (from any thread), and
// the completion of a timer, of offloaded work or of a file operation. Nothing ever completes
// inside the call that submitted it. Nodes are owned by the caller and pinned until they have run;
// no call allocates.
//
// The real executor is a thread with an io_uring; the simulated one picks the next ready node by a
// seeded choice and has virtual time.
// Threading: loop thread only, but for Post.

#ifndef NEXUS_IO_EXECUTOR_H_
#define NEXUS_IO_EXECUTOR_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace nexus::io {

// Something to run once on the loop. Embed it, set `run`, hand it over.
struct RunNode {
  using Function = void (*)(RunNode*);
  explicit RunNode(Function function) : run(function) {}
  RunNode(const RunNode&) = delete;
  RunNode& operator=(const RunNode&) = delete;

  Function run;
  RunNode* next = nullptr;  // for whoever holds the node
};

// Which worker does offloaded work. Work of one lane kCatalog runs one at a time, in order.
enum class Lane : uint8_t {
  kWorker,   // CPU-heavy pure functions and blocking reads: encode, merge, decode; low priority
  kQuery,    // the same for somebody who waits: normal priority
  kCatalog,  // LMDB writes
};

// A function to run off the loop: `execute` on a worker, then `run` on the loop.
struct Work : RunNode {
  using Execute = void (*)(Work*);
  Work(Lane on, Execute executed, Function completed)
      : RunNode(completed), execute(executed), lane(on) {}

  Execute execute;
  Lane lane;
};

// Runs on the loop at or after `deadline_ns` of the monotonic clock.
struct Timer : RunNode {
  using RunNode::RunNode;
  int64_t deadline_ns = 0;
  uint64_t sequence = 0;  // the executor's: orders equal deadlines
  size_t place = 0;       // the executor's: where it keeps the timer
  bool armed = false;     // the executor's
};

class Executor {
 public:
  virtual ~Executor() = default;

  // The executor that runs the calling code. REQUIRES: called from a node's run.
  static Executor* Current();

  // Runs the node after those scheduled before it (the simulator: in any order).
  virtual void Schedule(RunNode* node) = 0;
  // The same from any thread. Wakes the loop only if it sleeps; many posts cost one wake.
  virtual void Post(RunNode* node) = 0;
  virtual void Offload(Work* work) = 0;
  // Arms a timer that is not armed.
  virtual void StartTimer(Timer* timer, int64_t deadline_ns) = 0;
  // After this the timer's node will not run. A timer that is not armed is left alone.
  virtual void CancelTimer(Timer* timer) = 0;

  virtual int64_t MonotonicNanos() const = 0;

  // Awaitable: what follows runs at or after now + delay.
  auto Sleep(int64_t delay_ns) { return SleepAwaiter(this, MonotonicNanos() + delay_ns); }
  // Awaitable: what follows runs after everything that is ready now had its turn.
  auto Yield() { return YieldAwaiter(this); }
  // Awaitable: runs `function()` on a worker and yields its result. The function may read what is
  // immutable and what it captured; it is destroyed on the loop.
  template <typename F>
  auto Run(Lane lane, F function) {
    return RunAwaiter<F>(this, lane, std::move(function));
  }

 protected:
  // Set around each run of a node, by the implementations.
  static void SetCurrent(Executor* executor);

 private:
  class SleepAwaiter : Timer {
   public:
    SleepAwaiter(Executor* executor, int64_t at_ns)
        : Timer(&Resume), executor_(executor), at_ns_(at_ns) {}
    ~SleepAwaiter() {
      if (armed) executor_->CancelTimer(this);
    }
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      executor_->StartTimer(this, at_ns_);
    }
    void await_resume() const {}

   private:
    static void Resume(RunNode* node) { static_cast<SleepAwaiter*>(node)->waiter_.resume(); }
    Executor* executor_;
    int64_t at_ns_;
    std::coroutine_handle<> waiter_;
  };

  class YieldAwaiter : RunNode {
   public:
    explicit YieldAwaiter(Executor* executor) : RunNode(&Resume), executor_(executor) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      executor_->Schedule(this);
    }
    void await_resume() const {}

   private:
    static void Resume(RunNode* node) { static_cast<YieldAwaiter*>(node)->waiter_.resume(); }
    Executor* executor_;
    std::coroutine_handle<> waiter_;
  };

  template <typename F>
  class RunAwaiter : Work {
   public:
    using Result = std::invoke_result_t<F&>;
    RunAwaiter(Executor* executor, Lane on, F function)
        : Work(on, &Execute, &Resume), executor_(executor), function_(std::move(function)) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      executor_->Offload(this);
    }
    Result await_resume() {
      if constexpr (!std::is_void_v<Result>) return std::move(*result_);
    }

   private:
    static void Execute(Work* work) {
      auto* self = static_cast<RunAwaiter*>(work);
      if constexpr (std::is_void_v<Result>) {
        self->function_();
      } else {
        self->result_.emplace(self->function_());
      }
    }
    static void Resume(RunNode* node) {
      static_cast<RunAwaiter*>(static_cast<Work*>(node))->waiter_.resume();
    }
    struct Nothing {};
    Executor* executor_;
    F function_;
    std::optional<std::conditional_t<std::is_void_v<Result>, Nothing, Result>> result_;
    std::coroutine_handle<> waiter_;
  };
};

}  // namespace nexus::io

#endif  // NEXUS_IO_EXECUTOR_H_
