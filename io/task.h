// Task<T>: a lazily started coroutine that is awaited exactly once. TaskScope: the owner of tasks
// that run side by side. Event: something to wait for.
//
// Rules (TESTING section 1): every task belongs to a scope or is awaited by one that does;
// parameters by value; no lambda coroutine that captures; no lock or LMDB transaction across a
// suspension; never `co_await` as an operand of && or || in an if or while condition, and no
// aggregate temporaries or aggregate awaiters in a co_await expression (GCC 12 miscompiles all
// three).
//
// A power cut is simulated by destroying the scope: frames are destroyed where they are suspended,
// so destructors must neither do I/O nor resume anybody.
//
// Stack depth: GCC makes symmetric transfer a real call without optimisation and under sanitizers,
// so after 64 transfers within one run of the loop a finished task resumes its awaiter through the
// run queue. Threading: the executor's thread only.

#ifndef NEXUS_IO_TASK_H_
#define NEXUS_IO_TASK_H_

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/check.h"
#include "io/executor.h"

namespace nexus::io {

// Transfers since the loop last started a node; the loop resets it (see ResetTransferDepth).
inline constexpr int kTransferDepthMax = 64;
int& TransferDepth();
inline void ResetTransferDepth() { TransferDepth() = 0; }

namespace task_internal {

// What the promises of all tasks share: who awaits, and the way back to it.
class PromiseBase : RunNode {
 public:
  PromiseBase() : RunNode(&ResumeAwaiter) {}
  std::suspend_always initial_suspend() const noexcept { return {}; }
  void unhandled_exception() { std::terminate(); }
  void set_awaiter(std::coroutine_handle<> awaiter) { awaiter_ = awaiter; }

  class FinalAwaiter {
   public:
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
      return finished.promise().Finish();
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }

 private:
  static void ResumeAwaiter(RunNode* node) { static_cast<PromiseBase*>(node)->awaiter_.resume(); }
  std::coroutine_handle<> Finish() {
    if (!awaiter_) return std::noop_coroutine();
    if (++TransferDepth() < kTransferDepthMax) return awaiter_;
    Executor::Current()->Schedule(this);
    return std::noop_coroutine();
  }
  std::coroutine_handle<> awaiter_;
};

template <typename T>
class Promise : public PromiseBase {
 public:
  std::coroutine_handle<Promise> get_return_object() {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  template <typename U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T TakeValue() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  std::coroutine_handle<Promise> get_return_object() {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  void return_void() const {}
  void TakeValue() const {}
};

}  // namespace task_internal

template <typename T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = task_internal::Promise<T>;

  Task() = default;
  // What the promise returns becomes the task, hence implicit.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Starts the task and resumes the awaiter with its value.
  auto operator co_await() && { return Awaiter(handle_); }

 private:
  class Awaiter {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    bool await_ready() const { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) {
      handle_.promise().set_awaiter(awaiter);
      ++TransferDepth();
      return handle_;
    }
    T await_resume() { return handle_.promise().TakeValue(); }

   private:
    std::coroutine_handle<promise_type> handle_;
  };

  std::coroutine_handle<promise_type> handle_;
};

// Something that happens once; any number of coroutines may wait. Reset() makes it wait again.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  bool is_set() const { return set_; }
  // Resumes all waiters through the run queue.
  void Set();
  // REQUIRES: nobody waits.
  void Reset() { set_ = false; }
  // Resumes all who wait now, without leaving the event set.
  void Pulse();

  class Awaiter : public RunNode {
   public:
    explicit Awaiter(Event* event) : RunNode(&Resume), event_(event) {}
    bool await_ready() const { return event_->set_; }
    void await_suspend(std::coroutine_handle<> waiter) {
      waiter_ = waiter;
      next = event_->waiters_;
      event_->waiters_ = this;
    }
    void await_resume() const {}

   private:
    static void Resume(RunNode* node) { static_cast<Awaiter*>(node)->waiter_.resume(); }
    Event* event_;
    std::coroutine_handle<> waiter_;
  };
  Awaiter Wait() { return Awaiter(this); }

 private:
  RunNode* waiters_ = nullptr;
  bool set_ = false;
};

// Owns tasks that run side by side. Outlive everything the tasks use by declaring it last.
class TaskScope {
 public:
  explicit TaskScope(Executor* executor) : executor_(executor) {}
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;
  // Destroys the frames of tasks that have not finished (a power cut); after Join there are none.
  ~TaskScope();

  // Starts the task through the run queue.
  void Spawn(Task<void> task);
  // Returns when all spawned tasks, also those spawned meanwhile, have finished.
  Task<void> Join();
  int running() const { return running_; }

 private:
  struct Child;
  static void StartChild(RunNode* node);
  void Finished(Child* child);

  Executor* executor_;
  Child* children_ = nullptr;
  int running_ = 0;
  Event idle_;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_TASK_H_
