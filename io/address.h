// HostPort: where to listen or connect, as people write it - "127.0.0.1:8080", "[::1]:8080",
// "localhost:8080", "db.example:8080".
//
// Only text: nothing here asks the system. Threading: values.

#ifndef NEXUS_IO_ADDRESS_H_
#define NEXUS_IO_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace nexus::io {

struct HostPort {
  std::string host;  // a numeric address without brackets, or a name
  uint16_t port = 0;

  // "host:port", with brackets around an IPv6 address.
  std::string ToString() const;
};

// Parses "host:port"; an IPv6 address stands in brackets. Port 0 is taken (listening: any free
// one). Errors: InvalidArgument, saying what is wrong and what is expected.
StatusOr<HostPort> ParseHostPort(std::string_view text);

// True for an IPv4 or IPv6 address in numbers.
bool IsNumericHost(std::string_view host);
// True for "localhost", 127.0.0.0/8 and ::1: reachable from this machine only.
bool IsLoopback(std::string_view host);

}  // namespace nexus::io

#endif  // NEXUS_IO_ADDRESS_H_
