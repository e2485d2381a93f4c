// POST /write: what is stored and what is answered - precision, gzip, bad lines, refusals, exactly
// once.

#include "server/http_write.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/server/http_fixture.h"

namespace nexus::server {
namespace {

using testing::HasSubstr;

class HttpWriteTest : public HttpSessionTest {
 protected:
  Response Zipped(std::string_view body) {
    return AskOne(Post(body, "/write", "Content-Encoding: gzip\r\n"));
  }
  Response Numbered(std::string_view body, std::string_view number) {
    return AskOne(Post(body, "/write", fmt::format("Nexus-Producer: {}\r\n", number)));
  }
};

TEST_F(HttpWriteTest, LinesThatAreAllStoredNeedNoWords) {
  Response response = AskOne(Post("m,host=a v=1.5 7\nm,host=b v=2 8\n"));
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.headers["Nexus-Durable-Lsn"],
            fmt::format("{}", core_->state()->applied.value));
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"], (std::map<int64_t, double>{{7, 1.5}}));
  EXPECT_EQ(Stored("m_v").size(), 2u);
  EXPECT_EQ(AskOne(Post("")).status, 204) << "there is nothing that was not stored";
}

TEST_F(HttpWriteTest, TheLastLineNeedsNoNewline) {
  EXPECT_EQ(AskOne(Post("m v=1 1\nm v=2 2")).status, 204);
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u);
}

TEST_F(HttpWriteTest, PrecisionIsTheUnitOfTimestamps) {
  EXPECT_EQ(AskOne(Post("a v=1 2", "/write?precision=ns")).status, 204);
  EXPECT_EQ(AskOne(Post("b v=1 2", "/write?db=x&precision=us")).status, 204);
  EXPECT_EQ(AskOne(Post("c v=1 2", "/write?precision=ms&db=x")).status, 204);
  EXPECT_EQ(AskOne(Post("d v=1 2", "/write?precision=%73")).status, 204);
  EXPECT_TRUE(Stored("a_v")["a_v"].contains(2));
  EXPECT_TRUE(Stored("b_v")["b_v"].contains(2'000));
  EXPECT_TRUE(Stored("c_v")["c_v"].contains(2'000'000));
  EXPECT_TRUE(Stored("d_v")["d_v"].contains(2'000'000'000));
  Response response = AskOne(Post("e v=1 2", "/write?precision=h"));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("precision"));
}

TEST_F(HttpWriteTest, TenantAndBranchMustExist) {
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("other")).ok());
  EXPECT_EQ(AskOne(Post("m v=1 2", "/write?tenant=other&branch=main")).status, 204);
  EXPECT_TRUE(Stored("m_v").empty()) << "that is tenant default";
  EXPECT_EQ(AskOne(Post("m v=1 2", "/write?tenant=nobody")).status, 404);
}

TEST_F(HttpWriteTest, GoodLinesAreKeptAndBadOnesNamed) {
  Response response = AskOne(Post("m v=1 1\nm v=x\xff 1\n\nm v=2 2\nm,\xff=1 v=1 1\n"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.headers["Content-Type"], "application/json");
  EXPECT_EQ(response.body,
            "{\"error\":\"2 of 4 lines could not be read; the others were stored\",\"accepted\":2,"
            "\"rejected\":2,\"lines\":[{\"line\":2,\"reason\":\"column 5: expected a number, true, "
            "false or a string, found 'x'\"},{\"line\":5,\"reason\":\"label name \\\"?\\\" is not "
            "UTF-8\"}]}\n");
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u);
}

TEST_F(HttpWriteTest, ExpiredLinesAreNamedAndTheOthersAreStored) {
  constexpr int64_t kDay = 86'400'000'000'000;
  const int64_t duration = world_.environment()->WallNanos() - kDay;
  ASSERT_TRUE(world_.RunTask(core_->SetRetention({{"{}", duration}}, "default")).ok());
  Response response = AskOne(Post(fmt::format("m v=1,w=2 1\nm v=2 {}\nm v=3 2\nbad\n", 2 * kDay)));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("3 of 4 lines could not be read, or are expired; the others "
                                       "were stored\",\"accepted\":1,\"rejected\":3"));
  EXPECT_THAT(response.body, HasSubstr("{\"line\":1,\"reason\":\"expired: 3 of 4 samples"));
  EXPECT_THAT(response.body, HasSubstr("{\"line\":3,\"reason\":\"expired"));
  EXPECT_THAT(AskOne(Post("m v=1 1\n")).body,
              HasSubstr("1 of 1 lines are expired; the others were stored"));
  const std::string body = fmt::format("m v=1 1\nm v=4 {}\n", 3 * kDay);
  for (int copy = 0; copy < 2; copy++) {
    response = Numbered(body, "7/1/1");
    EXPECT_EQ(response.status, 400) << response.body;
    EXPECT_THAT(response.body, HasSubstr("\"accepted\":1,\"rejected\":1,\"lines\":[{\"line\":1,"));
  }
  EXPECT_EQ(Numbered(fmt::format("m v=5 {}\n", 4 * kDay), "7/1/2").status, 204);
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 3u);
}

TEST_F(HttpWriteTest, ManyBadLinesMakeAShortAnswer) {
  std::string body;
  for (int i = 0; i < 10'000; i++) body += "bad\n";
  Response response = AskOne(Post(body));
  EXPECT_LT(response.body.size(), 2000u);
  EXPECT_THAT(response.body, HasSubstr("\"rejected\":10000"));
}

TEST_F(HttpWriteTest, GzipIsInflated) {
  std::string text;
  for (int i = 0; i < 30'000; i++) text += fmt::format("m,host=a v={} {}\n", i, i);
  EXPECT_EQ(Zipped(Gzip(text)).status, 204);
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"].size(), 30'000u);
}

TEST_F(HttpWriteTest, SeveralGzipMembersAreOneBody) {
  EXPECT_EQ(Zipped(Gzip("m v=1 1\nm v") + Gzip("=2 2")).status, 204);
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u);
}

TEST_F(HttpWriteTest, BrokenGzipIsRefusedAndTheConnectionLives) {
  const std::string whole = Gzip("m v=1 1\nm v=2 2\nm v=3 3\n");
  std::string flipped = whole;
  flipped[flipped.size() - 5] = static_cast<char>(flipped[flipped.size() - 5] ^ 1);
  for (const std::string& body : {whole.substr(0, whole.size() - 1), whole.substr(0, 5),
                                  std::string(), std::string("m v=1 1\n"), flipped, whole + "x"}) {
    Response response = Zipped(body);
    EXPECT_EQ(response.status, 400) << response.body;
    EXPECT_THAT(response.body, HasSubstr("gzip"));
  }
  EXPECT_EQ(AskOne(Get("/health")).status, 200);
}

TEST_F(HttpWriteTest, LinesBeforeTheDamageOfGzipAreStoredHoweverItComes) {
  std::string body = Gzip("m v=1 1\nm v=2 2\nm v=3 3\n");
  body[body.size() - 5] = static_cast<char>(body[body.size() - 5] ^ 1);
  const std::string request = Post(body, "/write", "Content-Encoding: gzip\r\n");
  for (size_t piece : {request.size(), size_t{1}}) {
    Connect();
    Feed(session_.get(), &transport_, request, piece);
    world_.RunUntilIdle();
    EXPECT_THAT(transport_.output, HasSubstr("\"accepted\":3")) << piece;
  }
}

TEST_F(HttpWriteTest, OtherEncodingsAreRefused) {
  EXPECT_EQ(AskOne(Post("x", "/write", "Content-Encoding: br\r\n")).status, 415);
  EXPECT_EQ(AskOne(Post("m v=1 1", "/write", "Content-Encoding: identity\r\n")).status, 204);
}

TEST_F(HttpWriteTest, ABombIsCutOffAndHoldsUpNobody) {
  const std::string bomb = Gzip(std::string(64 << 20, '\n'));
  ASSERT_LT(bomb.size(), 1u << 17);
  FakeTransport other;
  std::unique_ptr<HttpSession> neighbour;
  world_.RunOnLoop([&] { neighbour = std::make_unique<HttpSession>(service_.get(), &other); });
  Send(Post(bomb, "/write", "Content-Encoding: gzip\r\n"));
  EXPECT_EQ(transport_.output, "") << "not all of it in one turn";
  EXPECT_TRUE(transport_.paused);
  Feed(neighbour.get(), &other, Get("/health"), 1000);
  EXPECT_NE(other.output, "");
  world_.RunUntilIdle();
  std::vector<Response> responses = ResponsesIn(transport_.output);
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_EQ(responses[0].status, 413);
  EXPECT_THAT(responses[0].body, HasSubstr("times its size"));
  EXPECT_FALSE(transport_.closed);
}

TEST_F(HttpWriteTest, ABodyThatInflatesToTooMuchIsCutOff) {
  std::string block;
  for (uint64_t i = 0; block.size() < 1 << 20; i++) {
    block += fmt::format("{:016x}", i * 0x9E3779B97F4A7C15) + std::string(496, 'x');
  }
  const std::string member = Gzip(block);
  std::string body;
  for (uint64_t bytes = 0; bytes <= kInflatedBytesMax; bytes += block.size()) body += member;
  Response response = Zipped(body);
  EXPECT_EQ(response.status, 413);
  EXPECT_THAT(response.body, HasSubstr("more than 268435456 bytes"));
}

TEST_F(HttpWriteTest, TooLargeABodyIsRefusedBeforeItComes) {
  const uint64_t bytes = kHttpBodyBytesMax + 1;
  EXPECT_EQ(AskOne(fmt::format("POST /write HTTP/1.1\r\nContent-Length: {}\r\n\r\n", bytes)).status,
            413);
  EXPECT_TRUE(transport_.closed);
}

TEST_F(HttpWriteTest, TooLargeABodyInChunksIsCutOff) {
  Send("POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  for (uint64_t sent = 0; sent <= kHttpBodyBytesMax && !transport_.closed; sent += 1 << 20) {
    Send(chunk);
  }
  EXPECT_EQ(ResponsesIn(transport_.output).at(0).status, 413);
  EXPECT_TRUE(transport_.closed);
}

TEST_F(HttpWriteTest, AClientThatAsksIsToldToSendItsBody) {
  const std::string request = Post("m v=1 1\n", "/write", "Expect: 100-continue\r\n");
  const size_t body = request.find("m v=1");
  Send(request.substr(0, body));
  EXPECT_EQ(transport_.output, "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(AskOne(request.substr(body)).status, 204);
}

TEST_F(HttpWriteTest, AClientThatAsksIsRefusedAtOnce) {
  Send(Post("", "/none", "Expect: 100-continue\r\n"));
  EXPECT_FALSE(transport_.closed) << "without a body there is nothing to ask for";
  Connect();
  Send("POST /none HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(ResponsesIn(transport_.output).at(0).status, 404);
  EXPECT_TRUE(transport_.closed);
}

TEST_F(HttpWriteTest, ARefusingDatabaseSaysWhenToTryAgain) {
  Ask(Post("m v=1 1\n"));
  core_->committer()->Refuse(Unavailable("the log failed"));
  Response response = AskOne(Post("m v=2 2\n"));
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers["Retry-After"], "1");
  EXPECT_EQ(response.body, "{\"error\":\"the log failed\",\"accepted\":0}\n");
  core_->committer()->Refuse(ResourceExhausted("no memory"));
  response = AskOne(Post("m v=2 2\n"));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers["Retry-After"], "1");
  EXPECT_FALSE(transport_.closed);
}

TEST_F(HttpWriteTest, ANumberedBodyIsStoredOnceHoweverOftenItIsSent) {
  const std::string id = "00112233-4455-6677-8899-aabbccddeeff";
  for (int copy = 0; copy < 3; copy++) {
    EXPECT_EQ(Numbered("m v=1 1\nm v=2 2\n", id + "/1/1").status, 204);
  }
  EXPECT_EQ(service_->metrics()->samples_received, 2u);
  EXPECT_EQ(world_.RunTask(core_->LoopStats()).appended_batches, 1u);
  EXPECT_EQ(Numbered("m v=3 3\n", id + "/1/2").status, 204);
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 3u);
}

TEST_F(HttpWriteTest, AGapSaysWhatIsExpected) {
  EXPECT_EQ(Numbered("m v=1 1\n", "ab/1/1").status, 204);
  Response response = Numbered("m v=5 5\n", "ab/1/5");
  EXPECT_EQ(response.status, 409);
  EXPECT_THAT(response.body, HasSubstr("\"expected_sequence\":2"));
  EXPECT_EQ(Numbered("m v=2 2\n", "ab/1/2").status, 204);
}

TEST_F(HttpWriteTest, ANewerEpochFencesTheOlder) {
  EXPECT_EQ(Numbered("m v=1 1\n", "ab/1/1").status, 204);
  EXPECT_EQ(Numbered("m v=2 2\n", "ab/3/2").status, 204);
  EXPECT_EQ(Numbered("m v=3 3\n", "ab/1/2").status, 409);
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u);
}

TEST_F(HttpWriteTest, BadNumbersAreRefused) {
  for (const char* number :
       {"x", "1", "1/1", "1/1/", "/1/1", "1/0/1", "1/1/0", "1/1/1/1", "xyz/1/1", "1/-1/1",
        "123456789012345678901234567890123/1/1", "1/18446744073709551616/1"}) {
    EXPECT_EQ(Numbered("m v=1 1\n", number).status, 400) << number;
  }
  EXPECT_TRUE(Stored("m_v").empty());
}

TEST_F(HttpWriteTest, ANumberIsKeptForABodyThatHasLines) {
  EXPECT_EQ(Numbered("# nothing\n", "ab/1/1").status, 400);
  EXPECT_EQ(Numbered("bad\n", "ab/1/1").status, 400);
  EXPECT_EQ(Numbered("m v=1 1\nbad\n", "ab/1/1").status, 400) << "its good line is stored";
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 1u);
  EXPECT_EQ(Numbered("m v=2 2\n", "ab/1/2").status, 204);
}

TEST_F(HttpWriteTest, ANumberedBodyIsStoredWholeOrNot) {
  std::string gzip = Gzip("m v=1 1\nm v=2 2\n");
  gzip.pop_back();
  EXPECT_EQ(
      AskOne(Post(gzip, "/write", "Content-Encoding: gzip\r\nNexus-Producer: ab/1/1\r\n")).status,
      400);
  EXPECT_TRUE(Stored("m_v").empty());
}

TEST_F(HttpWriteTest, ANumberedBodyThatIsNoSingleBatchIsTooLarge) {
  std::string line = "m v=1";
  for (int field = 1; field < 1000; field++) line += ",v=1";
  std::string body;
  for (size_t i = 0; i <= kIngestSamplesMax; i += 1000) body += line + "\n";
  EXPECT_EQ(Numbered(body, "ab/1/1").status, 413);
  EXPECT_TRUE(Stored("m_v").empty());
}

}  // namespace
}  // namespace nexus::server
