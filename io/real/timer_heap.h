// TimerHeap: armed timers, the earliest first; equal deadlines in the order they were armed.
//
// A binary heap of pointers; each timer knows its place, so that cancelling is O(log n) and a timer
// may be destroyed right after. The heap's memory grows to the most timers that were ever armed at
// once and stays. Threading: the loop's.

#ifndef NEXUS_IO_REAL_TIMER_HEAP_H_
#define NEXUS_IO_REAL_TIMER_HEAP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/executor.h"

namespace nexus::io {

class TimerHeap {
 public:
  // REQUIRES: the timer is not armed.
  void Add(Timer* timer, int64_t deadline_ns);
  // Leaves a timer alone that is not armed.
  void Remove(Timer* timer);
  // The earliest, or null.
  Timer* first() const { return heap_.empty() ? nullptr : heap_.front(); }
  // Sequence numbers given so far: a timer armed later has a greater one.
  uint64_t sequence() const { return sequence_; }

 private:
  void Place(size_t at, Timer* timer);
  void SiftUp(size_t at, Timer* timer);
  void SiftDown(size_t at, Timer* timer);

  std::vector<Timer*> heap_;
  uint64_t sequence_ = 0;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_TIMER_HEAP_H_
