// Templates of RealEnvironment: hand work to the loop and wait for it. See real.h.

#ifndef NEXUS_IO_REAL_INL_H_
#define NEXUS_IO_REAL_INL_H_

#include <optional>
#include <utility>

#include "base/mutex.h"
#include "io/real.h"

namespace nexus::io {

template <typename F>
void RealEnvironment::RunOnLoop(F function) {
  struct Node : RunNode {
    explicit Node(F f) : RunNode(&Run), call(std::move(f)) {}
    static void Run(RunNode* node) {
      auto* self = static_cast<Node*>(node);
      self->call();
      self->finished.Notify();
    }
    F call;
    Notification finished;
  };
  Node node(std::move(function));
  executor()->Post(&node);
  node.finished.Wait();
}

namespace real_internal {

template <typename T>
Task<void> Deliver(Task<T> task, std::optional<T>* result, Notification* finished) {
  result->emplace(co_await std::move(task));
  finished->Notify();
}

}  // namespace real_internal

template <typename T>
T RealEnvironment::BlockOn(Task<T> task) {
  std::optional<T> result;
  Notification finished;
  std::optional<TaskScope> scope;
  RunOnLoop([&] {
    scope.emplace(executor());
    scope->Spawn(real_internal::Deliver(std::move(task), &result, &finished));
  });
  finished.Wait();
  // The scope's bookkeeping follows the notification on the loop; let it finish there.
  RunOnLoop([&] { scope.reset(); });
  return std::move(*result);
}

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_INL_H_
