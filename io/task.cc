// Scopes and events. See task.h.

#include "io/task.h"

namespace nexus::io {
namespace {

thread_local int transfer_depth = 0;
thread_local Executor* current_executor = nullptr;

}  // namespace

int& TransferDepth() { return transfer_depth; }

Executor* Executor::Current() {
  NEXUS_CHECK(current_executor != nullptr);
  return current_executor;
}

void Executor::SetCurrent(Executor* executor) { current_executor = executor; }

void Event::Pulse() {
  RunNode* node = std::exchange(waiters_, nullptr);
  while (node != nullptr) {
    RunNode* following = std::exchange(node->next, nullptr);
    Executor::Current()->Schedule(node);
    node = following;
  }
}

void Event::Set() {
  set_ = true;
  Pulse();
}

// A spawned task and the coroutine that runs it and reports its end.
struct TaskScope::Child : RunNode {
  class Runner {
   public:
    struct promise_type {
      Child* child;
      explicit promise_type(Child* owner) : child(owner) {}
      Runner get_return_object() {
        return Runner(std::coroutine_handle<promise_type>::from_promise(*this));
      }
      std::suspend_always initial_suspend() const noexcept { return {}; }
      class FinalAwaiter {
       public:
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<promise_type> finished) const noexcept {
          Child* ended = finished.promise().child;
          ended->scope->Finished(ended);
        }
        void await_resume() const noexcept {}
      };
      FinalAwaiter final_suspend() const noexcept { return {}; }
      void return_void() const {}
      void unhandled_exception() { std::terminate(); }
    };
    explicit Runner(std::coroutine_handle<promise_type> running) : handle(running) {}
    std::coroutine_handle<promise_type> handle;
  };

  static Runner Run(Child* child) { co_await std::move(child->task); }

  Child(TaskScope* owner, Task<void> spawned)
      : RunNode(&TaskScope::StartChild),
        scope(owner),
        task(std::move(spawned)),
        runner(Run(this)) {}
  ~Child() { runner.handle.destroy(); }

  TaskScope* scope;
  Task<void> task;
  Runner runner;
  Child* previous_sibling = nullptr;
  Child* next_sibling = nullptr;
};

TaskScope::~TaskScope() {
  while (children_ != nullptr) {
    Child* child = children_;
    children_ = child->next_sibling;
    delete child;
  }
}

void TaskScope::StartChild(RunNode* node) { static_cast<Child*>(node)->runner.handle.resume(); }

void TaskScope::Spawn(Task<void> task) {
  auto* child = new Child(this, std::move(task));
  child->next_sibling = children_;
  if (children_ != nullptr) children_->previous_sibling = child;
  children_ = child;
  running_++;
  executor_->Schedule(child);
}

void TaskScope::Finished(Child* child) {
  if (child->previous_sibling != nullptr)
    child->previous_sibling->next_sibling = child->next_sibling;
  if (child->next_sibling != nullptr)
    child->next_sibling->previous_sibling = child->previous_sibling;
  if (children_ == child) children_ = child->next_sibling;
  delete child;
  if (--running_ == 0) idle_.Pulse();
}

Task<void> TaskScope::Join() {
  while (running_ > 0) co_await idle_.Wait();
}

}  // namespace nexus::io
