// DatabaseCore: an open database on its loop - the parts wired together, without threads of its
// own.
//
// The embedded face (nexus.h), the server and the simulator all drive this class. Parts:
//   Committer     admission, log, acknowledgement        CatalogKeeper  catalog commits,
//   checkpoints Applier       records into memtables and delta       Flusher        memtables into
//   layers Interner      ids for series                         Compactor      layers into windows
//   Recovery      what Open does                         RetentionKeeper the retention clock
// Data flows one way: Append -> log -> durable -> Applier -> memtable -> Flusher -> layer ->
// publish edit -> log -> Applier. Threading: loop only, but for View and what is said to be for any
// thread. Destroy it on the loop, after Close() - or, in the simulator, after the world has
// crashed.

#ifndef NEXUS_ENGINE_CORE_H_
#define NEXUS_ENGINE_CORE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/applier.h"
#include "engine/catalog_keeper.h"
#include "engine/committer.h"
#include "engine/compactor.h"
#include "engine/cursors.h"
#include "engine/flusher.h"
#include "engine/interner.h"
#include "engine/nexus.h"
#include "engine/options.h"
#include "engine/retention_keeper.h"
#include "engine/series_forgetter.h"
#include "engine/state.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::engine {

// What stands beside the seam: LMDB works on a real folder, also in the simulator.
struct CatalogHooks {
  std::string directory;  // empty: catalog/ in the database's folder
  std::function<void(Lsn)> after_commit;
  std::function<void(Lsn)> after_sync;
};

// Tenants of a database: so many that the list of all, 170 bytes each, fits one frame of the wire
// protocol.
inline constexpr size_t kTenantsMax = 65'536;

class Recovery;

class DatabaseCore {
 public:
  static io::Task<StatusOr<std::unique_ptr<DatabaseCore>>> Open(io::Environment* environment,
                                                                Options options,
                                                                CatalogHooks hooks);
  ~DatabaseCore();
  DatabaseCore(const DatabaseCore&) = delete;
  DatabaseCore& operator=(const DatabaseCore&) = delete;

  Committer* committer() { return &committer_; }
  Interner* interner() { return &interner_; }
  CatalogKeeper* keeper() { return &keeper_; }
  Flusher* flusher() { return &flusher_; }
  DatabaseState* state() { return &state_; }
  // Applied since opening, without what replay applied again.
  uint64_t appended_batches() const {
    return applier_.applied_batches() - recovery_.replayed_batches;
  }
  // Jobs of the compactor since opening.
  uint64_t compactions() const { return compactor_.figures().jobs; }
  uint64_t forgotten_series() const { return forgetter_.forgotten(); }
  const RecoveryReport& recovery() const { return recovery_; }

  // See the methods of nexus.h with these names.
  io::Task<Status> Sync();
  io::Task<Status> Flush();
  io::Task<Status> Compact(ProgressCallback progress);
  void PauseCompaction() { compactor_.Pause(); }
  void ResumeCompaction() { compactor_.Resume(); }
  // For good: calls of Compact end. Close does it, too.
  void StopCompaction() { compactor_.Stop(); }
  io::Task<Status> CreateTenant(std::string name, QuotaChanges quotas = {});
  io::Task<Status> SetTenant(std::string name, QuotaChanges changes);
  io::Task<Status> DeleteTenant(std::string name);
  // By number, once the identities are loaded.
  io::Task<std::vector<TenantInfo>> DescribeTenants();
  // Counts on a worker, in steps.
  io::Task<StatusOr<CardinalityReport>> Cardinality(std::string tenant, uint32_t top);
  // Counts on a worker, then deletes unless it is a dry run. What was submitted before this call is
  // before it in the log.
  io::Task<StatusOr<DeleteResult>> Delete(DeleteRequest request);
  // Deletes in one branch or, if `everywhere`, snapshot.
  io::Task<StatusOr<DeleteResult>> DeleteOf(DeleteRequest request);
  // Its second part alone. OK: it is durable and visible. REQUIRES: CheckDelete is OK.
  io::Task<Status> CommitDelete(DeleteSamples edit);
  io::Task<StatusOr<ProducerState>> OpenProducer(ProducerId producer, uint64_t epoch,
                                                 std::string tenant, std::string branch);
  io::Task<Status> CreateBranch(std::string name, BranchKind kind, std::string from,
                                std::string tenant);
  io::Task<Status> DeleteBranch(std::string name, BranchKind kind, std::string tenant);
  io::Task<StatusOr<std::vector<BranchInfo>>> Branches(std::string tenant);
  StatusOr<RetentionInfo> Retention(std::string_view tenant) const;
  io::Task<Status> SetRetention(std::vector<RetentionRule> rules, std::string tenant);
  StatusOr<std::vector<RollupRule>> Rollups(std::string_view tenant) const;
  io::Task<Status> SetRollups(std::vector<RollupRule> rules, std::string tenant);
  io::Task<Status> AcceptRetentionClock() { return retention_keeper_.Accept(); }
  io::Task<Status> Close();
  // One scrub at a time: FailedPrecondition if one is under way or the database is closing. Close
  // waits for EndScrub.
  Status BeginScrub();
  void EndScrub();
  bool closing() const { return closed_; }
  // One backup at a time, likewise; no garbage is removed meanwhile.
  Status BeginBackup();
  void EndBackup();
  // For good: the backup under way ends soon. Close does it, too.
  void StopBackups() { backups_stopped_ = true; }
  bool may_back_up() const { return !closed_ && !backups_stopped_; }
  // What the loop knows, once the identities are loaded; the catalog's figures are added by
  // CompleteStats.
  io::Task<Stats> LoopStats();

  // ---- Any thread.

  // What a query of this branch sees now; counts as a query of its tenant while the view, or the
  // cursor made from it, lives. Errors: NotFound, ResourceExhausted (readers of the catalog; the
  // tenant's concurrent_queries).
  StatusOr<ReadView> View(std::string_view tenant, std::string_view branch) const;
  // The same of what a query names. Also FailedPrecondition (`as_of` is no snapshot) and
  // InvalidArgument (it names a branch beside).
  StatusOr<ReadView> View(const SelectQuery& query) const;
  // The newest sample of a series; nullopt if it has none. Errors: those of View, DataLoss.
  StatusOr<std::optional<Sample>> LatestOf(SeriesId series, std::string_view tenant,
                                           std::string_view branch) const;
  // Its sources alone. NotFound.
  StatusOr<Sources> SourcesOf(std::string_view tenant, std::string_view branch) const;
  // Blocks on the catalog's file.
  Status CompleteStats(Stats* stats) const;

 private:
  DatabaseCore(io::Environment* environment, Options options);
  io::Task<Status> Recover(Recovery* recovery);
  void OnApplied();
  StatusOr<ReadView> ViewOf(PublishedState::Found found) const;

  DatabaseState state_;
  Interner interner_;
  Applier applier_;
  Committer committer_;
  CatalogKeeper keeper_;
  Flusher flusher_;
  SeriesForgetter forgetter_;
  Compactor compactor_;
  RetentionKeeper retention_keeper_;
  RecoveryReport recovery_;
  std::unique_ptr<io::FileLock> lock_;
  bool closed_ = false;
  bool scrubbing_ = false;
  bool backing_up_ = false;
  bool backups_stopped_ = false;
  io::Event checked_;  // pulsed when scrubbing_ or backing_up_ falls
  uint32_t next_tenant_number_ = 0;
  SeriesId first_new_series_;  // above the ids that were given before the database was opened
  io::TaskScope scope_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CORE_H_
