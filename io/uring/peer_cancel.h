// PeerCancel: makes a PeerCall end soon.
//
// Whatever the kernel answers - done, too late, not there - it is the call's own completion that
// tells its end. Where the answer is "too late" the call may yet go back to waiting, so it is
// cancelled again until it has ended. The cancel stands behind its call in the loop's line, so it
// never overtakes it. Threading: the loop's.

#ifndef NEXUS_IO_URING_PEER_CANCEL_H_
#define NEXUS_IO_URING_PEER_CANCEL_H_

#include <cerrno>
#include <cstdint>
#include <utility>

#include "io/uring/loop.h"

namespace nexus::io {

class PeerCancel : PeerCall {
 public:
  // `answered(context)` is called when the cancel itself is over.
  PeerCancel(UringLoop* loop, PeerCall* target, void (*answered)(void*), void* context)
      : PeerCall(&FillIn, &Complete),
        loop_(loop),
        target_(target),
        answered_(answered),
        context_(context) {}

  // REQUIRES: the target is in flight. Does nothing if under way.
  void Start() {
    ended_ = false;
    if (!std::exchange(under_way_, true)) loop_->Submit(this);
  }
  // To be told of each end of the target.
  void TargetEnded() { ended_ = true; }
  bool under_way() const { return under_way_; }

 private:
  static void FillIn(PeerCall* call, io_uring_sqe* sqe) {
    io_uring_prep_cancel64(sqe, UringLoop::UserData(static_cast<PeerCancel*>(call)->target_), 0);
  }
  static void Complete(PeerCall* call, int result, uint32_t) {
    auto* self = static_cast<PeerCancel*>(call);
    if (result == -EALREADY && !self->ended_) {
      self->loop_->Submit(call);
      return;
    }
    self->under_way_ = false;
    self->answered_(self->context_);
  }

  UringLoop* const loop_;
  PeerCall* const target_;
  void (*const answered_)(void*);
  void* const context_;
  bool under_way_ = false;
  bool ended_ = false;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_PEER_CANCEL_H_
