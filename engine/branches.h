// Branches: which records are a part of which branch.
//
// A branch begins with what its parent holds where its creation stands in the log, at LSN B: the
// parent's records below B, of which some are in layers and the youngest in memtables only. Layers
// are listed for the child like its own. What is in memtables is told by the child's record
// (catalog::BranchRecord): `inherited` says of which branches it takes records up to where, and
// `sealed` below which LSN all of them are in its layers. So the record of a batch, written to
// branch W and ending at LSN L, is a part of branch Y if and only if W is WriterAt(Y, L).
//
// A memtable never straddles such a border: creating a branch seals its parent's memtable at B,
// live and in replay. So a sealed memtable, all of whose records were written to one branch W and
// lie below its LSN S, is a part of Y as a whole or not at all, and Y shares it. Its flush names
// (W, S), and its layer goes to every Y that Awaits(Y, W, S). Because that depends on nothing but
// the edits before, replay - which applies all edits before any batch - comes to the same layers
// for each branch as the process that wrote them, whether the publish stands before B (the child
// copies the layer from its parent's list), behind it (both await it), or is not there yet.
//
// Replay of the batches (BranchReplay). After the edits each branch has the `sealed` and
// `inherited` that it had at the end. A flush is published to all branches that await it at once,
// and a child begins with its parent's `sealed`; so of two branches that a record is a part of,
// either both have it in layers or neither. A record is therefore put into the one memtable of the
// branch it was written to, and passed over if that branch has it in layers. At each border the
// memtable is sealed and given to the heirs, as when the branch was made. Where the branch it was
// written to has been deleted since, a stand-in takes the records until the last heir has them.
// What a recovery writes to layers to save memory leaves the memtables of all branches; its
// publish, after the replay, finds by Awaits who it is for. A delete takes its place in the
// memtable of the branch that it was of, for the heirs, too; tombstones the heirs were given when
// they were made, but for those that a damaged log makes needed again (HandOnTombstones).
//
// Threading: loop only.

#ifndef NEXUS_ENGINE_BRANCHES_H_
#define NEXUS_ENGINE_BRANCHES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/record.h"
#include "engine/state.h"

namespace nexus::engine {

// To which branch the record that is a part of `branch` and ends at `end` was written; likewise the
// memtable that was sealed there.
BranchId WriterAt(const catalog::BranchRecord& branch, Lsn end);

// Whether the memtable of `writer` that was sealed at `sealed` is a part of `branch` and not in its
// layers yet.
bool Awaits(const catalog::BranchRecord& branch, BranchId writer, Lsn sealed);

// Whether a creation may be applied in a tenant with these branches; see CreateBranch for what it
// expects.
Status CheckCreation(const catalog::TenantRecord& tenant,
                     std::span<const catalog::BranchRecord* const> branches,
                     const CreateBranch& edit);

// What a branch made from `parent` by an edit that begins at `begin` starts with.
catalog::BranchRecord ChildOf(const catalog::BranchRecord& parent, const CreateBranch& edit,
                              Lsn begin);

// Gives inherited memtables their branches back while batches are replayed.
class BranchReplay {
 public:
  // `state` as the edits left it. REQUIRES: outlives this.
  explicit BranchReplay(DatabaseState* state);

  // Called before each record, with where it begins.
  void Advance(Lsn begin) {
    while (next_ < borders_.size() && borders_[next_].until <= begin) Cross(borders_[next_++]);
  }
  // Called behind the last one: no stand-in is left.
  void Finish();

 private:
  // Up to `until` the records of `writer` are a part of `heir`.
  struct Border {
    Lsn until;
    TenantState* tenant;
    BranchId writer;
    BranchId heir;
  };

  void Cross(const Border& border);

  DatabaseState* const state_;
  std::vector<Border> borders_;  // in log order
  size_t next_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_BRANCHES_H_
