// Taking the cut. See backup_cut.h.

#include "engine/backup_cut.h"

#include <algorithm>
#include <set>
#include <utility>

namespace nexus::engine {

BackupCut::BackupCut(const DatabaseState& state) {
  contents_.database = state.database;
  contents_.lsn = state.applied;
  contents_.open_count = state.open_count;
  contents_.next_series_id = state.next_series_id;
  for (const auto& [number, tenant] : state.tenants) {
    contents_.tenants.push_back(tenant->record);
    for (const auto& [branch_number, branch] : tenant->branches) AddBranch(*tenant, *branch);
  }
}

void BackupCut::AddBranch(const TenantState& tenant, const BranchState& branch) {
  const TenantId tenant_id = tenant.record.id;
  const BranchId branch_id = branch.record.id;
  contents_.branches.push_back(branch.record);
  contents_.branches.back().RaiseSealed(contents_.lsn);
  for (const OpenLayer& open : branch.layers) contents_.layers.push_back(open.record);
  for (const SealedMemtable& sealed : branch.sealed) {
    awaited_[{tenant_id, sealed.writer, sealed.sealed}].push_back(branch_id);
  }
  for (const auto& tombstone : *branch.tombstones) {
    contents_.tombstones.push_back(tombstone->record());
  }
  branch.producers.AppendAll(tenant_id, branch_id, &contents_.producers);
}

void BackupCut::OnPublished(const PublishLayers& edit) {
  auto found = awaited_.find({edit.tenant, edit.branch, edit.sealed});
  if (found == awaited_.end()) return;
  for (BranchId branch : found->second) {
    for (catalog::LayerRecord record : edit.layers) {
      record.branch = branch;
      contents_.layers.push_back(std::move(record));
    }
  }
  awaited_.erase(found);
}

void BackupCut::AddFromCatalog(catalog::ImageContents catalog) {
  contents_.settings = std::move(catalog.settings);
  std::set<uint32_t> tenants;
  for (const catalog::TenantRecord& tenant : contents_.tenants) tenants.insert(tenant.id.value);
  for (catalog::SeriesDefinition& series : catalog.unlayered) {
    const bool is_later = series.id.value >= contents_.next_series_id;
    if (is_later || !tenants.contains(series.tenant.value)) continue;
    contents_.unlayered.push_back(std::move(series));
  }
}

void BackupCut::LeaveOut(const catalog::BranchPlace& place) {
  auto is_of = [&place](const auto& record) {
    return record.tenant == place.tenant && record.branch == place.branch;
  };
  std::erase_if(contents_.layers, is_of);
  std::erase_if(contents_.producers, is_of);
  std::erase_if(contents_.tombstones, is_of);
  std::erase_if(contents_.branches, [&place](const catalog::BranchRecord& record) {
    return record.tenant == place.tenant && record.id == place.branch;
  });
}

StatusOr<catalog::ImageContents> BackupCut::Take(const DatabaseState& state) {
  for (const auto& [awaited, branches] : awaited_) {
    auto tenant = state.tenants.find(awaited.tenant.value);
    const bool has_tenant = tenant != state.tenants.end();
    for (BranchId branch : branches) {
      if (has_tenant && tenant->second->branches.contains(branch.value)) {
        return FailedPrecondition(
            "the memtable of branch {} of tenant {} sealed at LSN {} was not published; run the "
            "backup again",
            awaited.writer.value, awaited.tenant.value, awaited.sealed.value);
      }
      LeaveOut({awaited.tenant, branch});
    }
    if (has_tenant) continue;
    auto is_it = [&awaited = awaited](const auto& record) {
      return record.tenant == awaited.tenant;
    };
    std::erase_if(contents_.layers, is_it);
    std::erase_if(contents_.producers, is_it);
    std::erase_if(contents_.tombstones, is_it);
    std::erase_if(contents_.branches, is_it);
    std::erase_if(contents_.unlayered, is_it);
    std::erase_if(contents_.tenants, [&awaited = awaited](const catalog::TenantRecord& record) {
      return record.id == awaited.tenant;
    });
  }
  return std::move(contents_);
}

}  // namespace nexus::engine
