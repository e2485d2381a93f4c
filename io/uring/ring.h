// Ring: one io_uring and its bookkeeping - room for submissions and completions, the tables of
// registered buffers and files, and the linked pair of a write and its sync.
//
// Invariants: no more completions of counted operations are ever outstanding than the completion
// queue holds. Uncounted ones wait for peers, one and more for each connection; should so many
// complete at once that the queue overflows, the kernel keeps the rest in memory of its own
// (IORING_FEAT_NODROP) and nothing is lost; both halves of a linked pair reach the kernel in one
// submission, and where the kernel takes only the first half the second is made to fail, so a sync
// never runs without the write it was linked to (D2). Failure: opening returns a status; later the
// kernel refuses a submission only for lack of memory, and then it is tried again at the next turn.
// Threading: the thread that opened it, for everything.

#ifndef NEXUS_IO_URING_RING_H_
#define NEXUS_IO_URING_RING_H_

#include <liburing.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::io {

// What a completion belongs to: a pointer, with the kind in its lowest bits.
enum class CompletionKind : uint64_t {
  kFileOp = 0,      // FileOp: its read, write or sync
  kLinkedSync = 1,  // FileOp: the sync of kWriteThenSync
  kCall = 2,        // RingCall
  kWake = 3,        // the loop's own wake
  kPeerCall = 4,    // PeerCall: uncounted, may complete many times
};
inline constexpr uint64_t kCompletionKindMask = 7;

struct Completion {
  CompletionKind kind;
  void* pointer;
  int32_t result;
  uint32_t flags;  // IORING_CQE_F_...
};

class Ring {
 public:
  // Opens a ring of `entries` submissions. `setup_flags_allowed` masks the optional flags that are
  // asked for (tests try the fall-backs with it). Errors: Unavailable where the kernel refuses
  // io_uring or is too old, ResourceExhausted where memory is lacking; both say what to do.
  static StatusOr<std::unique_ptr<Ring>> Open(uint32_t entries, uint32_t setup_flags_allowed);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // True if `n` more submissions fit, now and next to each other, and their completions too. May
  // submit what is prepared to make room.
  bool MakeRoom(uint32_t n);
  // The same for the loop's own wake, for which one completion is always kept free.
  bool MakeRoomForWake();
  // The next submission entry, to be filled in and then marked. REQUIRES: MakeRoom said so.
  io_uring_sqe* Next();
  // The same for an operation whose completions are not counted. REQUIRES: marked as kPeerCall.
  bool MakeRoomForUncounted() { return MakeSubmissionRoom(1); }
  io_uring_sqe* NextUncounted();
  // Says whose completion it will be.
  static uint64_t Tag(CompletionKind kind, void* pointer);
  static void Mark(io_uring_sqe* sqe, CompletionKind kind, void* pointer);

  // Hands what is prepared to the kernel and lets it finish deferred work; does not wait.
  void Submit();
  // The same, then sleeps until a completion arrives or `timeout_ns` has passed (none: for ever).
  void SubmitAndWait(std::optional<int64_t> timeout_ns);
  // Moves completions that have arrived into `into`, oldest first; returns how many.
  size_t Reap(std::span<Completion> into);

  // Gives the kernel a buffer to keep pinned. Does nothing where the kernel does not want it (its
  // limit on locked memory, no slot left).
  void RegisterBuffer(MutableBytes buffer);
  void UnregisterBuffer(MutableBytes buffer);
  // The slot of the registered buffer that `bytes` lie in, or -1.
  int RegisteredSlot(Bytes bytes) const;

  // Has the ring hold the open file behind `fd` until UnregisterFile - or, if the process dies,
  // until all its operations in the kernel have ended. A slot, or -errno (-ENFILE: no slot left).
  int RegisterFile(int fd);
  void UnregisterFile(int slot);

  uint32_t setup_flags() const { return ring_.flags; }
  io_uring* raw() { return &ring_; }  // for tests

 private:
  // Lock files at once in one process; 16 databases behind one environment.
  static constexpr size_t kRegisteredFilesMax = 16;
  // Log and layer buffer pools are few and large; the kernel allows 16,384.
  static constexpr size_t kRegisteredBuffersMax = 64;
  static constexpr uint64_t kRegisteredBufferBytesMax = uint64_t{1} << 30;  // the kernel's
  // Counted completions outstanding per submission entry: enough for 1,024 operations at 256.
  static constexpr uint32_t kCompletionsPerEntry = 4;
  // Places for uncounted ones: each provided buffer's (256) and as many accepts and ends; 16 KiB.
  static constexpr uint32_t kUncountedPlaces = 1024;

  Ring() = default;
  static int TryOpen(io_uring* ring, uint32_t entries, uint32_t flags);
  Status CheckFeatures();
  void RegisterTables();
  bool MakeSubmissionRoom(uint32_t n);
  void SeverOrphanedSync();
  static void CheckSubmitted(int result);

  struct RegisteredBuffer {
    const std::byte* begin;
    uint64_t bytes;
    uint16_t slot;
  };

  io_uring ring_ = {};
  bool open_ = false;
  uint32_t outstanding_ = 0;  // completions that have not been reaped
  uint32_t outstanding_max_ = 0;
  bool has_buffer_table_ = false;
  std::vector<RegisteredBuffer> buffers_;  // by address
  std::array<bool, kRegisteredBuffersMax> buffer_slot_used_ = {};
  std::array<bool, kRegisteredFilesMax> file_slot_used_ = {};
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_RING_H_
