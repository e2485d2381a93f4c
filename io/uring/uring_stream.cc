// Receiving, sending and cancelling on the ring. See uring_stream.h.

#include "io/uring/uring_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "io/uring/uring_network.h"

namespace nexus::io {
namespace {

// One receive moves at most what the kernel's int result can say.
constexpr uint64_t kDirectBytesMax = uint64_t{1} << 30;

bool IsRetried(int error) { return error == -EINTR || error == -EAGAIN; }

}  // namespace

UringStream::UringStream(UringNetwork* network, int fd)

    : StreamCore(network->loop(), fd),
      network_(network),
      cancel_receive_(network->loop(), &receive_, &OnCancelled, this),
      cancel_send_(network->loop(), &send_, &OnCancelled, this) {}

void UringStream::OnCancelled(void* stream) { static_cast<UringStream*>(stream)->Kick(); }

void UringStream::Drive() {
  DriveReceiving();
  if (sending_ || !WantsSend()) return;
  size_t count = NextPieces(&pieces_);
  if (count == 0) {
    Sent(0);
    return;
  }
  message_.msg_iov = pieces_.data();
  message_.msg_iovlen = count;
  sending_ = true;
  network_->loop()->Submit(&send_);
}

void UringStream::DriveReceiving() {
  const ReceiveSide& side = receive_side();
  if (side.interruptions() != interruptions_seen_) quiet_receives_ = 0;
  interruptions_seen_ = side.interruptions();
  bool not_ahead = !side.wants() || !side.target().empty();
  if (receiving_ == Receiving::kMultishot && not_ahead) {
    receiving_ = Receiving::kCancelling;
    cancel_receive_.Start();
  }
  // A cancel of the last receive must not meet the next.
  if (receiving_ == Receiving::kNot && !cancel_receive_.under_way() && side.wants()) {
    receiving_ = ChooseReceiving();
    network_->loop()->Submit(&receive_);
  }
}

UringStream::Receiving UringStream::ChooseReceiving() {
  if (!receive_side().target().empty()) return Receiving::kDirect;
  if (network_->buffers() == nullptr) return Receiving::kPoll;
  bool multishot = network_->has(NetworkFeature::kMultishotReceive);
  return multishot && quiet_receives_ >= kQuietReceives ? Receiving::kMultishot : Receiving::kOnce;
}

// ---- Receiving.

void UringStream::Receive::Prepare(PeerCall* call, io_uring_sqe* sqe) {
  UringStream* stream = static_cast<Receive*>(call)->stream;
  int fd = stream->fd();
  switch (stream->receiving_) {
    case Receiving::kPoll:
      io_uring_prep_poll_add(sqe, fd, POLLIN);
      return;
    case Receiving::kDirect: {
      MutableBytes into = stream->receive_side().target();
      into = into.first(std::min<uint64_t>(into.size(), kDirectBytesMax));
      io_uring_prep_recv(sqe, fd, into.data(), into.size(), MSG_WAITALL);
      return;
    }
    case Receiving::kOnce:
      io_uring_prep_recv(sqe, fd, nullptr, BufferRing::kBufferBytes, 0);
      break;
    default:
      io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
      break;
  }
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = BufferRing::kGroup;
}

void UringStream::Receive::Complete(PeerCall* call, int result, uint32_t cqe_flags) {
  static_cast<Receive*>(call)->stream->CompleteReceive(result, cqe_flags);
}

void UringStream::CompleteReceive(int result, uint32_t cqe_flags) {
  Receiving was = receiving_;
  bool more = (cqe_flags & IORING_CQE_F_MORE) != 0;
  bool in_buffer = (cqe_flags & IORING_CQE_F_BUFFER) != 0;
  if (!more) {
    receiving_ = Receiving::kNot;
    cancel_receive_.TargetEnded();
  }
  Kick();
  if (was == Receiving::kPoll) {
    ReceivePolled(result);
  } else if (result > 0 && in_buffer) {
    quiet_receives_++;
    receive_side().Received(network_->buffers()->Filled(cqe_flags, static_cast<uint64_t>(result)));
  } else if (result > 0) {
    receive_side().ReceivedInPlace(static_cast<uint64_t>(result));
  } else if (result == -EINVAL && was == Receiving::kMultishot) {
    network_->Lacks(NetworkFeature::kMultishotReceive);
  } else if (!more) {
    ReceiveFailed(result);
  }
  // Also an end may come with a buffer.
  if (in_buffer) network_->buffers()->Return(cqe_flags);
}

void UringStream::ReceivePolled(int result) {
  if (closed() || result == -ECANCELED) return;
  if (result < 0) return ReceiveFailed(result);
  MutableBytes into = network_->scratch();
  ssize_t got = recv(fd(), into.data(), into.size(), MSG_DONTWAIT);
  if (got > 0) {
    receive_side().Received(into.first(static_cast<size_t>(got)));
  } else {
    ReceiveFailed(got < 0 ? -errno : 0);
  }
}

void UringStream::ReceiveFailed(int error) {
  // No buffer left: those handed over in this turn are back at its end. Cancelled: by ourselves,
  // to receive otherwise.
  if (IsRetried(error) || error == -ENOBUFS || error == -ECANCELED) return;
  receive_side().Ended(error);
}

// ---- Sending.

void UringStream::Sending::Prepare(PeerCall* call, io_uring_sqe* sqe) {
  UringStream* stream = static_cast<Sending*>(call)->stream;
  io_uring_prep_sendmsg(sqe, stream->fd(), &stream->message_, MSG_NOSIGNAL | MSG_WAITALL);
}

void UringStream::Sending::Complete(PeerCall* call, int result, uint32_t) {
  UringStream* stream = static_cast<Sending*>(call)->stream;
  stream->sending_ = false;
  stream->cancel_send_.TargetEnded();
  stream->Kick();
  if (stream->closed()) return;
  if (result >= 0) {
    stream->Sent(static_cast<uint64_t>(result));
  } else if (!IsRetried(result)) {
    stream->SendFailed(result);
  }
}

// ---- Cancelling.

void UringStream::CancelInFlight() {
  if (receiving_ != Receiving::kNot) cancel_receive_.Start();
  if (sending_) cancel_send_.Start();
}

}  // namespace nexus::io
