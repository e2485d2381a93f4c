// The rollups of a tenant: its rules among the settings, and what they mean to who plans, makes and
// reads rollups of a branch.
//
// Rules are the value of one setting of the tenant, which a SetTenant edit sets. Retention makes
// samples incomplete: a series' samples are whole from the cut of its rule on, by the clock that
// the log says. Where rules of retention are replaced by longer ones, samples below the cuts of the
// old ones may be gone for good, so a second setting keeps the highest of these cuts: for
// rollups no sample below it is whole.
// Threading: pure functions.

#ifndef NEXUS_ENGINE_ROLLUPS_H_
#define NEXUS_ENGINE_ROLLUPS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "catalog/records.h"
#include "compaction/rollup_plan.h"
#include "engine/retention.h"
#include "engine/rollup_rule.h"

namespace nexus::engine {

struct BranchState;
struct DatabaseState;
struct TenantState;

// InvalidArgument says which rule is wrong and what is allowed: too many, a resolution out of range
// or twice, one that is no multiple of the one before, a duration that is negative or shorter than
// a bucket.
Status CheckRollups(const std::vector<RollupRule>& rules);

// Whether buckets can be made before retention takes their samples. `shortest_ns`: the shortest
// rule of retention. InvalidArgument says which resolution is too coarse for it, and what would do.
Status CheckRollupsInTime(const std::vector<RollupRule>& rules, int64_t shortest_ns,
                          int64_t head_window_ns);

// The setting that holds them; a word for no rules, which is not the same as that nobody knows
// them. Ascending by resolution.
catalog::Setting RollupsToSetting(std::vector<RollupRule> rules);
// nullopt where there is no such setting, or none that can be read.
std::optional<std::vector<RollupRule>> RollupsFromSettings(
    const std::vector<catalog::Setting>& settings);

// The rules of retention that `settings` has are about to be replaced: keeps the highest of their
// cuts at `clock_ns`, if it is above what is kept.
void KeepRetentionCut(const RetentionRules& replaced, int64_t clock_ns,
                      std::vector<catalog::Setting>* settings);

// From where on the samples of a series are whole, in any branch or snapshot. `clock_ns`:
// retention's; nullopt: it does not run. Empty: all of them are.
std::function<int64_t(std::string_view canonical)> CompleteFrom(const TenantState& tenant,
                                                                std::optional<int64_t> clock_ns);

// What a snapshot has it keeps, whatever the tenant's rules. So does a branch whose tenant's rules
// are not known - those of a catalog that was rebuilt without an image -, and none are made in it:
// what retention took is not known then, either. `nothing_left` and `everything` are the caller's.
compaction::RollupOptions RollupOptionsOf(const DatabaseState& state, const TenantState& tenant,
                                          const BranchState& branch);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_ROLLUPS_H_
