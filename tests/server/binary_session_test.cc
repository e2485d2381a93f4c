// The server's end of NXP1, spoken to in frames over a database in the simulated world.

#include "server/binary_session.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "batch/batch_encoder.h"
#include "client/protocol/backup.h"
#include "client/protocol/delete.h"
#include "client/protocol/query.h"
#include "client/protocol/scrub.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::server {
namespace {

using protocol::Opcode;

// Takes what is written, and gives big bodies a place as a connection does.
class PeerTransport : public Transport {
 public:
  void Write(std::string_view bytes) override { output.append(bytes); }
  uint64_t queued_bytes() const override { return queued; }
  void Pause() override { paused = true; }
  void Resume() override { paused = false; }
  void ReceiveInto(MutableBytes buffer) override { wanted = buffer; }
  void CloseAfterWrites(std::string_view) override { closed = true; }
  const std::string& peer() const override { return peer_; }

  std::string output;
  uint64_t queued = 0;
  bool paused = false;
  bool closed = false;
  MutableBytes wanted;

 private:
  const std::string peer_ = "127.0.0.1:1";
};

struct Reply {
  protocol::FrameHeader header;
  std::string body;
};

// More than the first credit lets through.
constexpr size_t kManySamples = 400'000;

class BinarySessionTest : public engine::SimDatabaseTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Open().ok());
    Begin();
  }
  void TearDown() override {
    world_.RunOnLoop([this] { session_.reset(); });
    world_.RunUntilIdle();
    service_.reset();
  }
  void Begin() {
    world_.RunOnLoop([this] { session_.reset(); });
    if (service_ == nullptr) {
      service_ = std::make_unique<Service>(core_.get(), world_.environment());
    }
    transport_.emplace();
    session_ = std::make_unique<BinarySession>(service_.get(), &*transport_);
    reader_ = std::make_unique<protocol::FrameReader>(protocol::Side::kServer);
    reader_->set_body_bytes_max(protocol::kBodyBytesMax);
    symbols_ = protocol::RegistrationWriter();
    read_ = 0;
  }

  // Hands over bytes as a connection would.
  void Feed(std::string_view bytes, size_t piece = SIZE_MAX) {
    while (!bytes.empty()) {
      if (transport_->paused) world_.RunUntil([this] { return !transport_->paused; });
      if (!transport_->wanted.empty()) {
        MutableBytes& wanted = transport_->wanted;
        const size_t taken = std::min({wanted.size(), bytes.size(), piece});
        std::memcpy(wanted.data(), bytes.data(), taken);
        wanted = wanted.subspan(taken);
        bytes.remove_prefix(taken);
        if (wanted.empty()) world_.RunOnLoop([this] { session_->OnReceived(); });
        continue;
      }
      const std::string_view part = bytes.substr(0, piece);
      bytes.remove_prefix(part.size());
      world_.RunOnLoop([&] { session_->OnBytes(AsBytes(part)); });
    }
  }
  static std::string FrameOf(Opcode opcode, uint64_t id, std::string_view body, uint32_t flags = 0,
                             uint32_t target = 0) {
    protocol::FrameHeader header;
    header.opcode = opcode;
    header.request_id = id;
    header.flags = flags;
    header.target = target;
    std::string out;
    protocol::AppendFrame(header, AsBytes(body), &out);
    return out;
  }
  static std::string HelloFrame(DatabaseId expected = {}) {
    protocol::Hello hello;
    hello.client = "test";
    hello.expected = expected;
    std::string body;
    protocol::Encode(hello, &body);
    return FrameOf(Opcode::kHello, 1, body);
  }
  // The next reply; runs the world until there is one.
  Reply Next() {
    Reply reply;
    world_.RunUntil([&] {
      Bytes input = AsBytes(transport_->output).subspan(read_);
      const size_t before = input.size();
      protocol::Frame frame;
      auto step = reader_->Next(&input, &frame);
      read_ += before - input.size();
      if (!step.ok() || *step != protocol::FrameReader::Step::kFrame) return false;
      reply.header = frame.header;
      reply.body = AsText(frame.body);
      return true;
    });
    return reply;
  }
  protocol::ErrorReply NextError() {
    Reply reply = Next();
    EXPECT_EQ(reply.header.opcode, Opcode::kError);
    auto error = protocol::DecodeError(AsBytes(reply.body));
    EXPECT_TRUE(error.ok()) << error.status();
    return error.ok() ? *error : protocol::ErrorReply();
  }
  void Greet() {
    Feed(HelloFrame());
    ASSERT_EQ(Next().header.opcode, Opcode::kWelcome);
  }
  std::string RegisterFrame(uint64_t id, uint32_t first, const std::vector<std::string>& hosts) {
    symbols_.Begin(first);
    for (const std::string& host : hosts) {
      EXPECT_TRUE(symbols_.Add(Labels::Make("cpu", {{"host", host}})->Canonical()));
    }
    std::string body;
    symbols_.Finish(&body);
    return FrameOf(Opcode::kRegisterSeries, id, body);
  }
  // One row at `timestamp` of series numbers 1..count, with the numbers as values.
  static std::string RowBody(int64_t timestamp, uint64_t count,
                             std::optional<batch::ExactlyOnce> once = {}) {
    batch::BatchEncoder encoder({}, {});
    std::vector<SeriesId> numbers;
    std::vector<double> values;
    for (uint64_t i = 1; i <= count; i++) {
      numbers.push_back({i});
      values.push_back(static_cast<double>(i));
    }
    encoder.AddRow(timestamp, numbers, values);
    if (once.has_value()) encoder.SetExactlyOnce(*once);
    return std::string(AsText(encoder.Finish()));
  }
  // Greets and asks, as request `id`, for kManySamples.
  void QueryForMoreThanTheCredit(uint64_t id, uint32_t deadline_ms = 0) {
    Greet();
    for (size_t at = 0; at < kManySamples; at += 2'000) {
      ASSERT_TRUE(Append(static_cast<int64_t>(at), 2'000).ok());
    }
    protocol::Query query;
    query.selector = "metric";
    query.deadline_ms = deadline_ms;
    std::string body;
    protocol::Encode(query, &body);
    Feed(FrameOf(Opcode::kQuery, id, body));
    world_.RunFor(1'000'000'000);
  }
  protocol::WriteAck NextAck() {
    Reply reply = Next();
    EXPECT_EQ(reply.header.opcode, Opcode::kWriteAck);
    auto ack = protocol::DecodeWriteAck(AsBytes(reply.body));
    EXPECT_TRUE(ack.ok()) << ack.status();
    return ack.ok() ? *ack : protocol::WriteAck();
  }

  std::unique_ptr<Service> service_;
  std::optional<PeerTransport> transport_;
  std::unique_ptr<BinarySession> session_;
  std::unique_ptr<protocol::FrameReader> reader_;
  protocol::RegistrationWriter symbols_;
  size_t read_ = 0;
};

TEST_F(BinarySessionTest, WritesOfRegisteredSeriesAreAcknowledgedAndFound) {
  Greet();
  Feed(RegisterFrame(2, 1, {"a", "b", "c"}) + FrameOf(Opcode::kWriteBatch, 3, RowBody(1000, 3)));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  protocol::WriteAck ack = NextAck();
  EXPECT_EQ(ack.accepted, 3u);
  EXPECT_TRUE(ack.rejected.empty());
  EXPECT_GT(ack.end.value, 0u);

  protocol::Query query;
  query.selector = "cpu{host=\"b\"}";
  std::string body;
  protocol::Encode(query, &body);
  Feed(FrameOf(Opcode::kQuery, 4, body));
  Reply result = Next();
  ASSERT_EQ(result.header.opcode, Opcode::kResult);
  EXPECT_EQ(result.header.request_id, 4u);
  protocol::ResultReader parts(AsBytes(result.body));
  protocol::ResultPart part;
  ASSERT_TRUE(*parts.Next(&part));
  EXPECT_EQ(part.labels, Labels::Make("cpu", {{"host", "b"}})->Canonical());
  ASSERT_EQ(part.samples(), 1u);
  EXPECT_EQ(part.timestamp(0), 1000);
  EXPECT_EQ(part.value(0), 2.0);
  Reply end = Next();
  ASSERT_EQ(end.header.opcode, Opcode::kResultEnd);
  EXPECT_EQ(protocol::DecodeResultEnd(AsBytes(end.body))->samples, 1u);
}

class ForgettingSessionTest : public BinarySessionTest {
 protected:
  ForgettingSessionTest() { options_.series_grace_ms = 2'000; }

  // What is deleted leaves the layers, and after some graces its series are forgotten.
  void Forget(const std::string& selector) {
    DeleteRequest request;
    request.selector = selector;
    ASSERT_TRUE(world_.RunTask(core_->Delete(std::move(request))).ok());
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
    world_.RunFor(12'000'000'000);
    ASSERT_GT(core_->forgotten_series(), 0u);
  }
  static std::string SampleBody(uint64_t number) {
    batch::BatchEncoder encoder({}, {});
    const batch::SeriesSample samples[] = {{SeriesId{number}, 5, 6.0}};
    encoder.Add(samples);
    return std::string(AsText(encoder.Finish()));
  }
};

TEST_F(ForgettingSessionTest, ABatchOfAForgottenSeriesEndsTheConnectionAndPassesOnTheNext) {
  Greet();
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kWriteBatch, 3, RowBody(1000, 2)));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  EXPECT_EQ(NextAck().accepted, 2u);
  Forget("cpu{host=\"a\"}");
  Feed(FrameOf(Opcode::kWriteBatch, 4, SampleBody(2)));
  EXPECT_EQ(NextAck().accepted, 1u) << "the other number is as good as before";
  Feed(FrameOf(Opcode::kWriteBatch, 5, SampleBody(1)));
  const protocol::ErrorReply error = NextError();
  EXPECT_EQ(error.error_class, protocol::ErrorClass::kFatal);
  EXPECT_NE(error.message.find("forgotten"), std::string::npos) << error.message;
  EXPECT_TRUE(transport_->closed);
  Begin();
  Greet();
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kWriteBatch, 5, SampleBody(1)));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  EXPECT_EQ(NextAck().accepted, 1u);
}

TEST_F(BinarySessionTest, AnySegmentationGivesTheSame) {
  for (size_t piece : {1u, 7u, 64u, 4096u}) {
    Begin();
    std::vector<std::string> hosts;
    for (int i = 0; i < 2000; i++) hosts.push_back(fmt::format("h{}", i));
    // 24 KiB: received straight into its place.
    Feed(HelloFrame() + RegisterFrame(2, 1, hosts) +
             FrameOf(Opcode::kWriteBatch, 3, RowBody(static_cast<int64_t>(piece), 2000)) +
             FrameOf(Opcode::kPing, 4, {}),
         piece);
    EXPECT_EQ(Next().header.opcode, Opcode::kWelcome);
    EXPECT_EQ(Next().header.opcode, Opcode::kDone);
    std::map<uint64_t, Opcode> last;
    for (int i = 0; i < 2; i++) {
      Reply reply = Next();
      last[reply.header.request_id] = reply.header.opcode;
    }
    EXPECT_EQ(last[3], Opcode::kWriteAck) << piece;
    EXPECT_EQ(last[4], Opcode::kDone) << piece;
  }
  EXPECT_EQ(core_->state()->FindBranch({}, {})->active->samples(), 4u * 2000);
}

TEST_F(BinarySessionTest, SamplesOfUnknownNumbersAreRejectedTheOthersKept) {
  Greet();
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 4)) +
       FrameOf(Opcode::kWriteBatch, 4, RowBody(6, 2)));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  protocol::WriteAck ack = NextAck();
  EXPECT_EQ(ack.accepted, 2u);
  ASSERT_EQ(ack.rejected.size(), 1u);
  EXPECT_EQ(ack.rejected[0], (batch::RejectedRange{2, 2}));
  EXPECT_EQ(NextAck().accepted, 2u);
  EXPECT_EQ(core_->state()->FindBranch({}, {})->active->samples(), 4u);
}

TEST_F(BinarySessionTest, RowsThatRepeatTheirIdsRejectTheSameSamples) {
  Greet();
  batch::BatchEncoder encoder({}, {});
  const std::vector<SeriesId> numbers = {{1}, {9}, {2}};
  const std::vector<double> values = {1, 9, 2};
  encoder.AddRow(10, numbers, values);
  encoder.AddRow(20, numbers, values);
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kWriteBatch, 3, AsText(encoder.Finish())));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  protocol::WriteAck ack = NextAck();
  EXPECT_EQ(ack.accepted, 4u);
  ASSERT_EQ(ack.rejected.size(), 2u);
  EXPECT_EQ(ack.rejected[0], (batch::RejectedRange{1, 1}));
  EXPECT_EQ(ack.rejected[1], (batch::RejectedRange{4, 1}));
}

TEST_F(BinarySessionTest, BatchWithoutAnyKnownSeriesIsRefusedAndTheConnectionLives) {
  Greet();
  Feed(FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 4)) + FrameOf(Opcode::kPing, 4, {}));
  protocol::ErrorReply error = NextError();
  EXPECT_EQ(error.code, absl::StatusCode::kInvalidArgument);
  EXPECT_NE(error.message.find("registered"), std::string::npos) << error.message;
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  EXPECT_FALSE(transport_->closed);
}

TEST_F(BinarySessionTest, ExpiredSamplesAreRejectedAndTheReasonIsTold) {
  constexpr int64_t kDay = 86'400'000'000'000;
  const int64_t duration = world_.environment()->WallNanos() - kDay;
  ASSERT_TRUE(world_.RunTask(core_->SetRetention({{"{}", duration}}, "default")).ok());
  Greet();
  std::string open;
  protocol::Encode(protocol::OpenProducer{1, 2, 0}, &open);
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kOpenProducer, 3, open));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  ASSERT_EQ(Next().header.opcode, Opcode::kProducer);
  // The third series of each row is not registered, and the second row too old.
  batch::BatchEncoder encoder({}, {});
  const std::vector<SeriesId> numbers = {{1}, {2}, {3}};
  const std::vector<double> values = {1, 2, 3};
  encoder.AddRow(2 * kDay, numbers, values);
  encoder.AddRow(5, numbers, values);
  encoder.SetExactlyOnce({1, 2, 1, 1});
  const std::string body(AsText(encoder.Finish()));
  const protocol::Ranges rejected = {{2, 1}, {3, 2}, {5, 1}};
  for (uint64_t id = 4; id < 6; id++) {
    Feed(FrameOf(Opcode::kWriteBatch, id, body));
    const protocol::WriteAck ack = NextAck();
    EXPECT_EQ(ack.duplicate, id == 5);
    EXPECT_EQ(ack.accepted, 2u);
    EXPECT_EQ(ack.rejected, rejected);
    if (id == 4) {
      EXPECT_NE(ack.reason.find("tenant \"default\""), std::string::npos) << ack.reason;
    } else {
      EXPECT_EQ(ack.reason, "");
    }
  }
  EXPECT_EQ(service_->metrics()->samples_received, 2u);
  Feed(FrameOf(Opcode::kWriteBatch, 6, RowBody(5, 2, batch::ExactlyOnce{1, 2, 1, 2})));
  EXPECT_EQ(NextAck().accepted, 0u) << "it takes its number";
  Feed(FrameOf(Opcode::kWriteBatch, 7, RowBody(5, 2)));
  const protocol::ErrorReply error = NextError();
  EXPECT_EQ(error.code, absl::StatusCode::kOutOfRange);
  EXPECT_EQ(error.error_class, protocol::ErrorClass::kFix);
}

TEST_F(BinarySessionTest, RepeatedBatchIsAnsweredAsTheFirstAlsoWhatItRejected) {
  Greet();
  std::string open;
  const protocol::OpenProducer producer{1, 2, 0};
  protocol::Encode(producer, &open);
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kOpenProducer, 3, open));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  Reply opened = Next();
  ASSERT_EQ(opened.header.opcode, Opcode::kProducer);
  EXPECT_EQ(protocol::DecodeProducer(AsBytes(opened.body))->epoch, 1u);
  const batch::ExactlyOnce once{1, 2, 1, 1};
  Feed(FrameOf(Opcode::kWriteBatch, 4, RowBody(5, 3, once)));
  protocol::WriteAck first = NextAck();
  EXPECT_FALSE(first.duplicate);
  Feed(FrameOf(Opcode::kWriteBatch, 5, RowBody(5, 3, once)));
  protocol::WriteAck second = NextAck();
  EXPECT_TRUE(second.duplicate);
  EXPECT_EQ(second.accepted, first.accepted);
  EXPECT_EQ(second.rejected, first.rejected);
  EXPECT_EQ(second.end, first.end);
  EXPECT_EQ(core_->state()->FindBranch({}, {})->active->samples(), 2u);

  Feed(FrameOf(Opcode::kWriteBatch, 6, RowBody(5, 2, batch::ExactlyOnce{1, 2, 1, 3})));
  protocol::ErrorReply gap = NextError();
  EXPECT_EQ(gap.reason, protocol::ErrorReason::kSequenceGap);
  EXPECT_EQ(gap.expected, 2u);
  Feed(FrameOf(Opcode::kWriteBatch, 7, RowBody(5, 2, batch::ExactlyOnce{1, 2, 0, 2})));
  protocol::ErrorReply stale = NextError();
  EXPECT_EQ(stale.reason, protocol::ErrorReason::kStaleEpoch);
  EXPECT_EQ(stale.expected, 1u);
  Feed(FrameOf(Opcode::kWriteBatch, 8, RowBody(5, 2, batch::ExactlyOnce{9, 9, 1, 1})));
  EXPECT_EQ(NextError().reason, protocol::ErrorReason::kUnknownProducer);
}

TEST_F(BinarySessionTest, WrongDatabaseEndsTheConnectionByName) {
  Feed(HelloFrame(DatabaseId{1, 2}));
  protocol::ErrorReply error = NextError();
  EXPECT_EQ(error.error_class, protocol::ErrorClass::kFatal);
  EXPECT_NE(error.message.find("this is database"), std::string::npos) << error.message;
  EXPECT_TRUE(transport_->closed);
}

TEST_F(BinarySessionTest, FirstFrameMustBeHello) {
  Feed(FrameOf(Opcode::kPing, 1, {}));
  EXPECT_NE(NextError().message.find("HELLO"), std::string::npos);
  EXPECT_TRUE(transport_->closed);
}

TEST_F(BinarySessionTest, DamagedBodyEndsTheConnectionSoThatTheClientSendsItAgain) {
  Greet();
  std::string batch = FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 4));
  batch[batch.size() - 1] ^= 1;
  Feed(batch + FrameOf(Opcode::kPing, 4, {}));
  const protocol::ErrorReply error = NextError();
  EXPECT_EQ(error.code, absl::StatusCode::kDataLoss);
  EXPECT_EQ(error.error_class, protocol::ErrorClass::kFatal);
  EXPECT_TRUE(transport_->closed);
  EXPECT_EQ(read_, transport_->output.size()) << "what follows is not looked at";
}

TEST_F(BinarySessionTest, DamagedHeaderLosesTheFraming) {
  Greet();
  std::string ping = FrameOf(Opcode::kPing, 5, {});
  ping[20] ^= 1;
  Feed(ping);
  EXPECT_EQ(NextError().error_class, protocol::ErrorClass::kFatal);
  EXPECT_TRUE(transport_->closed);
}

TEST_F(BinarySessionTest, UnknownOpcodeAndCriticalFlagAreRefusedByNameAndTheConnectionLives) {
  Greet();
  Feed(FrameOf(static_cast<Opcode>(60), 2, {}) + FrameOf(Opcode::kPing, 3, {}, 1u << 9) +
       FrameOf(Opcode::kPing, 4, {}, 1u << 20));
  EXPECT_EQ(NextError().code, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(NextError().code, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Next().header.request_id, 4u);
  EXPECT_FALSE(transport_->closed);
}

TEST_F(BinarySessionTest, SlowReaderOfAResultGetsNoMoreThanItsCredit) {
  QueryForMoreThanTheCredit(7);
  size_t frames = 0, samples = 0;
  auto take = [&] {
    Reply reply = Next();
    EXPECT_EQ(reply.header.opcode, Opcode::kResult);
    frames++;
    protocol::ResultReader parts(AsBytes(reply.body));
    protocol::ResultPart part;
    while (*parts.Next(&part)) samples += part.samples();
  };
  for (uint32_t i = 0; i < protocol::kInitialCredit; i++) take();
  EXPECT_EQ(read_, transport_->output.size());
  // Others are answered meanwhile.
  Feed(FrameOf(Opcode::kPing, 8, {}));
  EXPECT_EQ(Next().header.request_id, 8u);
  std::string credit;
  const protocol::Credit more{7, 1000};
  protocol::Encode(more, &credit);
  Feed(FrameOf(Opcode::kCredit, 9, credit));
  while (true) {
    Reply reply = Next();
    if (reply.header.opcode == Opcode::kResultEnd) break;
    protocol::ResultReader parts(AsBytes(reply.body));
    protocol::ResultPart part;
    while (*parts.Next(&part)) samples += part.samples();
  }
  EXPECT_EQ(samples, kManySamples);
}

TEST_F(BinarySessionTest, PeerThatEndsItsDirectionGetsWhatItsCreditIsForAndTheEnd) {
  QueryForMoreThanTheCredit(7);
  world_.RunOnLoop([this] { session_->OnEnd(); });
  world_.RunFor(1'000'000'000);
  EXPECT_TRUE(transport_->closed);
  size_t results = 0;
  while (true) {
    Reply reply = Next();
    if (reply.header.opcode != Opcode::kResult) {
      EXPECT_EQ(reply.header.opcode, Opcode::kError);
      break;
    }
    results++;
  }
  EXPECT_GE(results, protocol::kInitialCredit);
}

TEST_F(BinarySessionTest, QueryWhoseReaderStopsEndsAtItsDeadlineAndFreesItsVersion) {
  QueryForMoreThanTheCredit(7, 5'000);
  for (uint32_t i = 0; i < protocol::kInitialCredit; i++) {
    EXPECT_EQ(Next().header.opcode, Opcode::kResult);
  }
  EXPECT_EQ(read_, transport_->output.size());
  EXPECT_EQ(core_->state()->query_leases->open(), 1u);
  world_.RunFor(3'000'000'000);
  EXPECT_EQ(core_->state()->query_leases->open(), 1u) << "it may still be read on";
  world_.RunFor(1'500'000'000);
  EXPECT_EQ(core_->state()->query_leases->open(), 0u);
  const protocol::ErrorReply late = NextError();
  EXPECT_EQ(late.code, absl::StatusCode::kDeadlineExceeded);
  EXPECT_NE(late.message.find("5000 ms"), std::string::npos) << late.message;
  // A peer whose connection takes no more is no different.
  transport_->queued = kOutputBytesMax;
  protocol::Query query;
  query.selector = "metric";
  query.deadline_ms = 2'000;
  std::string body;
  protocol::Encode(query, &body);
  Feed(FrameOf(Opcode::kQuery, 9, body));
  world_.RunFor(1'000'000'000);
  EXPECT_EQ(core_->state()->query_leases->open(), 1u);
  world_.RunFor(1'500'000'000);
  EXPECT_EQ(core_->state()->query_leases->open(), 0u);
  EXPECT_EQ(NextError().code, absl::StatusCode::kDeadlineExceeded);
}

TEST_F(BinarySessionTest, CancelledQueryEndsWithItsOwnReply) {
  QueryForMoreThanTheCredit(7);
  std::string cancel;
  protocol::EncodeCancel(7, &cancel);
  Feed(FrameOf(Opcode::kCancel, 8, cancel));
  std::map<uint64_t, Opcode> last;
  while (last.size() < 2) {
    Reply reply = Next();
    if (reply.header.opcode != Opcode::kResult) last[reply.header.request_id] = reply.header.opcode;
  }
  EXPECT_EQ(last[8], Opcode::kDone);
  EXPECT_EQ(last[7], Opcode::kError);
}

TEST_F(BinarySessionTest, LabelsSeriesStatsAndFlushAnswer) {
  Greet();
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 2)));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  NextAck();
  auto strings = [&](Opcode opcode, const std::string& body) {
    Feed(FrameOf(opcode, 4, body));
    std::vector<std::string> found;
    while (true) {
      Reply reply = Next();
      if (reply.header.opcode == Opcode::kResultEnd) return found;
      EXPECT_EQ(reply.header.opcode, Opcode::kStrings);
      protocol::StringsReader reader(AsBytes(reply.body));
      std::string_view text;
      while (*reader.Next(&text)) found.emplace_back(text);
    }
  };
  std::string names, values, series;
  protocol::Encode(protocol::LabelsQuery{"", "cpu"}, &names);
  protocol::Encode(protocol::LabelsQuery{"host", "cpu"}, &values);
  protocol::Encode(protocol::SeriesQuery{10, "cpu"}, &series);
  EXPECT_EQ(strings(Opcode::kLabels, names), (std::vector<std::string>{"__name__", "host"}));
  EXPECT_EQ(strings(Opcode::kLabels, values), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(strings(Opcode::kSeries, series).size(), 2u);
  Feed(FrameOf(Opcode::kFlush, 5, {}));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  Feed(FrameOf(Opcode::kStats, 6, {}));
  Reply reply = Next();
  ASSERT_EQ(reply.header.opcode, Opcode::kStatsReply);
  auto stats = protocol::DecodeStats(AsBytes(reply.body));
  ASSERT_TRUE(stats.ok());
  bool found = false;
  for (const protocol::Stat& stat : *stats) {
    if (stat.name == "layers") found = std::get<uint64_t>(stat.value) == 1;
  }
  EXPECT_TRUE(found);
}

std::string DeleteBody(std::string selector, TimeRange range, bool dry_run = false) {
  std::string body;
  protocol::Encode(protocol::Delete{dry_run, false, 0, range, std::move(selector)}, &body);
  return body;
}

TEST_F(BinarySessionTest, ADeleteTakesWhatCameBeforeItOnTheConnectionAndNothingBehindIt) {
  Greet();
  // All at once: none waits for the answer to another.
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 2)) +
       FrameOf(Opcode::kDelete, 4, DeleteBody("cpu", {})) +
       FrameOf(Opcode::kWriteBatch, 5, RowBody(5, 1)));
  std::map<uint64_t, Reply> replies;
  while (replies.size() < 4) {
    Reply reply = Next();
    replies[reply.header.request_id] = reply;
  }
  ASSERT_EQ(replies[4].header.opcode, Opcode::kCount);
  auto deleted = protocol::DecodeCount(AsBytes(replies[4].body));
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->series, 2u);
  EXPECT_EQ(deleted->samples, 0u) << "only a dry run counts them";
  Feed(FrameOf(Opcode::kDelete, 6, DeleteBody("cpu", {}, true)));
  Reply counted = Next();
  ASSERT_EQ(counted.header.opcode, Opcode::kCount);
  auto left = protocol::DecodeCount(AsBytes(counted.body));
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(*left, (protocol::Count{2, 1, 1})) << "the row of one, which came behind the delete";
}

TEST_F(BinarySessionTest, ADeleteThatCannotBeIsAnswered) {
  Greet();
  Feed(FrameOf(Opcode::kDelete, 4, DeleteBody("cpu{", {})));
  EXPECT_EQ(Next().header.opcode, Opcode::kError);
  Feed(FrameOf(Opcode::kDelete, 5, DeleteBody("cpu", {2, 1})));
  EXPECT_EQ(Next().header.opcode, Opcode::kError);
  Feed(FrameOf(Opcode::kDelete, 6, "x"));
  EXPECT_EQ(Next().header.opcode, Opcode::kError);
  Feed(FrameOf(Opcode::kPing, 7, {}));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone) << "the connection goes on";
}

TEST_F(BinarySessionTest, ABackupAnswersWithWhatItDidWhereItIsAllowed) {
  Greet();
  Feed(RegisterFrame(2, 1, {"a", "b"}) + FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 2)));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  NextAck();
  std::string body;
  protocol::Encode(protocol::Backup{"/backups/one"}, &body);
  Feed(FrameOf(Opcode::kBackup, 4, body));
  EXPECT_EQ(Next().header.opcode, Opcode::kError) << "nobody has allowed it";
  service_->set_backup_policy({"/backups", true});
  Feed(FrameOf(Opcode::kBackup, 5, body));
  Reply reply = Next();
  while (reply.header.opcode == Opcode::kProgress) reply = Next();
  ASSERT_EQ(reply.header.opcode, Opcode::kBackupReply);
  auto made = protocol::DecodeBackupReply(AsBytes(reply.body));
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->layers, 1u);
  EXPECT_EQ(made->linked, 1u);
  EXPECT_TRUE(world_.disk().ReadVisible("/backups/one/BACKUP").has_value());
  Feed(FrameOf(Opcode::kBackup, 6, "x"));
  EXPECT_EQ(Next().header.opcode, Opcode::kError);
  Feed(FrameOf(Opcode::kPing, 7, {}));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone) << "the connection goes on";
}

TEST_F(BinarySessionTest, ScrubAnswersWithItsReportAndOnlyOneRunsAtATime) {
  Greet();
  Feed(FrameOf(Opcode::kFlush, 5, {}));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  Feed(FrameOf(Opcode::kScrub, 6, {}) + FrameOf(Opcode::kScrub, 7, {}));
  std::map<uint64_t, Reply> replies;
  while (replies.size() < 2) {
    Reply reply = Next();
    if (reply.header.opcode == Opcode::kProgress) continue;
    replies[reply.header.request_id] = reply;
  }
  // Either may have come first.
  const bool first_ran = replies[6].header.opcode == Opcode::kScrubReply;
  const Reply& ran = first_ran ? replies[6] : replies[7];
  const Reply& refused = first_ran ? replies[7] : replies[6];
  ASSERT_EQ(ran.header.opcode, Opcode::kScrubReply);
  auto report = protocol::DecodeScrubReply(AsBytes(ran.body));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->finding_count, 0u);
  ASSERT_EQ(refused.header.opcode, Opcode::kError);
  auto error = protocol::DecodeError(AsBytes(refused.body));
  ASSERT_TRUE(error.ok());
  EXPECT_NE(error->message.find("under way"), std::string::npos) << error->message;
}

TEST_F(BinarySessionTest, ScrubEndsWithItsConnection) {
  Greet();
  Feed(FrameOf(Opcode::kScrub, 6, {}));
  world_.RunOnLoop([this] { session_.reset(); });
  world_.RunUntilIdle();
  EXPECT_TRUE(core_->BeginScrub().ok()) << "the one before has ended";
  world_.RunOnLoop([this] { core_->EndScrub(); });
}

TEST_F(BinarySessionTest, DestroyedSessionLeavesItsRequestsToEndByThemselves) {
  Greet();
  Feed(RegisterFrame(2, 1, {"a"}));
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  Feed(FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 1)) + FrameOf(Opcode::kFlush, 4, {}) +
       FrameOf(Opcode::kStats, 5, {}));
  world_.RunOnLoop([this] { session_.reset(); });
  world_.RunUntilIdle();
  EXPECT_EQ(service_->metrics()->samples_received, 1u);
}

TEST_F(BinarySessionTest, StoppingRefusesNewRequestsAndClosesWhenDone) {
  Greet();
  Feed(RegisterFrame(2, 1, {"a"}) + FrameOf(Opcode::kWriteBatch, 3, RowBody(5, 1)));
  service_->set_stopping();
  world_.RunOnLoop([this] { session_->OnStopping(); });
  EXPECT_EQ(Next().header.opcode, Opcode::kDone);
  // What was sent before the stop may be refused or acknowledged; either way it is answered.
  Opcode answer = Next().header.opcode;
  EXPECT_TRUE(answer == Opcode::kWriteAck || answer == Opcode::kError);
  world_.RunUntil([this] { return transport_->closed; });
}

}  // namespace
}  // namespace nexus::server
