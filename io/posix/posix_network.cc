// Accepting and connecting without waiting. See posix_network.h.

#include "io/posix/posix_network.h"

#include <sys/socket.h>

#include <cerrno>
#include <coroutine>
#include <memory>
#include <utility>

#include "io/posix/posix_stream.h"

namespace nexus::io {
namespace {

class PosixListener : public ListenerCore, private Watcher {
 public:
  PosixListener(PosixNetwork* network, PosixLoop* loop, int fd, AcceptHandler* handler)
      : ListenerCore(loop, fd, handler), network_(network), posix_loop_(loop) {}

 protected:
  void Drive() override {
    if (!watched_ && !StartWatching()) return;
    for (int i = 0; i < kAcceptsPerTurn && WantsAccept() && acceptable_; i++) {
      int accepted = accept4(this->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      acceptable_ = accepted >= 0 || errno != EAGAIN;
      if (acceptable_) Accepted(accepted >= 0 ? accepted : -errno);
    }
    if (WantsAccept() && acceptable_) Kick();
  }
  void CancelInFlight() override {
    if (std::exchange(watched_, false)) posix_loop_->Unwatch(fd());
  }
  bool InFlight() const override { return false; }
  std::unique_ptr<Stream> Adopt(int fd) override {
    return std::make_unique<RealStream>(network_->MakeStream(fd));
  }

 private:
  // So that those who are connected get their turn.
  static constexpr int kAcceptsPerTurn = 64;

  // Where the machine lacks the memory for it, it is tried again after the pause for such.
  bool StartWatching() {
    int error = posix_loop_->Watch(fd(), EPOLLIN, this);
    watched_ = error == 0;
    if (error != 0) Accepted(error);
    return watched_;
  }
  void OnEvents(uint32_t) override {
    acceptable_ = true;
    Kick();
  }

  PosixNetwork* const network_;
  PosixLoop* const posix_loop_;
  bool watched_ = false;
  bool acceptable_ = true;
};

// Awaitable: waits until the connecting of a socket is over, or the deadline.
class Connecting : private Watcher {
 public:
  Connecting(PosixLoop* loop, int fd, int64_t deadline_ns)
      : loop_(loop), fd_(fd), deadline_ns_(deadline_ns), deadline_(this), over_(this) {}
  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    result_ = loop_->Watch(fd_, EPOLLOUT, this);
    if (result_ != 0) return false;
    loop_->StartTimer(&deadline_, deadline_ns_);
    return true;
  }
  int await_resume() const { return result_; }

 private:
  struct Deadline : Timer {
    explicit Deadline(Connecting* waiting) : Timer(&Run), connecting(waiting) {}
    static void Run(RunNode* node) {
      static_cast<Deadline*>(static_cast<Timer*>(node))->connecting->End(-ETIMEDOUT);
    }
    Connecting* connecting;
  };
  struct Over : RunNode {
    explicit Over(Connecting* waiting) : RunNode(&Run), connecting(waiting) {}
    static void Run(RunNode* node) { static_cast<Over*>(node)->connecting->waiter_.resume(); }
    Connecting* connecting;
  };

  void OnEvents(uint32_t) override {
    int error = 0;
    socklen_t bytes = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &bytes);
    loop_->CancelTimer(&deadline_);
    End(-error);
  }
  void End(int result) {
    result_ = result;
    loop_->Unwatch(fd_);
    loop_->Schedule(&over_);
  }

  PosixLoop* const loop_;
  const int fd_;
  const int64_t deadline_ns_;
  Deadline deadline_;
  Over over_;
  std::coroutine_handle<> waiter_;
  int result_ = 0;
};

}  // namespace

PosixNetwork::PosixNetwork(PosixLoop* loop) : RealNetwork(loop, SOCK_NONBLOCK), loop_(loop) {}

StreamCore* PosixNetwork::MakeStream(int fd) {
  if (scratch_.size() == 0) scratch_ = AlignedBuffer(kScratchBytes);
  return new PosixStream(loop_, fd, scratch_.span());
}

ListenerCore* PosixNetwork::MakeListener(int fd, AcceptHandler* handler) {
  return new PosixListener(this, loop_, fd, handler);
}

Task<int> PosixNetwork::ConnectSocket(int fd, SocketAddress to, int64_t deadline_ns) {
  if (connect(fd, to.get(), to.bytes) == 0) co_return 0;
  if (errno != EINPROGRESS) co_return -errno;
  int result = co_await Connecting(loop_, fd, deadline_ns);
  co_return result;
}

}  // namespace nexus::io
