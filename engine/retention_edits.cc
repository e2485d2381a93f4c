// Retention: how the applier takes its edits, and how it is loaded. See retention.h, applier.h.

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/applier.h"
#include "engine/retention_keeper.h"

namespace nexus::engine {
namespace {

// What was parsed before it came into the log, and is refused now, is damage, or of another
// release.
Status Unreadable(TenantId tenant, const Status& status) {
  return DataLoss("the retention of tenant {} cannot be read: {}", tenant.value,
                  FromAbsl(status.message()));
}

}  // namespace

Status Applier::ApplyEdit(const SetRetention& edit) {
  auto found = state_->tenants.find(edit.tenant.value);
  if (found == state_->tenants.end()) {
    return FailedPrecondition("set retention: tenant {} does not exist", edit.tenant.value);
  }
  TenantState& tenant = *found->second;
  auto rules = RetentionRules::Make(edit.rules);
  if (!rules.ok()) return Unreadable(edit.tenant, rules.status());
  KeepRetentionCut(*tenant.retention, edit.clock_ns, &tenant.record.settings);
  tenant.retention = *std::move(rules);
  RulesToSettings(edit.rules, &tenant.record.settings);
  if (!NEXUS_PLANTED("retention-not-persisted")) {
    state_->pending_update.tenants.push_back(tenant.record);
  }
  for (auto& [number, branch] : tenant.branches) branch->layer_edits++;
  state_->layer_edits++;
  MoveRetentionClock(edit.clock_ns);
  // Which rollups are frozen depends on the rules.
  for (auto& [number, branch] : tenant.branches) {
    if (!branch->RollupLayers().empty()) state_->Publish(tenant, *branch);
  }
  return OkStatus();
}

Status Applier::ApplyEdit(const AcceptClock& edit) {
  MoveRetentionClock(edit.clock_ns);
  return OkStatus();
}

void Applier::MoveRetentionClock(int64_t clock_ns) {
  state_->retention_clock.Apply(clock_ns, state_->environment->MonotonicNanos());
  if (NEXUS_PLANTED("retention-clock-not-persisted")) return;
  std::vector<catalog::Setting>& settings = state_->pending_update.settings;
  std::erase_if(settings, [](const catalog::Setting& setting) {
    return setting.name == kRetentionClockSetting;
  });
  settings.push_back(ClockToSetting(*state_->retention_clock.applied_ns()));
}

Status LoadRetention(DatabaseState* state, const std::vector<catalog::Setting>& settings) {
  NEXUS_ASSIGN_OR_RETURN(std::optional<int64_t> clock, ClockFromSettings(settings));
  if (clock.has_value()) {
    state->retention_clock.Apply(*clock, state->environment->MonotonicNanos());
  }
  for (auto& [number, tenant] : state->tenants) {
    StatusOr<std::vector<RetentionRule>> rules = RulesFromSettings(tenant->record.settings);
    if (!rules.ok()) return Unreadable(tenant->record.id, rules.status());
    auto made = RetentionRules::Make(*std::move(rules));
    if (!made.ok()) return Unreadable(tenant->record.id, made.status());
    tenant->retention = *std::move(made);
  }
  return OkStatus();
}

}  // namespace nexus::engine
