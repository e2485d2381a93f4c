// QueryBudget: what the queries of one tenant take together, and may take.
//
// A query holds a permit from its begin to its end; the memory that it counts (query_guard.h) it
// counts here, too. Failure: ResourceExhausted, at the begin or when memory is asked for; nothing
// waits. Threading: SetLimits on the loop; the rest on any thread.

#ifndef NEXUS_ENGINE_QUERY_BUDGET_H_
#define NEXUS_ENGINE_QUERY_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "engine/tenant.h"

namespace nexus::engine {

class QueryBudget {
 public:
  explicit QueryBudget(std::string tenant) : tenant_(std::move(tenant)) {}

  // Holds for what begins or grows from now on.
  void SetLimits(const TenantQuotas& quotas) {
    queries_max_.store(quotas.concurrent_queries, std::memory_order_relaxed);
    bytes_max_.store(quotas.query_memory_bytes, std::memory_order_relaxed);
  }

  Status Enter() { return Take(&queries_, queries_max_, 1, &QueryBudget::TooMany); }
  void Leave() { queries_.fetch_sub(1, std::memory_order_relaxed); }
  Status Reserve(uint64_t bytes) {
    return Take(&bytes_, bytes_max_, bytes, &QueryBudget::NoMemory);
  }
  void Release(uint64_t bytes) { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

  uint64_t queries() const { return queries_.load(std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  using Refusal = Status (QueryBudget::*)(uint64_t more, uint64_t used, uint64_t limit) const;

  Status Take(std::atomic<uint64_t>* used, const std::atomic<uint64_t>& limit, uint64_t more,
              Refusal refusal) {
    const uint64_t most = limit.load(std::memory_order_relaxed);
    uint64_t before = used->load(std::memory_order_relaxed);
    do {
      // What is in use may be above a limit that was lowered since.
      if (before > most || more > most - before) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        return (this->*refusal)(more, before, most);
      }
    } while (!used->compare_exchange_weak(before, before + more, std::memory_order_relaxed));
    return OkStatus();
  }

  Status TooMany(uint64_t, uint64_t used, uint64_t limit) const {
    return ResourceExhausted(
        "tenant \"{}\" has {} queries open, its concurrent_queries is {}: wait for one to end, or "
        "raise it: nexus tenant set {} concurrent_queries=N",
        tenant_, used, limit, tenant_);
  }
  Status NoMemory(uint64_t more, uint64_t used, uint64_t limit) const {
    return ResourceExhausted(
        "the queries of tenant \"{}\" hold {} bytes and this one needs {} more, its "
        "query_memory_bytes is {}: narrow the query, wait for others to end, or raise it: nexus "
        "tenant set {} query_memory_bytes=N",
        tenant_, used, more, limit, tenant_);
  }

  const std::string tenant_;
  std::atomic<uint64_t> queries_max_ = kNoQuota;
  std::atomic<uint64_t> bytes_max_ = kNoQuota;
  std::atomic<uint64_t> queries_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  std::atomic<uint64_t> refused_ = 0;
};

// That of one query; the query ends with it.
class QueryPermit {
 public:
  // REQUIRES: budget->Enter() was OK.
  explicit QueryPermit(std::shared_ptr<QueryBudget> budget) : budget_(std::move(budget)) {}
  ~QueryPermit() {
    budget_->Release(bytes_);
    budget_->Leave();
  }
  QueryPermit(const QueryPermit&) = delete;
  QueryPermit& operator=(const QueryPermit&) = delete;

  static StatusOr<std::shared_ptr<QueryPermit>> Take(std::shared_ptr<QueryBudget> budget) {
    NEXUS_RETURN_IF_ERROR(budget->Enter());
    return std::make_shared<QueryPermit>(std::move(budget));
  }

  // By the query's thread.
  Status Reserve(uint64_t bytes) {
    NEXUS_RETURN_IF_ERROR(budget_->Reserve(bytes));
    bytes_ += bytes;
    return OkStatus();
  }
  void Release(uint64_t bytes) {
    budget_->Release(bytes);
    bytes_ -= bytes;
  }

 private:
  const std::shared_ptr<QueryBudget> budget_;
  uint64_t bytes_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_QUERY_BUDGET_H_
