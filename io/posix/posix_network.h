// PosixNetwork: listening and connecting on epoll. Threading: the loop's.

#ifndef NEXUS_IO_POSIX_POSIX_NETWORK_H_
#define NEXUS_IO_POSIX_POSIX_NETWORK_H_

#include "io/file_util.h"
#include "io/posix/posix_loop.h"
#include "io/real/network.h"

namespace nexus::io {

class PosixNetwork : public RealNetwork {
 public:
  explicit PosixNetwork(PosixLoop* loop);

  StreamCore* MakeStream(int fd) override;

 protected:
  ListenerCore* MakeListener(int fd, AcceptHandler* handler) override;
  Task<int> ConnectSocket(int fd, SocketAddress to, int64_t deadline_ns) override;

 private:
  // One receive: four times a provided buffer of the ring, since each costs a system call here.
  static constexpr uint64_t kScratchBytes = 64 << 10;

  PosixLoop* const loop_;
  AlignedBuffer scratch_;  // from the first stream on
};

}  // namespace nexus::io

#endif  // NEXUS_IO_POSIX_POSIX_NETWORK_H_
