// QueryGuard: holds one query to its limits - deadline, cancellation, memory - and its tenant's
// queries to theirs.
//
// Whatever reads or allocates on behalf of a query asks here first. Failure: DeadlineExceeded,
// Cancelled, ResourceExhausted; they are not latched, the cursor that gets one ends.
// Threading: the query's thread; `limits.cancel` may be set from any.

#ifndef NEXUS_ENGINE_QUERY_GUARD_H_
#define NEXUS_ENGINE_QUERY_GUARD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "base/status.h"
#include "engine/query.h"
#include "engine/query_budget.h"

namespace nexus::engine {

class QueryGuard {
 public:
  // The deadline counts from here. Without a clock there is none. `permit`: that of the query among
  // its tenant's, kept while the guard lives; null: the tenant has no say.
  QueryGuard(const QueryLimits& limits, std::function<int64_t()> monotonic_nanos,
             std::shared_ptr<QueryPermit> permit = nullptr)
      : limits_(limits), monotonic_nanos_(std::move(monotonic_nanos)), permit_(std::move(permit)) {
    // Longer than 292 years is for ever.
    constexpr int64_t kNanosPerMilli = 1'000'000;
    constexpr int64_t kMillisMax = std::numeric_limits<int64_t>::max() / kNanosPerMilli;
    timed_ = monotonic_nanos_ && limits.deadline_ms != 0 && limits.deadline_ms <= kMillisMax;
    if (!timed_) return;
    started_ns_ = monotonic_nanos_();
    allowed_ns_ = limits.deadline_ms * kNanosPerMilli;
  }

  const QueryLimits& limits() const { return limits_; }
  // On the monotonic clock; nullopt if there is none.
  std::optional<int64_t> deadline_ns() const {
    int64_t at = 0;
    if (!timed_ || __builtin_add_overflow(started_ns_, allowed_ns_, &at)) return std::nullopt;
    return at;
  }
  uint64_t reserved_bytes() const { return reserved_bytes_; }

  // Called before each chunk that is read: about 30 ns for what takes microseconds.
  Status Check() const {
    if (limits_.cancel != nullptr && limits_.cancel->load(std::memory_order_relaxed)) {
      return Cancelled("query was cancelled");
    }
    if (timed_ && monotonic_nanos_() - started_ns_ >= allowed_ns_) {
      return DeadlineExceeded("query took longer than its deadline of {} ms", limits_.deadline_ms);
    }
    return OkStatus();
  }

  // Counts `bytes` of memory about to be used for `what`.
  Status Reserve(uint64_t bytes, std::string_view what) {
    if (bytes > limits_.memory_bytes - reserved_bytes_) {
      return ResourceExhausted(
          "query needs {} more bytes of memory for {}, {} of its {} are in use: narrow the "
          "selector or the range, widen the step, or raise memory_bytes",
          bytes, what, reserved_bytes_, limits_.memory_bytes);
    }
    if (permit_ != nullptr) NEXUS_RETURN_IF_ERROR(permit_->Reserve(bytes));
    reserved_bytes_ += bytes;
    return OkStatus();
  }
  // REQUIRES: so much was reserved.
  void Release(uint64_t bytes) {
    if (permit_ != nullptr) permit_->Release(bytes);
    reserved_bytes_ -= bytes;
  }

 private:
  const QueryLimits limits_;
  const std::function<int64_t()> monotonic_nanos_;
  const std::shared_ptr<QueryPermit> permit_;
  bool timed_ = false;
  int64_t started_ns_ = 0;
  int64_t allowed_ns_ = 0;
  uint64_t reserved_bytes_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_QUERY_GUARD_H_
