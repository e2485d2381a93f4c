// PosixLoop: the executor of the real world on epoll, where io_uring is refused.
//
// Descriptors are watched edge-triggered, so that watching costs no system call per operation: what
// watches one notes the event and works from a node of its own, until the system says EAGAIN. The
// wake is an eventfd, the next timer a timerfd, since epoll's own time-out is coarse.
// Failure: Start returns a status. Threading: see io/real/loop.h.

#ifndef NEXUS_IO_POSIX_POSIX_LOOP_H_
#define NEXUS_IO_POSIX_POSIX_LOOP_H_

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <optional>

#include "base/status.h"
#include "io/real/loop.h"

namespace nexus::io {

// Who is told what happened to a descriptor.
class Watcher {
 public:
  // Only notes it and schedules a node: events of others of the same turn follow.
  virtual void OnEvents(uint32_t events) = 0;

 protected:
  ~Watcher() = default;
};

class PosixLoop : public RealLoop {
 public:
  PosixLoop() = default;
  // Stops. REQUIRES: no operation in flight.
  ~PosixLoop() override { Stop(); }

  Status Start(int workers) { return StartThreads(workers); }

  // 0 or -errno (-ENOMEM, -ENOSPC: too many are watched). `events` as EPOLLIN | EPOLLOUT.
  int Watch(int fd, uint32_t events, Watcher* watcher);
  // REQUIRES: watched.
  void Unwatch(int fd);

 protected:
  Status Open() override;
  void Close() override;
  void HandOutCompletions() override;
  void SubmitWaiting() override {}
  bool PrepareWake() override { return true; }
  void SubmitPrepared(bool sleep, std::optional<int64_t> timeout_ns) override;

 private:
  // What one call brings; more wait for the next turn.
  static constexpr int kEventsMax = 64;

  void SetAlarm(int64_t in_ns);

  // The loop's thread.
  int epoll_fd_ = -1;
  int timer_fd_ = -1;
  std::array<epoll_event, kEventsMax> events_;
  int event_count_ = 0;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_POSIX_POSIX_LOOP_H_
