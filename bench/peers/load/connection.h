// Connection: a TCP connection to a server, used the plain way: calls block.
//
// Errors: Unavailable - nobody listens there, or the connection was lost; DeadlineExceeded - no
// byte for kSilenceSeconds; InvalidArgument - the address. Threading: one thread at a time.

#ifndef NEXUS_BENCH_PEERS_LOAD_CONNECTION_H_
#define NEXUS_BENCH_PEERS_LOAD_CONNECTION_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace nexus::bench {

// A server that merges or replays may be busy for minutes; one that is silent for longer hangs.
inline constexpr int kSilenceSeconds = 300;

class Connection {
 public:
  // `address` is "host:port".
  static StatusOr<Connection> Open(const std::string& address);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  ~Connection();

  // Sends both parts whole.
  Status Send(std::string_view head, std::string_view body = {});
  // Ends our side.
  Status EndSending();
  // At least one byte into the front of `buffer`, or 0 at the end of the other side.
  StatusOr<size_t> Receive(char* buffer, size_t capacity);
  // All that comes until the other side ends, at most `bytes_max`.
  StatusOr<std::string> ReceiveAll(size_t bytes_max);

 private:
  Connection(int fd, std::string address) : fd_(fd), address_(std::move(address)) {}
  Status Lost(std::string_view doing, int error) const;

  int fd_ = -1;
  std::string address_;
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_CONNECTION_H_
