// Mutex, MutexLock, CondVar: std::mutex with Clang's thread-safety annotations.
//
// Not absl::Mutex: ThreadSanitizer cannot see into Debian's prebuilt Abseil and reports false
// races. No lock is held across a coroutine's suspension point.

#ifndef NEXUS_BASE_MUTEX_H_
#define NEXUS_BASE_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace nexus {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  // False if another thread has it.
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class CondVar {
 public:
  // Releases the mutex, sleeps until woken (or for no reason), takes it again.
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

// A one-time event between threads: Wait() returns once Notify() was called.
class Notification {
 public:
  void Notify() {
    // Notifies under the lock: the waiter may destroy this object as soon as it wakes.
    MutexLock lock(&mutex_);
    notified_ = true;
    condition_.NotifyAll();
  }
  void Wait() {
    MutexLock lock(&mutex_);
    while (!notified_) condition_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar condition_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace nexus

#endif  // NEXUS_BASE_MUTEX_H_
