// Waiting and waking. See posix_loop.h.

#include "io/posix/posix_loop.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"

namespace nexus::io {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

Status PosixLoop::Open() {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return ErrnoStatus(errno, "create", "epoll");
  timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (timer_fd_ < 0) return ErrnoStatus(errno, "create", "timerfd");
  // Without a watcher: they only end a sleep, which each of their edges does once, unread.
  int error = Watch(wake_fd(), EPOLLIN, nullptr);
  if (error == 0) error = Watch(timer_fd_, EPOLLIN, nullptr);
  return error == 0 ? OkStatus() : ErrnoStatus(-error, "watch", "eventfd");
}

void PosixLoop::Close() {
  close(std::exchange(timer_fd_, -1));
  close(std::exchange(epoll_fd_, -1));
}

int PosixLoop::Watch(int fd, uint32_t events, Watcher* watcher) {
  epoll_event event = {};
  event.events = events | EPOLLET;
  event.data.ptr = watcher;
  return epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void PosixLoop::Unwatch(int fd) {
  epoll_event ignored = {};
  int result = epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, &ignored);
  NEXUS_CHECK(result == 0);
}

void PosixLoop::HandOutCompletions() {
  int count = std::exchange(event_count_, 0);
  for (int i = 0; i < count; i++) {
    const epoll_event& event = events_[static_cast<size_t>(i)];
    if (event.data.ptr != nullptr) static_cast<Watcher*>(event.data.ptr)->OnEvents(event.events);
  }
}

void PosixLoop::SetAlarm(int64_t in_ns) {
  itimerspec alarm = {};
  alarm.it_value.tv_sec = in_ns / kNanosPerSecond;
  alarm.it_value.tv_nsec = in_ns % kNanosPerSecond;
  int result = timerfd_settime(timer_fd_, 0, &alarm, nullptr);
  NEXUS_CHECK(result == 0);
}

void PosixLoop::SubmitPrepared(bool sleep, std::optional<int64_t> timeout_ns) {
  // An alarm of an earlier sleep that is still set wakes once for nothing.
  if (sleep && timeout_ns) SetAlarm(*timeout_ns);
  int count = epoll_wait(epoll_fd_, events_.data(), kEventsMax, sleep ? -1 : 0);
  // EINTR: woken without an event.
  NEXUS_CHECK(count >= 0 || errno == EINTR);
  event_count_ = count < 0 ? 0 : count;
}

}  // namespace nexus::io
