// Applier: takes log records, in LSN order, into memtables, catalog delta and layer map.
//
// Live writes and recovery run this same code (DESIGN section 1): a record reaches it only when it
// is durable. Applying is idempotent where replay may repeat it: batches below a branch's sealed
// LSN are already in layers and skipped, carries (carrier.h) replace what they stand for, edits
// whose expectation no longer holds change nothing.
// Failure: FailedPrecondition for an edit that was conditional and failed (its outputs are
// garbage), NotFound for a batch whose branch was deleted before its place in the log; DataLoss for
// a record that cannot be decoded, which for a record that passed the log's checksums means that
// another version wrote it or memory went bad. Threading: loop only.

#ifndef NEXUS_ENGINE_APPLIER_H_
#define NEXUS_ENGINE_APPLIER_H_

#include <map>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/batch.h"
#include "engine/interner.h"
#include "engine/record.h"
#include "engine/state.h"

namespace nexus::engine {

class Applier {
 public:
  Applier(DatabaseState* state, Interner* interner) : state_(state), interner_(interner) {}

  // Which edits of an edit record: replay applies the database's shape before any batch, and what
  // concerns producers in its place among their batches. A delete is both: a tombstone is shape,
  // and the memtable takes it in its place.
  enum class Edits : uint8_t { kAll, kShape, kInPlace };

  // Applies the record at [begin, end).
  Status Apply(RecordKind kind, Lsn begin, Lsn end, Bytes body);
  // The same for a record of a log that is replayed: an edit that fails is no error, for it failed
  // when it was new as well, and its requester was told.
  Status Replay(RecordKind kind, Lsn begin, Lsn end, Bytes body, Edits edits);

  // The file of a layer that a publish edit is about to name.
  void PrepareLayer(const catalog::LayerKey& key, LayerFilePtr file);

  // Takes PrepareLayer back: the edit was refused.
  void ForgetLayer(const catalog::LayerKey& key) { prepared_.erase(key); }

  uint64_t applied_samples() const { return applied_samples_; }
  uint64_t applied_batches() const { return applied_batches_; }

 private:
  Status ApplyRecord(RecordKind kind, Lsn begin, Lsn end, Bytes body, Edits edits, Status* failed);
  Status ApplyBatch(Lsn begin, Lsn end, Bytes body, Status* failed);
  Status ApplyDefinitions(Bytes body);
  Status ApplyCarry(Lsn begin, Bytes body, bool in_replay);  // carrier.cc
  Status ApplyEdits(Lsn begin, Bytes body, Edits which, Status* failed);
  Status ApplyEdit(const PublishLayers& edit);
  Status ApplyEdit(const CreateTenant& edit);
  // These two: tenant_edits.cc.
  Status ApplyEdit(const SetTenant& edit);
  Status ApplyEdit(const DeleteTenant& edit);
  // These two: branch_edits.cc.
  Status ApplyEdit(const CreateBranch& edit);
  Status ApplyEdit(const DeleteBranch& edit);
  Status ApplyEdit(const GarbageRemoved& edit);
  Status ApplyEdit(const ForgetSeries& edit);
  Status ApplyEdit(const OpenProducer& edit);
  Status ApplyEdit(const ForgetProducers& edit);
  // The branches that the layers of a publish go to; none if it has come too late.
  std::vector<BranchState*> TakersOf(const PublishLayers& edit);
  static Status CheckExpectations(const BranchState& branch, const PublishLayers& edit);
  void Retire(BranchState* branch, const std::vector<catalog::LayerKey>& retired);
  // These: retention_edits.cc.
  Status ApplyEdit(const SetRetention& edit);
  Status ApplyEdit(const AcceptClock& edit);
  void MoveRetentionClock(int64_t clock_ns);
  // These: delete_edits.cc.
  Status ApplyEdit(const DeleteSamples& edit);
  Status ApplyEdit(const TombstonesForgotten& edit);
  void AddTombstone(BranchState* branch, std::shared_ptr<const Tombstone> tombstone);
  void DropSealed(BranchState* branch, Lsn sealed);
  void AddLayer(BranchState* branch, catalog::LayerRecord record, LayerFilePtr file);
  void RetireAll(const TenantState& tenant, BranchState* branch);

  DatabaseState* const state_;
  Interner* const interner_;
  std::map<catalog::LayerKey, LayerFilePtr> prepared_;
  // Of the record whose edits are being applied.
  Lsn edits_begin_;
  Edits edits_ = Edits::kAll;
  uint64_t applied_samples_ = 0;
  uint64_t applied_batches_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_APPLIER_H_
