// Borders between branches. See branches.h.

#include "engine/branches.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/planted.h"
#include "engine/delete_edits.h"

namespace nexus::engine {

BranchId WriterAt(const catalog::BranchRecord& branch, Lsn end) {
  for (const catalog::BranchRecord::Inherited& from : branch.inherited) {
    if (end <= from.until) return from.branch;
  }
  return branch.id;
}

bool Awaits(const catalog::BranchRecord& branch, BranchId writer, Lsn sealed) {
  if (NEXUS_PLANTED("child-sees-parents-later-writes") && branch.parent == writer &&
      branch.sealed < sealed) {
    return true;
  }
  return branch.sealed < sealed && WriterAt(branch, sealed) == writer;
}

Status CheckCreation(const catalog::TenantRecord& tenant,
                     std::span<const catalog::BranchRecord* const> branches,
                     const CreateBranch& edit) {
  const catalog::BranchRecord* parent = nullptr;
  for (const catalog::BranchRecord* branch : branches) {
    if (branch->name == edit.name) {
      return AlreadyExists("\"{}\" exists in tenant {}", edit.name, tenant.name);
    }
    if (branch->id == edit.parent) parent = branch;
  }
  if (parent == nullptr) return NotFound("what \"{}\" was to be made from is gone", edit.name);
  if (edit.id.value < tenant.next_branch) {
    return FailedPrecondition("branch number {} was given before", edit.id.value);
  }
  if (branches.size() >= catalog::kBranchesMax) {
    return ResourceExhausted(
        "tenant {} has {} branches and snapshots, the most there may be; delete some", tenant.name,
        branches.size());
  }
  if (parent->inherited.size() >= catalog::kInheritedMax) {
    return ResourceExhausted(
        "\"{}\" holds unflushed samples of {} others, the most there may be; flush first",
        parent->name, parent->inherited.size());
  }
  return OkStatus();
}

catalog::BranchRecord ChildOf(const catalog::BranchRecord& parent, const CreateBranch& edit,
                              Lsn begin) {
  catalog::BranchRecord child;
  child.tenant = edit.tenant;
  child.id = edit.id;
  child.name = edit.name;
  child.sealed = parent.sealed;
  child.kind = edit.kind;
  child.parent = edit.parent;
  child.created = begin;
  child.created_wall_ns = edit.wall_ns;
  child.inherited = parent.inherited;
  // Nothing is ever written to a snapshot, nor to a branch that this very record made.
  const bool has_own = parent.kind == catalog::BranchKind::kBranch &&
                       std::max(parent.created, parent.sealed) < begin;
  if (has_own) child.inherited.push_back({parent.id, begin});
  return child;
}

BranchReplay::BranchReplay(DatabaseState* state) : state_(state) {
  for (auto& [number, tenant] : state->tenants) {
    for (auto& [branch_number, branch] : tenant->branches) {
      for (const catalog::BranchRecord::Inherited& from : branch->record.inherited) {
        borders_.push_back({from.until, tenant.get(), from.branch, branch->record.id});
      }
    }
  }
  auto earlier = [](const Border& a, const Border& b) {
    auto place = [](const Border& border) {
      return std::tuple(border.until, border.tenant->record.id, border.writer, border.heir);
    };
    return place(a) < place(b);
  };
  std::sort(borders_.begin(), borders_.end(), earlier);
  for (const Border& border : borders_) {
    const Lsn sealed = border.tenant->branches.at(border.heir.value)->record.sealed;
    BranchState* writer = state->FindBranch(border.tenant->record.id, border.writer);
    if (writer == nullptr) {
      catalog::BranchRecord record;
      record.tenant = border.tenant->record.id;
      record.id = border.writer;
      record.sealed = sealed;
      writer = state->AddStandIn(border.tenant, record);
    }
    if (writer->stands_in) writer->record.sealed = std::min(writer->record.sealed, sealed);
  }
}

void BranchReplay::Cross(const Border& border) {
  BranchState* writer = border.tenant->branches.at(border.writer.value).get();
  BranchState* heir = border.tenant->branches.at(border.heir.value).get();
  state_->Seal(border.tenant, writer, border.until);
  for (const SealedMemtable& sealed : writer->sealed) {
    if (NEXUS_PLANTED("heirs-forgotten-in-replay")) break;
    if (sealed.writer == border.writer) heir->sealed.push_back(sealed);
  }
  HandOnTombstones(*writer, border.until, heir, &state_->pending_update);
  if (!writer->stands_in) return;
  auto needs_it = [&](const Border& later) {
    return later.tenant == border.tenant && later.writer == border.writer;
  };
  const auto rest = borders_.begin() + static_cast<ptrdiff_t>(next_);
  if (std::none_of(rest, borders_.end(), needs_it)) {
    state_->RemoveBranch(border.tenant, border.writer);
  }
}

void BranchReplay::Finish() {
  Advance(Lsn{UINT64_MAX});
  for (auto& [number, tenant] : state_->tenants) {
    for (auto& [branch_number, branch] : tenant->branches) {
      if (!state_->SettleInherited(branch.get())) continue;
      state_->pending_update.branches.push_back(branch->record);
    }
  }
}

}  // namespace nexus::engine
