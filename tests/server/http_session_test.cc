// HTTP: what each request is answered with, whatever the pieces, the order and the end.

#include "server/http_session.h"

#include <gmock/gmock.h>

#include <regex>
#include <string>
#include <vector>

#include "tests/server/http_fixture.h"

namespace nexus::server {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

// Without what is another with every answer.
std::string Stable(const std::string& output) {
  static const std::regex kChanging("(X-Request-Id|Nexus-Durable-Lsn): [0-9a-f]+");
  return std::regex_replace(output, kChanging, "$1: *");
}

TEST_F(HttpSessionTest, HealthIsOkAsLongAsTheProcessLives) {
  core_->committer()->Refuse(Unavailable("the log failed"));
  Response response = AskOne(Get("/health"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "ok\n");
  EXPECT_EQ(response.headers["Content-Length"], "3");
  EXPECT_FALSE(transport_.closed);
}

TEST_F(HttpSessionTest, HeadIsGetWithoutABody) {
  Response response = AskOne("HEAD /health HTTP/1.1\r\n\r\n", 1 << 20, true);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers["Content-Length"], "3");
  EXPECT_TRUE(transport_.output.ends_with("\r\n\r\n"));
  EXPECT_EQ(AskOne("HEAD /nothing HTTP/1.1\r\n\r\n", 1 << 20, true).status, 404);
}

TEST_F(HttpSessionTest, ReadySaysWhetherWritesAreTakenAndWhyNot) {
  Response response = AskOne(Get("/ready"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "ready\n");
  core_->committer()->Refuse(Unavailable("the \"log\" failed"));
  response = AskOne(Get("/ready"));
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "{\"error\":\"the \\\"log\\\" failed\"}\n");
  EXPECT_EQ(response.headers["Retry-After"], "1");
}

TEST_F(HttpSessionTest, NotReadyWhileTheServerStops) {
  service_->set_stopping();
  EXPECT_EQ(AskOne(Get("/ready")).status, 503);
}

TEST_F(HttpSessionTest, MetricsIsThePageForPrometheus) {
  Ask(Post("m v=1,w=2 1\n"));
  Response response = AskOne(Get("/metrics"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(response.body, HasSubstr("\nnexus_metrics_received_total 2\n"));
  EXPECT_THAT(response.body, HasSubstr("\nnexus_series 3\n"));
  EXPECT_THAT(response.body,
              HasSubstr("nexus_request_duration_seconds_count{request=\"http_write\"} 1\n"));
  EXPECT_THAT(response.body, HasSubstr("nexus_memory_usage_bytes{type=\"series_index\"}"));
}

TEST_F(HttpSessionTest, OtherPathsAreNotFoundAndOtherMethodsNotAllowed) {
  EXPECT_EQ(AskOne(Get("/")).status, 404);
  EXPECT_EQ(AskOne(Get("/healthy")).status, 404);
  Response response = AskOne(Post("x", "/health"));
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers["Allow"], "GET, HEAD");
  response = AskOne(Get("/write"));
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers["Allow"], "POST");
  EXPECT_EQ(AskOne(Get("/health?verbose")).status, 200) << "the body of the refused one was read";
}

TEST_F(HttpSessionTest, TheRequestsIdIsTheResponsesOrANewOne) {
  EXPECT_EQ(AskOne(Get("/health", "X-Request-Id: abc-1.2_3\r\n")).headers["X-Request-Id"],
            "abc-1.2_3");
  std::string made = AskOne(Get("/health", "X-Request-Id: a b\r\n")).headers["X-Request-Id"];
  EXPECT_THAT(made, MatchesRegex("[0-9a-f]{16}"));
  std::string other = AskOne(Get("/health")).headers["X-Request-Id"];
  EXPECT_THAT(other, MatchesRegex("[0-9a-f]{16}"));
  EXPECT_NE(made, other);
}

TEST_F(HttpSessionTest, PipelinedRequestsAreAnsweredInTheirOrder) {
  std::vector<Response> responses = Ask(Get("/health") + Post("m v=1 1\n") + Get("/ready") +
                                        "\r\n" + Get("/none") + Post("bad\n") + Get("/health"));
  std::vector<int> statuses;
  for (const Response& response : responses) statuses.push_back(response.status);
  EXPECT_EQ(statuses, (std::vector<int>{200, 204, 200, 404, 400, 200}));
  EXPECT_FALSE(transport_.closed);
}

TEST_F(HttpSessionTest, EveryPieceSizeGivesTheSame) {
  const std::string chunked =
      "POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
      "6;ext=1\r\nm v=1 \r\n3\r\n1\nm\r\nb\r\n v=2 2\nbad\n\r\n0\r\nTrailer: x\r\n\r\n";
  const std::string text = Get("/health") + Post("m,host=a v=1 1\nm,host=b v=2 2") + chunked +
                           Post(Gzip("m,host=z v=1 1\n"), "/write", "Content-Encoding: gzip\r\n") +
                           Get("/ready") + Post("12345", "/none") +
                           Get("/health", "Connection: close\r\n");
  Ask(text);
  const std::string expected = Stable(transport_.output);
  EXPECT_TRUE(transport_.closed);
  EXPECT_EQ(ResponsesIn(transport_.output).size(), 7u);
  for (size_t piece : {1u, 2u, 3u, 5u, 7u, 13u, 64u, 100u, 333u}) {
    Connect();
    Ask(text, piece);
    EXPECT_EQ(Stable(transport_.output), expected) << piece;
    EXPECT_TRUE(transport_.closed);
  }
}

// Beast's parser aborts if it is asked again with less than a whole last chunk.
TEST_F(HttpSessionTest, TheLastChunkMayComeInAnyPiecesOrBeCutOff) {
  const std::string header = "POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string body : {"0\r\n\r\n", "00\r\n\r\n", "0;x\r\n\r\n",
                                 "7\r\nm v=1 1\r\n0\r\n\r\n", "1\r\n0\r\n0\r\nT: x\r\n\r\n"}) {
    Connect();
    Ask(header + body);
    const std::string expected = Stable(transport_.output);
    EXPECT_EQ(ResponsesIn(expected).size(), 1u) << body;
    for (size_t cut = 0; cut < body.size(); cut++) {
      for (size_t piece : {1u, 2u, 3u, 1u << 20}) {
        Connect();
        Ask(header + body.substr(0, cut), piece);
        Ask(body.substr(cut), piece);
        EXPECT_EQ(Stable(transport_.output), expected) << body << " cut at " << cut;
        Connect();
        Ask(header + body.substr(0, cut), piece);
        world_.RunOnLoop([&] { session_->OnEnd(); });
        world_.RunUntilIdle();
        EXPECT_TRUE(transport_.closed) << body << " ends at " << cut;
      }
    }
  }
}

TEST_F(HttpSessionTest, TheConnectionClosesWhenThePeerWantsIt) {
  Response response = AskOne(Get("/health", "Connection: close\r\n"));
  EXPECT_EQ(response.headers["Connection"], "close");
  EXPECT_TRUE(transport_.closed);
}

TEST_F(HttpSessionTest, Http10ClosesUnlessToldOtherwise) {
  EXPECT_EQ(AskOne("GET /health HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_TRUE(transport_.closed);
  Connect();
  Response response = AskOne("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(response.headers["Connection"], "keep-alive");
  EXPECT_FALSE(transport_.closed);
}

TEST_F(HttpSessionTest, WhatIsNoHttpIsAnsweredAndCloses) {
  for (const char* text :
       {"GET /health\r\n\r\n", "GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /health HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /write HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    Connect();
    EXPECT_EQ(AskOne(text).status, 400) << text;
    EXPECT_TRUE(transport_.closed) << text;
  }
  EXPECT_EQ(service_->metrics()->parse_errors["http"], 5u);
  Connect();
  EXPECT_EQ(AskOne("GET /health HTTP/2.0\r\n\r\n").status, 505);
}

TEST_F(HttpSessionTest, TheLongestHeaderFitsAndOneByteMoreDoesNot) {
  const size_t rest = Get("/health", "X: \r\n").size();
  auto header = [&](size_t bytes) {
    return Get("/health", "X: " + std::string(bytes - rest, 'x') + "\r\n");
  };
  for (size_t piece : {100u, 1u << 20}) {
    Connect();
    EXPECT_EQ(AskOne(header(kHttpHeaderBytesMax), piece).status, 200);
    Connect();
    EXPECT_EQ(AskOne(header(kHttpHeaderBytesMax + 1), piece).status, 431);
    EXPECT_TRUE(transport_.closed);
  }
}

TEST_F(HttpSessionTest, AHeaderWithoutEndIsCutOff) {
  std::string text = "GET /health HTTP/1.1\r\n";
  for (int i = 0; i < 1000; i++) text += "X-Header: something\r\n";
  EXPECT_EQ(AskOne(text, 50).status, 431);
}

TEST_F(HttpSessionTest, AChunkHeaderWithoutEndIsCutOff) {
  std::string text = "POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;";
  EXPECT_EQ(AskOne(text + std::string(20'000, 'x'), 1000).status, 400);
  EXPECT_TRUE(transport_.closed);
}

TEST_F(HttpSessionTest, APeerThatEndsInMidRequestIsToldSo) {
  for (const char* text : {"GET /hea", "POST /write HTTP/1.1\r\nContent-Length: 5\r\n\r\nm v="}) {
    Connect();
    Send(text);
    world_.RunOnLoop([&] { session_->OnEnd(); });
    world_.RunUntilIdle();
    std::vector<Response> responses = ResponsesIn(transport_.output);
    ASSERT_EQ(responses.size(), 1u);
    EXPECT_EQ(responses[0].status, 400);
    EXPECT_TRUE(transport_.closed);
  }
}

TEST_F(HttpSessionTest, APeerThatEndsIsAnsweredFirst) {
  Send(Post("m v=1 1\n"));
  EXPECT_TRUE(transport_.paused);
  world_.RunOnLoop([&] { session_->OnEnd(); });
  EXPECT_FALSE(transport_.closed);
  world_.RunUntilIdle();
  EXPECT_EQ(ResponsesIn(transport_.output).size(), 1u);
  EXPECT_TRUE(transport_.closed);
}

TEST_F(HttpSessionTest, NothingIsReadWhileAnAnswerIsMade) {
  Send(Get("/ready") + Get("/health"));
  EXPECT_TRUE(transport_.paused);
  EXPECT_EQ(transport_.output, "");
  world_.RunUntilIdle();
  EXPECT_FALSE(transport_.paused);
  EXPECT_EQ(ResponsesIn(transport_.output).size(), 2u);
}

TEST_F(HttpSessionTest, NothingIsReadWhileThePeerDoesNotTakeItsAnswers) {
  transport_.queued = kOutputBytesMax + 1;
  Send(Get("/health"));
  EXPECT_TRUE(transport_.paused);
  EXPECT_EQ(transport_.output, "");
  transport_.queued = 0;
  world_.RunOnLoop([&] { session_->OnWritable(); });
  EXPECT_EQ(ResponsesIn(transport_.output).size(), 1u);
  EXPECT_FALSE(transport_.paused);
}

TEST_F(HttpSessionTest, AStoppingServerFinishesARequestAndCloses) {
  Send(Post("m v=1 1\n"));
  world_.RunOnLoop([&] { session_->OnStopping(); });
  EXPECT_FALSE(transport_.closed);
  world_.RunUntilIdle();
  std::vector<Response> responses = ResponsesIn(transport_.output);
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_EQ(responses[0].status, 204);
  EXPECT_EQ(responses[0].headers["Connection"], "close");
  EXPECT_TRUE(transport_.closed);
  Connect();
  Send(Get("/health"));
  world_.RunOnLoop([&] { session_->OnStopping(); });
  EXPECT_TRUE(transport_.closed);
}

TEST_F(HttpSessionTest, ADestroyedSessionIsNotMissed) {
  for (const std::string& text :
       {Get("/metrics"), Get("/ready"), Post("m,host=a v=1 1\n"),
        Post("m v=1 1\n", "/write", "Nexus-Producer: 1/1/1\r\n"),
        Post(Gzip(std::string(8 << 20, '\n')), "/write", "Content-Encoding: gzip\r\n")}) {
    for (int turns : {0, 1, 2, 3, 5, 8}) {
      Connect();
      Send(text);
      for (int i = 0; i < turns; i++) world_.Step();
      world_.RunOnLoop([&] { session_.reset(); });
      world_.RunUntilIdle();
    }
  }
  Connect();
  EXPECT_EQ(AskOne(Post("m,host=a v=1 1\n")).status, 204);
}

}  // namespace
}  // namespace nexus::server
