// Quotas of tenants: how they are stored, and what writing is measured against.
//
// They are settings of the tenant's record ("quota.series_max" = "100000"), so they are replayed
// and kept like it. Replay refuses nothing: what is in the log was within its quota when it came.
// Series are bounded where they get their ids (interner.h), samples and bytes where batches get
// their log position (committer.h), queries where they begin (query_budget.h). What is on its way
// through the log is not counted, so bytes may end up above their bound by what a log holds in
// flight. Threading: loop only.

#ifndef NEXUS_ENGINE_QUOTA_H_
#define NEXUS_ENGINE_QUOTA_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "catalog/records.h"
#include "engine/tenant.h"

namespace nexus::engine {

struct DatabaseState;
struct TenantState;

// What the settings of a tenant say.
TenantQuotas QuotasOf(std::span<const catalog::Setting> settings);
// The settings that changes of quotas are: an empty value takes the setting away.
std::vector<catalog::Setting> SettingsOf(const QuotaChanges& changes);
// Carries changes of settings out; the result is sorted by name.
void ChangeSettings(std::span<const catalog::Setting> changes,
                    std::vector<catalog::Setting>* settings);

// A token bucket that holds what a second allows: a batch passes while there is anything in it, and
// may leave it in debt. Kept as the time up to which all that passed is paid for.
class RateMeter {
 public:
  // How long until a batch passes, in ns; 0: now. REQUIRES: a second allows more than 0.
  int64_t WaitNs(int64_t now_ns) const { return std::max<int64_t>(0, paid_until_ns_ - now_ns); }
  void Pay(uint64_t samples, uint64_t per_second, int64_t now_ns) {
    const auto cost = static_cast<double>(samples) * 1e9 / static_cast<double>(per_second);
    // A debt of more than a day is a quota that makes no sense.
    constexpr double kCostMax = 86'400e9;
    paid_until_ns_ = std::max(paid_until_ns_, now_ns - kBurstNs) +
                     static_cast<int64_t>(std::min(cost, kCostMax));
  }

 private:
  static constexpr int64_t kBurstNs = 1'000'000'000;
  // Monotonic; at first so long ago that the bucket is full, however young the clock is.
  int64_t paid_until_ns_ = std::numeric_limits<int64_t>::min() / 2;
};

// Bytes of a tenant's layers and of its samples in memory; what branches share counts once. Costs a
// walk over its layers once after each change of the layer map, else one over its memtables.
struct TenantBytes {
  uint64_t layers = 0;
  uint64_t memory = 0;
  uint64_t all() const { return layers + memory; }
};
TenantBytes BytesOf(const DatabaseState& state, TenantState* tenant);

// So many new series were refused for series_max: ResourceExhausted.
Status RefuseSeries(TenantState* tenant, uint64_t fresh);
// OK if the tenant may append a batch now. ResourceExhausted, of a rate with the time after which
// the next passes (RetryAfterMs).
Status CheckAppendQuota(const DatabaseState& state, TenantState* tenant, int64_t now_ns);
// A batch got its log position.
void PayForAppend(TenantState* tenant, Bytes batch, int64_t now_ns);
// OK if the tenant uses no more than the changes allow it to have. FailedPrecondition.
Status CheckQuotaChanges(const DatabaseState& state, TenantState* tenant,
                         const QuotaChanges& changes);

TenantInfo DescribeTenant(const DatabaseState& state, TenantState* tenant);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_QUOTA_H_
