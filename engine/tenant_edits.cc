// Applying the edits that change tenants. See applier.h.

#include <utility>
#include <vector>

#include "engine/applier.h"
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
  tenant->TakeSettings();
  state_->pending_update.tenants.push_back(tenant->record);
  return OkStatus();
}

}  // namespace nexus::engine
