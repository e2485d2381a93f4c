// Disk: the simulated storage of a world - what is on it, what is in flight to it, who holds its
// locks, and what goes wrong. It outlives the incarnations that use it.
//
// It keeps the disk contract D1-D10 (TESTING section 2) and nothing more: whatever the contract
// leaves open is decided by a choice. An operation takes effect when its completion is delivered,
// so "completed" and "delivered" are one moment: a sync covers exactly what was delivered before it
// was submitted (D2). A process kill leaves writes in flight behind that may land later; the locks
// of the dead process stay held until the last of them has landed or was dropped.
//
// Tests use the second half of the class: scripted faults, space, damage, and a look at what is
// durable. Paths are absolute or taken from the root. Threading: one thread.

#ifndef NEXUS_IO_SIM_DISK_H_
#define NEXUS_IO_SIM_DISK_H_

#include <array>
#include <coroutine>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"
#include "io/sim/choice.h"
#include "io/sim/fault_plan.h"
#include "io/sim/namespace.h"
#include "io/sim/options.h"
#include "io/sim/scheduler.h"
#include "io/sim/trace.h"

namespace nexus::sim {

class Disk;

// An open file description.
struct OpenFile {
  NodeRef node;
  std::string path;
  bool write = false;
  bool direct = false;
  bool failed = false;  // a sync of it failed: D3
  int in_flight = 0;
};

// One rare operation: performed after a delay, then its waiter is resumed. Lives in the frame of
// the task that awaits it.
struct MetadataOp : io::RunNode {
  MetadataOp(Disk* on, Op asked, std::string name);

  Disk* const disk;
  const Op op;
  const std::string path;
  std::string to;                  // kRename, kLink
  io::OpenFlags flags;             // kOpen, kCreate
  std::shared_ptr<OpenFile> file;  // kAllocate, kTruncate; the result of kOpen and kCreate
  uint64_t bytes = 0;              // kAllocate, kTruncate; the result of kFreeSpace
  int64_t pid = 0;                 // kLock: who asks; with -EWOULDBLOCK who holds it
  uint64_t covers = 0;             // kSyncDirectory
  Verdict verdict;
  int error = 0;
  std::vector<io::DirectoryEntry> entries;
  uint64_t lock_id = 0;
  std::coroutine_handle<> waiter;
};

class Disk {
 public:
  Disk(Scheduler* scheduler, ChoiceSource* choices, Trace* trace, const Options* options,
       uint64_t seed);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // ---- For the incarnation: see io/file.h.

  // `pid` is the process, by which locks and writes left behind are known.
  void Submit(std::shared_ptr<OpenFile> file, io::FileOp* op, int64_t pid);
  void Start(MetadataOp* op);
  int64_t ReadNow(const OpenFile& file, uint64_t offset, MutableBytes into);
  std::shared_ptr<OpenFile> OpenNow(const std::string& path, int* error);
  void Close(OpenFile* file);
  void Unlock(uint64_t lock_id) { locks_.erase(lock_id); }

  // REQUIRES of both: the scheduler has dropped everything.
  void ProcessKill(int64_t pid);
  void PowerCut();

  // ---- Scripted faults: see FaultPlan.

  // The next operation that matches fails with `error`, a negative errno.
  void FailNext(OpFilter filter, int error) { faults_.Fail(std::move(filter), 1, error, false); }
  // The nth from now on, n from 1.
  void FailNth(OpFilter filter, uint64_t n, int error) {
    faults_.Fail(std::move(filter), n, error, false);
  }
  // The nth from now on and all after it, until ClearRules.
  void FailFrom(OpFilter filter, uint64_t n, int error) {
    faults_.Fail(std::move(filter), n, error, true);
  }
  // The next read or write that matches moves at most `bytes`.
  void ShortenNext(OpFilter filter, uint64_t bytes) {
    faults_.Shorten(std::move(filter), 1, bytes, false);
  }
  FaultPlan* faults() { return &faults_; }

  // The space for data, in bytes; may be less than what is used. Names take none.
  void SetCapacity(uint64_t bytes) { capacity_bytes_ = bytes; }
  uint64_t used_bytes() const { return used_sectors_ * io::kSectorBytes; }
  // While on, everything that would change the disk fails with EROFS, and a sync that has something
  // to do with EIO (D3).
  void SetReadOnly(bool on) { read_only_ = on; }

  // ---- Damage to data at rest (D8), lasting. REQUIRES: the file is there and has that byte.
  void FlipBit(std::string_view path, uint64_t offset, int bit);
  // Any bit of the file, by a choice. Returns its byte's offset.
  uint64_t FlipRandomBit(std::string_view path);
  // The sector of `offset` reads as EIO until it is written again.
  void MakeUnreadable(std::string_view path, uint64_t offset);
  // The sector of `offset` reads as that of `from`.
  void Misdirect(std::string_view path, uint64_t offset, uint64_t from);

  // ---- A look from outside.

  // Files as full paths in byte order: as the process sees them; as they stand after a power cut
  // that loses everything it may.
  std::vector<std::string> VisibleFiles() const;
  std::vector<std::string> DurableFiles() const;
  std::optional<std::string> ReadVisible(std::string_view path) const;
  std::optional<std::string> ReadDurable(std::string_view path) const;
  // Puts a file and the folders above it there, durable; replaces what it had. All other waiting
  // changes of those folders become durable too.
  void WriteDurable(std::string_view path, Bytes content);
  // Makes this disk a copy of `other`: contents, names, and what waits to become durable; without
  // locks and what is in flight. REQUIRES: nothing is open on it.
  void CopyFrom(const Disk& other);

  // Operations in flight, those left behind by dead processes included.
  size_t in_flight() const { return transfers_.size() + metadata_.size(); }
  // Writes and syncs that dead processes left behind.
  size_t left_behind() const;
  // Operations submitted so far.
  uint64_t submitted(Op op) const { return submitted_[static_cast<size_t>(op)]; }

 private:
  friend struct MetadataOp;
  struct Transfer;
  struct Lock {
    int64_t pid;
    bool dead = false;  // held only by what the process left behind
  };
  enum class Fate : uint64_t { kWhole, kDropped, kPart, kWriteOnly };

  // Transfers: transfer.cc.
  Transfer* NewTransfer();
  void Recycle(Transfer* transfer);
  void CheckNoOverlap(const Transfer& transfer) const;
  static void Complete(io::RunNode* node);
  void Land(Transfer* transfer, int64_t* result, int64_t* sync_result);
  int64_t LandRead(const OpenFile& file, uint64_t offset, MutableBytes into,
                   const Verdict& verdict);
  int64_t LandWrite(const Transfer& transfer, uint64_t* sequence);
  void LandSomeSectors(const Transfer& transfer);
  int64_t LandSync(const Transfer& transfer, uint64_t own);
  void FinishLeftBehind(Transfer* transfer);
  uint64_t RoomFor(const Inode& inode, uint64_t offset, uint64_t bytes) const;
  void DamageAtRest(Inode* inode, uint64_t offset, uint64_t bytes, const Verdict& verdict);
  void Account(const Node& node, uint64_t sectors_before);

  // Metadata: metadata.cc.
  static void Perform(io::RunNode* node);
  int Execute(MetadataOp* op);
  int ExecuteOpen(MetadataOp* op);
  int ExecuteAllocate(MetadataOp* op);
  int ExecuteTruncate(MetadataOp* op);
  int ExecuteList(MetadataOp* op);
  int ExecuteLock(MetadataOp* op);
  int ExecuteSyncDirectory(MetadataOp* op);
  int ExecuteFreeSpace(MetadataOp* op);
  int CreateFile(const std::string& path, NodeRef* node);
  // Frees the space of a file without names and handles.
  void ReleaseIfUnused(const NodeRef& node);
  // REQUIRES: nothing is open.
  void RecountSpace();

  // Crashes: disk_crash.cc.
  void SettleMetadataInFlight();
  bool LeaveBehind(Transfer* transfer);
  void ReleaseLocksOfDead(int64_t pid);

  NodeRef FileAt(std::string_view path) const;

  Scheduler* const scheduler_;
  ChoiceSource* const choices_;
  Trace* const trace_;
  const Options* const options_;
  FaultPlan faults_;
  Rng garbage_;
  Namespace names_;
  uint64_t next_inode_id_ = 1;
  uint64_t next_operation_ = 1;
  uint64_t capacity_bytes_;
  uint64_t used_sectors_ = 0;
  bool read_only_ = false;
  std::map<uint64_t, Lock> locks_;                    // by inode
  std::vector<std::unique_ptr<Transfer>> transfers_;  // in flight, in order of submission
  std::vector<std::unique_ptr<Transfer>> pool_;
  std::vector<MetadataOp*> metadata_;  // in flight, in order of submission
  std::array<uint64_t, kOpCount> submitted_{};
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_DISK_H_
