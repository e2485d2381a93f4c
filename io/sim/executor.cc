// The simulated loop. See executor.h.

#include "io/sim/executor.h"

#include <limits>

#include "base/check.h"

namespace nexus::sim {

void Executor::Schedule(io::RunNode* node) {
  NEXUS_CHECK(alive_);
  scheduler_->Ready(node, owner_);
}

void Executor::Post(io::RunNode* node) { Schedule(node); }

void Executor::ExecuteLater(io::Work* work) {
  scheduler_->ExecuteAt(scheduler_->now() + scheduler_->Delay(options_->work), work, owner_);
}

void Executor::Offload(io::Work* work) {
  NEXUS_CHECK(alive_);
  if (work->lane == io::Lane::kCatalog) {
    catalog_lane_.push_back(work);
    if (catalog_lane_.size() > 1) return;
  }
  ExecuteLater(work);
}

void Executor::Execute(io::Work* work) {
  trace_->Event(TraceTag::kWork, {static_cast<uint64_t>(work->lane)}, "{} execute {}",
                scheduler_->now(), work->lane == io::Lane::kCatalog ? "catalog work" : "work");
  work->execute(work);
  scheduler_->At(scheduler_->now() + scheduler_->Delay(options_->work), work, owner_);
  if (work->lane != io::Lane::kCatalog) return;
  catalog_lane_.pop_front();
  if (!catalog_lane_.empty()) ExecuteLater(catalog_lane_.front());
}

int64_t Executor::WorldTime(int64_t monotonic_ns) const {
  constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
  return monotonic_ns > kEnd - booted_ns_ ? kEnd : booted_ns_ + monotonic_ns;
}

void Executor::StartTimer(io::Timer* timer, int64_t deadline_ns) {
  NEXUS_CHECK(alive_);
  timer->deadline_ns = deadline_ns;
  scheduler_->StartTimer(timer, WorldTime(deadline_ns), owner_);
}

void Executor::CancelTimer(io::Timer* timer) {
  if (alive_) scheduler_->CancelTimer(timer, WorldTime(timer->deadline_ns));
}

void Executor::Kill() {
  alive_ = false;
  catalog_lane_.clear();
}

}  // namespace nexus::sim
