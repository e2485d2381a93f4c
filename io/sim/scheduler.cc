// The run queue and the agenda of a world. See scheduler.h.

#include "io/sim/scheduler.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "io/sim/executor.h"
#include "io/task.h"

namespace nexus::sim {
namespace {

// Delays are drawn in this many steps of their spread: enough for any order of completions.
constexpr uint64_t kLatencySteps = 1024;

}  // namespace

int64_t Scheduler::Delay(const Latency& latency) {
  int64_t delay = latency.min_ns;
  if (latency.spread_ns > 0) {
    delay += latency.spread_ns *
             static_cast<int64_t>(choices_->Choose(Stream::kLatency, kLatencySteps)) /
             static_cast<int64_t>(kLatencySteps - 1);
  }
  const Stream slow = StreamOf(Fault::kSlowOperation);
  if (options_->mask.Has(Fault::kSlowOperation) &&
      choices_->Chance(slow, options_->faults[Fault::kSlowOperation])) {
    delay += options_->slow_ns / 1000 * static_cast<int64_t>(choices_->Choose(slow, 1001));
  }
  return delay;
}

size_t Scheduler::armed_timers() const {
  return static_cast<size_t>(std::count_if(agenda_.begin(), agenda_.end(), [](const auto& entry) {
    return entry.second.kind == Kind::kTimer && entry.second.owner == nullptr;
  }));
}

void Scheduler::StartTimer(io::Timer* timer, int64_t time_ns, Executor* owner) {
  NEXUS_CHECK(!timer->armed);
  timer->armed = true;
  timer->sequence = next_sequence_;
  armed_timers_++;
  Enter(time_ns, {Kind::kTimer, timer, owner});
}

void Scheduler::CancelTimer(io::Timer* timer, int64_t time_ns) {
  if (!timer->armed) return;
  timer->armed = false;
  if (agenda_.erase(Key{time_ns, timer->sequence}) == 1) {
    armed_timers_--;
    return;
  }
  auto at = std::find_if(ready_.begin() + static_cast<ptrdiff_t>(first_ready_), ready_.end(),
                         [&](const Item& item) { return item.node == timer; });
  NEXUS_CHECK(at != ready_.end());
  ready_.erase(at);
}

void Scheduler::TakeDue() {
  while (!agenda_.empty() && agenda_.begin()->first.time_ns <= now_) {
    const Item item = agenda_.begin()->second;
    agenda_.erase(agenda_.begin());
    if (item.kind == Kind::kTimer) armed_timers_--;
    ready_.push_back(item);
  }
}

Scheduler::Item Scheduler::Pick() {
  const size_t waiting = ready_.size() - first_ready_;
  const size_t ways = options_->fifo ? 1 : std::min<size_t>(waiting, options_->schedule_window);
  size_t chosen = ways > 1 ? static_cast<size_t>(choices_->Choose(Stream::kSchedule, ways)) : 0;
  auto first = ready_.begin() + static_cast<ptrdiff_t>(first_ready_);
  // Timers fire in the order of their deadlines.
  if (first[static_cast<ptrdiff_t>(chosen)].kind == Kind::kTimer) {
    auto timer = std::find_if(first, ready_.end(),
                              [](const Item& item) { return item.kind == Kind::kTimer; });
    chosen = static_cast<size_t>(timer - first);
  }
  // Those passed over keep their order.
  std::rotate(first, first + static_cast<ptrdiff_t>(chosen),
              first + static_cast<ptrdiff_t>(chosen) + 1);
  const Item item = ready_[first_ready_++];
  if (first_ready_ == ready_.size()) {
    ready_.clear();
    first_ready_ = 0;
  } else if (first_ready_ * 2 > ready_.size() && first_ready_ > options_->schedule_window) {
    ready_.erase(ready_.begin(), ready_.begin() + static_cast<ptrdiff_t>(first_ready_));
    first_ready_ = 0;
  }
  trace_->Event(TraceTag::kNode, {static_cast<uint64_t>(now_), chosen, waiting},
                "{} step {}: {} of {} ready", now_, steps_, chosen, waiting);
  return item;
}

void Scheduler::Enter(Executor* owner) {
  NEXUS_CHECK(!running_);
  running_ = true;
  io::ResetTransferDepth();
  Executor::Enter(owner != nullptr ? owner : executor_);
}

void Scheduler::Leave() {
  Executor::Enter(nullptr);
  running_ = false;
}

void Scheduler::Run(Item item) {
  if (item.kind == Kind::kTimer) static_cast<io::Timer*>(item.node)->armed = false;
  if (item.kind == Kind::kExecute) {
    // As on another thread: there is no current executor.
    running_ = true;
    (item.owner != nullptr ? item.owner : executor_)->Execute(static_cast<io::Work*>(item.node));
    running_ = false;
    return;
  }
  Enter(item.owner);
  item.node->run(item.node);
  Leave();
}

bool Scheduler::Step(int64_t until_ns) {
  NEXUS_CHECK(!running_);
  TakeDue();
  if (!ready()) {
    if (agenda_.empty() || agenda_.begin()->first.time_ns > until_ns) return false;
    now_ = agenda_.begin()->first.time_ns;
    TakeDue();
  }
  const Item item = Pick();
  now_ += options_->step_ns;
  steps_++;
  Run(item);
  return true;
}

void Scheduler::SkipTo(int64_t time_ns) {
  NEXUS_CHECK(!ready());
  NEXUS_CHECK(agenda_.empty() || agenda_.begin()->first.time_ns > time_ns);
  now_ = std::max(now_, time_ns);
}

void Scheduler::DropAll(Executor* owner) {
  NEXUS_CHECK(!running_);
  auto drop = [&](const Item& item) {
    if (item.owner != owner) return false;
    if (item.kind == Kind::kTimer) static_cast<io::Timer*>(item.node)->armed = false;
    return true;
  };
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<ptrdiff_t>(first_ready_));
  first_ready_ = 0;
  std::erase_if(ready_, drop);
  std::erase_if(agenda_, [&](const auto& entry) {
    const bool timer = entry.second.kind == Kind::kTimer;
    if (!drop(entry.second)) return false;
    if (timer) armed_timers_--;
    return true;
  });
}

}  // namespace nexus::sim
