// The heap's two movements. See timer_heap.h.

#include "io/real/timer_heap.h"

#include <utility>

#include "base/check.h"

namespace nexus::io {
namespace {

bool Earlier(const Timer* a, const Timer* b) {
  return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns
                                          : a->sequence < b->sequence;
}

}  // namespace

void TimerHeap::Add(Timer* timer, int64_t deadline_ns) {
  NEXUS_CHECK(!timer->armed);
  timer->deadline_ns = deadline_ns;
  timer->sequence = ++sequence_;
  timer->armed = true;
  heap_.push_back(timer);
  SiftUp(heap_.size() - 1, timer);
}

void TimerHeap::Remove(Timer* timer) {
  if (!std::exchange(timer->armed, false)) return;
  size_t hole = timer->place;
  NEXUS_CHECK(hole < heap_.size() && heap_[hole] == timer);
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  if (Earlier(last, timer)) {
    SiftUp(hole, last);
  } else {
    SiftDown(hole, last);
  }
}

void TimerHeap::Place(size_t at, Timer* timer) {
  heap_[at] = timer;
  timer->place = at;
}

void TimerHeap::SiftUp(size_t at, Timer* timer) {
  while (at > 0) {
    size_t parent = (at - 1) / 2;
    if (!Earlier(timer, heap_[parent])) break;
    Place(at, heap_[parent]);
    at = parent;
  }
  Place(at, timer);
}

void TimerHeap::SiftDown(size_t at, Timer* timer) {
  while (true) {
    size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && Earlier(heap_[child + 1], heap_[child])) child++;
    if (!Earlier(heap_[child], timer)) break;
    Place(at, heap_[child]);
    at = child;
  }
  Place(at, timer);
}

}  // namespace nexus::io
