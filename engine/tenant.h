// Tenants as their owner sees them: what they may use, and what they use.
//
// A quota bounds one tenant; whatever goes beyond it is refused with ResourceExhausted, which names
// the tenant, the quota, the present figure and the way out. Others do not notice.
// Threading: plain values.

#ifndef NEXUS_ENGINE_TENANT_H_
#define NEXUS_ENGINE_TENANT_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace nexus {

inline constexpr uint64_t kNoQuota = std::numeric_limits<uint64_t>::max();

// Of each kNoQuota: no bound, which is the default.
struct TenantQuotas {
  // Series that the tenant has; what samples are sent to those it has already is taken.
  uint64_t series_max = kNoQuota;
  // Samples appended a second. Twice as much may come within one second; a batch is taken or
  // refused whole, and what it has beyond the bound is made up for by those behind it.
  uint64_t samples_per_second = kNoQuota;
  // Of its layers and of its samples in memory. Nothing is appended at or above it.
  uint64_t bytes_max = kNoQuota;
  // Of decoded samples and aggregate state that all its queries hold at once.
  uint64_t query_memory_bytes = kNoQuota;
  // Queries that it has open at once, look-ups of labels among them.
  uint64_t concurrent_queries = kNoQuota;

  bool operator==(const TenantQuotas&) const = default;
};

// Some of them anew: nullopt leaves one as it is, kNoQuota takes it away.
struct QuotaChanges {
  std::optional<uint64_t> series_max = std::nullopt;
  std::optional<uint64_t> samples_per_second = std::nullopt;
  std::optional<uint64_t> bytes_max = std::nullopt;
  std::optional<uint64_t> query_memory_bytes = std::nullopt;
  std::optional<uint64_t> concurrent_queries = std::nullopt;

  bool operator==(const QuotaChanges&) const = default;
};

// Calls visit(name, member) for each member of a TenantQuotas or QuotaChanges, in a fixed order.
template <typename Quotas, typename Visit>
void VisitQuotas(Quotas& quotas, Visit&& visit) {
  visit("series_max", quotas.series_max);
  visit("samples_per_second", quotas.samples_per_second);
  visit("bytes_max", quotas.bytes_max);
  visit("query_memory_bytes", quotas.query_memory_bytes);
  visit("concurrent_queries", quotas.concurrent_queries);
}

// A tenant at one moment.
struct TenantInfo {
  std::string name;
  TenantQuotas quotas;
  uint64_t series = 0;
  uint64_t samples = 0;  // in layers and memory; one written twice may count twice until merged
  uint64_t layers = 0;
  uint64_t layer_bytes = 0;
  uint64_t memory_bytes = 0;  // of samples that are in no layer yet
  uint64_t queries = 0;       // open now
  uint64_t refused = 0;       // appends, new series and queries since opening, for a quota
  uint64_t tombstones = 0;    // deletes that compactions have yet to carry out, of each branch

  uint64_t bytes() const { return layer_bytes + memory_bytes; }
  bool operator==(const TenantInfo&) const = default;
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_TENANT_H_
