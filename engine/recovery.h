// Recovery: what opening a database does, step by step (DESIGN section 4 "Recovery", section 6).
//
//   1 folder lock, identity, images          4 start the log: sync what was read, new segment
//   2 catalog: present, missing or foreign   5 replay: edits and definitions, then batches above
//   each 3 scan of the log: end, damage             branch's sealed LSN; layers
//                                            6 publish layers written to save memory; orphans
// Only after step 4 is anything applied: what can be read is durable. Nothing is appended before
// the replay has ended. Crashing at any step and opening again gives the same database. Failure:
// named errors that say what, where and the way out; nothing was changed that matters. Threading:
// loop.

#ifndef NEXUS_ENGINE_RECOVERY_H_
#define NEXUS_ENGINE_RECOVERY_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "catalog/image.h"
#include "engine/core.h"
#include "layer/layer.h"
#include "wal/cursor.h"
#include "wal/log.h"
#include "wal/scan.h"

namespace nexus::engine {

class Recovery {
 public:
  // `state` and the parts are those of a core that is not open yet and outlive this.
  Recovery(DatabaseState* state, CatalogHooks hooks, Applier* applier, Committer* committer,
           CatalogKeeper* keeper, Flusher* flusher, RecoveryReport* report);

  // Everything up to a database that takes appends. The lock is the caller's to keep.
  io::Task<StatusOr<std::unique_ptr<io::FileLock>>> Run();
  // Deletes or quarantines files that nothing lists.
  io::Task<Status> CleanUp();

  // ---- The steps, in their order (LogReplay takes another way through them).

  io::Task<StatusOr<std::unique_ptr<io::FileLock>>> LockFolder();
  io::Task<Status> ReadFolder();
  io::Task<Status> OpenCatalog();
  // OK also for a damaged log: see scan().status().
  io::Task<Status> ScanTheLog();
  const wal::LogScan& scan() const { return scan_; }
  // A new segment behind the scan, above `base_above` and everything the scan saw. `scan` is
  // changed to say where its records stand from now on.
  io::Task<Status> StartLog(wal::LogScan* scan, Lsn base_above);
  std::unique_ptr<wal::Log> TakeLog() { return std::move(log_); }
  io::Task<Status> LoadCatalog();
  // Edits and definitions, then batches, within the bounds of `options`.
  io::Task<Status> Replay(wal::CursorOptions options);
  // Moves every file of the layers' folder that nothing lists to quarantine/.
  io::Task<Status> QuarantineUnlisted();

 private:
  io::Task<Status> Steps();
  io::Task<Status> ReadImages();
  io::Task<Status> QuarantineFile(std::string directory, std::string name, std::string why);
  io::Task<Status> CheckCatalogMayBeMissing();
  Status CheckCatalogReachesTheLog() const;
  io::Task<Status> StartLogInReserve(Status why);
  io::Task<StatusOr<std::vector<std::string>>> UnlistedFiles();
  std::string WhyDeletable(const layer::LayerSummary& layer) const;
  io::Task<Status> CleanUpFile(std::string name);
  enum class Pass : uint8_t { kShape, kBatches };
  io::Task<Status> ReplayKinds(Pass pass, wal::CursorOptions options);
  Lsn LowestSealed() const;
  io::Task<Status> FindLayers();
  Status CheckListed(const catalog::LayerRecord& record,
                     const std::vector<io::DirectoryEntry>& entries) const;
  io::Task<Status> Bootstrap();
  void ReportProgress(std::string_view activity, uint64_t done, uint64_t total) const;

  DatabaseState* const state_;
  const CatalogHooks hooks_;
  Applier* const applier_;
  Committer* const committer_;
  CatalogKeeper* const keeper_;
  Flusher* const flusher_;
  RecoveryReport* const report_;

  bool created_ = false;
  std::vector<Lsn> images_;
  uint64_t image_open_count_ = 0;
  catalog::Presence presence_ = catalog::Presence::kMissing;
  wal::LogScan scan_;
  // The same as it was found: starting the log gives the records of its tail new LSNs, and layers
  // that were written before name the old ones.
  wal::LogScan found_;
  std::unique_ptr<wal::Log> log_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RECOVERY_H_
