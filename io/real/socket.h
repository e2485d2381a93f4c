// Sockets: addresses of the system, opening and setting up, without waiting.
//
// Descriptors are closed on exec. Results are 0 or -errno. Threading: any, no state.

#ifndef NEXUS_IO_REAL_SOCKET_H_
#define NEXUS_IO_REAL_SOCKET_H_

#include <sys/socket.h>

#include <string>
#include <vector>

#include "io/address.h"

namespace nexus::io {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t bytes = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// The addresses of a numeric host, or of localhost: 127.0.0.1 and ::1. Empty for other names.
std::vector<SocketAddress> NumericAddresses(const HostPort& where);
// The same for any name, by the system's resolver. Blocks. -ENXIO if there is none, -EAGAIN if the
// resolver has no answer now.
int ResolveBlocking(const HostPort& where, std::vector<SocketAddress>* into);

// A socket that listens there, or -errno. `flags` such as SOCK_NONBLOCK.
int OpenListening(const SocketAddress& at, int backlog, int flags);
// A socket for connecting to such an address, or -errno.
int OpenConnecting(const SocketAddress& to, int flags);

// "127.0.0.1:50123": the other end and ours; "unknown" where the connection is gone already.
std::string PeerText(int fd);
std::string LocalText(int fd);
uint16_t LocalPort(int fd);

// Small pieces go out at once (TCP_NODELAY).
void SendAtOnce(int fd);
// Closing will reset the connection.
void ResetOnClose(int fd);

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_SOCKET_H_
