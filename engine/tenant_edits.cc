// Applying the edits that change tenants. See applier.h.

#include <utility>
#include <vector>

#include "base/planted.h"
#include "engine/applier.h"
#include "engine/delete_edits.h"
#include "engine/quota.h"

namespace nexus::engine {

Status Applier::ApplyEdit(const SetTenant& edit) {
  auto at = state_->tenants.find(edit.id.value);
  if (at == state_->tenants.end()) return NotFound("tenant {} does not exist", edit.id.value);
  TenantState* tenant = at->second.get();
  std::vector<catalog::Setting> settings = tenant->record.settings;
  ChangeSettings(edit.settings, &settings);
  if (settings.size() > catalog::kSettingsMax) {
    return FailedPrecondition("tenant \"{}\" would have {} settings; at most {} are allowed",
                              tenant->record.name, settings.size(), catalog::kSettingsMax);
  }
  tenant->record.settings = std::move(settings);
  const std::vector<RollupRule> rollups = std::exchange(tenant->rollups, {});
  const bool knew_rollups = tenant->knows_rollups;
  tenant->TakeSettings();
  if (tenant->rollups != rollups || tenant->knows_rollups != knew_rollups) {
    for (auto& [number, branch] : tenant->branches) branch->layer_edits++;
    state_->layer_edits++;
  }
  state_->pending_update.tenants.push_back(tenant->record);
  return OkStatus();
}

// What queries hold they keep. The rows of its series go by and by (CatalogKeeper).
Status Applier::ApplyEdit(const DeleteTenant& edit) {
  auto at = state_->tenants.find(edit.id.value);
  if (at == state_->tenants.end()) return NotFound("the tenant was deleted by somebody else");
  if (edit.id == TenantId{}) return FailedPrecondition("the first tenant cannot be deleted");
  TenantState* tenant = at->second.get();
  std::vector<BranchId> branches;
  for (const auto& [number, branch] : tenant->branches) branches.push_back(branch->record.id);
  for (BranchId id : branches) {
    BranchState* branch = tenant->branches.at(id.value).get();
    RetireAll(*tenant, branch);
    ForgetTombstonesOf(*branch, &state_->pending_update);
    state_->RemoveBranch(tenant, id);
    state_->pending_update.branches_deleted.push_back({edit.id, id});
  }
  state_->layer_edits++;
  catalog::TenantRecord record = std::move(tenant->record);
  record.deleted = edits_begin_;
  state_->AddDeletedTenant(edit.id, edits_begin_);
  if (NEXUS_PLANTED("deleted-tenant-comes-back")) return OkStatus();
  state_->pending_update.tenants.push_back(std::move(record));
  return OkStatus();
}

}  // namespace nexus::engine
