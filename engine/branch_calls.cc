// The calls of DatabaseCore that make, list and delete branches. See core.h; what a branch is made
// of: branches.h.

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/core.h"
#include "engine/names.h"

namespace nexus::engine {
namespace {

const char* NameOf(catalog::BranchKind kind) {
  return kind == catalog::BranchKind::kSnapshot ? "snapshot" : "branch";
}

catalog::BranchKind KindOf(BranchKind kind) {
  return kind == BranchKind::kSnapshot ? catalog::BranchKind::kSnapshot
                                       : catalog::BranchKind::kBranch;
}

// Of the files that branches name, how many name each.
using Users = absl::flat_hash_map<const LayerFile*, uint32_t>;

BranchInfo Describe(const TenantState& tenant, const BranchState& branch, const Users& users) {
  const catalog::BranchRecord& record = branch.record;
  BranchInfo info;
  info.name = record.name;
  info.kind =
      record.kind == catalog::BranchKind::kSnapshot ? BranchKind::kSnapshot : BranchKind::kBranch;
  auto parent = tenant.branches.find(record.parent.value);
  if (parent != tenant.branches.end() && record.id != BranchId{}) {
    info.parent = parent->second->record.name;
  }
  info.created_ns = record.created_wall_ns;
  info.created = record.created;
  info.layers = branch.layers.size();
  for (const OpenLayer& open : branch.layers) {
    info.layer_bytes += open.record.file_bytes;
    if (users.at(open.file.get()) == 1) info.own_bytes += open.record.file_bytes;
  }
  return info;
}

}  // namespace

io::Task<Status> DatabaseCore::CreateBranch(std::string name, BranchKind kind, std::string from,
                                            std::string tenant) {
  nexus::engine::CreateBranch edit;
  edit.kind = KindOf(kind);
  NEXUS_CO_RETURN_IF_ERROR(CheckName(NameOf(edit.kind), name));
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found parent, state_.published.Find(tenant, from));
  TenantState* owner = state_.tenants.at(parent.tenant.value).get();
  const uint32_t number = std::max(owner->record.next_branch, owner->branch_numbers_given);
  owner->branch_numbers_given = number + 1;
  edit.tenant = parent.tenant;
  edit.id = BranchId{number};
  edit.name = std::move(name);
  edit.parent = parent.branch;
  edit.wall_ns = state_.environment->WallNanos();
  co_return co_await committer_.CommitEdit(edit);
}

io::Task<Status> DatabaseCore::DeleteBranch(std::string name, BranchKind kind, std::string tenant) {
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, name));
  if (found.branch == BranchId{}) {
    co_return FailedPrecondition("\"main\" is the branch that every tenant has; it is not deleted");
  }
  if (found.kind != KindOf(kind)) {
    co_return FailedPrecondition("\"{}\" is a {}: nexus {} delete {}", name, NameOf(found.kind),
                                 NameOf(found.kind), name);
  }
  if (committer_.HasAppendsTo(found.tenant, found.branch)) {
    co_return FailedPrecondition(
        "branch \"{}\" is in use: appends to it are under way; stop its writers first", name);
  }
  nexus::engine::DeleteBranch edit;
  edit.tenant = found.tenant;
  edit.id = found.branch;
  co_return co_await committer_.CommitEdit(edit);
}

io::Task<StatusOr<std::vector<BranchInfo>>> DatabaseCore::Branches(std::string tenant) {
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, "main"));
  const TenantState& owner = *state_.tenants.at(found.tenant.value);
  Users users;
  for (const auto& [number, branch] : owner.branches) {
    for (const OpenLayer& open : branch->layers) users[open.file.get()]++;
  }
  std::vector<BranchInfo> branches;
  for (const auto& [number, branch] : owner.branches) {
    branches.push_back(Describe(owner, *branch, users));
  }
  co_return branches;
}

}  // namespace nexus::engine
