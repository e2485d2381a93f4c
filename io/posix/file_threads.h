// FileThreads: the threads that read, write and sync files where there is no io_uring.
//
// Operations start in the order they were submitted and complete in any (D10). kWriteThenSync is a
// write and then a sync on one thread, so its sync covers its write (D2). Syncs of one file run one
// after the other: the kernel tells a failed write-back to one sync only, and a second sync beside
// it could report success first (D3).
// The queues need no bound of their own: they hold the callers' nodes. Nothing is allocated.
// Threading: Submit from the loop's thread; completions come there. The destructor executes what is
// queued, then joins.

#ifndef NEXUS_IO_POSIX_FILE_THREADS_H_
#define NEXUS_IO_POSIX_FILE_THREADS_H_

#include <atomic>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "io/file.h"
#include "io/real/intrusive_queue.h"
#include "io/real/loop.h"

namespace nexus::io {

// An open file as its threads know it.
struct PosixHandle {
  explicit PosixHandle(int opened) : fd(opened) {}
  const int fd;
  Mutex syncing;  // held during each sync
  std::atomic<bool> sync_failed = false;
};

class FileThreads {
 public:
  explicit FileThreads(RealLoop* loop) : loop_(loop), hand_out_(this) {}
  ~FileThreads();
  FileThreads(const FileThreads&) = delete;
  FileThreads& operator=(const FileThreads&) = delete;

  // Errors: ResourceExhausted if the system has no more threads.
  Status Start(int threads);
  void Submit(FileOp* op, PosixHandle* handle);
  // Executes it here instead of on a worker: what waits for the disk waits behind no computing.
  void Submit(Work* work);

 private:
  struct HandOut : RunNode {
    explicit HandOut(FileThreads* from) : RunNode(&Run), threads(from) {}
    static void Run(RunNode* node) { static_cast<HandOut*>(node)->threads->HandOutCompleted(); }
    FileThreads* threads;
  };

  void ThreadMain();
  // Waits for something to do; false if there is nothing and the threads are to end.
  bool Take(FileOp** op, Work** work);
  void Completed(FileOp* op);
  void HandOutCompleted();

  RealLoop* const loop_;
  HandOut hand_out_;
  std::vector<std::thread> threads_;

  Mutex mutex_;
  CondVar available_;
  IntrusiveQueue<FileOp> ops_ ABSL_GUARDED_BY(mutex_);
  IntrusiveQueue<RunNode> works_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  Mutex completed_mutex_;
  // While it holds something, hand_out_ is posted.
  IntrusiveQueue<FileOp> completed_ ABSL_GUARDED_BY(completed_mutex_);
};

}  // namespace nexus::io

#endif  // NEXUS_IO_POSIX_FILE_THREADS_H_
