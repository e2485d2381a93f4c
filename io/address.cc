// Parsing of addresses. See address.h.

#include "io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <system_error>

namespace nexus::io {
namespace {

Status NotAnAddress(std::string_view text, std::string_view why) {
  return InvalidArgument("address '{}': {}; expected HOST:PORT, as 127.0.0.1:8080 or [::1]:8080",
                         text, why);
}

}  // namespace

std::string HostPort::ToString() const {
  bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

StatusOr<HostPort> ParseHostPort(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return NotAnAddress(text, "no port");
  std::string_view host = text.substr(0, colon);
  std::string_view digits = text.substr(colon + 1);
  bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty()) return NotAnAddress(text, "no host");
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return NotAnAddress(text, "an IPv6 address needs brackets");
  }
  // What the system's calls would silently cut.
  if (host.find('\0') != std::string_view::npos) return NotAnAddress(text, "a zero byte");
  HostPort parsed;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return NotAnAddress(text, "the port is no number from 0 to 65535");
  }
  parsed.host = host;
  return parsed;
}

bool IsNumericHost(std::string_view host) {
  std::string name(host);
  in6_addr room;
  return inet_pton(AF_INET, name.c_str(), &room) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &room) == 1;
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost") return true;
  std::string name(host);
  in_addr v4;
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, name.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace nexus::io
