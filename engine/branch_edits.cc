// Applying the edits that make and delete branches. See applier.h; what is a part of which branch:
// branches.h.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/planted.h"
#include "engine/applier.h"
#include "engine/branches.h"
#include "engine/delete_edits.h"

namespace nexus::engine {

// In replay the memtables come later: BranchReplay.
Status Applier::ApplyEdit(const CreateBranch& edit) {
  auto at = state_->tenants.find(edit.tenant.value);
  if (at == state_->tenants.end()) return NotFound("tenant {} does not exist", edit.tenant.value);
  TenantState* tenant = at->second.get();
  std::vector<const catalog::BranchRecord*> branches;
  for (const auto& [number, branch] : tenant->branches) branches.push_back(&branch->record);
  NEXUS_RETURN_IF_ERROR(CheckCreation(tenant->record, branches, edit));
  BranchState* parent = tenant->branches.at(edit.parent.value).get();
  state_->Seal(tenant, parent, edits_begin_);
  BranchState* child = state_->AddBranch(tenant, ChildOf(parent->record, edit, edits_begin_));
  child->layers.reserve(parent->layers.size());
  for (const OpenLayer& open : parent->layers) AddLayer(child, open.record, open.file);
  child->layer_edits++;
  state_->layer_edits++;
  if (!NEXUS_PLANTED("branch-without-memtable")) child->sealed = parent->sealed;
  if (!NEXUS_PLANTED("branch-without-deletes")) {
    InheritTombstones(*parent, child, &state_->pending_update);
  }
  tenant->record.next_branch = edit.id.value + 1;
  state_->pending_update.tenants.push_back(tenant->record);
  if (edits_ == Edits::kAll) state_->SettleInherited(child);
  if (!NEXUS_PLANTED("snapshot-record-lost")) {
    state_->pending_update.branches.push_back(child->record);
  }
  state_->Publish(*tenant, *child);
  return OkStatus();
}

// Its layers retire. Where another branch has a record of the same file, only the reference goes:
// the record is struck off the list, and the file is left to the other.
void Applier::RetireAll(const TenantState& tenant, BranchState* branch) {
  using File = std::pair<uint64_t, uint64_t>;
  absl::flat_hash_set<File> only_here;
  for (const OpenLayer& open : branch->layers) {
    only_here.insert({open.record.open_count, open.record.sequence});
  }
  for (const auto& [number, other] : tenant.branches) {
    if (other.get() == branch) continue;
    for (const OpenLayer& open : other->layers) {
      only_here.erase({open.record.open_count, open.record.sequence});
    }
  }
  for (const OpenLayer& open : branch->layers) {
    const catalog::LayerKey key = open.record.key();
    if (only_here.contains({key.open_count, key.sequence}) ||
        NEXUS_PLANTED("shared-layer-unlinked")) {
      state_->garbage[key] = {open.record.file_name, open.file};
      state_->pending_update.layers_retired.push_back(key);
    } else {
      state_->pending_update.garbage_removed.push_back(key);
    }
  }
  branch->layers.clear();
}

Status Applier::ApplyEdit(const DeleteBranch& edit) {
  BranchState* branch = state_->FindBranch(edit.tenant, edit.id);
  if (branch == nullptr) return NotFound("the branch was deleted by somebody else");
  if (edit.id == BranchId{}) return FailedPrecondition("main cannot be deleted");
  TenantState* tenant = state_->tenants.at(edit.tenant.value).get();
  RetireAll(*tenant, branch);
  ForgetTombstonesOf(*branch, &state_->pending_update);
  state_->layer_edits++;
  state_->RemoveBranch(tenant, edit.id);
  state_->pending_update.branches_deleted.push_back({edit.tenant, edit.id});
  return OkStatus();
}

}  // namespace nexus::engine
