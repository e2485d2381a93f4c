// UringNetwork: listening, connecting and streams on the ring.
//
// What the kernel lacks (multishot accept and provided buffers before 5.19, multishot receive
// before 6.0) is found out at the first use and replaced by single operations; nobody above
// notices. Receive buffers are mapped with the first stream: an embedded engine has none.
// Threading: the loop's.

#ifndef NEXUS_IO_URING_URING_NETWORK_H_
#define NEXUS_IO_URING_URING_NETWORK_H_

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "io/file_util.h"
#include "io/real/network.h"
#include "io/uring/buffer_ring.h"
#include "io/uring/loop.h"

namespace nexus::io {

enum class NetworkFeature : uint32_t {
  kProvidedBuffers = 1,
  kMultishotReceive = 2,
  kMultishotAccept = 4,
};

class UringNetwork : public RealNetwork {
 public:
  // Sockets are blocking: on others the ring would not wait but fail with EAGAIN.
  explicit UringNetwork(UringLoop* loop) : RealNetwork(loop, 0), loop_(loop) {}

  // ---- For streams and listeners.

  UringLoop* loop() const { return loop_; }
  // Null where the kernel has none.
  BufferRing* buffers() const { return buffers_.get(); }
  // Instead of those: one buffer, for use within one completion.
  MutableBytes scratch() const { return scratch_.span(); }
  bool has(NetworkFeature feature) const {
    return (features() & static_cast<uint32_t>(feature)) != 0;
  }
  void Lacks(NetworkFeature feature) { lacking_ |= static_cast<uint32_t>(feature); }

  StreamCore* MakeStream(int fd) override;

 protected:
  ListenerCore* MakeListener(int fd, AcceptHandler* handler) override;
  Task<int> ConnectSocket(int fd, SocketAddress to, int64_t deadline_ns) override;

 private:
  uint32_t features() const { return loop_->options().network_features_allowed & ~lacking_; }
  void PrepareBuffers();

  UringLoop* const loop_;
  uint32_t lacking_ = 0;
  bool prepared_ = false;
  std::unique_ptr<BufferRing> buffers_;
  AlignedBuffer scratch_;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_URING_NETWORK_H_
