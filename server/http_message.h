// HTTP/1.1 messages: requests out of bytes, bytes out of responses.
//
// The grammar is Boost.Beast's, without its I/O; Beast is seen by http_message.cc alone. A header
// is given to it whole, so that what is refused does not depend on how the bytes were cut. Bounds:
// kHttpHeaderBytesMax of header, kHttpBodyBytesMax of body; a body is handed on in pieces and never
// collected. Failure: the HTTP status to answer with and a message; the stream is lost then.
// Threading: one thread. Source of the grammar: RFC 9112.

#ifndef NEXUS_SERVER_HTTP_MESSAGE_H_
#define NEXUS_SERVER_HTTP_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nexus::server {

// Request line and fields; the largest of honest clients have some 2 KiB.
inline constexpr size_t kHttpHeaderBytesMax = 8 << 10;
// Some 600,000 lines of line protocol; a client that has more sends several requests.
inline constexpr uint64_t kHttpBodyBytesMax = 64 << 20;

class HttpReader {
 public:
  enum class Step : uint8_t {
    kMore,    // nothing more to be had from these bytes
    kHeader,  // the header is there: method() and what follows may be asked
    kBody,    // a piece of the body
    kEnd,     // the request is whole; Reset() before the next
    kError,   // error_status() says what to answer; no further request can be read
  };

  HttpReader();
  ~HttpReader();
  HttpReader(const HttpReader&) = delete;
  HttpReader& operator=(const HttpReader&) = delete;

  // Takes bytes off the front of `input`. `body` is valid until the next call. What is left behind
  // kMore is to be given again with more behind it.
  Step Next(std::string_view* input, std::string_view* body);
  void Reset();
  // Some of a request was taken, or is in `rest`, and the request is not whole.
  bool InRequest(std::string_view rest) const;

  // Of the present request, from kHeader on.
  std::string_view method() const;
  std::string_view target() const;
  // "" if it is not there.
  std::string_view Header(std::string_view name) const;
  // 10 or 11, for HTTP/1.0 and 1.1.
  unsigned version() const;
  bool keep_alive() const;
  bool expects_continue() const;
  bool has_body() const;

  int error_status() const { return error_status_; }
  const std::string& error() const { return error_; }

 private:
  struct Parser;
  enum class State : uint8_t { kHeader, kBody, kEnded, kFailed };

  Step NextHeader(std::string_view* input);
  Step NextBody(std::string_view* input, std::string_view* body);
  Step Fail(int status, std::string message);

  std::unique_ptr<Parser> parser_;
  std::unique_ptr<char[]> piece_;  // of the body; made with the first
  State state_ = State::kHeader;
  size_t searched_ = 0;  // of the header, without finding its end
  bool has_body_ = false;
  int error_status_ = 0;
  std::string error_;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  unsigned version = 11;
  bool keep_alive = true;
  // The answer to HEAD: as if there were a body.
  bool without_body = false;
};

// The response's bytes. Every one has Content-Length, but for 204, where RFC 9110 (8.6) forbids it.
std::string RenderResponse(HttpResponse response);

// A parameter of a target's query part, without its percent escapes: "" if it is not there.
std::string QueryParameter(std::string_view target, std::string_view name);
// The part of a target before '?'.
std::string_view PathOf(std::string_view target);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_HTTP_MESSAGE_H_
