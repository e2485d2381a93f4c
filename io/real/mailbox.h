// Mailbox: nodes handed to a loop by any thread, and the loop's sleep.
//
// One atomic word holds both the stack of posted nodes and the fact that the owner sleeps, so
// neither a node nor a wake can be lost: going to sleep fails if a node is there, and exactly one
// of the threads that post to a sleeping owner is told to wake it. Nodes come out oldest first.
// Threading: Push from any thread, the rest from the owner's. Nothing blocks or allocates.

#ifndef NEXUS_IO_REAL_MAILBOX_H_
#define NEXUS_IO_REAL_MAILBOX_H_

#include <atomic>

#include "io/executor.h"

namespace nexus::io {

class Mailbox {
 public:
  // True if the owner sleeps and the caller, and nobody else, must wake it.
  bool Push(RunNode* node) {
    RunNode* top = top_.load(std::memory_order_relaxed);
    do {
      node->next = top == &asleep_ ? nullptr : top;
    } while (!top_.compare_exchange_weak(top, node, std::memory_order_release,
                                         std::memory_order_relaxed));
    return top == &asleep_;
  }

  bool empty() const { return top_.load(std::memory_order_relaxed) == nullptr; }

  // False if a node is there. After true the owner sleeps until TakeAll.
  bool TrySleep() {
    RunNode* nothing = nullptr;
    return top_.compare_exchange_strong(nothing, &asleep_, std::memory_order_relaxed);
  }

  // All nodes, oldest first, linked by `next`; ends the sleep.
  RunNode* TakeAll() {
    if (empty()) return nullptr;
    RunNode* newest = top_.exchange(nullptr, std::memory_order_acquire);
    if (newest == &asleep_) return nullptr;
    RunNode* oldest = nullptr;
    while (newest != nullptr) {
      RunNode* older = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = older;
    }
    return oldest;
  }

 private:
  RunNode asleep_{nullptr};  // only its address means something
  std::atomic<RunNode*> top_{nullptr};
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_MAILBOX_H_
