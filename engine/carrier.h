// Carrier: small memtables neither pin the log nor become files of their own.
//
// A memtable pins the log from its oldest record on. Where that record is to go and the memtable is
// small, its content is written to the log again, as one carry record at LSN C, and from C on the
// log holds all of it. Applying the carry puts its samples in the place of the active memtable's.
//
// What makes this exact, live and in replay:
// - The carry says which records it stands for: those of its branch in [since, until). When it is
//   appended nothing of the branch is in the log and not applied, nor an edit of anything, and the
//   memtable is as it was when it was read. So no record of the branch lies in [until, C), and what
//   replay has in the active memtable when it comes to C is what the carry stands for - or a part
//   of it, where the log has been trimmed.
// - Only a branch without sealed memtables is carried. So every layer of the branch is published
//   by an edit below C: replay, which applies edits first, gives the memtable none of its records.
// - A carry whose records were sealed while it was on its way changes nothing: they are in a sealed
//   memtable, or in a layer of a branch whose sealed LSN is not below `until`.
// - Samples that deletes took are left out, as those overwritten are; the deletes themselves need
//   no longer concern the memtable. Its samples now stand above layers and deletes that are older
//   than they are, as they did before, and below whatever comes. Tombstones of layers stay.
// - Definitions of its series stand in the carry. Replay does not need them - the log is trimmed
//   only below what the synced catalog and both images hold - but who has lost all of these does.
// - Numbers of producers are theirs already; a carry has none, pays no quota and counts as no
//   append.
//
// Bounds: a round takes at most a quarter of a segment, or of log_bytes_max, smallest memtables
// first. Whoever is due by the length of the log takes those along that are half as far back, so
// rounds are at least log_bytes_max / 2 apart, and at most half of the log is carries. A memtable
// that cannot be carried now - it is being written to, the log has no room - waits for the next
// look, kCarryTries times. Failure: then, or when it cannot be read, it is flushed.
// A memtable that may hold expired samples is not carried, for only layers let go of those; nor one
// of which rollups are to be made before they are, for these are made of layers. Nor is one with a
// series of which deletes took every sample: the series may then be forgotten, and what the log
// still has of it is passed over by replay only where it is below what is in layers.
// Threading: loop; memtables are read on a worker.

#ifndef NEXUS_ENGINE_CARRIER_H_
#define NEXUS_ENGINE_CARRIER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/committer.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

// A look is made each 10 ms while somebody waits: a fifth of a second, in which the slowest of the
// rounds that keep a branch from being carried ends.
inline constexpr uint32_t kCarryTries = 20;

class Carrier {
 public:
  Carrier(DatabaseState* state, Committer* committer);
  ~Carrier();
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;

  struct Candidate {
    TenantId tenant;
    BranchId branch;
    uint64_t bytes = 0;   // of its carry, about
    bool is_due = false;  // its log is to go; else it would soon be
  };

  // Whether the memtable may be carried instead of flushed. REQUIRES: it has samples or deletes.
  bool MayCarry(const TenantState& tenant, const BranchState& branch) const;
  static Candidate CandidateOf(const TenantState& tenant, const BranchState& branch, bool is_due);
  // Takes out of `candidates` those that one round does not carry: the largest.
  std::vector<Candidate> TakeExcess(std::vector<Candidate>* candidates) const;
  // Carries them, as far as that can be done now. True if the log is pinned less than before.
  io::Task<bool> Carry(std::vector<Candidate> candidates);

  uint64_t carries() const { return carries_; }
  uint64_t carried_bytes() const { return carried_bytes_; }

 private:
  // A memtable as it is when it is read.
  struct Read {
    TenantId tenant;
    BranchId branch;
    std::shared_ptr<const Memtable> memtable;
    uint32_t limit = 0;
    Lsn since;
    Lsn until;
    std::vector<uint64_t> body;  // empty: nothing is left of it, or it cannot be read
  };
  class Request;

  uint64_t RoundBytes() const;
  std::vector<Read> Begin(const std::vector<Candidate>& candidates, size_t* next) const;
  io::Task<void> Encode(std::vector<Read>* reads);
  void Append(std::vector<Read> reads, uint64_t* room);
  bool AppendOne(Read read, const Committer::Unapplied& unapplied, uint64_t* room);

  DatabaseState* const state_;
  Committer* const committer_;
  std::deque<std::unique_ptr<Request>> requests_;  // in the log, not answered
  io::Event answered_;                             // pulsed when the last of them is
  uint64_t carries_ = 0;                           // these two: applied, since opening
  uint64_t carried_bytes_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CARRIER_H_
