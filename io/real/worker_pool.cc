// Threads, their names and priorities. See worker_pool.h.

#include "io/real/worker_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <system_error>
#include <utility>

#include "io/task.h"

namespace nexus::io {
namespace {

// Blocks all signals for its lifetime; threads started meanwhile inherit that.
class SignalBlock {
 public:
  SignalBlock() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

StatusOr<std::thread> StartThread(std::string name, std::function<void()> body) {
  SignalBlock block;
  try {
    std::thread thread(std::move(body));
    // The name is for people; the kernel takes at most 15 bytes and a failure harms nobody.
    pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
    return thread;
  } catch (const std::system_error& error) {
    return ResourceExhausted("start thread {}: {}", name, error.what());
  }
}

WorkerPool::~WorkerPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    available_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

Status WorkerPool::Start(std::string name, int threads, int nice) {
  for (int i = 0; i < threads; i++) {
    NEXUS_ASSIGN_OR_RETURN(std::thread thread,
                           StartThread(name, [this, nice] { ThreadMain(nice); }));
    threads_.push_back(std::move(thread));
  }
  return OkStatus();
}

void WorkerPool::Submit(Work* work) {
  MutexLock lock(&mutex_);
  queue_.Push(work);
  available_.NotifyOne();
}

Work* WorkerPool::Take() {
  MutexLock lock(&mutex_);
  while (queue_.empty() && !stopping_) available_.Wait(&mutex_);
  return static_cast<Work*>(queue_.Pop());
}

void WorkerPool::ThreadMain(int nice) {
  // On Linux a priority belongs to the thread. Lowering one's own is always permitted.
  if (nice != 0) setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice);
  while (Work* work = Take()) {
    work->execute(work);
    executor_->Post(work);
  }
}

}  // namespace nexus::io
