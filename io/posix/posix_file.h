// PosixFile: an open file of the operating system, read and written by FileThreads.
//
// Direct or buffered as File::direct() says; descriptors are closed on exec. Results are the
// kernel's, unchanged but for this: after a failed sync writes and syncs end -EIO (D3).
// Threading: Submit, Allocate and Truncate on the loop's thread; ReadBlocking, Size and the
// destructor on any.

#ifndef NEXUS_IO_POSIX_POSIX_FILE_H_
#define NEXUS_IO_POSIX_POSIX_FILE_H_

#include <coroutine>
#include <cstdint>
#include <string>
#include <utility>

#include "io/file.h"
#include "io/posix/file_threads.h"

namespace nexus::io {

class PosixFile : public File {
 public:
  // Takes over `fd`. `threads` may be null for a file that is only read blocking.
  PosixFile(FileThreads* threads, std::string path, int fd, bool direct)
      : threads_(threads), path_(std::move(path)), direct_(direct), handle_(fd) {}
  ~PosixFile() override;

  const std::string& path() const override { return path_; }
  bool direct() const override { return direct_; }
  void Submit(FileOp* op) override;
  int64_t ReadBlocking(uint64_t offset, MutableBytes into) const override;
  int64_t Size() const override;
  Task<int> Allocate(uint64_t bytes) override;
  Task<int> Truncate(uint64_t bytes) override;

 private:
  FileThreads* const threads_;
  const std::string path_;
  const bool direct_;
  PosixHandle handle_;
};

// Awaitable: runs `function()`, which returns 0 or more or -errno, on a file thread; its result.
template <typename F>
class OnFileThread : Work {
 public:
  OnFileThread(FileThreads* threads, F function)
      : Work(Lane::kWorker, &Execute, &Resume), threads_(threads), function_(std::move(function)) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    threads_->Submit(this);
  }
  int await_resume() const { return result_; }

 private:
  static void Execute(Work* work) {
    auto* self = static_cast<OnFileThread*>(work);
    self->result_ = self->function_();
  }
  static void Resume(RunNode* node) {
    static_cast<OnFileThread*>(static_cast<Work*>(node))->waiter_.resume();
  }
  FileThreads* threads_;
  F function_;
  std::coroutine_handle<> waiter_;
  int result_ = 0;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_POSIX_POSIX_FILE_H_
