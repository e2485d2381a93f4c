// HTTP sessions without connections: requests in, parsed responses out.

#ifndef NEXUS_TESTS_SERVER_HTTP_FIXTURE_H_
#define NEXUS_TESTS_SERVER_HTTP_FIXTURE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_session.h"
#include "tests/server/session_fixture.h"

namespace nexus::server {

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

// The responses in what a session wrote. Those of HEAD have no body.
inline std::vector<Response> ResponsesIn(std::string_view output, bool head = false) {
  std::vector<Response> responses;
  while (!output.empty()) {
    Response& response = responses.emplace_back();
    const size_t end = output.find("\r\n\r\n");
    if (end == std::string_view::npos || !output.starts_with("HTTP/1.")) {
      ADD_FAILURE() << "no response: " << output;
      return responses;
    }
    std::string_view header = output.substr(0, end + 2);
    output.remove_prefix(end + 4);
    response.status = std::stoi(std::string(header.substr(9, 3)));
    header.remove_prefix(header.find("\r\n") + 2);
    while (!header.empty()) {
      std::string_view line = header.substr(0, header.find("\r\n"));
      header.remove_prefix(line.size() + 2);
      const size_t colon = line.find(": ");
      response.headers[std::string(line.substr(0, colon))] = line.substr(colon + 2);
    }
    if (response.status == 100 || response.status == 204) {
      EXPECT_FALSE(response.headers.contains("Content-Length")) << response.status;
      continue;
    }
    EXPECT_TRUE(response.headers.contains("Content-Length")) << response.status;
    if (head) continue;
    const size_t length = std::stoul(response.headers["Content-Length"]);
    EXPECT_LE(length, output.size());
    response.body = output.substr(0, length);
    output.remove_prefix(std::min(length, output.size()));
  }
  return responses;
}

inline std::string Gzip(std::string_view text) {
  z_stream z = {};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

// "POST /write" with these header lines, each with its line end.
inline std::string Post(std::string_view body, std::string_view target = "/write",
                        std::string_view headers = {}) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n\r\n{}", target,
                     headers, body.size(), body);
}
inline std::string Get(std::string_view target, std::string_view headers = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n", target, headers);
}

class HttpSessionTest : public SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    Connect();
  }
  void TearDown() override {
    session_.reset();
    SessionTest::TearDown();
  }
  void Connect() {
    session_.reset();
    transport_ = {};
    world_.RunOnLoop(
        [&] { session_ = std::make_unique<HttpSession>(service_.get(), &transport_); });
  }
  void Send(std::string_view text) { Feed(session_.get(), &transport_, text, text.size()); }
  // Sends and waits for what comes of it.
  std::vector<Response> Ask(std::string_view text, size_t piece = 1 << 20, bool head = false) {
    transport_.output.clear();
    Feed(session_.get(), &transport_, text, piece);
    world_.RunUntilIdle();
    return ResponsesIn(transport_.output, head);
  }
  Response AskOne(std::string_view text, size_t piece = 1 << 20, bool head = false) {
    std::vector<Response> responses = Ask(text, piece, head);
    EXPECT_EQ(responses.size(), 1u) << transport_.output;
    return responses.empty() ? Response() : responses[0];
  }

  FakeTransport transport_;
  std::unique_ptr<HttpSession> session_;
};

}  // namespace nexus::server

#endif  // NEXUS_TESTS_SERVER_HTTP_FIXTURE_H_
