// HTTP by Beast's parser over a blocking socket. See http.h.

#include "bench/peers/load/http.h"

#include <fmt/format.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <iterator>
#include <utility>

namespace nexus::bench {
namespace {

namespace http = boost::beast::http;
using Parser = http::response_parser<http::string_body>;

// Of one read: an answer of a wide query is some hundred kilobytes.
constexpr size_t kBufferBytes = 256 << 10;
constexpr size_t kBytesOfMessageMax = 400;

double RetryAfter(const Parser& parser) {
  const auto value = parser.get()[http::field::retry_after];
  double seconds = 0;
  std::from_chars(value.data(), value.data() + value.size(), seconds);
  return seconds;
}

}  // namespace

std::string HttpResponse::ToString() const {
  return fmt::format("HTTP status {}: {}", status, body.substr(0, kBytesOfMessageMax));
}

StatusOr<HttpConnection> HttpConnection::Open(const std::string& address) {
  NEXUS_ASSIGN_OR_RETURN(Connection connection, Connection::Open(address));
  return HttpConnection(std::move(connection));
}

HttpConnection::HttpConnection(Connection connection)
    : connection_(std::move(connection)), buffer_(kBufferBytes) {}

StatusOr<HttpResponse> HttpConnection::Exchange(std::string_view head, std::string_view body) {
  NEXUS_RETURN_IF_ERROR(connection_.Send(head, body));
  Parser parser;
  parser.eager(true);
  parser.body_limit(boost::none);
  size_t filled = 0;
  while (!parser.is_done()) {
    if (filled == buffer_.size()) return DataLoss("a response's header exceeds {} bytes", filled);
    NEXUS_ASSIGN_OR_RETURN(const size_t got,
                           connection_.Receive(buffer_.data() + filled, buffer_.size() - filled));
    boost::beast::error_code error;
    if (got == 0) {
      // Ends a body without a length; else the response is cut.
      if (parser.got_some()) parser.put_eof(error);
      if (error || !parser.is_done())
        return Unavailable("the server ended the connection instead of answering");
      break;
    }
    filled += got;
    const size_t used = parser.put(boost::asio::buffer(buffer_.data(), filled), error);
    if (error && error != http::error::need_more) {
      return DataLoss("not an HTTP response: {}", error.message());
    }
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(used),
              buffer_.begin() + static_cast<ptrdiff_t>(filled), buffer_.begin());
    filled -= used;
  }
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  response.retry_after_seconds = RetryAfter(parser);
  response.body = std::move(parser.get().body());
  return response;
}

std::string GetRequest(const std::string& address, std::string_view target) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nexus-bench\r\n\r\n", target,
                     address);
}

std::string UrlEncoded(std::string_view text) {
  std::string out;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<uint8_t>(c));
    }
  }
  return out;
}

}  // namespace nexus::bench
