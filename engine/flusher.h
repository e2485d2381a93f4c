// Flusher: seals memtables and turns them into layers.
//
// When: the active memtables hold half of the memory budget; the oldest of a branch's samples has
// waited for flush_interval; the log has grown past log_bytes_max; or somebody asked. In the second
// and third case a small memtable is carried instead (carrier.h), of the second only once it keeps
// a segment that is not the last from being trimmed. Sealing is a pointer swap on the loop. One
// flush at a time, oldest sealed memtable first, so a branch's layers are published in write order.
// A worker encodes; the loop writes a temporary file, syncs it, renames it, syncs the folder, and
// commits the publish edit, whose application swaps memtable for layer in one step - in every
// branch that has the memtable (branches.h); it is written once, and not at all if they were
// deleted meanwhile. Failure: a flush that fails (disk full, I/O error) drops its output, keeps the
// memtable, and is tried again after a pause; until then admission holds back appends when memory
// is full. At ENOSPC the reserve file is given up first. Threading: loop; encoding on workers.

#ifndef NEXUS_ENGINE_FLUSHER_H_
#define NEXUS_ENGINE_FLUSHER_H_

#include <optional>
#include <vector>

#include "base/status.h"
#include "engine/applier.h"
#include "engine/carrier.h"
#include "engine/catalog_keeper.h"
#include "engine/committer.h"
#include "engine/record.h"
#include "engine/reserve.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

class Flusher {
 public:
  Flusher(DatabaseState* state, Applier* applier, Committer* committer, CatalogKeeper* keeper);

  // Runs until Stop. Spawned once, when the database takes appends.
  io::Task<void> Run();
  void Stop();

  // Looks whether a memtable should be sealed - for memory at once, for age soon; called when
  // records were applied.
  void Kick();
  // Seals everything applied so far and waits until it is in layers. The error of the first flush
  // that fails meanwhile.
  io::Task<Status> FlushAll();
  // Its parts, for who needs to know what was sealed together: seals everything applied so far, and
  // waits until what was sealed at or below an LSN is in layers.
  void SealAll();
  io::Task<Status> AwaitFlushed(Lsn target);

  // ---- During replay: layers are written when memory runs short, and published afterwards.

  // On a full disk what is replayed stays in memory - the process before had it there, too - and is
  // flushed when the database is open and there is space.
  io::Task<Status> MakeRoomDuringReplay();
  // Writes all that is in memory, likewise.
  io::Task<Status> WriteEverything();
  // Commits the publish edits of what was written, by way of the log - or applies them without one.
  io::Task<Status> PublishUnpublished();
  Status ApplyUnpublished();

  const Carrier& carrier() const { return carrier_; }
  uint64_t flushes() const { return flushes_; }
  uint64_t flushed_bytes() const { return flushed_bytes_; }

 private:
  struct Tick : io::Timer {
    Tick(Flusher* f, Function function) : Timer(function), flusher(f) {}
    Flusher* flusher;
  };
  // A memtable that waits for its flush. Its branches may be deleted at any time.
  struct Waiting {
    TenantId tenant;
    SealedMemtable sealed;
  };
  // A flushed memtable: its layer - none if it held no sample - and the series in it.
  struct Written {
    PublishLayers edit;
    catalog::LayeredSeries series;
  };

  void Seal(TenantState* tenant, BranchState* branch);
  void SealForMemory();
  // How far a memtable is on the way to having to leave the log.
  enum class Age : uint8_t { kYoung, kHalf, kDue };
  Age AgeOf(const BranchState& branch, int64_t now_ns, bool by_time) const;
  // Seals memtables whose records are to leave the log; gives those that are to be carried.
  std::vector<Carrier::Candidate> SealWhatIsOld();
  io::Task<void> Carry(std::vector<Carrier::Candidate> candidates);
  // Where the segment begins that is being written; nothing below it is pinned for nothing.
  Lsn CurrentSegment() const;
  std::optional<int64_t> NextDue() const;
  std::optional<Waiting> FindOldestSealed() const;
  // Takes it from every branch that has it.
  void DropFromBranches(const Waiting& waiting);
  void MarkFlushedInReplay(const Waiting& waiting);
  bool IsWaitedFor(const Waiting& waiting) const;
  io::Task<Status> WriteSealed();
  io::Task<Status> FlushOne(Waiting oldest);
  io::Task<void> DropUnpublished(PublishLayers edit);
  io::Task<StatusOr<Written>> WriteOne(Waiting oldest);
  io::Task<Status> Publish(const Written& written);
  io::Task<void> Attempt(Waiting oldest);
  io::Task<void> CheckpointUnlessBusy();

  DatabaseState* const state_;
  Applier* const applier_;
  Committer* const committer_;
  CatalogKeeper* const keeper_;
  Reserve reserve_;
  Carrier carrier_;
  Tick tick_;
  io::Event wake_;
  io::Event attempted_;  // pulsed after each attempt
  uint64_t attempts_ = 0;
  bool stopping_ = false;
  int64_t retry_at_ns_ = 0;  // these four: monotonic
  int64_t looked_at_ns_ = 0;
  int64_t carry_again_ns_ = 0;
  int64_t next_checkpoint_ns_ = 0;
  // The timer is set for it; before Run and after it there is none.
  bool look_is_due_ = true;
  uint64_t flushes_ = 0;
  uint64_t flushed_bytes_ = 0;        // of the layers written
  std::vector<Written> unpublished_;  // of layers written during replay
  bool replay_found_no_space_ = false;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_FLUSHER_H_
