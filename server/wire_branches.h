// Branches by their two descriptions: the engine's and the wire's.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_WIRE_BRANCHES_H_
#define NEXUS_SERVER_WIRE_BRANCHES_H_

#include <vector>

#include "client/protocol/branches.h"
#include "engine/nexus.h"

namespace nexus::server {

inline BranchKind EngineKind(protocol::BranchKind kind) {
  return kind == protocol::BranchKind::kSnapshot ? BranchKind::kSnapshot : BranchKind::kBranch;
}
inline protocol::BranchKind WireKind(BranchKind kind) {
  return kind == BranchKind::kSnapshot ? protocol::BranchKind::kSnapshot
                                       : protocol::BranchKind::kBranch;
}

inline std::vector<protocol::BranchEntry> WireBranches(const std::vector<BranchInfo>& branches) {
  std::vector<protocol::BranchEntry> entries;
  for (const BranchInfo& branch : branches) {
    entries.push_back({branch.name, WireKind(branch.kind), branch.parent, branch.created_ns,
                       branch.created, branch.layers, branch.layer_bytes, branch.own_bytes});
  }
  return entries;
}

inline std::vector<BranchInfo> EngineBranches(const std::vector<protocol::BranchEntry>& entries) {
  std::vector<BranchInfo> branches;
  for (const protocol::BranchEntry& entry : entries) {
    branches.push_back({entry.name, EngineKind(entry.kind), entry.parent, entry.created_ns,
                        entry.created, entry.layers, entry.layer_bytes, entry.own_bytes});
  }
  return branches;
}

}  // namespace nexus::server

#endif  // NEXUS_SERVER_WIRE_BRANCHES_H_
