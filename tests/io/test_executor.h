// TestExecutor: the least executor there can be - one thread, first come first served, time that
// moves only when nothing else can. For tests of what needs no more than an executor.

#ifndef NEXUS_TESTS_IO_TEST_EXECUTOR_H_
#define NEXUS_TESTS_IO_TEST_EXECUTOR_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "io/executor.h"
#include "io/task.h"

namespace nexus::io {

class TestExecutor : public Executor {
 public:
  TestExecutor() { SetCurrent(this); }
  ~TestExecutor() override { SetCurrent(nullptr); }

  void Schedule(RunNode* node) override { ready_.push_back(node); }
  void Post(RunNode* node) override { ready_.push_back(node); }
  void Offload(Work* work) override {
    work->execute(work);
    ready_.push_back(work);
  }
  void StartTimer(Timer* timer, int64_t deadline_ns) override {
    timer->deadline_ns = deadline_ns;
    timer->sequence = ++timers_started_;
    timer->armed = true;
    timers_.push_back(timer);
  }
  void CancelTimer(Timer* timer) override {
    if (std::exchange(timer->armed, false)) std::erase(timers_, timer);
  }
  int64_t MonotonicNanos() const override { return now_ns_; }

  // Runs one node or fires one timer; false if there is neither.
  bool RunOne() {
    ResetTransferDepth();
    if (!ready_.empty()) {
      RunNode* node = ready_.front();
      ready_.pop_front();
      node->run(node);
      return true;
    }
    if (timers_.empty()) return false;
    auto earlier = [](const Timer* a, const Timer* b) {
      return std::pair(a->deadline_ns, a->sequence) < std::pair(b->deadline_ns, b->sequence);
    };
    Timer* timer = *std::min_element(timers_.begin(), timers_.end(), earlier);
    now_ns_ = std::max(now_ns_, timer->deadline_ns);
    CancelTimer(timer);
    timer->run(timer);
    return true;
  }
  void RunUntilIdle() {
    while (RunOne()) {
    }
  }

 private:
  std::deque<RunNode*> ready_;
  std::vector<Timer*> timers_;
  uint64_t timers_started_ = 0;
  int64_t now_ns_ = 0;
};

}  // namespace nexus::io

#endif  // NEXUS_TESTS_IO_TEST_EXECUTOR_H_
