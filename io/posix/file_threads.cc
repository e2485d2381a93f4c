// Executing file operations. See file_threads.h.

#include "io/posix/file_threads.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "io/task.h"

namespace nexus::io {
namespace {

int64_t Result(ssize_t of_call) { return of_call < 0 ? -errno : of_call; }

int64_t ReadNow(const PosixHandle& handle, const FileOp& op) {
  return Result(
      pread(handle.fd, op.buffer.data(), op.buffer.size(), static_cast<off_t>(op.offset)));
}

int64_t WriteNow(const PosixHandle& handle, const FileOp& op) {
  if (handle.sync_failed) return -EIO;
  return Result(
      pwrite(handle.fd, op.buffer.data(), op.buffer.size(), static_cast<off_t>(op.offset)));
}

int64_t SyncNow(PosixHandle* handle) {
  MutexLock lock(&handle->syncing);
  if (handle->sync_failed) return -EIO;
  int64_t result = Result(fdatasync(handle->fd));
  if (result < 0) handle->sync_failed = true;
  return result;
}

void Execute(FileOp* op) {
  auto* handle = static_cast<PosixHandle*>(op->backend);
  switch (op->kind) {
    case FileOp::Kind::kRead:
      op->result = ReadNow(*handle, *op);
      return;
    case FileOp::Kind::kWrite:
      op->result = WriteNow(*handle, *op);
      return;
    case FileOp::Kind::kSync:
      op->result = SyncNow(handle);
      return;
    case FileOp::Kind::kWriteThenSync:
      break;
  }
  op->result = WriteNow(*handle, *op);
  bool whole = op->result == static_cast<int64_t>(op->buffer.size());
  op->sync_result = whole ? SyncNow(handle) : -ECANCELED;
}

}  // namespace

Status FileThreads::Start(int threads) {
  for (int i = 0; i < threads; i++) {
    NEXUS_ASSIGN_OR_RETURN(std::thread thread, StartThread("nexus-file", [this] { ThreadMain(); }));
    threads_.push_back(std::move(thread));
  }
  return OkStatus();
}

FileThreads::~FileThreads() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    available_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void FileThreads::Submit(FileOp* op, PosixHandle* handle) {
  op->backend = handle;
  op->sync_result = 0;
  MutexLock lock(&mutex_);
  ops_.Push(op);
  available_.NotifyOne();
}

void FileThreads::Submit(Work* work) {
  MutexLock lock(&mutex_);
  works_.Push(work);
  available_.NotifyOne();
}

bool FileThreads::Take(FileOp** op, Work** work) {
  MutexLock lock(&mutex_);
  while (ops_.empty() && works_.empty() && !stopping_) available_.Wait(&mutex_);
  *op = ops_.Pop();
  *work = *op == nullptr ? static_cast<Work*>(works_.Pop()) : nullptr;
  return *op != nullptr || *work != nullptr;
}

void FileThreads::ThreadMain() {
  FileOp* op = nullptr;
  Work* work = nullptr;
  while (Take(&op, &work)) {
    if (op != nullptr) {
      Execute(op);
      Completed(op);
    } else {
      work->execute(work);
      loop_->Post(work);
    }
  }
}

void FileThreads::Completed(FileOp* op) {
  MutexLock lock(&completed_mutex_);
  bool first = completed_.empty();
  completed_.Push(op);
  if (first) loop_->Post(&hand_out_);
}

void FileThreads::HandOutCompleted() {
  IntrusiveQueue<FileOp> completed;
  {
    MutexLock lock(&completed_mutex_);
    completed = std::exchange(completed_, {});
  }
  while (FileOp* op = completed.Pop()) {
    ResetTransferDepth();
    op->done(op);
  }
}

}  // namespace nexus::io
