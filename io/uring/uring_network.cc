// Accepting and connecting on the ring. See uring_network.h.

#include "io/uring/uring_network.h"

#include <cerrno>
#include <coroutine>

#include "io/uring/peer_cancel.h"
#include "io/uring/uring_stream.h"

namespace nexus::io {
namespace {

class UringListener : public ListenerCore {
 public:
  UringListener(UringNetwork* network, int fd, AcceptHandler* handler)
      : ListenerCore(network->loop(), fd, handler),
        network_(network),
        cancel_(network->loop(), &accept_, &OnCancelled, this) {}

 protected:
  void Drive() override {
    if (accepting_ || cancel_.under_way()) return;
    accepting_ = true;
    network_->loop()->Submit(&accept_);
  }
  void CancelInFlight() override {
    if (accepting_) cancel_.Start();
  }
  bool InFlight() const override { return accepting_ || cancel_.under_way(); }
  std::unique_ptr<Stream> Adopt(int fd) override {
    return std::make_unique<RealStream>(network_->MakeStream(fd));
  }

 private:
  struct Accept : PeerCall {
    explicit Accept(UringListener* on) : PeerCall(&Prepare, &Complete), listener(on) {}
    static void Prepare(PeerCall* call, io_uring_sqe* sqe) {
      UringListener* listener = static_cast<Accept*>(call)->listener;
      listener->multishot_ = listener->network_->has(NetworkFeature::kMultishotAccept);
      if (listener->multishot_) {
        io_uring_prep_multishot_accept(sqe, listener->fd(), nullptr, nullptr, SOCK_CLOEXEC);
      } else {
        io_uring_prep_accept(sqe, listener->fd(), nullptr, nullptr, SOCK_CLOEXEC);
      }
    }
    static void Complete(PeerCall* call, int result, uint32_t cqe_flags) {
      static_cast<Accept*>(call)->listener->Completed(result, cqe_flags);
    }
    UringListener* listener;
  };

  static void OnCancelled(void* listener) { static_cast<UringListener*>(listener)->Kick(); }

  void Completed(int result, uint32_t cqe_flags) {
    if ((cqe_flags & IORING_CQE_F_MORE) == 0) {
      accepting_ = false;
      cancel_.TargetEnded();
      Kick();
    }
    if (result == -EINVAL && multishot_ && !closed()) {
      network_->Lacks(NetworkFeature::kMultishotAccept);
      return;
    }
    Accepted(result);
  }

  UringNetwork* const network_;
  Accept accept_{this};
  PeerCancel cancel_;
  bool accepting_ = false;
  bool multishot_ = false;  // the accept in flight
};

// Awaitable: connects, or gives up at the deadline.
class Connecting : PeerCall {
 public:
  Connecting(UringLoop* loop, int fd, const SocketAddress* to, int64_t deadline_ns)
      : PeerCall(&FillIn, &Complete),
        loop_(loop),
        fd_(fd),
        to_(to),
        deadline_ns_(deadline_ns),
        cancel_(loop, this, &Answered, this),
        timer_(&cancel_) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    loop_->Submit(this);
    loop_->StartTimer(&timer_, deadline_ns_);
  }
  int await_resume() const { return result_; }

 private:
  struct Deadline : Timer {
    explicit Deadline(PeerCancel* started) : Timer(&Over), cancel(started) {}
    static void Over(RunNode* node) {
      static_cast<Deadline*>(static_cast<Timer*>(node))->cancel->Start();
    }
    PeerCancel* cancel;
  };

  static void FillIn(PeerCall* call, io_uring_sqe* sqe) {
    auto* self = static_cast<Connecting*>(call);
    io_uring_prep_connect(sqe, self->fd_, self->to_->get(), self->to_->bytes);
  }
  static void Complete(PeerCall* call, int result, uint32_t) {
    auto* self = static_cast<Connecting*>(call);
    self->result_ = result == -ECANCELED ? -ETIMEDOUT : result;
    self->cancel_.TargetEnded();
    self->loop_->CancelTimer(&self->timer_);
    self->ended_ = true;
    Answered(self);
  }
  static void Answered(void* connecting) {
    auto* self = static_cast<Connecting*>(connecting);
    if (self->ended_ && !self->cancel_.under_way()) self->waiter_.resume();
  }

  UringLoop* const loop_;
  const int fd_;
  const SocketAddress* const to_;
  const int64_t deadline_ns_;
  PeerCancel cancel_;
  Deadline timer_;
  std::coroutine_handle<> waiter_;
  int result_ = 0;
  bool ended_ = false;
};

}  // namespace

StreamCore* UringNetwork::MakeStream(int fd) {
  PrepareBuffers();
  return new UringStream(this, fd);
}

ListenerCore* UringNetwork::MakeListener(int fd, AcceptHandler* handler) {
  return new UringListener(this, fd, handler);
}

Task<int> UringNetwork::ConnectSocket(int fd, SocketAddress to, int64_t deadline_ns) {
  int result = co_await Connecting(loop_, fd, &to, deadline_ns);
  co_return result;
}

void UringNetwork::PrepareBuffers() {
  if (prepared_) return;
  prepared_ = true;
  if (has(NetworkFeature::kProvidedBuffers)) buffers_ = BufferRing::Register(loop_->ring()->raw());
  if (buffers_ == nullptr) scratch_ = AlignedBuffer(BufferRing::kBufferBytes);
}

}  // namespace nexus::io
