// Blocking sockets. See connection.h.

#include "bench/peers/load/connection.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "io/address.h"

namespace nexus::bench {

StatusOr<Connection> Connection::Open(const std::string& address) {
  NEXUS_ASSIGN_OR_RETURN(const io::HostPort place, io::ParseHostPort(address));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(place.host.c_str(), std::to_string(place.port).c_str(), &hints, &found);
  if (failed != 0) return InvalidArgument("address {}: {}", address, gai_strerror(failed));
  int error = ENOENT;
  int fd = -1;
  for (const addrinfo* at = found; at != nullptr && fd < 0; at = at->ai_next) {
    fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0) break;
    error = errno;
    if (fd >= 0) close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  if (fd < 0) {
    return Unavailable("connect to {}: {}; is the server running there?", address,
                       std::strerror(error));
  }
  // Requests are whole when they are sent: nothing is gained by waiting for more.
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  const timeval silence = {kSilenceSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
  return Connection(fd, address);
}

Connection::Connection(Connection&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(std::move(other.address_)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  return *this;
}

Connection::~Connection() {
  if (fd_ >= 0) close(fd_);
}

Status Connection::Send(std::string_view head, std::string_view body) {
  while (!head.empty() || !body.empty()) {
    iovec parts[2] = {{const_cast<char*>(head.data()), head.size()},
                      {const_cast<char*>(body.data()), body.size()}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Lost("sending", errno);
    const size_t of_head = std::min(static_cast<size_t>(sent), head.size());
    head.remove_prefix(of_head);
    body.remove_prefix(static_cast<size_t>(sent) - of_head);
  }
  return OkStatus();
}

Status Connection::EndSending() {
  return shutdown(fd_, SHUT_WR) == 0 ? OkStatus() : Lost("ending", errno);
}

StatusOr<size_t> Connection::Receive(char* buffer, size_t capacity) {
  while (true) {
    const ssize_t got = recv(fd_, buffer, capacity, 0);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return Lost("receiving", errno);
  }
}

StatusOr<std::string> Connection::ReceiveAll(size_t bytes_max) {
  std::string all;
  char buffer[4096];
  while (all.size() < bytes_max) {
    NEXUS_ASSIGN_OR_RETURN(const size_t got, Receive(buffer, sizeof(buffer)));
    if (got == 0) return all;
    all.append(buffer, got);
  }
  return OutOfRange("{} sent more than {} bytes", address_, bytes_max);
}

Status Connection::Lost(std::string_view doing, int error) const {
  if (error == EAGAIN || error == EWOULDBLOCK) {
    return DeadlineExceeded("{}: {} made no progress for {} s", address_, doing, kSilenceSeconds);
  }
  return Unavailable("{}: connection lost while {}: {}", address_, doing, std::strerror(error));
}

}  // namespace nexus::bench
