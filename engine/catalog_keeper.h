// CatalogKeeper: brings what is applied into the catalog's file, and makes checkpoints.
//
// Commits follow the applier at a distance: at most one in kCommitPauseNs unless many new series
// wait, because each costs the disk a flush. A checkpoint is: commit, sync of the catalog, a new
// image (the two newest are kept), then the trim of the log. Nothing irreversible rests on a commit
// that is not synced: the log is trimmed below the lowest of the oldest sample that is in no layer,
// the synced catalog, and the older image (DESIGN section 6). Deleted tenants are purged from the
// catalog in pieces beside the commits; a crash loses nothing, for what is left goes the next time.
// Failure: a full disk is tried again
// every second; any other failure of the catalog stops writing (reads go on) until the database is
// reopened. Threading: loop; LMDB is touched on the catalog lane only.

#ifndef NEXUS_ENGINE_CATALOG_KEEPER_H_
#define NEXUS_ENGINE_CATALOG_KEEPER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "catalog/catalog.h"
#include "engine/committer.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

class CatalogKeeper {
 public:
  CatalogKeeper(DatabaseState* state, Committer* committer);

  // LSNs of the images on disk, ascending.
  void SetImages(std::vector<Lsn> images) { images_ = std::move(images); }
  const std::vector<Lsn>& images() const { return images_; }

  // Runs until Stop. Spawned once.
  io::Task<void> Run();
  void Stop();

  // Something was applied: looks whether a commit is due.
  void Kick();
  // Brings what is applied into the catalog's file, at once; not persistent.
  io::Task<Status> Commit();
  // Everything applied before is in the synced catalog and in an image, and the log is trimmed.
  io::Task<Status> Checkpoint();
  // Everything applied before is in the synced catalog.
  io::Task<Status> Persist();
  // Forgets deletes that are carried out wherever they concern anything. A checkpoint does it, too.
  io::Task<void> ForgetTombstones();

  // One commit, sync or checkpoint at a time - or none, for who holds it.
  io::Task<void> Acquire();
  void Release();

 private:
  struct Tick : io::Timer {
    Tick(CatalogKeeper* k, Function f) : Timer(f), keeper(k) {}
    CatalogKeeper* keeper;
  };

  bool HasChanges() const;
  // A deleted tenant whose deletion is in the catalog and whose rows, or record, are to go.
  std::optional<TenantId> TenantToPurge() const;
  // Takes some rows of it out of the catalog, as a commit of its own.
  io::Task<void> PurgeSome(TenantId tenant);
  bool MayForget(const DatabaseState::DeletedTenant& deleted) const;
  void WakeAt(int64_t deadline_ns);
  // Parts of them. REQUIRES of all: acquired.
  io::Task<Status> DoCommit();
  io::Task<Status> DoPersist();
  io::Task<Status> DoCheckpoint();
  io::Task<Status> WriteImage();
  io::Task<Status> RemoveOldImages();
  io::Task<Status> TrimLog();
  // Whether the wall clock tells how long a producer has been silent: not soon after opening, when
  // those that are about to write again have had no chance, nor once it has jumped.
  bool CanJudgeSilence() const;
  // Not part of the above: it writes to the log.
  io::Task<void> ForgetSilentProducers();
  std::vector<Edit> SilentProducers() const;
  void OnCommitFailed(catalog::Update failed, const Status& status);
  // What a full disk refuses it may take later; after any other failure nothing more is written.
  void RefuseUnlessFull(const Status& status);

  DatabaseState* const state_;
  Committer* const committer_;
  const int64_t begun_ns_;  // monotonic
  const int64_t begun_wall_ns_;
  std::vector<Lsn> images_;
  // A commit has changed what images hold without a record of the log: the newest is written again.
  bool image_is_outdated_ = false;
  Lsn opened_;   // what was applied when the database had been opened
  Lsn trimmed_;  // no record below it is in the log any more
  Tick tick_;
  io::Event wake_;
  io::Event idle_;     // pulsed when `busy_` falls
  bool busy_ = false;  // acquired
  bool stopping_ = false;
  int64_t next_commit_ns_ = 0;  // monotonic
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CATALOG_KEEPER_H_
