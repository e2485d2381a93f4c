// Line protocol over a connection: what is answered, what is stored, whatever the pieces and
// however it ends.

#include "server/text_session.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "tests/server/session_fixture.h"

namespace nexus::server {
namespace {

using testing::StartsWith;

class TextSessionTest : public SessionTest {
 protected:
  // A connection's whole life.
  std::string AnswerTo(std::string_view text, size_t piece = 1 << 20) {
    Connect();
    if (Feed(session_.get(), &transport_, text, piece)) End();
    return transport_.output;
  }
  void Connect() {
    session_.reset();
    transport_ = {};
    world_.RunOnLoop(
        [&] { session_ = std::make_unique<TextSession>(service_.get(), &transport_); });
  }
  void Send(std::string_view text) { Feed(session_.get(), &transport_, text, text.size()); }
  void End() {
    // The end is not told while the session does not read.
    world_.RunUntil([&] { return !transport_.paused || transport_.closed; });
    if (transport_.closed) return;
    world_.RunOnLoop([&] { session_->OnEnd(); });
    world_.RunUntil([&] { return transport_.closed; });
  }
  uint64_t Errors(const std::string& reason) { return service_->metrics()->parse_errors[reason]; }
  void TearDown() override {
    session_.reset();
    SessionTest::TearDown();
  }

  FakeTransport transport_;
  std::unique_ptr<TextSession> session_;
};

TEST_F(TextSessionTest, ALineIsStoredAndAnsweredAtTheEnd) {
  std::string answer = AnswerTo("m,host=a v=1.5 7\n");
  const Lsn durable = core_->state()->applied;
  EXPECT_EQ(answer, fmt::format("ok 1 0 {}\n", durable.value));
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"], (std::map<int64_t, double>{{7, 1.5}}));
  EXPECT_EQ(service_->metrics()->samples_received, 1u);
}

TEST_F(TextSessionTest, NothingButTheEndIsAnsweredToo) {
  EXPECT_THAT(AnswerTo(""), StartsWith("ok 0 0 "));
}

TEST_F(TextSessionTest, TheLastLineNeedsNoNewline) {
  EXPECT_THAT(AnswerTo("m v=1 1\nm v=2 2"), StartsWith("ok 2 0 "));
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u);
}

TEST_F(TextSessionTest, EveryPieceSizeGivesTheSame) {
  const std::string long_line = "t,x=" + std::string(kIngestLineBytesMax, 'y') + " v=1 1\n";
  auto text = [&](size_t piece) {
    std::string m = fmt::format("p{}", piece);
    return m + ",host=a v=1 1\n# comment\n\n" + m + ",host=a v=2 2\r\nbad line here\n" + m +
           ",host=b v=3,s=\"x y\" 3\n" + (piece > 100 ? long_line : "junk\n") + m +
           ",host=\xff v=1 1\n" + m + ",host=a v=9 99999999999999999999\n" + m + ",host=c v=4 4";
  };
  for (size_t piece :
       {1u, 2u, 3u, 5u, 7u, 11u, 16u, 33u, 100u, 101u, 4096u, 65536u, 65537u, 1u << 20}) {
    EXPECT_THAT(AnswerTo(text(piece), piece), StartsWith("ok 4 4 ")) << piece;
    std::string metric = fmt::format("p{}_v", piece);
    auto stored = Stored(metric);
    EXPECT_EQ(stored.size(), 3u) << piece;
    EXPECT_EQ(stored[metric + "{host=\"a\"}"], (std::map<int64_t, double>{{1, 1}, {2, 2}}));
    EXPECT_EQ(stored[metric + "{host=\"b\"}"], (std::map<int64_t, double>{{3, 3}}));
    EXPECT_EQ(stored[metric + "{host=\"c\"}"], (std::map<int64_t, double>{{4, 4}}));
  }
}

TEST_F(TextSessionTest, ALineOfStringsAloneIsNotCountedWhateverItComesWith) {
  const std::string text = "m v=1 1\nm s=\"x\" 2\nm s=\"y\" 3";
  for (size_t piece : {size_t{1000}, size_t{3}}) {
    EXPECT_THAT(AnswerTo(text, piece), StartsWith("ok 1 0 ")) << piece;
  }
}

TEST_F(TextSessionTest, APartialLineWaits) {
  Connect();
  Send("m v=1");
  world_.RunUntilIdle();
  EXPECT_TRUE(Stored("m_v").empty());
  Send("5 7\n");
  world_.RunUntilIdle();
  EXPECT_EQ(Stored("m_v")["m_v"], (std::map<int64_t, double>{{7, 15}}));
  EXPECT_EQ(transport_.output, "") << "nothing is answered before the end";
}

TEST_F(TextSessionTest, ASlowClientIsStoredAtOnce) {
  Connect();
  for (int i = 0; i < 3; i++) {
    Send(fmt::format("m v={} {}\n", i, i));
    world_.RunUntilIdle();
    EXPECT_EQ(Stored("m_v")["m_v"].size(), static_cast<size_t>(i) + 1);
  }
}

TEST_F(TextSessionTest, MalformedLinesAreCountedByReasonAndTheConnectionLives) {
  Connect();
  Send("m\nm v=1 1\nm v=x 1\nm,=b v=1 1\nm v=1 99999999999999999999\n" + std::string(70000, 'x') +
       "\nm v=2 2\n");
  world_.RunUntilIdle();
  EXPECT_FALSE(transport_.closed);
  EXPECT_EQ(Errors("syntax"), 3u);
  EXPECT_EQ(Errors("series"), 1u);
  EXPECT_EQ(Errors("too_long"), 1u);
  End();
  EXPECT_THAT(transport_.output, StartsWith("ok 2 5 "));
}

TEST_F(TextSessionTest, StatsdIsRecognisedAndRefused) {
  Connect();
  Send("a.b:1|c\nc:2|g|#tag:x v=1 1\nm\\:a|b v=3 3\nm|a:b v=4 4\n");
  world_.RunUntilIdle();
  EXPECT_EQ(Errors("statsd"), 2u);
  EXPECT_EQ(Errors("syntax"), 0u);
  End();
  EXPECT_THAT(transport_.output, StartsWith("ok 2 2 "));
}

TEST_F(TextSessionTest, TheLongestLineFitsAndOneByteMoreDoesNot) {
  auto line = [](size_t bytes) {
    std::string front = "m v=1,s=\"", back = "\" 1";
    return front + std::string(bytes - front.size() - back.size(), 'x') + back;
  };
  for (size_t piece : {1000u, 1u << 20}) {
    EXPECT_THAT(AnswerTo(line(kIngestLineBytesMax) + "\n", piece), StartsWith("ok 1 0 "));
    EXPECT_THAT(AnswerTo(line(kIngestLineBytesMax), piece), StartsWith("ok 1 0 "));
    EXPECT_THAT(AnswerTo(line(kIngestLineBytesMax + 1) + "\n", piece), StartsWith("ok 0 1 "));
    EXPECT_THAT(AnswerTo(line(kIngestLineBytesMax + 1), piece), StartsWith("ok 0 1 "));
  }
}

TEST_F(TextSessionTest, ALineWithoutEndTakesNoMemoryAndHarmsNoOther) {
  std::string text = std::string(3 << 20, 'x') + "\nm v=1 1\n";
  EXPECT_THAT(AnswerTo(text, 10'000), StartsWith("ok 1 1 "));
}

TEST_F(TextSessionTest, AMissingTimestampIsTheServersClock) {
  world_.JumpWallClock(1'000'000'000);
  int64_t before = world_.environment()->WallNanos();
  AnswerTo("m v=1\n");
  int64_t after = world_.environment()->WallNanos();
  auto stored = Stored("m_v");
  ASSERT_EQ(stored["m_v"].size(), 1u);
  EXPECT_LE(before, stored["m_v"].begin()->first);
  EXPECT_GE(after, stored["m_v"].begin()->first);
}

TEST_F(TextSessionTest, ReadingStopsWhileNewSeriesGetTheirIdsAndGoesOn) {
  Connect();
  Send("m,host=a v=1 1\n");
  EXPECT_TRUE(transport_.paused);
  world_.RunUntilIdle();
  EXPECT_FALSE(transport_.paused);
  Send("m,host=a v=2 2\n");
  EXPECT_FALSE(transport_.paused);
}

TEST_F(TextSessionTest, WhatCameInOnePieceIsTakenInTheEndHoweverManySeriesAreNew) {
  std::string text;
  for (size_t i = 0; i < 3 * kIngestBatchSamples; i++) {
    text += fmt::format("m,n={} v=1 {}\n", i % (kIngestBatchSamples + 1), i);
  }
  EXPECT_THAT(AnswerTo(text), StartsWith(fmt::format("ok {} 0 ", 3 * kIngestBatchSamples)));
}

TEST_F(TextSessionTest, ARefusingDatabaseIsAnsweredAtOnceAndTheConnectionCloses) {
  Connect();
  Send("m v=1 1\n");
  world_.RunUntilIdle();
  core_->committer()->Refuse(Unavailable("no disk\nat all"));
  Send("m v=2 2\n");
  world_.RunUntil([&] { return transport_.closed; });
  EXPECT_EQ(transport_.output, "error no disk at all; 1 lines before it were stored\n");
  world_.RunOnLoop([&] { session_->OnBytes(AsBytes("m v=3 3\n")); });
  world_.RunOnLoop([&] { session_->OnEnd(); });
  world_.RunUntilIdle();
  EXPECT_EQ(service_->metrics()->samples_received, 1u);
}

TEST_F(TextSessionTest, ARefusalAtTheEndIsTheOneAnswer) {
  core_->committer()->Refuse(Unavailable("no disk"));
  EXPECT_THAT(AnswerTo("m v=1 1"), StartsWith("error no disk"));
}

TEST_F(TextSessionTest, ADestroyedSessionLeavesItsBatchesToTheDatabase) {
  Connect();
  Send("m v=1 1\n");
  world_.RunUntilIdle();
  Send("m v=2 2\nm,host=new v=1 1\n");
  world_.RunOnLoop([&] { session_.reset(); });
  world_.RunUntilIdle();
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 1u) << "its new series had no ids yet";
  Connect();
  Send("m v=3 3\n");
  world_.RunOnLoop([&] { session_.reset(); });
  world_.RunUntilIdle();
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u) << "it was submitted";
}

TEST_F(TextSessionTest, AStoppingServerStoresWholeLinesAndAnswers) {
  Connect();
  Send("m v=1 1\nm v=2 2\nm v=3");
  world_.RunOnLoop([&] { session_->OnStopping(); });
  world_.RunUntil([&] { return transport_.closed; });
  EXPECT_THAT(transport_.output, StartsWith("ok 2 0 "));
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u);
}

}  // namespace
}  // namespace nexus::server
