// The client's session against a server in memory: whatever becomes of connections, what the server
// keeps is what callers were told.

#include "client/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/client/fake_server.h"

namespace nexus::client {
namespace {

constexpr int64_t kMilli = 1'000'000;
constexpr int64_t kSecond = 1'000 * kMilli;

Session::Options Options() {
  Session::Options options;
  options.producer = {1, 2};
  return options;
}

// A session, a server, and at most one connection between them.
class SessionTest : public testing::Test {
 protected:
  void Connect() {
    connection_ = std::make_unique<FakeServer::Connection>(&server_);
    EXPECT_TRUE(session_.OnTime(now_).ok());
    session_.OnConnected();
  }
  // What the client sends now and had sent, and the server has not seen, is lost.
  void Disconnect() {
    outgoing_.clear();
    connection_.reset();
    session_.OnDisconnected(Unavailable("reset"));
  }
  void TakeOutputs() {
    while (std::optional<Output> output = session_.TakeOutput()) {
      outgoing_ += output->head;
      outgoing_ += AsString(output->body);
      session_.OnOutputSent();
    }
  }
  // Moves all bytes both ways until nothing more happens.
  Status Exchange() {
    while (connection_ != nullptr) {
      TakeOutputs();
      if (outgoing_.empty() && connection_->replies.empty()) break;
      std::string sent = std::exchange(outgoing_, {});
      EXPECT_TRUE(connection_->Feed(AsBytes(sent)));
      std::string replies = std::exchange(connection_->replies, {});
      NEXUS_RETURN_IF_ERROR(session_.OnReceive(AsBytes(replies)));
    }
    return OkStatus();
  }
  // Time passes, with what it brings.
  void Wait(int64_t ns) {
    for (int64_t end = now_ + ns; now_ < end;) {
      now_ += 50 * kMilli;
      EXPECT_TRUE(session_.OnTime(now_).ok());
      EXPECT_TRUE(Exchange().ok());
    }
  }

  struct Told {
    int times = 0;
    Status status;
    WriteOutcome outcome;
  };
  std::unique_ptr<Write> MakeWrite(uint32_t target, const std::string& series, double value) {
    auto write = std::make_unique<Write>();
    SeriesId id = session_.Book(target)->Number(series);
    write->batch = std::make_shared<batch::BatchEncoder>(TenantId{0}, BranchId{0});
    write->batch->Add(std::vector<batch::SeriesSample>{{id, 1, value}});
    write->last_series = id.value;
    write->deadline_ns = now_ + 3600 * kSecond;
    return write;
  }
  // Appends one sample; what its caller is told is told_[value].
  void Append(double value, bool buffered = false, const std::string& series = "m\xff",
              uint32_t target = 0) {
    std::unique_ptr<Write> write = MakeWrite(target, series, value);
    write->buffered = buffered;
    told_[value] = {};
    write->done = [this, value](StatusOr<WriteOutcome> outcome) {
      Told& told = told_[value];
      told.times++;
      told.status = outcome.status();
      if (outcome.ok()) told.outcome = *outcome;
    };
    session_.Append(target, std::move(write));
  }
  std::vector<double> KeptValues() const {
    std::vector<double> values;
    for (const Kept& kept : server_.kept) values.push_back(kept.value);
    return values;
  }
  bool Acked(double value) { return told_.at(value).times == 1 && told_.at(value).status.ok(); }

  FakeServer server_;
  Session session_{Options()};
  const uint32_t default_ = session_.Target("default", "main");
  std::unique_ptr<FakeServer::Connection> connection_;
  std::string outgoing_;
  int64_t now_ = kSecond;
  std::map<double, Told> told_;
};

TEST_F(SessionTest, WhatIsAppendedBeforeAConnectionIsSentOnIt) {
  Append(1);
  Append(2);
  EXPECT_FALSE(session_.TakeOutput().has_value());
  Connect();
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(Acked(1));
  EXPECT_TRUE(Acked(2));
  EXPECT_EQ(KeptValues(), (std::vector<double>{1, 2}));
  EXPECT_EQ(server_.kept[0].series, "m\xff");
  EXPECT_FALSE(session_.busy());
}

TEST_F(SessionTest, ASeriesIsRegisteredOnceAConnection) {
  Connect();
  for (int i = 0; i < 3; i++) {
    Append(i);
    EXPECT_TRUE(Exchange().ok());
  }
  auto registrations = [&] {
    return std::count(connection_->seen.begin(), connection_->seen.end(),
                      protocol::Opcode::kRegisterSeries);
  };
  EXPECT_EQ(registrations(), 1);
  Disconnect();
  Append(7, false, "other\xff");
  Connect();
  EXPECT_TRUE(Exchange().ok());
  // Both series, in one frame.
  EXPECT_EQ(registrations(), 1);
  EXPECT_EQ(server_.kept.back().series, "other\xff");
}

TEST_F(SessionTest, BatchesAreSentAheadOfTheirAnswers) {
  Connect();
  EXPECT_TRUE(Exchange().ok());
  Append(0);
  EXPECT_TRUE(Exchange().ok());
  for (int i = 1; i <= 100; i++) Append(i);
  TakeOutputs();
  connection_->Feed(AsBytes(outgoing_));
  outgoing_.clear();
  EXPECT_EQ(server_.kept.size(), 1 + kWindowBatches);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(server_.kept.size(), 101u);
}

TEST_F(SessionTest, ALostAnswerIsAskedForAgainAndCountedOnce) {
  Connect();
  EXPECT_TRUE(Exchange().ok());
  Append(0);
  EXPECT_TRUE(Exchange().ok());
  Append(1);
  Append(2);
  TakeOutputs();
  connection_->Feed(AsBytes(outgoing_));  // taken, and the answers are lost
  EXPECT_EQ(server_.kept.size(), 3u);
  Disconnect();
  EXPECT_EQ(told_[1].times, 0);
  Connect();
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(KeptValues(), (std::vector<double>{0, 1, 2}));
  EXPECT_TRUE(told_[1].outcome.duplicate);
  EXPECT_TRUE(Acked(1));
  EXPECT_TRUE(Acked(2));
  EXPECT_EQ(server_.epochs, 1);
}

TEST_F(SessionTest, WhatIsRefusedForNowIsSentAgainInOrder) {
  Connect();
  int refusals = 2;
  server_.refuse = [&](const batch::BatchView&) -> std::optional<protocol::ErrorReply> {
    if (refusals-- <= 0) return std::nullopt;
    protocol::ErrorReply error = ErrorOf(ResourceExhausted("full"));
    error.retry_after_ms = 200;
    return error;
  };
  for (int i = 0; i < 5; i++) Append(i);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(server_.kept.empty());
  Wait(100 * kMilli);
  EXPECT_TRUE(server_.kept.empty());
  Wait(kSecond);
  EXPECT_EQ(KeptValues(), (std::vector<double>{0, 1, 2, 3, 4}));
  EXPECT_EQ(server_.duplicates, 0);
}

TEST_F(SessionTest, WhatIsRefusedForGoodIsToldAndTheRestGoesOn) {
  Connect();
  server_.refuse = [&](const batch::BatchView& batch) -> std::optional<protocol::ErrorReply> {
    auto sections = batch.sections();
    batch::SectionView section;
    sections.Next(&section);
    if (section.values[0] != 1 && section.values[0] != 3) return std::nullopt;
    return ErrorOf(InvalidArgument("odd"));
  };
  for (int i = 0; i < 6; i++) Append(i);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(KeptValues(), (std::vector<double>{0, 2, 4, 5}));
  EXPECT_TRUE(absl::IsInvalidArgument(told_[1].status));
  EXPECT_TRUE(absl::IsInvalidArgument(told_[3].status));
  EXPECT_TRUE(Acked(5));
  EXPECT_EQ(server_.epochs, 1);
}

TEST_F(SessionTest, ALostConnectionEndsBufferedBatchesOnly) {
  Connect();
  EXPECT_TRUE(Exchange().ok());
  Append(1, true);
  Append(2);
  TakeOutputs();
  Disconnect();
  EXPECT_TRUE(absl::IsUnavailable(told_[1].status));
  EXPECT_EQ(told_[2].times, 0);
  Connect();
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(KeptValues(), (std::vector<double>{2}));
}

TEST_F(SessionTest, ADeadlineTellsWhetherTheServerMayHaveIt) {
  std::unique_ptr<Write> write = MakeWrite(default_, "m\xff", 1);
  write->deadline_ns = now_ + kSecond;
  Status told;
  write->done = [&](StatusOr<WriteOutcome> outcome) { told = outcome.status(); };
  session_.Append(default_, std::move(write));
  Wait(2 * kSecond);
  EXPECT_EQ(FromAbsl(told.message()), "not sent in time: the server does not have the batch");
  EXPECT_FALSE(session_.busy());
}

TEST_F(SessionTest, AnotherClientsEpochEndsWriting) {
  Connect();
  Append(1);
  EXPECT_TRUE(Exchange().ok());
  server_.OpenNextEpochs();
  Append(2);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(told_[2].status)) << told_[2].status;
  Append(3);
  EXPECT_TRUE(absl::IsFailedPrecondition(told_[3].status));
  EXPECT_EQ(KeptValues(), (std::vector<double>{1}));
}

TEST_F(SessionTest, AForgottenProducerBeginsAnew) {
  Connect();
  Append(1);
  EXPECT_TRUE(Exchange().ok());
  server_.ForgetProducers();
  Append(2);
  Append(3);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(Acked(2));
  EXPECT_TRUE(Acked(3));
  EXPECT_EQ(KeptValues(), (std::vector<double>{1, 2, 3}));
}

TEST_F(SessionTest, ATargetThatCannotBeOpenedFailsItsOwnAlone) {
  Connect();
  server_.refuse_target = [](const protocol::OpenTarget&) { return NotFound("no such tenant"); };
  uint32_t acme = session_.Target("acme", "main");
  Append(1, false, "m\xff", acme);
  Append(2);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(absl::IsNotFound(told_[1].status)) << told_[1].status;
  EXPECT_TRUE(Acked(2));
  // Made meanwhile.
  server_.refuse_target = nullptr;
  Append(3, false, "m\xff", acme);
  Wait(6 * kSecond);
  EXPECT_TRUE(Acked(3)) << told_[3].status;
  EXPECT_EQ(server_.kept.back().tenant, "acme");
}

TEST_F(SessionTest, MoreTargetsThanTheServerAllowsAreRefusedByNameAndTheRestGoesOn) {
  server_.welcome.limits.targets_max = 3;  // number 0, and two more
  Connect();
  const std::vector<std::string> tenants = {"one", "two", "three"};
  for (size_t i = 0; i < tenants.size(); i++) {
    Append(static_cast<double>(i), false, "m\xff", session_.Target(tenants[i], "main"));
  }
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(Acked(0));
  EXPECT_TRUE(Acked(1));
  EXPECT_TRUE(absl::IsResourceExhausted(told_[2].status)) << told_[2].status;
  EXPECT_NE(told_[2].status.message().find("tenant three"), std::string_view::npos);
  Append(3, false, "m\xff", session_.Target("one", "main"));
  Append(4);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(Acked(3));
  EXPECT_TRUE(Acked(4));
}

TEST_F(SessionTest, AnotherDatabaseEndsEverything) {
  Connect();
  EXPECT_TRUE(Exchange().ok());
  Disconnect();
  Append(1);
  server_.welcome.database = {8, 8};
  Connect();
  EXPECT_TRUE(absl::IsFailedPrecondition(Exchange()));
  EXPECT_TRUE(absl::IsFailedPrecondition(session_.failure()));
  EXPECT_TRUE(absl::IsFailedPrecondition(told_[1].status));
}

TEST_F(SessionTest, AGreetingRefusedForGoodEndsEverything) {
  for (const Status& refused : {Unavailable("busy"), FailedPrecondition("another database")}) {
    Session session(Options());
    session.OnConnected();
    ASSERT_TRUE(session.TakeOutput().has_value());
    protocol::ErrorReply error = ErrorOf(refused);
    error.error_class = protocol::ErrorClass::kFatal;
    std::string body;
    protocol::Encode(error, &body);
    protocol::FrameHeader header;
    header.opcode = protocol::Opcode::kError;
    std::string reply;
    protocol::AppendFrame(header, AsBytes(body), &reply);
    EXPECT_EQ(session.OnReceive(AsBytes(reply)), refused);
    EXPECT_EQ(session.failure().ok(), absl::IsUnavailable(refused));
  }
}

// ---- Questions.

class Collector : public Call {
 public:
  Status OnReply(protocol::Opcode, Bytes body) override {
    frames++;
    protocol::ResultReader reader(body);
    protocol::ResultPart part;
    return reader.Next(&part).status();
  }
  void OnEnd(const Status& end_status, const protocol::ResultEnd&) override {
    ends++;
    status = end_status;
  }
  int frames = 0;
  int ends = 0;
  Status status;
};

CallRequest QueryOf(std::shared_ptr<Call> call) {
  CallRequest request;
  request.opcode = protocol::Opcode::kQuery;
  protocol::Encode(protocol::Query{}, &request.body);
  request.deadline_ns = 60 * kSecond;
  request.call = std::move(call);
  return request;
}

TEST_F(SessionTest, AnAnswerWaitsForCredit) {
  Connect();
  server_.result_frames = 20;
  auto call = std::make_shared<Collector>();
  uint64_t number = session_.Ask(QueryOf(call));
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(call->frames, 8);
  // Meanwhile others are answered.
  Append(1);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(Acked(1));
  session_.Grant(number, 5);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(call->frames, 13);
  session_.Grant(number, 100);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(call->frames, 20);
  EXPECT_EQ(call->ends, 1);
  EXPECT_TRUE(call->status.ok());
}

TEST_F(SessionTest, AnUnansweredQuestionIsAskedAgain) {
  Connect();
  EXPECT_TRUE(Exchange().ok());
  auto call = std::make_shared<Collector>();
  session_.Ask(QueryOf(call));
  TakeOutputs();
  Disconnect();
  EXPECT_EQ(call->ends, 0);
  Connect();
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(call->frames, 3);
  EXPECT_TRUE(call->status.ok());
}

TEST_F(SessionTest, AnAnswerThatBreaksOffSaysSo) {
  Connect();
  server_.result_frames = 20;
  auto call = std::make_shared<Collector>();
  session_.Ask(QueryOf(call));
  EXPECT_TRUE(Exchange().ok());
  Disconnect();
  EXPECT_EQ(call->ends, 1);
  EXPECT_TRUE(absl::IsUnavailable(call->status));
}

TEST_F(SessionTest, ACancelledQuestionEndsAtBothEnds) {
  Connect();
  server_.result_frames = 20;
  auto call = std::make_shared<Collector>();
  uint64_t number = session_.Ask(QueryOf(call));
  EXPECT_TRUE(Exchange().ok());
  session_.Cancel(number);
  EXPECT_EQ(call->ends, 1);
  EXPECT_TRUE(absl::IsCancelled(call->status));
  EXPECT_TRUE(Exchange().ok());
  EXPECT_EQ(call->frames, 8);
  EXPECT_EQ(connection_->seen.back(), protocol::Opcode::kCancel);
  Append(1);
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(Acked(1));
}

TEST_F(SessionTest, ADeadlineEndsAQuestion) {
  auto call = std::make_shared<Collector>();
  session_.Ask(QueryOf(call));
  Wait(61 * kSecond);
  EXPECT_TRUE(absl::IsDeadlineExceeded(call->status));
}

TEST_F(SessionTest, ASilentServerIsGivenUp) {
  Connect();
  EXPECT_TRUE(Exchange().ok());
  EXPECT_TRUE(session_.OnTime(now_).ok());
  Append(1);
  TakeOutputs();
  EXPECT_TRUE(session_.OnTime(now_ + 29 * kSecond).ok());
  EXPECT_TRUE(absl::IsUnavailable(session_.OnTime(now_ + 31 * kSecond)));
}

TEST_F(SessionTest, AReplyToNothingLosesTheConnection) {
  Connect();
  EXPECT_TRUE(Exchange().ok());
  std::string reply;
  protocol::FrameHeader header;
  header.opcode = protocol::Opcode::kDone;
  header.request_id = 99;
  protocol::AppendFrame(header, {}, &reply);
  EXPECT_TRUE(absl::IsUnavailable(session_.OnReceive(AsBytes(reply))));
}

TEST_F(SessionTest, Crc32ServesAsWell) {
  Session::Options options = Options();
  options.checksums = protocol::ChecksumKind::kCrc32;
  Session session(options);
  FakeServer::Connection connection(&server_);
  session.OnConnected();
  std::optional<Output> hello = session.TakeOutput();
  ASSERT_TRUE(hello.has_value());
  EXPECT_TRUE(connection.Feed(AsBytes(hello->head)));
  EXPECT_TRUE(session.OnReceive(AsBytes(connection.replies)).ok());
  EXPECT_TRUE(session.welcome().has_value());
}

// ---- All of it at once, by seeds.

// Connections break at any byte, either way; what a broken one still carries may arrive late; the
// server refuses this time and for good, answers get lost, and some say that the outcome is
// unknown.
class Storm : public SessionTest {
 protected:
  void Run(uint64_t seed) {
    random_.seed(seed);
    server_.refuse = [this](const batch::BatchView& batch) { return Refusal(batch); };
    server_.lose_outcome = [this] { return refusing_ && Below(20) == 0; };
    for (int step = 0; step < 400; step++) Step();
    // Calm.
    refusing_ = false;
    for (int i = 0; i < 1000 && (session_.busy() || connection_ == nullptr); i++) {
      FeedLate(true);
      if (connection_ == nullptr) Connect();
      Wait(50 * kMilli);
    }
    EXPECT_FALSE(session_.busy()) << seed;
    Judge(seed);
  }

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }

  std::optional<protocol::ErrorReply> Refusal(const batch::BatchView& batch) {
    auto sections = batch.sections();
    batch::SectionView section;
    sections.Next(&section);
    double value = section.values[0];
    // The same each time it is asked.
    if (static_cast<int>(value) % 7 == 3) return ErrorOf(InvalidArgument("never"));
    if (refusing_ && Below(10) == 0) return ErrorOf(ResourceExhausted("not now"));
    return std::nullopt;
  }

  void Step() {
    now_ += static_cast<int64_t>(Below(20)) * kMilli;
    EXPECT_TRUE(session_.OnTime(now_).ok());
    switch (Below(8)) {
      case 0:
      case 1:
        return Append(next_value_++);
      case 2:
      case 3:
        return Send();
      case 4:
      case 5:
        return Receive();
      case 6:
        return FeedLate(false);
      default:
        if (connection_ == nullptr) return Connect();
        if (Below(4) == 0) Break();
    }
  }

  // Some bytes reach the server.
  void Send() {
    if (connection_ == nullptr) return;
    TakeOutputs();
    size_t size = Below(4) == 0 ? Below(outgoing_.size() + 1) : outgoing_.size();
    EXPECT_TRUE(connection_->Feed(AsBytes(std::string_view(outgoing_).substr(0, size))));
    outgoing_.erase(0, size);
  }

  // Some reach the client.
  void Receive() {
    if (connection_ == nullptr) return;
    std::string& replies = connection_->replies;
    size_t size = Below(4) == 0 ? Below(replies.size() + 1) : replies.size();
    EXPECT_TRUE(session_.OnReceive(AsBytes(std::string_view(replies).substr(0, size))).ok());
    replies.erase(0, size);
  }

  void Break() {
    TakeOutputs();
    late_.emplace_back(std::move(connection_), std::exchange(outgoing_, {}));
    session_.OnDisconnected(Unavailable("reset"));
  }

  // What broken connections still carry reaches the server, or part of it.
  void FeedLate(bool all) {
    while (!late_.empty()) {
      auto& [connection, bytes] = late_.front();
      size_t size = all ? bytes.size() : Below(bytes.size() + 1);
      EXPECT_TRUE(connection->Feed(AsBytes(std::string_view(bytes).substr(0, size))));
      bytes.erase(0, size);
      if (!bytes.empty()) return;
      late_.pop_front();
      if (!all) return;
    }
  }

  void Judge(uint64_t seed) {
    std::map<double, int> kept;
    double last = -1;
    for (double value : KeptValues()) {
      kept[value]++;
      EXPECT_GT(value, last) << "out of order, seed " << seed;
      last = value;
    }
    for (int value = 0; value < next_value_; value++) {
      bool never = value % 7 == 3;
      EXPECT_EQ(told_[value].times, 1) << value << ", seed " << seed;
      EXPECT_EQ(told_[value].status.ok(), !never) << told_[value].status << ", seed " << seed;
      EXPECT_EQ(kept[value], never ? 0 : 1) << value << ", seed " << seed;
    }
  }

  std::mt19937_64 random_;
  bool refusing_ = true;
  int next_value_ = 0;
  std::deque<std::pair<std::unique_ptr<FakeServer::Connection>, std::string>> late_;
};

// One world for each seed.
struct OneStorm : Storm {
  void TestBody() override {}
  void Go(uint64_t seed) { Run(seed); }
};

// NEXUS_SESSION_SEEDS says how many; 300 take a second or two.
TEST(SessionStorm, WhatCallersAreToldIsWhatTheServerKeepsEachOnce) {
  const char* given = std::getenv("NEXUS_SESSION_SEEDS");
  const uint64_t seeds = given != nullptr ? std::stoull(given) : 300;
  for (uint64_t seed = 0; seed < seeds && !testing::Test::HasFailure(); seed++) {
    OneStorm storm;
    storm.Go(seed);
  }
}

}  // namespace
}  // namespace nexus::client
