// Opening with fall-backs, submission, reaping, registration. See ring.h.

#include "io/uring/ring.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <thread>

#include "base/check.h"

namespace nexus::io {
namespace {

// What to ask of the kernel, best first. One thread submits and reaps, so completions need not
// interrupt it: deferred to its next call (6.1), or at least without an interrupt (5.19), or plain.
constexpr uint32_t kSetupFlags[] = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL,
    0,
};

Status OpenError(int error) {
  Status status = ErrnoStatus(error, "set up", "io_uring");
  if (error == ENOMEM || error == EMFILE || error == ENFILE) {
    return ResourceExhausted(
        "{}; raise the limit of locked memory or of open files (ulimit -l, -n)",
        FromAbsl(status.message()));
  }
  return Unavailable(
      "{}; allow it (sysctl kernel.io_uring_disabled=0, or the container's seccomp profile)",
      FromAbsl(status.message()));
}

constexpr int64_t kNanosPerSecond = 1'000'000'000;

// Opening tries again for a second in all where the kernel lacks memory it may lock for this user:
// rings that were closed give theirs back only after a while, from a thread of the kernel.
constexpr std::chrono::milliseconds kFirstPause{1};
constexpr std::chrono::milliseconds kLastPause{512};

}  // namespace

int Ring::TryOpen(io_uring* ring, uint32_t entries, uint32_t flags) {
  io_uring_params params = {};
  params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = entries * kCompletionsPerEntry + kUncountedPlaces;
  return io_uring_queue_init_params(entries, ring, &params);
}

StatusOr<std::unique_ptr<Ring>> Ring::Open(uint32_t entries, uint32_t setup_flags_allowed) {
  std::unique_ptr<Ring> ring(new Ring());
  int result = -EINVAL;
  for (uint32_t flags : kSetupFlags) {
    if ((flags & ~setup_flags_allowed) != 0) continue;
    result = TryOpen(&ring->ring_, entries, flags);
    for (auto pause = kFirstPause; result == -ENOMEM && pause <= kLastPause; pause *= 2) {
      std::this_thread::sleep_for(pause);
      result = TryOpen(&ring->ring_, entries, flags);
    }
    // An unknown flag is EINVAL; any other refusal would meet the next try too.
    if (result != -EINVAL) break;
  }
  if (result < 0) return OpenError(-result);
  ring->open_ = true;
  NEXUS_RETURN_IF_ERROR(ring->CheckFeatures());
  // One place stays free for the loop's own wake. The kernel may have given fewer than asked for.
  uint32_t places = *ring->ring_.cq.kring_entries - kUncountedPlaces;
  ring->outstanding_max_ = std::min(places, entries * kCompletionsPerEntry) - 1;
  // Saves a look-up of the ring's descriptor at each call; a kernel without it does as well.
  io_uring_register_ring_fd(&ring->ring_);
  ring->RegisterTables();
  return ring;
}

Ring::~Ring() {
  if (open_) io_uring_queue_exit(&ring_);
}

Status Ring::CheckFeatures() {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
  constexpr uint32_t kNeeded = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
  bool complete = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_MKDIRAT) != 0 &&
                  (ring_.features & kNeeded) == kNeeded;
  if (probe != nullptr) io_uring_free_probe(probe);
  if (!complete) {
    return Unavailable("this kernel's io_uring is too old; Linux 5.15 or newer is needed");
  }
  return OkStatus();
}

void Ring::RegisterTables() {
  has_buffer_table_ = io_uring_register_buffers_sparse(&ring_, kRegisteredBuffersMax) == 0;
  std::array<int, kRegisteredFilesMax> none;
  none.fill(-1);
  // Where this fails RegisterFile fails too, and says so.
  io_uring_register_files(&ring_, none.data(), none.size());
}

bool Ring::MakeRoom(uint32_t n) {
  return outstanding_ + n <= outstanding_max_ && MakeSubmissionRoom(n);
}

bool Ring::MakeRoomForWake() { return MakeSubmissionRoom(1); }

bool Ring::MakeSubmissionRoom(uint32_t n) {
  if (io_uring_sq_space_left(&ring_) >= n) return true;
  Submit();
  return io_uring_sq_space_left(&ring_) >= n;
}

io_uring_sqe* Ring::Next() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  NEXUS_CHECK(sqe != nullptr);
  outstanding_++;
  return sqe;
}

io_uring_sqe* Ring::NextUncounted() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  NEXUS_CHECK(sqe != nullptr);
  return sqe;
}

uint64_t Ring::Tag(CompletionKind kind, void* pointer) {
  uint64_t address = reinterpret_cast<uint64_t>(pointer);
  NEXUS_CHECK((address & kCompletionKindMask) == 0);
  return address | static_cast<uint64_t>(kind);
}

void Ring::Mark(io_uring_sqe* sqe, CompletionKind kind, void* pointer) {
  io_uring_sqe_set_data64(sqe, Tag(kind, pointer));
}

// The kernel may stop between the two halves of a pair when it has no memory for the second. It
// would then run the sync as if it stood alone, maybe before the write; a descriptor that does not
// exist makes it fail instead, which the caller takes as a failed sync (D3).
void Ring::SeverOrphanedSync() {
  unsigned head = io_uring_smp_load_acquire(ring_.sq.khead);
  if (head == *ring_.sq.ktail) return;
  io_uring_sqe* next = &ring_.sq.sqes[ring_.sq.array[head & ring_.sq.ring_mask]];
  auto kind = static_cast<CompletionKind>(next->user_data & kCompletionKindMask);
  if (kind == CompletionKind::kLinkedSync) next->fd = -1;
}

void Ring::CheckSubmitted(int result) {
  // EAGAIN, EBUSY, ENOMEM: the kernel lacks memory; what it did not take stays prepared.
  // EINTR, ETIME: the wait ended without a completion.
  NEXUS_CHECK(result >= 0 || result == -EAGAIN || result == -EBUSY || result == -ENOMEM ||
              result == -EINTR || result == -ETIME);
}

void Ring::Submit() {
  SeverOrphanedSync();
  if (io_uring_sq_ready(&ring_) > 0) {
    CheckSubmitted(io_uring_submit_and_get_events(&ring_));
    return;
  }
  unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  if ((flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
    CheckSubmitted(io_uring_get_events(&ring_));
  }
}

void Ring::SubmitAndWait(std::optional<int64_t> timeout_ns) {
  SeverOrphanedSync();
  __kernel_timespec timeout = {};
  if (timeout_ns) {
    timeout.tv_sec = *timeout_ns / kNanosPerSecond;
    timeout.tv_nsec = *timeout_ns % kNanosPerSecond;
  }
  io_uring_cqe* first = nullptr;
  CheckSubmitted(io_uring_submit_and_wait_timeout(&ring_, &first, 1,
                                                  timeout_ns ? &timeout : nullptr, nullptr));
}

size_t Ring::Reap(std::span<Completion> into) {
  std::array<io_uring_cqe*, 64> arrived;
  unsigned wanted = static_cast<unsigned>(std::min(into.size(), arrived.size()));
  unsigned count = io_uring_peek_batch_cqe(&ring_, arrived.data(), wanted);
  for (unsigned i = 0; i < count; i++) {
    uint64_t data = io_uring_cqe_get_data64(arrived[i]);
    into[i] = Completion{static_cast<CompletionKind>(data & kCompletionKindMask),
                         reinterpret_cast<void*>(data & ~kCompletionKindMask), arrived[i]->res,
                         arrived[i]->flags};
    if (into[i].kind != CompletionKind::kPeerCall) outstanding_--;
  }
  io_uring_cq_advance(&ring_, count);
  return count;
}

void Ring::RegisterBuffer(MutableBytes buffer) {
  if (!has_buffer_table_ || buffer.empty() || buffer.size() > kRegisteredBufferBytesMax) return;
  auto free_slot = std::find(buffer_slot_used_.begin(), buffer_slot_used_.end(), false);
  if (free_slot == buffer_slot_used_.end()) return;
  auto slot = static_cast<uint16_t>(std::distance(buffer_slot_used_.begin(), free_slot));
  iovec memory = {buffer.data(), buffer.size()};
  if (io_uring_register_buffers_update_tag(&ring_, slot, &memory, nullptr, 1) != 1) return;
  *free_slot = true;
  RegisteredBuffer registered{buffer.data(), buffer.size(), slot};
  auto after = std::upper_bound(buffers_.begin(), buffers_.end(), registered,
                                [](const auto& a, const auto& b) { return a.begin < b.begin; });
  buffers_.insert(after, registered);
}

void Ring::UnregisterBuffer(MutableBytes buffer) {
  auto found = std::find_if(buffers_.begin(), buffers_.end(), [&](const RegisteredBuffer& b) {
    return b.begin == buffer.data() && b.bytes == buffer.size();
  });
  if (found == buffers_.end()) return;
  iovec nothing = {nullptr, 0};
  int result = io_uring_register_buffers_update_tag(&ring_, found->slot, &nothing, nullptr, 1);
  NEXUS_CHECK(result == 1);
  buffer_slot_used_[found->slot] = false;
  buffers_.erase(found);
}

int Ring::RegisteredSlot(Bytes bytes) const {
  auto after =
      std::upper_bound(buffers_.begin(), buffers_.end(), bytes.data(),
                       [](const std::byte* at, const RegisteredBuffer& b) { return at < b.begin; });
  if (after == buffers_.begin()) return -1;
  const RegisteredBuffer& candidate = *std::prev(after);
  auto offset = static_cast<uint64_t>(bytes.data() - candidate.begin);
  bool inside = offset < candidate.bytes && bytes.size() <= candidate.bytes - offset;
  return inside ? candidate.slot : -1;
}

int Ring::RegisterFile(int fd) {
  auto free_slot = std::find(file_slot_used_.begin(), file_slot_used_.end(), false);
  if (free_slot == file_slot_used_.end()) return -ENFILE;
  int slot = static_cast<int>(std::distance(file_slot_used_.begin(), free_slot));
  int result = io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &fd, 1);
  if (result < 0) return result;
  *free_slot = true;
  return slot;
}

void Ring::UnregisterFile(int slot) {
  int none = -1;
  int result = io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &none, 1);
  NEXUS_CHECK(result == 1);
  file_slot_used_[static_cast<size_t>(slot)] = false;
}

}  // namespace nexus::io
