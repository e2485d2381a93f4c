// The turns of the loop. See loop.h.

#include "io/uring/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>

#include "base/check.h"
#include "io/real.h"
#include "io/task.h"

namespace nexus::io {
namespace {

// A result that has not come yet; no operation yields it.
constexpr int64_t kPending = std::numeric_limits<int64_t>::min();

// The kernel moves at most 2 GiB at once; a longer read or write is short.
constexpr uint64_t kTransferBytesMax = uint64_t{1} << 30;

// Lowest priority: an ack shares its core with a worker almost for free (151 us against 147 us with
// a worker at normal priority and 188 us alone, but p99 217 us against 1011 us).
constexpr int kWorkerNice = 19;

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
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  if (wake_fd_ < 0) return ErrnoStatus(errno, "create", "eventfd");
  workers_ = std::make_unique<WorkerPool>(this);
  NEXUS_RETURN_IF_ERROR(workers_->Start("nexus-worker", options.workers, kWorkerNice));
  catalog_ = std::make_unique<WorkerPool>(this);
  NEXUS_RETURN_IF_ERROR(catalog_->Start("nexus-catalog", 1, 0));
  Status opened;
  Notification started;
  NEXUS_ASSIGN_OR_RETURN(
      thread_, StartThread("nexus-loop", [&, this] { ThreadMain(options, &opened, &started); }));
  started.Wait();
  if (!opened.ok()) thread_.join();
  return opened;
}

void UringLoop::Stop() {
  struct StopNode : RunNode {
    explicit StopNode(UringLoop* stopped) : RunNode(&Run), loop(stopped) {}
    static void Run(RunNode* node) { static_cast<StopNode*>(node)->loop->stopping_ = true; }
    UringLoop* loop;
  };
  if (thread_.joinable()) {
    NEXUS_CHECK(thread_.get_id() != std::this_thread::get_id());
    StopNode stop(this);
    Post(&stop);
    thread_.join();
  }
  workers_.reset();
  catalog_.reset();
  if (wake_fd_ >= 0) close(std::exchange(wake_fd_, -1));
}

void UringLoop::ThreadMain(Options options, Status* opened, Notification* started) {
  // The ring belongs to the thread that opens it (SINGLE_ISSUER).
  StatusOr<std::unique_ptr<Ring>> ring =
      Ring::Open(options.ring_entries, options.setup_flags_allowed);
  *opened = ring.status();
  bool ok = ring.ok();
  if (ok) ring_ = std::move(*ring);
  started->Notify();
  if (!ok) return;
  SetCurrent(this);
  RunTurns();
  SetCurrent(nullptr);
  ring_.reset();
}

int64_t UringLoop::MonotonicNanos() const { return RealMonotonicNanos(); }

void UringLoop::Post(RunNode* node) {
  if (!mailbox_.Push(node)) return;
  uint64_t one = 1;
  ssize_t written = write(wake_fd_, &one, sizeof(one));
  NEXUS_CHECK(written == sizeof(one));
}

void UringLoop::Offload(Work* work) {
  (work->lane == Lane::kCatalog ? catalog_ : workers_)->Submit(work);
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

bool UringLoop::PrepareOp(FileOp* op) {
  auto* handle = static_cast<OpenHandle*>(op->backend);
  bool linked = op->kind == FileOp::Kind::kWriteThenSync;
  if (!ring_->MakeRoom(linked ? 2 : 1)) return false;
  // On a handle whose sync failed all but reads fail, by a descriptor that does not exist.
  bool usable = !handle->sync_failed || op->kind == FileOp::Kind::kRead;
  int fd = usable ? handle->fd : -1;
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

void UringLoop::RunTurns() {
  while (true) {
    TakePosted();
    HandOutCompletions();
    FireTimers();
    RunReady();
    SubmitWaiting();
    if (stopping_ && ready_.empty() && mailbox_.empty()) return;
    SubmitOrSleep();
  }
}

void UringLoop::TakePosted() {
  RunNode* node = mailbox_.TakeAll();
  while (node != nullptr) {
    RunNode* following = node->next;
    ready_.Push(node);
    node = following;
  }
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
  HandOutOp(completion);
}

void UringLoop::HandOutOp(const Completion& completion) {
  auto* op = static_cast<FileOp*>(completion.pointer);
  auto* handle = static_cast<OpenHandle*>(op->backend);
  bool linked_sync = completion.kind == CompletionKind::kLinkedSync;
  int64_t result = completion.result;
  if (linked_sync || op->kind == FileOp::Kind::kSync) {
    // Cancelled is not failed: the write before it was not whole.
    if (result < 0 && result != -ECANCELED) handle->sync_failed = true;
    if (result == 0 && handle->sync_failed) result = -EIO;
  }
  if (result == -EBADF && handle->sync_failed) result = -EIO;
  (linked_sync ? op->sync_result : op->result) = result;
  if (op->result != kPending && op->sync_result != kPending) op->done(op);
}

void UringLoop::FireTimers() {
  if (timers_.first() == nullptr) return;
  int64_t now = MonotonicNanos();
  uint64_t last = timers_.sequence();
  // A timer that is armed meanwhile waits for the next turn, so that the others get theirs.
  while (Timer* timer = timers_.first()) {
    if (timer->deadline_ns > now || timer->sequence > last) return;
    timers_.Remove(timer);
    ResetTransferDepth();
    timer->run(timer);
  }
}

void UringLoop::RunReady() {
  IntrusiveQueue<RunNode> batch = std::exchange(ready_, {});
  while (RunNode* node = batch.Pop()) {
    ResetTransferDepth();
    node->run(node);
  }
}

void UringLoop::SubmitWaiting() {
  while (!waiting_ops_.empty() && PrepareOp(waiting_ops_.front())) waiting_ops_.Pop();
  while (!waiting_calls_.empty() && PrepareCall(waiting_calls_.front())) waiting_calls_.Pop();
}

void UringLoop::PrepareWake() {
  if (wake_prepared_ || !ring_->MakeRoomForWake()) return;
  io_uring_sqe* sqe = ring_->Next();
  io_uring_prep_read(sqe, wake_fd_, &wake_count_, sizeof(wake_count_), 0);
  Ring::Mark(sqe, CompletionKind::kWake, nullptr);
  wake_prepared_ = true;
}

void UringLoop::SubmitOrSleep() {
  PrepareWake();
  std::optional<int64_t> timeout_ns;
  if (Timer* first = timers_.first()) timeout_ns = first->deadline_ns - MonotonicNanos();
  bool due = timeout_ns && *timeout_ns <= 0;
  if (ready_.empty() && wake_prepared_ && !due && mailbox_.TrySleep()) {
    ring_->SubmitAndWait(timeout_ns);
  } else {
    ring_->Submit();
  }
}

}  // namespace nexus::io
