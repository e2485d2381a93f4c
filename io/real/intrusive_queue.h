// IntrusiveQueue: first in, first out, through the nodes' own `next`: never allocates.
//
// A node is in at most one queue and pinned while it is there. Threading: the owner's.

#ifndef NEXUS_IO_REAL_INTRUSIVE_QUEUE_H_
#define NEXUS_IO_REAL_INTRUSIVE_QUEUE_H_

#include <utility>

namespace nexus::io {

template <typename Node>
class IntrusiveQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  Node* front() const { return head_; }
  void Push(Node* node) {
    node->next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = node;
    tail_ = node;
  }
  // The oldest node, or null.
  Node* Pop() {
    Node* node = head_;
    if (node != nullptr) head_ = std::exchange(node->next, nullptr);
    return node;
  }

 private:
  Node* head_ = nullptr;
  Node* tail_ = nullptr;  // meaningless while empty
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_INTRUSIVE_QUEUE_H_
