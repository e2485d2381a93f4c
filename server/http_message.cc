// Parsing and serializing with Beast. See http_message.h.

#include "server/http_message.h"

#include <algorithm>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "base/check.h"

namespace nexus::server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

// A piece of the body handed on at once.
constexpr size_t kPieceBytes = 64 << 10;
constexpr std::string_view kHeaderEnd = "\r\n\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }
beast::string_view Beast(std::string_view text) { return {text.data(), text.size()}; }

int StatusOf(const beast::error_code& error) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == http::error::bad_version) return 505;
  return 400;
}

// Takes all that a serializer has.
template <typename Serializer>
std::string Serialize(Serializer* serializer) {
  std::string out;
  beast::error_code error;
  while (!serializer->is_done()) {
    serializer->next(error, [&](beast::error_code& visited, const auto& buffers) {
      visited = {};
      size_t bytes = 0;
      for (auto buffer : beast::buffers_range_ref(buffers)) {
        out.append(static_cast<const char*>(buffer.data()), buffer.size());
        bytes += buffer.size();
      }
      serializer->consume(bytes);
    });
    NEXUS_CHECK(!error);
  }
  return out;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string PercentDecoded(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); at++) {
    const bool escape = text[at] == '%' && at + 2 < text.size() && HexDigit(text[at + 1]) >= 0 &&
                        HexDigit(text[at + 2]) >= 0;
    if (escape) {
      out += static_cast<char>(HexDigit(text[at + 1]) * 16 + HexDigit(text[at + 2]));
      at += 2;
    } else {
      out += text[at] == '+' ? ' ' : text[at];
    }
  }
  return out;
}

}  // namespace

struct HttpReader::Parser {
  std::optional<http::request_parser<http::buffer_body>> request;
};

HttpReader::HttpReader() : parser_(std::make_unique<Parser>()) {}
HttpReader::~HttpReader() = default;

void HttpReader::Reset() {
  parser_->request.reset();
  state_ = State::kHeader;
  searched_ = 0;
  has_body_ = false;
}

bool HttpReader::InRequest(std::string_view rest) const {
  return state_ == State::kBody || (state_ == State::kHeader && !rest.empty());
}

HttpReader::Step HttpReader::Fail(int status, std::string message) {
  state_ = State::kFailed;
  error_status_ = status;
  error_ = std::move(message);
  return Step::kError;
}

HttpReader::Step HttpReader::Next(std::string_view* input, std::string_view* body) {
  switch (state_) {
    case State::kHeader:
      return NextHeader(input);
    case State::kBody:
      return NextBody(input, body);
    case State::kEnded:
      return Step::kMore;
    case State::kFailed:
      break;
  }
  return Step::kError;
}

HttpReader::Step HttpReader::NextHeader(std::string_view* input) {
  // RFC 9112 (2.2): an empty line ahead of a request is passed over.
  while (searched_ == 0 && input->starts_with("\r\n")) input->remove_prefix(2);
  std::string_view within = input->substr(0, kHttpHeaderBytesMax);
  const size_t from = searched_ < kHeaderEnd.size() ? 0 : searched_ - kHeaderEnd.size() + 1;
  const size_t end = within.find(kHeaderEnd, from);
  if (end == std::string_view::npos) {
    // One byte alone may be the begin of an empty line.
    searched_ = within.size() < 2 ? 0 : within.size();
    if (within.size() < kHttpHeaderBytesMax) return Step::kMore;
    return Fail(431, "the request's header is longer than 8 KiB");
  }
  auto& request = parser_->request.emplace();
  request.header_limit(kHttpHeaderBytesMax);
  request.body_limit(kHttpBodyBytesMax);
  request.eager(false);
  const size_t bytes = end + kHeaderEnd.size();
  beast::error_code error;
  const size_t taken = request.put(boost::asio::const_buffer(input->data(), bytes), error);
  if (error || taken != bytes || !request.is_header_done()) {
    return Fail(error ? StatusOf(error) : 400, "the request's header is malformed: " +
                                                   (error ? error.message() : "it ends early"));
  }
  input->remove_prefix(bytes);
  request.eager(true);
  has_body_ = !request.is_done();
  state_ = State::kBody;
  return Step::kHeader;
}

HttpReader::Step HttpReader::NextBody(std::string_view* input, std::string_view* body) {
  auto& request = *parser_->request;
  if (request.is_done()) {
    state_ = State::kEnded;
    return Step::kEnd;
  }
  if (input->empty()) return Step::kMore;
  // Once Beast has seen the header of the last chunk it aborts on less than a whole one,
  // "0\r\n\r\n". No body ends in fewer bytes, so nothing that is whole waits here.
  if (request.chunked() && input->size() < kLastChunk.size() && input->front() == '0') {
    return Step::kMore;
  }
  if (piece_ == nullptr) piece_ = std::make_unique_for_overwrite<char[]>(kPieceBytes);
  request.get().body().data = piece_.get();
  request.get().body().size = kPieceBytes;
  beast::error_code error;
  const size_t taken = request.put(boost::asio::const_buffer(input->data(), input->size()), error);
  input->remove_prefix(taken);
  if (error && error != http::error::need_more && error != http::error::need_buffer) {
    return Fail(StatusOf(error), "the request's body is malformed: " + error.message());
  }
  *body = {piece_.get(), kPieceBytes - request.get().body().size};
  if (!body->empty()) return Step::kBody;
  if (taken > 0 || request.is_done()) return NextBody(input, body);
  // What is left is the begin of a chunk's header or of the trailer.
  if (input->size() <= kHttpHeaderBytesMax) return Step::kMore;
  return Fail(400, "a chunk's header is longer than 8 KiB");
}

std::string_view HttpReader::method() const {
  return View(parser_->request->get().method_string());
}
std::string_view HttpReader::target() const { return View(parser_->request->get().target()); }
std::string_view HttpReader::Header(std::string_view name) const {
  return View(parser_->request->get()[Beast(name)]);
}
unsigned HttpReader::version() const { return parser_->request->get().version(); }
bool HttpReader::keep_alive() const { return parser_->request->get().keep_alive(); }
bool HttpReader::expects_continue() const {
  return version() >= 11 &&
         beast::iequals(parser_->request->get()[http::field::expect], "100-continue");
}
bool HttpReader::has_body() const { return has_body_; }

std::string RenderResponse(HttpResponse response) {
  http::response_header<> header;
  header.result(static_cast<unsigned>(response.status));
  header.version(response.version);
  header.set(http::field::server, "nexus");
  const bool none = response.status == 204;
  if (!none) {
    header.set(http::field::content_type, Beast(response.content_type));
    header.set(http::field::content_length, std::to_string(response.body.size()));
  }
  for (const auto& [name, value] : response.headers) header.set(Beast(name), Beast(value));
  if (none || response.without_body) {
    http::response<http::empty_body> message(std::move(header));
    message.keep_alive(response.keep_alive);
    http::response_serializer<http::empty_body> serializer(message);
    return Serialize(&serializer);
  }
  http::response<http::string_body> message(std::move(header), std::move(response.body));
  message.keep_alive(response.keep_alive);
  http::response_serializer<http::string_body> serializer(message);
  return Serialize(&serializer);
}

std::string_view PathOf(std::string_view target) { return target.substr(0, target.find('?')); }

std::string QueryParameter(std::string_view target, std::string_view name) {
  const size_t question = target.find('?');
  if (question == std::string_view::npos) return {};
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (PercentDecoded(pair.substr(0, equals)) != name) continue;
    return equals == pair.size() ? std::string() : PercentDecoded(pair.substr(equals + 1));
  }
  return {};
}

}  // namespace nexus::server
