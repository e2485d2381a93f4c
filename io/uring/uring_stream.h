// UringStream: a connected stream on the ring. See io/real/stream_core.h for what it shares.
//
// Receiving has three ways. Into provided buffers, one receive at a time, which costs one more
// submission entry for each piece and can be redirected at once; the same as a multishot, once a
// stream has been quiet - neither paused nor naming buffers of its own - for kQuietReceives pieces;
// and straight into the caller's buffer. A multishot that is no longer wanted is cancelled, and
// what it received meanwhile goes where the stream's next bytes go. Where the kernel has no
// provided buffers (before 5.19), the ring waits for bytes (poll) and recv(2) takes them into one
// buffer of the network's.
//
// Sending: at most one sendmsg is in flight, of all pieces queued when it is prepared; so order is
// kept and many small answers cost one system call.
// Threading: the loop's.

#ifndef NEXUS_IO_URING_URING_STREAM_H_
#define NEXUS_IO_URING_URING_STREAM_H_

#include <sys/socket.h>

#include <cstdint>

#include "io/real/stream_core.h"
#include "io/uring/loop.h"
#include "io/uring/peer_cancel.h"

namespace nexus::io {

class UringNetwork;

class UringStream : public StreamCore {
 public:
  UringStream(UringNetwork* network, int fd);

 protected:
  void Drive() override;
  void CancelInFlight() override;
  bool InFlight() const override {
    return receiving_ != Receiving::kNot || sending_ || cancel_receive_.under_way() ||
           cancel_send_.under_way();
  }

 private:
  enum class Receiving : uint8_t {
    kNot,
    kPoll,        // waits for bytes; none are taken
    kOnce,        // into a provided buffer
    kMultishot,   // into provided buffers, until it is cancelled or fails
    kCancelling,  // the same, on its way to the end
    kDirect,      // into the caller's buffer
  };
  // Pieces in a row: an interactive client is past it with its second request.
  static constexpr int kQuietReceives = 4;

  struct Receive : PeerCall {
    explicit Receive(UringStream* on) : PeerCall(&Prepare, &Complete), stream(on) {}
    static void Prepare(PeerCall* call, io_uring_sqe* sqe);
    static void Complete(PeerCall* call, int result, uint32_t cqe_flags);
    UringStream* stream;
  };
  struct Sending : PeerCall {
    explicit Sending(UringStream* on) : PeerCall(&Prepare, &Complete), stream(on) {}
    static void Prepare(PeerCall* call, io_uring_sqe* sqe);
    static void Complete(PeerCall* call, int result, uint32_t cqe_flags);
    UringStream* stream;
  };

  static void OnCancelled(void* stream);
  void DriveReceiving();
  Receiving ChooseReceiving();
  void CompleteReceive(int result, uint32_t cqe_flags);
  void ReceivePolled(int result);
  void ReceiveFailed(int error);

  UringNetwork* const network_;
  Receive receive_{this};
  Sending send_{this};
  PeerCancel cancel_receive_;
  PeerCancel cancel_send_;

  Receiving receiving_ = Receiving::kNot;
  int quiet_receives_ = 0;
  uint64_t interruptions_seen_ = 0;
  bool sending_ = false;
  msghdr message_ = {};
  Pieces pieces_;  // of the send in flight
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_URING_STREAM_H_
