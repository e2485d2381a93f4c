// The life of a tombstone in an open database: loaded, needed, carried out by compactions,
// forgotten. What a delete means is in tombstone.h; how the applier takes one, in delete_edits.cc.
//
// A tombstone is forgotten by an edit. Who asks for it (TombstonesToForget) makes sure that nothing
// of the branch is unflushed from before it: a crash can then make no layer any more that would
// need it, so once a tombstone is not needed it never is again. Branches made before keep a list of
// their own.
//
// Threading: loop only, but for the filters, which are immutable.

#ifndef NEXUS_ENGINE_DELETE_EDITS_H_
#define NEXUS_ENGINE_DELETE_EDITS_H_

#include <memory>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "compaction/sample_filter.h"
#include "engine/record.h"
#include "engine/state.h"
#include "engine/tombstone.h"

namespace nexus::engine {

// Gives each branch its tombstones, as the catalog lists them. DataLoss for a selector that cannot
// be read.
Status LoadTombstones(DatabaseState* state, std::vector<catalog::TombstoneRecord> records);

// Why a branch takes no further delete now, or OK: ResourceExhausted names the limit.
Status CheckTombstoneLimit(const BranchState& branch, const Tombstone& added);

// Gives a branch that is being made what its parent deleted, and names it in `update`.
void InheritTombstones(const BranchState& parent, BranchState* child, catalog::Update* update);

// Gives an heir of `writer`, whose records below `until` are a part of it, the deletes below that
// which replay found to be needed again. Those that the heir has it keeps as they are.
void HandOnTombstones(const BranchState& writer, Lsn until, BranchState* heir,
                      catalog::Update* update);

// Names all tombstones of a branch that is being deleted as forgotten.
void ForgetTombstonesOf(const BranchState& branch, catalog::Update* update);

// Whether a layer of the branch still holds samples that the tombstone may filter. Counts the
// layers that it looks at.
bool LayersNeed(const BranchState& branch, const Tombstone& tombstone, size_t* looked_at = nullptr);

// Tombstones of a branch that nothing needs: no live layer, and nothing unflushed was written
// before them. Looks at a bounded number of pairs; what it does not come to is found the next time.
std::vector<WriteOrder> TombstonesToForget(const BranchState& branch);

// Edits that forget them, of all branches.
std::vector<Edit> EditsToForgetTombstones(const DatabaseState& state);

// ---- For the compactor.

// Whether deletes wait to be carried out in a layer.
bool HasDeletes(const Tombstones& tombstones, const catalog::LayerRecord& layer);

// What deletes take of a layer's samples in `range` when it is merged; null if nothing. With the
// filters of all inputs taken from one list - that of the branch when the database has applied X -
// the output has deletes_applied = X.
std::shared_ptr<const compaction::SampleFilter> SampleFilterFor(const Tombstones& tombstones,
                                                                const DeleteMark& mark,
                                                                TimeRange range);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_DELETE_EDITS_H_
