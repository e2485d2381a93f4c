// RealNetwork: what the networks of the real world share - addresses, opening, trying one address
// after the other. A backend brings the waiting. Threading: the loop's.

#ifndef NEXUS_IO_REAL_NETWORK_H_
#define NEXUS_IO_REAL_NETWORK_H_

#include <memory>
#include <string>

#include "io/real/listener_core.h"
#include "io/real/loop.h"
#include "io/real/socket.h"
#include "io/real/stream_core.h"
#include "io/stream.h"

namespace nexus::io {

class RealNetwork : public Network {
 public:
  ListenResult Listen(const std::string& address, int backlog, AcceptHandler* handler) override;
  Task<ConnectResult> Connect(std::string address, int64_t timeout_ns) override;

 protected:
  // `socket_flags`: what each socket is opened with.
  RealNetwork(RealLoop* loop, int socket_flags) : loop_(loop), socket_flags_(socket_flags) {}

  virtual ListenerCore* MakeListener(int fd, AcceptHandler* handler) = 0;
  virtual StreamCore* MakeStream(int fd) = 0;
  // Connects the socket: 0 or -errno, -ETIMEDOUT at the deadline.
  virtual Task<int> ConnectSocket(int fd, SocketAddress to, int64_t deadline_ns) = 0;

 private:
  RealLoop* const loop_;
  const int socket_flags_;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_NETWORK_H_
