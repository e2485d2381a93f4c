// BRANCHES, BRANCH_LIST: making, listing and deleting branches and snapshots of a tenant.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_BRANCHES_H_
#define NEXUS_CLIENT_PROTOCOL_BRANCHES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"

namespace nexus::protocol {

enum class BranchKind : uint8_t {
  kBranch = 0,
  kSnapshot = 1,
};

enum class BranchAction : uint8_t {
  kList = 1,    // BRANCH_LIST
  kCreate = 2,  // DONE
  kDelete = 3,  // DONE
};

// Of the tenant of the frame's target; its branch does not matter.
struct Branches {
  BranchAction action = BranchAction::kList;
  BranchKind kind = BranchKind::kBranch;  // of kCreate and kDelete
  std::string name;                       // likewise
  std::string from;                       // of kCreate: the branch or snapshot it begins with
  bool operator==(const Branches&) const = default;
};

struct BranchEntry {
  std::string name;
  BranchKind kind = BranchKind::kBranch;
  std::string parent;      // empty: none, or it is deleted
  int64_t created_ns = 0;  // since the Unix epoch; 0 for main
  Lsn created;
  uint64_t layers = 0;
  uint64_t layer_bytes = 0;
  uint64_t own_bytes = 0;  // in files that no other names
  bool operator==(const BranchEntry&) const = default;
};
// More than a tenant may have.
inline constexpr size_t kBranchEntriesMax = 1024;

void Encode(const Branches& branches, std::string* out);
// REQUIRES: at most kBranchEntriesMax.
void Encode(std::span<const BranchEntry> entries, std::string* out);

// Errors: InvalidArgument.
StatusOr<Branches> DecodeBranches(Bytes body);
StatusOr<std::vector<BranchEntry>> DecodeBranchList(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_BRANCHES_H_
