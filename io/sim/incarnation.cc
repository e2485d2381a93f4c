// Files, locks and clocks of one simulated process. See incarnation.h.

#include "io/sim/incarnation.h"

#include <array>
#include <utility>

#include "base/check.h"

namespace nexus::sim {
namespace {

// Awaitable: performs an operation that stands in the awaiting frame.
class Performed {
 public:
  explicit Performed(MetadataOp* op) : op_(op) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    op_->waiter = waiter;
    op_->disk->Start(op_);
  }
  void await_resume() const {}

 private:
  MetadataOp* op_;
};

class SimFile : public io::File {
 public:
  SimFile(std::shared_ptr<Life> life, std::shared_ptr<OpenFile> file)
      : life_(std::move(life)), file_(std::move(file)) {}
  ~SimFile() override {
    if (life_->alive) life_->disk->Close(file_.get());
  }

  const std::string& path() const override { return file_->path; }
  bool direct() const override { return file_->direct; }

  void Submit(io::FileOp* op) override {
    NEXUS_CHECK(life_->alive);
    life_->disk->Submit(file_, op, life_->pid);
  }
  int64_t ReadBlocking(uint64_t offset, MutableBytes into) const override {
    NEXUS_CHECK(life_->alive);
    return life_->disk->ReadNow(*file_, offset, into);
  }
  int64_t Size() const override { return static_cast<int64_t>(file_->node->file->size()); }

  io::Task<int> Allocate(uint64_t bytes) override { return Resize(Op::kAllocate, bytes); }
  io::Task<int> Truncate(uint64_t bytes) override { return Resize(Op::kTruncate, bytes); }

 private:
  io::Task<int> Resize(Op kind, uint64_t bytes) {
    NEXUS_CHECK(life_->alive);
    MetadataOp op(life_->disk, kind, file_->path);
    op.file = file_;
    op.bytes = bytes;
    co_await Performed(&op);
    co_return op.error;
  }

  const std::shared_ptr<Life> life_;
  const std::shared_ptr<OpenFile> file_;
};

class SimLock : public io::FileLock {
 public:
  SimLock(std::shared_ptr<Life> life, uint64_t lock_id) : life_(std::move(life)), id_(lock_id) {}
  ~SimLock() override {
    if (life_->alive) life_->disk->Unlock(id_);
  }

 private:
  const std::shared_ptr<Life> life_;
  const uint64_t id_;
};

}  // namespace

io::Task<io::OpenResult> MountedDisk::Open(std::string path, io::OpenFlags flags) {
  NEXUS_CHECK(life_->alive);
  MetadataOp op(life_->disk, flags.create ? Op::kCreate : Op::kOpen, std::move(path));
  op.flags = flags;
  co_await Performed(&op);
  if (op.error != 0) co_return io::OpenResult(op.error, nullptr);
  co_return io::OpenResult(0, std::make_unique<SimFile>(life_, op.file));
}

io::OpenResult MountedDisk::OpenBlocking(std::string path) {
  NEXUS_CHECK(life_->alive);
  int error = 0;
  std::shared_ptr<OpenFile> file = life_->disk->OpenNow(path, &error);
  if (error != 0) return io::OpenResult(error, nullptr);
  return io::OpenResult(0, std::make_unique<SimFile>(life_, std::move(file)));
}

io::Task<int> MountedDisk::PerformOnPath(Op kind, std::string path) {
  NEXUS_CHECK(life_->alive);
  MetadataOp op(life_->disk, kind, std::move(path));
  co_await Performed(&op);
  co_return op.error;
}

io::Task<int> MountedDisk::Rename(std::string from, std::string to) {
  NEXUS_CHECK(life_->alive);
  MetadataOp op(life_->disk, Op::kRename, std::move(from));
  op.to = std::move(to);
  co_await Performed(&op);
  co_return op.error;
}

io::Task<int> MountedDisk::Link(std::string from, std::string to) {
  NEXUS_CHECK(life_->alive);
  MetadataOp op(life_->disk, Op::kLink, std::move(from));
  op.to = std::move(to);
  co_await Performed(&op);
  co_return op.error;
}

io::Task<int> MountedDisk::Unlink(std::string path) {
  return PerformOnPath(Op::kUnlink, std::move(path));
}
io::Task<int> MountedDisk::MakeDirectory(std::string path) {
  return PerformOnPath(Op::kMakeDirectory, std::move(path));
}
io::Task<int> MountedDisk::RemoveDirectory(std::string path) {
  return PerformOnPath(Op::kRemoveDirectory, std::move(path));
}
io::Task<int> MountedDisk::SyncDirectory(std::string path) {
  return PerformOnPath(Op::kSyncDirectory, std::move(path));
}

io::Task<io::ListResult> MountedDisk::List(std::string path) {
  NEXUS_CHECK(life_->alive);
  MetadataOp op(life_->disk, Op::kList, std::move(path));
  co_await Performed(&op);
  co_return io::ListResult(op.error, std::move(op.entries));
}

io::Task<io::LockResult> MountedDisk::Lock(std::string path) {
  NEXUS_CHECK(life_->alive);
  MetadataOp op(life_->disk, Op::kLock, std::move(path));
  op.pid = life_->pid;
  co_await Performed(&op);
  if (op.error != 0) co_return io::LockResult(op.error, op.pid, nullptr);
  co_return io::LockResult(0, op.pid, std::make_unique<SimLock>(life_, op.lock_id));
}

io::Task<io::SpaceResult> MountedDisk::FreeSpace(std::string path) {
  NEXUS_CHECK(life_->alive);
  MetadataOp op(life_->disk, Op::kFreeSpace, std::move(path));
  co_await Performed(&op);
  io::SpaceResult result;
  result.error = op.error;
  result.available_bytes = op.bytes;
  co_return result;
}

int64_t WallClock::Now() {
  constexpr int64_t kSecond = 1'000'000'000;
  constexpr int64_t kHour = 3600 * kSecond;
  constexpr int64_t kDay = 24 * kHour;
  static constexpr std::array<int64_t, 8> kJumps = {-kSecond, kSecond, -kHour,     kHour,
                                                    -kDay,    kDay,    -60 * kDay, 400 * kDay};
  if (faults_->Hits(Fault::kClockJump)) {
    Jump(kJumps[choices_->Choose(StreamOf(Fault::kClockJump), kJumps.size())]);
  }
  return scheduler_->now() + offset_ns_;
}

Incarnation::Incarnation(Scheduler* scheduler, Trace* trace, const Options* options, Disk* disk,
                         sim::Network* network, WallClock* wall, Rng* random, int64_t pid)
    : life_(std::make_shared<Life>(Life{disk, pid})),
      executor_(scheduler, trace, options),
      disk_(life_),
      network_(network, life_),
      wall_(wall),
      random_(random) {}

void Incarnation::Kill() {
  life_->alive = false;
  executor_.Kill();
}

}  // namespace nexus::sim
