// WorkerPool: threads that execute offloaded work, first come first served, and post it back.
//
// With one thread, work runs one at a time and in order (the catalog lane). The queue needs no
// bound of its own: it holds the callers' nodes, and who offloads bounds how much. Threading:
// Submit from any thread. The destructor executes what is queued, then joins.

#ifndef NEXUS_IO_REAL_WORKER_POOL_H_
#define NEXUS_IO_REAL_WORKER_POOL_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "io/executor.h"
#include "io/real/intrusive_queue.h"

namespace nexus::io {

class WorkerPool {
 public:
  // Executed work is posted to `executor`.
  explicit WorkerPool(Executor* executor) : executor_(executor) {}
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Starts the threads, named `name`, at scheduling priority `nice` (0 normal, 19 lowest). Errors:
  // ResourceExhausted if the system has no more threads.
  Status Start(std::string name, int threads, int nice);
  void Submit(Work* work);

 private:
  void ThreadMain(int nice);
  // The next work, or null when there is none and the pool is stopping.
  Work* Take();

  Executor* const executor_;
  std::vector<std::thread> threads_;

  Mutex mutex_;
  CondVar available_;
  IntrusiveQueue<RunNode> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// Starts a thread that takes no signals: those are for the program's own threads.
StatusOr<std::thread> StartThread(std::string name, std::function<void()> body);

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_WORKER_POOL_H_
