// HttpConnection: HTTP/1.1 over one connection that is kept, a request at a time.
//
// Errors: those of Connection; Unavailable also where the server ended it within a response;
// DataLoss - what came is no HTTP response. An HTTP status is the caller's to judge.
// Threading: one thread at a time.

#ifndef NEXUS_BENCH_PEERS_LOAD_HTTP_H_
#define NEXUS_BENCH_PEERS_LOAD_HTTP_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bench/peers/load/connection.h"

namespace nexus::bench {

struct HttpResponse {
  int status = 0;
  double retry_after_seconds = 0;  // 0: not told
  std::string body;

  bool ok() const { return status >= 200 && status < 300; }
  // For messages: the status and the beginning of the body.
  std::string ToString() const;
};

class HttpConnection {
 public:
  static StatusOr<HttpConnection> Open(const std::string& address);

  // Sends a request, headers and empty line included, and reads the response to its end.
  StatusOr<HttpResponse> Exchange(std::string_view head, std::string_view body);

 private:
  explicit HttpConnection(Connection connection);

  Connection connection_;
  std::vector<char> buffer_;
};

// "GET target HTTP/1.1" with its Host header and the empty line.
std::string GetRequest(const std::string& address, std::string_view target);

// Percent-encoded for a value in the query part of a target.
std::string UrlEncoded(std::string_view text);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_HTTP_H_
