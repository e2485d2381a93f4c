// Listening and connecting by address. See network.h.

#include "io/real/network.h"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace nexus::io {
namespace {

struct Resolved {
  Resolved(int failed, std::vector<SocketAddress> found)
      : error(failed), addresses(std::move(found)) {}
  int error;
  std::vector<SocketAddress> addresses;
};

Resolved Resolve(const HostPort& where) {
  std::vector<SocketAddress> addresses;
  int error = ResolveBlocking(where, &addresses);
  return Resolved(error, std::move(addresses));
}

}  // namespace

ListenResult RealNetwork::Listen(const std::string& address, int backlog, AcceptHandler* handler) {
  StatusOr<HostPort> where = ParseHostPort(address);
  if (!where.ok()) return ListenResult(-EINVAL, nullptr);
  std::vector<SocketAddress> addresses = NumericAddresses(*where);
  if (addresses.empty()) return ListenResult(-EINVAL, nullptr);
  int fd = OpenListening(addresses.front(), backlog, socket_flags_);
  if (fd < 0) return ListenResult(fd, nullptr);
  return ListenResult(0, std::make_unique<RealListener>(MakeListener(fd, handler)));
}

Task<ConnectResult> RealNetwork::Connect(std::string address, int64_t timeout_ns) {
  StatusOr<HostPort> where = ParseHostPort(address);
  if (!where.ok()) co_return ConnectResult(-EINVAL, nullptr);
  Resolved resolved(0, NumericAddresses(*where));
  if (resolved.addresses.empty()) {
    resolved = co_await loop_->Run(Lane::kWorker, [&where] { return Resolve(*where); });
    if (resolved.error != 0) co_return ConnectResult(resolved.error, nullptr);
  }
  int64_t deadline_ns = loop_->MonotonicNanos() + timeout_ns;
  // Of several addresses that fail the first is the one most likely meant.
  int first_error = 0;
  for (const SocketAddress& to : resolved.addresses) {
    int error = 0;
    int fd = OpenConnecting(to, socket_flags_);
    if (fd >= 0) {
      error = co_await ConnectSocket(fd, to, deadline_ns);
      if (error == 0) co_return ConnectResult(0, std::make_unique<RealStream>(MakeStream(fd)));
      close(fd);
    } else {
      error = fd;
    }
    if (first_error == 0) first_error = error;
    if (error == -ETIMEDOUT) break;
  }
  co_return ConnectResult(first_error, nullptr);
}

}  // namespace nexus::io
