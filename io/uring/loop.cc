// Preparing operations and handing out completions. See loop.h.

#include "io/uring/loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>

#include "base/check.h"
#include "io/task.h"

namespace nexus::io {
namespace {

// A result that has not come yet; no operation yields it.
constexpr int64_t kPending = std::numeric_limits<int64_t>::min();

// The kernel moves at most 2 GiB at once; a longer read or write is short.
constexpr uint64_t kTransferBytesMax = uint64_t{1} << 30;

void PrepareRead(const Ring& ring, io_uring_sqe* sqe, int fd, const FileOp& op) {
  auto bytes = static_cast<unsigned>(std::min<uint64_t>(op.buffer.size(), kTransferBytesMax));
  int slot = ring.RegisteredSlot(op.buffer);
  if (slot >= 0) {
    io_uring_prep_read_fixed(sqe, fd, op.buffer.data(), bytes, op.offset, slot);
  } else {
    io_uring_prep_read(sqe, fd, op.buffer.data(), bytes, op.offset);
  }
}

void PrepareWrite(const Ring& ring, io_uring_sqe* sqe, int fd, const FileOp& op) {
  auto bytes = static_cast<unsigned>(std::min<uint64_t>(op.buffer.size(), kTransferBytesMax));
  int slot = ring.RegisteredSlot(op.buffer);
  if (slot >= 0) {
    io_uring_prep_write_fixed(sqe, fd, op.buffer.data(), bytes, op.offset, slot);
  } else {
    io_uring_prep_write(sqe, fd, op.buffer.data(), bytes, op.offset);
  }
}

}  // namespace

Status UringLoop::Start(Options options) {
  options_ = options;
  return StartThreads(options.workers);
}

Status UringLoop::Open() {
  // The ring belongs to the thread that opens it (SINGLE_ISSUER).
  NEXUS_ASSIGN_OR_RETURN(ring_, Ring::Open(options_.ring_entries, options_.setup_flags_allowed));
  return OkStatus();
}

void UringLoop::Submit(FileOp* op, OpenHandle* handle) {
  op->result = kPending;
  op->sync_result = kPending;
  op->backend = handle;
  // Behind others that wait, also if there is room again: first come, first served.
  if (!waiting_ops_.empty() || !PrepareOp(op)) waiting_ops_.Push(op);
}

void UringLoop::Submit(RingCall* call) {
  if (!waiting_calls_.empty() || !PrepareCall(call)) waiting_calls_.Push(call);
}

void UringLoop::Submit(PeerCall* call) {
  if (!waiting_peer_calls_.empty() || !PrepareCall(call)) waiting_peer_calls_.Push(call);
}

bool UringLoop::PrepareOp(FileOp* op) {
  auto* handle = static_cast<OpenHandle*>(op->backend);
  bool linked = op->kind == FileOp::Kind::kWriteThenSync;
  if (!ring_->MakeRoom(linked ? 2 : 1)) return false;
  // On a handle whose sync failed all but reads fail, by a descriptor that does not exist.
  int fd = handle->Takes(op->kind) ? handle->fd : -1;
  io_uring_sqe* sqe = ring_->Next();
  switch (op->kind) {
    case FileOp::Kind::kRead:
      PrepareRead(*ring_, sqe, fd, *op);
      break;
    case FileOp::Kind::kWrite:
      PrepareWrite(*ring_, sqe, fd, *op);
      break;
    case FileOp::Kind::kSync:
      io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
      break;
    case FileOp::Kind::kWriteThenSync:
      NEXUS_CHECK(op->buffer.size() <= kTransferBytesMax);
      PrepareWrite(*ring_, sqe, fd, *op);
      sqe->flags |= IOSQE_IO_LINK;
      break;
  }
  Ring::Mark(sqe, CompletionKind::kFileOp, op);
  if (!linked) {
    op->sync_result = 0;
    return true;
  }
  sqe = ring_->Next();
  io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
  Ring::Mark(sqe, CompletionKind::kLinkedSync, op);
  return true;
}

bool UringLoop::PrepareCall(RingCall* call) {
  if (!ring_->MakeRoom(1)) return false;
  io_uring_sqe* sqe = ring_->Next();
  call->prepare(call, sqe);
  Ring::Mark(sqe, CompletionKind::kCall, call);
  return true;
}

bool UringLoop::PrepareCall(PeerCall* call) {
  if (!ring_->MakeRoomForUncounted()) return false;
  io_uring_sqe* sqe = ring_->NextUncounted();
  call->prepare(call, sqe);
  Ring::Mark(sqe, CompletionKind::kPeerCall, call);
  return true;
}

void UringLoop::HandOutCompletions() {
  // At most as many as can be outstanding: what is submitted meanwhile waits for the next turn.
  std::array<Completion, 64> arrived;
  size_t rounds = *ring_->raw()->cq.kring_entries / arrived.size() + 1;
  for (size_t count = arrived.size(); rounds > 0 && count == arrived.size(); rounds--) {
    count = ring_->Reap(arrived);
    for (size_t i = 0; i < count; i++) HandOut(arrived[i]);
  }
}

void UringLoop::HandOut(const Completion& completion) {
  ResetTransferDepth();
  if (completion.kind == CompletionKind::kWake) {
    wake_prepared_ = false;
    return;
  }
  if (completion.kind == CompletionKind::kCall) {
    auto* call = static_cast<RingCall*>(completion.pointer);
    call->complete(call, completion.result);
    return;
  }
  if (completion.kind == CompletionKind::kPeerCall) {
    auto* call = static_cast<PeerCall*>(completion.pointer);
    call->complete(call, completion.result, completion.flags);
    return;
  }
  HandOutOp(completion);
}

void UringLoop::HandOutOp(const Completion& completion) {
  auto* op = static_cast<FileOp*>(completion.pointer);
  auto* handle = static_cast<OpenHandle*>(op->backend);
  bool linked_sync = completion.kind == CompletionKind::kLinkedSync;
  int64_t result = completion.result;
  if (linked_sync || op->kind == FileOp::Kind::kSync) result = handle->SyncResult(result);
  if (result == -EBADF && handle->sync_failed) result = -EIO;
  (linked_sync ? op->sync_result : op->result) = result;
  if (op->result != kPending && op->sync_result != kPending) op->done(op);
}

void UringLoop::SubmitWaiting() {
  while (!waiting_ops_.empty() && PrepareOp(waiting_ops_.front())) waiting_ops_.Pop();
  while (!waiting_calls_.empty() && PrepareCall(waiting_calls_.front())) waiting_calls_.Pop();
  while (!waiting_peer_calls_.empty() && PrepareCall(waiting_peer_calls_.front())) {
    waiting_peer_calls_.Pop();
  }
}

bool UringLoop::PrepareWake() {
  if (wake_prepared_) return true;
  if (!ring_->MakeRoomForWake()) return false;
  io_uring_sqe* sqe = ring_->Next();
  io_uring_prep_read(sqe, wake_fd(), &wake_count_, sizeof(wake_count_), 0);
  Ring::Mark(sqe, CompletionKind::kWake, nullptr);
  wake_prepared_ = true;
  return true;
}

void UringLoop::SubmitPrepared(bool sleep, std::optional<int64_t> timeout_ns) {
  if (sleep) {
    ring_->SubmitAndWait(timeout_ns);
  } else {
    ring_->Submit();
  }
}

}  // namespace nexus::io
