// System calls on sockets. See socket.h.

#include "io/real/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace nexus::io {
namespace {

SocketAddress V4(const in_addr& host, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr = host;
  address.sin_port = htons(port);
  SocketAddress result;
  std::memcpy(&result.storage, &address, sizeof(address));
  result.bytes = sizeof(address);
  return result;
}

SocketAddress V6(const in6_addr& host, uint16_t port) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = host;
  address.sin6_port = htons(port);
  SocketAddress result;
  std::memcpy(&result.storage, &address, sizeof(address));
  result.bytes = sizeof(address);
  return result;
}

int ErrorOfResolver(int error) {
  switch (error) {
    case EAI_AGAIN:
      return -EAGAIN;
    case EAI_MEMORY:
      return -ENOMEM;
    case EAI_SYSTEM:
      return -errno;
    default:
      return -ENXIO;
  }
}

std::string Text(const SocketAddress& address) {
  char host[INET6_ADDRSTRLEN] = "";
  HostPort where;
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address.storage, sizeof(v6));
    inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
    where.port = ntohs(v6.sin6_port);
  } else {
    sockaddr_in v4;
    std::memcpy(&v4, &address.storage, sizeof(v4));
    inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
    where.port = ntohs(v4.sin_port);
  }
  where.host = host;
  return where.ToString();
}

// An end of the socket as getsockname or getpeername gives it; nothing if it fails.
template <typename Get>
SocketAddress EndOf(int fd, Get get) {
  SocketAddress address;
  address.bytes = sizeof(address.storage);
  if (get(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.bytes) < 0) return {};
  return address;
}

void SetOn(int fd, int level, int option) {
  int on = 1;
  // What is set with it helps, and nothing relies on it.
  setsockopt(fd, level, option, &on, sizeof(on));
}

}  // namespace

std::vector<SocketAddress> NumericAddresses(const HostPort& where) {
  if (where.host == "localhost") {
    in_addr loopback = {htonl(INADDR_LOOPBACK)};
    return {V4(loopback, where.port), V6(in6addr_loopback, where.port)};
  }
  in_addr v4;
  if (inet_pton(AF_INET, where.host.c_str(), &v4) == 1) return {V4(v4, where.port)};
  in6_addr v6;
  if (inet_pton(AF_INET6, where.host.c_str(), &v6) == 1) return {V6(v6, where.port)};
  return {};
}

int ResolveBlocking(const HostPort& where, std::vector<SocketAddress>* into) {
  addrinfo wanted = {};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int error = getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &wanted, &found);
  if (error != 0) return ErrorOfResolver(error);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    SocketAddress& address = into->emplace_back();
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.bytes = each->ai_addrlen;
  }
  freeaddrinfo(found);
  return into->empty() ? -ENXIO : 0;
}

int OpenConnecting(const SocketAddress& to, int flags) {
  int fd = socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, IPPROTO_TCP);
  return fd < 0 ? -errno : fd;
}

int OpenListening(const SocketAddress& at, int backlog, int flags) {
  int fd = OpenConnecting(at, flags);
  if (fd < 0) return fd;
  SetOn(fd, SOL_SOCKET, SO_REUSEADDR);
  if (bind(fd, at.get(), at.bytes) == 0 && listen(fd, backlog) == 0) return fd;
  int error = -errno;
  close(fd);
  return error;
}

std::string PeerText(int fd) {
  SocketAddress address = EndOf(fd, getpeername);
  return address.bytes == 0 ? "unknown" : Text(address);
}

std::string LocalText(int fd) {
  SocketAddress address = EndOf(fd, getsockname);
  return address.bytes == 0 ? "unknown" : Text(address);
}

uint16_t LocalPort(int fd) {
  SocketAddress address = EndOf(fd, getsockname);
  // Both families have the port in the same place.
  sockaddr_in v4;
  std::memcpy(&v4, &address.storage, sizeof(v4));
  return ntohs(v4.sin_port);
}

void SendAtOnce(int fd) { SetOn(fd, IPPROTO_TCP, TCP_NODELAY); }

void ResetOnClose(int fd) {
  linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

}  // namespace nexus::io
