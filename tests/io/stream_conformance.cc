// What every backend promises of its streams (io/stream.h). Part of the suite of conformance.h; in
// coroutines only EXPECT_ is used, since ASSERT_ returns.

#include <gmock/gmock.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/io/conformance.h"
#include "tests/io/stream_parts.h"

namespace nexus::io {
namespace {

using ::testing::AnyOf;
using ::testing::StartsWith;

constexpr int64_t kMillisecond = 1'000'000;

// ---- Bytes.

// Sends `text` as many operations of one to four pieces of many sizes, the next ones before the
// last are out.
Task<void> SendInManyPieces(Stream* stream, std::string text) {
  constexpr size_t kInFlight = 20;
  std::deque<WatchedSend> ops;
  size_t at = 0;
  for (size_t n = 0; at < text.size(); n++) {
    WatchedSend& op = ops.emplace_back();
    for (size_t i = 0; i <= n % SendOp::kPiecesMax; i++) {
      size_t bytes = std::min<size_t>((n * 7919 + i * 104729) % 9000, text.size() - at);
      op.Add(AsBytes(text).subspan(at, bytes));
      at += bytes;
    }
    op.To(stream);
    if (n >= kInFlight) co_await ops[n - kInFlight].done.Wait();
  }
  for (WatchedSend& op : ops) {
    co_await op.done.Wait();
    EXPECT_EQ(op.result, static_cast<int64_t>(op.size()));
    EXPECT_EQ(op.completions, 1);
  }
  stream->ShutdownSend();
}

Task<void> BytesArriveInOrderAndWhole(Environment* environment) {
  Ear client_ear;
  Ear server_ear;
  Connected ends(environment->network());
  co_await ends.Join();
  ends.client->Start(&client_ear);
  ends.server->Start(&server_ear);
  std::string up = Pattern(3'000'000, 1);
  std::string down = Pattern(1'000'000, 2);
  TaskScope scope(environment->executor());
  scope.Spawn(SendInManyPieces(ends.client.get(), up));
  scope.Spawn(SendInManyPieces(ends.server.get(), down));
  co_await scope.Join();
  co_await client_ear.WaitForEnd();
  co_await server_ear.WaitForEnd();
  EXPECT_TRUE(server_ear.text == up);
  EXPECT_TRUE(client_ear.text == down);
  EXPECT_EQ(server_ear.error, 0);
  EXPECT_EQ(client_ear.error, 0);
}

TEST_P(Conformance, Stream_BytesArriveInOrderAndWhole) {
  Run(BytesArriveInOrderAndWhole(environment()));
}

Task<void> HalfCloseEndsOneDirectionOnly(Network* network) {
  Ear client_ear;
  Ear server_ear;
  Connected ends(network);
  co_await ends.Join();
  ends.client->Start(&client_ear);
  ends.server->Start(&server_ear);
  WatchedSend ask(AsBytes("ask"));
  ask.To(ends.client.get());
  ends.client->ShutdownSend();
  co_await server_ear.WaitForEnd();
  EXPECT_EQ(server_ear.text, "ask");
  EXPECT_EQ(server_ear.error, 0);
  EXPECT_FALSE(client_ear.ended);
  EXPECT_EQ(co_await Send(ends.server.get(), AsBytes("answer")), 6);
  ends.server->Close();
  co_await client_ear.WaitForEnd();
  EXPECT_EQ(client_ear.text, "answer");
  EXPECT_EQ(client_ear.error, 0);
}

TEST_P(Conformance, Stream_HalfCloseEndsOneDirectionOnly) {
  Run(HalfCloseEndsOneDirectionOnly(environment()->network()));
}

Task<void> EmptySendsCompleteInTheirPlace(Network* network) {
  Connected ends(network);
  co_await ends.Join();
  std::vector<int> order;
  std::string text = "text";
  WatchedSend nothing;
  WatchedSend some(AsBytes(text));
  WatchedSend empty(AsBytes(std::string_view()));
  nothing.then = [&] { order.push_back(1); };
  some.then = [&] { order.push_back(2); };
  empty.then = [&] { order.push_back(3); };
  for (WatchedSend* op : {&nothing, &some, &empty}) op->To(ends.client.get());
  co_await empty.done.Wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(nothing.result, 0);
  EXPECT_EQ(some.result, 4);
  EXPECT_EQ(empty.result, 0);
}

TEST_P(Conformance, Stream_EmptySendsCompleteInTheirPlace) {
  Run(EmptySendsCompleteInTheirPlace(environment()->network()));
}

// ---- Backpressure.

Task<void> PausedReceiverHoldsTheSenderBack(Environment* environment) {
  // More than the system's buffers of both ends ever hold.
  constexpr size_t kSends = 64;
  Ear ear;
  Connected ends(environment->network());
  co_await ends.Join();
  Stream* server = ends.server.get();
  ear.then = [&ear, server] {
    if (ear.pieces == 1) server->PauseReceive();
  };
  server->Start(&ear);
  std::string megabyte = Pattern(1 << 20, 3);
  std::deque<WatchedSend> ops;
  for (size_t i = 0; i < kSends; i++) ops.emplace_back(AsBytes(megabyte)).To(ends.client.get());
  co_await environment->executor()->Sleep(100 * kMillisecond);
  EXPECT_EQ(ear.pieces, 1);
  EXPECT_EQ(ops.back().completions, 0) << "somebody keeps 64 MiB";
  ear.then = nullptr;
  server->ResumeReceive();
  co_await ear.WaitFor(kSends << 20);
  EXPECT_EQ(ear.text.size(), kSends << 20);
  for (size_t i = 0; i < kSends; i++) {
    EXPECT_TRUE(ear.text.compare(i << 20, 1 << 20, megabyte) == 0) << i;
    co_await ops[i].done.Wait();
  }
}

TEST_P(Conformance, Stream_PausedReceiverHoldsTheSenderBack) {
  Run(PausedReceiverHoldsTheSenderBack(environment()));
}

Task<void> PauseHoldsBackTheEndToo(Environment* environment) {
  Ear ear;
  Connected ends(environment->network());
  co_await ends.Join();
  ends.server->PauseReceive();
  ends.server->PauseReceive();
  ends.server->Start(&ear);
  EXPECT_EQ(co_await Send(ends.client.get(), AsBytes("last words")), 10);
  ends.client->Close();
  co_await environment->executor()->Sleep(20 * kMillisecond);
  EXPECT_EQ(ear.pieces, 0);
  EXPECT_FALSE(ear.ended);
  ends.server->ResumeReceive();
  co_await ear.WaitForEnd();
  EXPECT_EQ(ear.text, "last words");
  EXPECT_EQ(ear.error, 0);
}

TEST_P(Conformance, Stream_PauseHoldsBackTheEndToo) { Run(PauseHoldsBackTheEndToo(environment())); }

Task<void> PausingAgainAndAgainLosesNothing(Environment* environment) {
  Ear ear;
  Connected ends(environment->network());
  co_await ends.Join();
  Stream* server = ends.server.get();
  ear.then = [&ear, server] {
    if (ear.pieces % 7 == 0) server->PauseReceive();
  };
  server->Start(&ear);
  std::string text = Pattern(2'000'000, 4);
  TaskScope scope(environment->executor());
  scope.Spawn(SendInManyPieces(ends.client.get(), text));
  while (!ear.ended) {
    co_await environment->executor()->Sleep(kMillisecond / 5);
    server->ResumeReceive();
  }
  co_await scope.Join();
  EXPECT_TRUE(ear.text == text);
}

TEST_P(Conformance, Stream_PausingAgainAndAgainLosesNothing) {
  Run(PausingAgainAndAgainLosesNothing(environment()));
}

// ---- ReceiveInto.

// A session as the server's: frames of four bytes of length and a body, which is received in place
// but for what arrived together with the length.
class FrameReader : public StreamHandler {
 public:
  explicit FrameReader(Stream* stream) : stream_(stream), op_(MutableBytes()) {
    op_.then = [this] { BodyReceived(); };
  }
  void OnReceive(Bytes bytes) override {
    while (!bytes.empty()) {
      if (!in_body_) {
        header_ += static_cast<char>(bytes[0]);
        bytes = bytes.subspan(1);
        if (header_.size() == sizeof(uint32_t)) BeginBody(&bytes);
        continue;
      }
      ADD_FAILURE() << "bytes of a body by OnReceive";
      return;
    }
  }
  void OnReceiveEnd(int error) override {
    EXPECT_EQ(error, 0);
    ended = true;
    changed.Pulse();
  }

  std::vector<std::string> bodies;
  int in_place = 0;
  bool ended = false;
  Event changed;

 private:
  void BeginBody(Bytes* bytes) {
    body_.assign(LoadUnaligned<uint32_t>(header_.data()), '\0');
    header_.clear();
    size_t here = std::min(bytes->size(), body_.size());
    std::memcpy(body_.data(), bytes->data(), here);
    *bytes = bytes->subspan(here);
    if (here == body_.size()) return Keep();
    in_body_ = true;
    in_place++;
    wanted_ = body_.size() - here;
    op_.buffer = Writable(&body_).subspan(here);
    op_.From(stream_);
  }
  void BodyReceived() {
    EXPECT_EQ(op_.result, static_cast<int64_t>(wanted_));
    in_body_ = false;
    Keep();
  }
  void Keep() { bodies.push_back(std::move(body_)); }

  Stream* const stream_;
  WatchedReceive op_;
  std::string header_;
  std::string body_;
  size_t wanted_ = 0;
  bool in_body_ = false;
};

std::string Frame(const std::string& body) {
  auto bytes = static_cast<uint32_t>(body.size());
  return std::string(reinterpret_cast<const char*>(&bytes), sizeof(bytes)) + body;
}

Task<void> BodiesAreReceivedInPlace(Environment* environment) {
  Connected ends(environment->network());
  co_await ends.Join();
  FrameReader reader(ends.server.get());
  ends.server->Start(&reader);
  std::vector<std::string> bodies;
  std::string text;
  // Big ones, then small ones until the backend may receive ahead, then big ones again; sizes
  // around the buffers of the backends, and nothing at all.
  for (int round = 0; round < 3; round++) {
    for (size_t bytes : {1U << 20, 16384U, 16383U, 16385U, 0U, 65536U, 100'000U, 3U}) {
      bodies.push_back(Pattern(bytes, bodies.size()));
    }
    for (size_t i = 0; i < 200; i++) bodies.push_back(Pattern(i * 13 % 300, i));
  }
  for (const std::string& body : bodies) text += Frame(body);
  TaskScope scope(environment->executor());
  scope.Spawn(SendInManyPieces(ends.client.get(), text));
  co_await scope.Join();
  co_await Until(&reader.changed, [&reader] { return reader.ended; });
  EXPECT_TRUE(reader.bodies == bodies);
  EXPECT_GE(reader.in_place, 6) << "each of those that are longer than any piece, at least";
}

TEST_P(Conformance, Stream_BodiesAreReceivedInPlace) {
  Run(BodiesAreReceivedInPlace(environment()));
}

Task<void> SlowBodiesAreReceivedInPlace(Environment* environment) {
  Connected ends(environment->network());
  co_await ends.Join();
  FrameReader reader(ends.server.get());
  ends.server->Start(&reader);
  std::vector<std::string> bodies = {Pattern(30'000, 1), Pattern(20'000, 2)};
  std::string text = Frame(bodies[0]) + Frame(bodies[1]);
  // Each piece waits until the last has been taken: bodies begin and end anywhere in a receive.
  for (size_t at = 0; at < text.size(); at += 3001) {
    Bytes piece = AsBytes(text).subspan(at, std::min<size_t>(3001, text.size() - at));
    EXPECT_EQ(co_await Send(ends.client.get(), piece), static_cast<int64_t>(piece.size()));
    co_await environment->executor()->Sleep(kMillisecond);
  }
  ends.client->ShutdownSend();
  co_await Until(&reader.changed, [&reader] { return reader.ended; });
  EXPECT_TRUE(reader.bodies == bodies);
  EXPECT_EQ(reader.in_place, 2);
}

TEST_P(Conformance, Stream_SlowBodiesAreReceivedInPlace) {
  Run(SlowBodiesAreReceivedInPlace(environment()));
}

Task<void> ReceiveIntoEndsShortWithTheStream(Network* network) {
  Ear ear;
  Connected ends(network);
  co_await ends.Join();
  ends.server->Start(&ear);
  std::string body(100, '?');
  WatchedReceive op(Writable(&body));
  bool ended_before = true;
  op.then = [&] { ended_before = ear.ended; };
  op.From(ends.server.get());
  EXPECT_EQ(co_await Send(ends.client.get(), AsBytes("half")), 4);
  ends.client->Close();
  co_await op.done.Wait();
  EXPECT_EQ(op.result, 4);
  EXPECT_THAT(body, StartsWith("half?"));
  EXPECT_FALSE(ended_before);
  co_await ear.WaitForEnd();
  EXPECT_EQ(ear.error, 0);
  EXPECT_EQ(ear.text, "");
}

TEST_P(Conformance, Stream_ReceiveIntoEndsShortWithTheStream) {
  Run(ReceiveIntoEndsShortWithTheStream(environment()->network()));
}

Task<void> ReceiveIntoPassesThePause(Environment* environment) {
  Ear ear;
  Connected ends(environment->network());
  co_await ends.Join();
  ends.server->PauseReceive();
  ends.server->Start(&ear);
  EXPECT_EQ(co_await Send(ends.client.get(), AsBytes("bodyrest")), 8);
  std::string body(4, '?');
  EXPECT_EQ(co_await ReceiveInto(ends.server.get(), Writable(&body)), 4);
  EXPECT_EQ(body, "body");
  co_await environment->executor()->Sleep(10 * kMillisecond);
  EXPECT_EQ(ear.pieces, 0);
  ends.server->ResumeReceive();
  co_await ear.WaitFor(4);
  EXPECT_EQ(ear.text, "rest");
}

TEST_P(Conformance, Stream_ReceiveIntoPassesThePause) {
  Run(ReceiveIntoPassesThePause(environment()));
}

// ---- Ends.

Task<void> CloseDeliversWhatWasSent(Network* network) {
  Ear ear;
  Connected ends(network);
  co_await ends.Join();
  ends.server->Start(&ear);
  std::string text = Pattern(100'000, 5);
  EXPECT_EQ(co_await Send(ends.client.get(), AsBytes(text)), 100'000);
  ends.client->Close();
  ends.client->Close();
  co_await ear.WaitForEnd();
  EXPECT_TRUE(ear.text == text);
  EXPECT_EQ(ear.error, 0);
}

TEST_P(Conformance, Stream_CloseDeliversWhatWasSent) {
  Run(CloseDeliversWhatWasSent(environment()->network()));
}

// Ends the client's stream with operations in flight both ways, by `end`.
Task<void> EndWithOperationsInFlight(Environment* environment,
                                     std::function<void(Connected*)> end) {
  Ear client_ear;
  Ear server_ear;
  Connected ends(environment->network());
  co_await ends.Join();
  ends.client->Start(&client_ear);
  ends.server->PauseReceive();
  ends.server->Start(&server_ear);
  std::string much = Pattern(32 << 20, 6);
  std::string body(50'000, '?');
  WatchedSend first(AsBytes(much));
  WatchedSend second(AsBytes(much));
  WatchedReceive receive(Writable(&body));
  first.To(ends.client.get());
  second.To(ends.client.get());
  receive.From(ends.client.get());
  EXPECT_EQ(co_await Send(ends.server.get(), AsBytes("a bit")), 5);
  co_await environment->executor()->Sleep(10 * kMillisecond);
  end(&ends);
  EXPECT_EQ(first.completions + second.completions + receive.completions, 0);
  co_await first.done.Wait();
  co_await second.done.Wait();
  co_await receive.done.Wait();
  EXPECT_EQ(first.result, -ECANCELED);
  EXPECT_EQ(second.result, -ECANCELED);
  EXPECT_EQ(receive.result, -ECANCELED);
  ends.server->ResumeReceive();
  co_await server_ear.WaitForEnd();
  EXPECT_EQ(server_ear.error, -ECONNRESET) << "a part must not look like the whole";
  EXPECT_LT(server_ear.text.size(), much.size());
  EXPECT_EQ(client_ear.pieces, 0);
  EXPECT_FALSE(client_ear.ended);
}

TEST_P(Conformance, Stream_AbortCancelsWhatIsInFlight) {
  Run(EndWithOperationsInFlight(environment(), [](Connected* ends) {
    ends->client->Abort();
    ends->client->Abort();
  }));
}

TEST_P(Conformance, Stream_CloseWithASendInFlightResets) {
  Run(EndWithOperationsInFlight(environment(), [](Connected* ends) { ends->client->Close(); }));
}

TEST_P(Conformance, Stream_DestructionCancelsWhatIsInFlight) {
  Run(EndWithOperationsInFlight(environment(), [](Connected* ends) { ends->client.reset(); }));
}

Task<void> AnIdleStreamIsAborted(Network* network) {
  Ear client_ear;
  Ear server_ear;
  Connected ends(network);
  co_await ends.Join();
  ends.client->Start(&client_ear);
  ends.server->Start(&server_ear);
  EXPECT_EQ(co_await Send(ends.client.get(), AsBytes("hello")), 5);
  co_await server_ear.WaitFor(5);
  ends.client->Abort();
  co_await server_ear.WaitForEnd();
  EXPECT_EQ(server_ear.error, -ECONNRESET);
  EXPECT_FALSE(client_ear.ended);
}

TEST_P(Conformance, Stream_AnIdleStreamIsAborted) {
  Run(AnIdleStreamIsAborted(environment()->network()));
}

Task<void> SendsToAGonePeerFail(Environment* environment) {
  Ear ear;
  Connected ends(environment->network());
  co_await ends.Join();
  ends.client->Start(&ear);
  ends.server->Abort();
  co_await ear.WaitForEnd();
  EXPECT_EQ(ear.error, -ECONNRESET);
  for (int i = 0; i < 3; i++) {
    EXPECT_THAT(co_await Send(ends.client.get(), AsBytes("anybody?")), AnyOf(-EPIPE, -ECONNRESET));
  }
  ends.client->ShutdownSend();
}

TEST_P(Conformance, Stream_SendsToAGonePeerFail) { Run(SendsToAGonePeerFail(environment())); }

Task<void> AStreamMayGoInAnyOfItsCallbacks(Environment* environment) {
  Connected ends(environment->network());
  std::string body(2, '?');
  for (int way = 0; way < 4; way++) {
    Ear ear;
    WatchedSend send(AsBytes("out"));
    WatchedReceive receive(Writable(&body));
    co_await ends.Join();
    auto go = [&ends] { ends.server.reset(); };
    if (way == 0) ear.then = go;
    if (way == 1) receive.then = go;
    if (way == 2) send.then = go;
    ends.server->Start(&ear);
    if (way == 1) receive.From(ends.server.get());
    if (way == 2) send.To(ends.server.get());
    if (way != 3) {
      EXPECT_EQ(co_await Send(ends.client.get(), AsBytes("in and more")), 11);
    } else {
      ear.then = go;
      ends.client->ShutdownSend();
    }
    Ear client_ear;
    ends.client->Start(&client_ear);
    co_await client_ear.WaitForEnd();
    EXPECT_EQ(ends.server, nullptr);
    ends.client.reset();
    // The closing goes on after the handle is gone, and calls nobody.
    co_await environment->executor()->Sleep(kMillisecond);
    EXPECT_LE(ear.pieces, 1);
  }
}

TEST_P(Conformance, Stream_AStreamMayGoInAnyOfItsCallbacks) {
  Run(AStreamMayGoInAnyOfItsCallbacks(environment()));
}

}  // namespace
}  // namespace nexus::io
