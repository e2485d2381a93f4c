// Keeping and judging the branches. See branch_oracle.h.

#include "tests/sim/branch_oracle.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/check.h"
#include "io/sim/choice.h"

namespace nexus::sim_test {

BranchOracle::BranchOracle(uint64_t seed) : seed_(seed) {
  branches_["main"].oracle = std::make_shared<Oracle>(seed);
}

std::shared_ptr<Oracle> BranchOracle::Find(const std::string& name) const {
  auto found = branches_.find(name);
  return found == branches_.end() ? nullptr : found->second.oracle;
}

bool BranchOracle::IsSnapshot(const std::string& name) const {
  return branches_.at(name).kind == BranchKind::kSnapshot;
}

std::vector<Oracle*> BranchOracle::Writable() const {
  std::vector<Oracle*> oracles;
  for (const auto& [name, branch] : branches_) {
    if (branch.kind == BranchKind::kBranch) oracles.push_back(branch.oracle.get());
  }
  return oracles;
}

std::vector<std::string> BranchOracle::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, branch] : branches_) {
    if (branch.there == There::kYes) names.push_back(name);
  }
  return names;
}

void BranchOracle::Creating(const std::string& name, BranchKind kind, const std::string& from) {
  NEXUS_CHECK(!branches_.contains(name));
  Branch branch;
  const uint64_t seed = sim::MixBits(seed_ + ++forks_);
  branch.oracle = std::make_shared<Oracle>(branches_.at(from).oracle->Fork(seed));
  branch.kind = kind;
  branch.there = There::kPerhapsCreated;
  branches_[name] = std::move(branch);
}

void BranchOracle::Deleting(const std::string& name) {
  branches_.at(name).there = There::kPerhapsDeleted;
}

void BranchOracle::Created(const std::string& name, bool done) {
  if (done) {
    branches_.at(name).there = There::kYes;
  } else {
    branches_.erase(name);
  }
}

void BranchOracle::Deleted(const std::string& name, bool done) {
  if (done) {
    branches_.erase(name);
  } else {
    branches_.at(name).there = There::kYes;
  }
}

void BranchOracle::EndLife() {
  for (const auto& [name, branch] : branches_) branch.oracle->EndLife();
}

std::optional<std::string> BranchOracle::Check(const std::vector<BranchInfo>& listed,
                                               bool decides) {
  std::set<std::string> names;
  for (const BranchInfo& info : listed) {
    auto known = branches_.find(info.name);
    if (known == branches_.end()) {
      return fmt::format("rule 2: branch {} was never made, or is deleted, and is there",
                         info.name);
    }
    if (known->second.kind != info.kind) return fmt::format("{} is of another kind", info.name);
    if (!names.insert(info.name).second) return fmt::format("{} is there twice", info.name);
  }
  for (auto at = branches_.begin(); at != branches_.end();) {
    Branch& branch = at->second;
    const bool is_there = names.contains(at->first);
    if (!is_there && branch.there == There::kYes) {
      return fmt::format("rule 1: branch {} is lost", at->first);
    }
    if (decides && !is_there) {
      at = branches_.erase(at);
      continue;
    }
    if (decides) branch.there = There::kYes;
    ++at;
  }
  return std::nullopt;
}

}  // namespace nexus::sim_test
