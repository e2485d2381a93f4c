// The turns of the loop. See loop.h.

#include "io/real/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "io/real.h"
#include "io/task.h"

namespace nexus::io {
namespace {

// Lowest priority: an ack shares its core with a worker almost for free (151 us against 147 us with
// a worker at normal priority and 188 us alone, but p99 217 us against 1011 us).
constexpr int kWorkerNice = 19;

}  // namespace

Status RealLoop::StartThreads(int workers) {
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  if (wake_fd_ < 0) return ErrnoStatus(errno, "create", "eventfd");
  workers_ = std::make_unique<WorkerPool>(this);
  NEXUS_RETURN_IF_ERROR(workers_->Start("nexus-worker", workers, kWorkerNice));
  queries_ = std::make_unique<WorkerPool>(this);
  NEXUS_RETURN_IF_ERROR(queries_->Start("nexus-query", workers, 0));
  catalog_ = std::make_unique<WorkerPool>(this);
  NEXUS_RETURN_IF_ERROR(catalog_->Start("nexus-catalog", 1, 0));
  Status opened;
  Notification started;
  NEXUS_ASSIGN_OR_RETURN(thread_,
                         StartThread("nexus-loop", [&, this] { ThreadMain(&opened, &started); }));
  started.Wait();
  if (!opened.ok()) thread_.join();
  return opened;
}

void RealLoop::Stop() {
  struct StopNode : RunNode {
    explicit StopNode(RealLoop* stopped) : RunNode(&Run), loop(stopped) {}
    static void Run(RunNode* node) { static_cast<StopNode*>(node)->loop->stopping_ = true; }
    RealLoop* loop;
  };
  if (thread_.joinable()) {
    NEXUS_CHECK(thread_.get_id() != std::this_thread::get_id());
    StopNode stop(this);
    Post(&stop);
    thread_.join();
  }
  workers_.reset();
  queries_.reset();
  catalog_.reset();
}

// Not at Stop: a backend's own threads may still be between the two halves of their last Post.
RealLoop::~RealLoop() {
  if (wake_fd_ >= 0) close(wake_fd_);
}

void RealLoop::ThreadMain(Status* opened, Notification* started) {
  *opened = Open();
  bool ok = opened->ok();
  started->Notify();
  if (!ok) return;
  SetCurrent(this);
  RunTurns();
  SetCurrent(nullptr);
  Close();
}

int64_t RealLoop::MonotonicNanos() const { return RealMonotonicNanos(); }

void RealLoop::Post(RunNode* node) {
  if (!mailbox_.Push(node)) return;
  uint64_t one = 1;
  ssize_t written = write(wake_fd_, &one, sizeof(one));
  NEXUS_CHECK(written == sizeof(one));
}

void RealLoop::Offload(Work* work) {
  switch (work->lane) {
    case Lane::kWorker:
      return workers_->Submit(work);
    case Lane::kQuery:
      return queries_->Submit(work);
    case Lane::kCatalog:
      return catalog_->Submit(work);
  }
}

void RealLoop::RunTurns() {
  while (true) {
    TakePosted();
    HandOutCompletions();
    FireTimers();
    RunReady();
    SubmitWaiting();
    if (stopping_ && holds_ == 0 && ready_.empty() && mailbox_.empty()) return;
    SubmitOrSleep();
  }
}

void RealLoop::TakePosted() {
  RunNode* node = mailbox_.TakeAll();
  while (node != nullptr) {
    RunNode* following = node->next;
    ready_.Push(node);
    node = following;
  }
}

void RealLoop::FireTimers() {
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

void RealLoop::RunReady() {
  IntrusiveQueue<RunNode> batch = std::exchange(ready_, {});
  while (RunNode* node = batch.Pop()) {
    ResetTransferDepth();
    node->run(node);
  }
}

void RealLoop::SubmitOrSleep() {
  bool wakeable = PrepareWake();
  std::optional<int64_t> timeout_ns;
  if (Timer* first = timers_.first()) timeout_ns = first->deadline_ns - MonotonicNanos();
  bool due = timeout_ns && *timeout_ns <= 0;
  bool sleep = ready_.empty() && wakeable && !due && mailbox_.TrySleep();
  SubmitPrepared(sleep, timeout_ns);
}

}  // namespace nexus::io
