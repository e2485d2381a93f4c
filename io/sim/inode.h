// Inode: the bytes of one simulated file - what reads see, what a power cut leaves, and the writes
// in between.
//
// Kept by sector (D7: the grain at which unsynced data is lost, kept or torn). Every completed
// write or change of size gets a sequence number and waits in a list of changes until a sync makes
// it durable, a failed sync decides its fate, or a power cut does. Sectors are shared, immutable
// blocks, a sector of zeros is no block at all: copies of a disk are cheap and a segment of zeros
// costs 48 bytes a sector.
//
// Invariants: the durable content of a sector has a higher sequence than any change of it that is
// still listed was given before (a stale change can never win over a durable one); sectors nobody
// wrote since the last sync are the same in both contents, unless a failed sync lost something.
// Failure: none of its own; the faults are the disk's (io/sim/disk.h).

#ifndef NEXUS_IO_SIM_INODE_H_
#define NEXUS_IO_SIM_INODE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "io/file.h"
#include "io/sim/choice.h"

namespace nexus::sim {

struct Block {
  std::array<std::byte, io::kSectorBytes> bytes;
};
using BlockRef = std::shared_ptr<const Block>;  // null reads as zeros

// A write whose completion was not delivered when the power went.
struct InFlightWrite {
  uint64_t offset;
  Bytes bytes;
};

// What a power cut may draw on: choices, the rate of garbage, and bytes for it.
struct Survival {
  ChoiceSource* choices;
  Rng* garbage;
  uint32_t garbage_per_million;
};

class Inode {
 public:
  explicit Inode(uint64_t id) : id_(id) {}
  // A copy with the same id; blocks are shared.
  Inode(const Inode&) = default;
  Inode& operator=(const Inode&) = delete;

  uint64_t id() const { return id_; }
  uint64_t size() const { return size_; }
  uint64_t durable_size() const { return durable_size_; }
  // Changes made from now on have this sequence or a higher one: what a sync submitted now covers
  // is what lies below it (D2).
  uint64_t next_sequence() const { return next_sequence_; }
  // True if a power cut could change the file.
  bool pending() const { return !changes_.empty() || !size_changes_.empty(); }
  // Sectors that take up space.
  uint64_t allocated_sectors() const { return allocated_sectors_; }
  // How many of the sectors of a range take up none yet.
  uint64_t MissingSectors(uint64_t offset, uint64_t bytes) const;

  // Copies what reads see. Bytes copied, fewer than asked for at the end of the file.
  uint64_t Read(uint64_t offset, MutableBytes into) const;
  std::string VisibleContent() const;
  std::string DurableContent() const;

  // Makes the bytes visible (D1). Returns the sequence of the change.
  uint64_t Write(uint64_t offset, Bytes from);
  // Extends the file with zeros to at least `bytes`; the space is taken.
  void Allocate(uint64_t bytes);
  void Truncate(uint64_t bytes);

  // A successful sync (D2): makes durable the changes below `before` and the one numbered `own`
  // (that of the write in the same chain; kNoChange if there is none).
  static constexpr uint64_t kNoChange = ~uint64_t{0};
  void MakeDurable(uint64_t before, uint64_t own);
  // A failed sync (D3): of each sector any version may have become durable, none of the others ever
  // will, and reads see the newest or, where the page was dropped, the durable one.
  void LoseUnsynced(ChoiceSource* choices);
  // A power cut (D5, D6, D7): the file becomes one of the states the contract allows.
  void PowerCut(std::span<const InFlightWrite> in_flight, const Survival& survival);

  // Damage at rest (D8). A sector is at rest if it has no change that is not durable.
  bool AtRest(uint64_t sector) const;
  void FlipBit(uint64_t offset, int bit);
  void Misdirect(uint64_t sector, uint64_t from_sector);
  // Until it is written again.
  void MakeUnreadable(uint64_t sector) { unreadable_.insert(sector); }
  bool Unreadable(uint64_t offset, uint64_t bytes) const;

 private:
  struct Sector {
    BlockRef visible;
    BlockRef durable;
    uint64_t durable_sequence = 0;  // 0: never made durable
    bool allocated = false;
  };
  struct Change {
    uint64_t sequence;
    uint64_t sector;
    BlockRef block;
    bool in_flight = false;
  };
  struct SizeChange {
    uint64_t sequence;
    uint64_t size;
    bool zeroed;  // the space up to `size` was set aside as zeros
  };
  // How much of what is not durable survives. Independent luck for each sector alone would almost
  // never show a long write whole or lost whole.
  enum class Mode : uint8_t { kAll, kNothing, kEach, kPrefix };

  BlockRef Overlay(const BlockRef& base, uint64_t from, Bytes bytes) const;
  void SetVisible(uint64_t sector, BlockRef block, uint64_t sequence);
  void SetDurable(const Change& change);
  void SetDurableSize(const SizeChange& change);
  void TakeSpace(uint64_t sector);
  void AddInFlight(std::span<const InFlightWrite> writes);
  void SurviveSize(Mode mode, ChoiceSource* choices);
  void SurviveSectors(Mode mode, const Survival& survival);
  void SurviveSector(std::span<const Change> versions, const Survival& survival);
  void ForgetTheRest();
  BlockRef Garbage(const BlockRef& before, const BlockRef& after, const Survival& survival) const;
  std::string Content(BlockRef Sector::*version, uint64_t size) const;

  const uint64_t id_;
  uint64_t next_sequence_ = 1;
  uint64_t size_ = 0;
  uint64_t durable_size_ = 0;
  uint64_t durable_size_sequence_ = 0;
  uint64_t durable_zeroed_bytes_ = 0;  // below this, a sector never made durable reads as zeros
  uint64_t allocated_sectors_ = 0;
  std::vector<Sector> sectors_;
  std::vector<Change> changes_;  // by rising sequence
  std::vector<SizeChange> size_changes_;
  std::set<uint64_t> unreadable_;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_INODE_H_
