// What every backend promises of listening, connecting and many connections at once
// (io/stream.h). Part of the suite of conformance.h; in coroutines only EXPECT_ is used, since
// ASSERT_ returns.

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

using ::testing::StartsWith;

Task<void> BothEndsKnowEachOther(Network* network) {
  Connected ends(network);
  co_await ends.Join();
  EXPECT_EQ(ends.listener->address(), "127.0.0.1:" + std::to_string(ends.listener->port()));
  EXPECT_NE(ends.listener->port(), 0);
  EXPECT_EQ(ends.client->peer(), ends.listener->address());
  EXPECT_EQ(ends.server->local(), ends.listener->address());
  EXPECT_EQ(ends.client->local(), ends.server->peer());
  EXPECT_THAT(ends.server->peer(), StartsWith("127.0.0.1:"));
}

TEST_P(Conformance, Stream_BothEndsKnowEachOther) {
  Run(BothEndsKnowEachOther(environment()->network()));
}

Task<void> APortHasOneListener(Network* network) {
  Doorman doorman;
  ListenResult first = network->Listen("127.0.0.1:0", 1, &doorman);
  EXPECT_EQ(first.error, 0);
  std::string address = first.listener->address();
  ListenResult second = network->Listen(address, 1, &doorman);
  EXPECT_EQ(second.error, -EADDRINUSE);
  EXPECT_EQ(second.listener, nullptr);
  first.listener.reset();
  ConnectResult refused = co_await network->Connect(address, kConnectTimeoutNs);
  EXPECT_EQ(refused.error, -ECONNREFUSED);
  EXPECT_EQ(refused.stream, nullptr);
  ListenResult third = network->Listen(address, 1, &doorman);
  EXPECT_EQ(third.error, 0) << "the port is free again";
  ConnectResult connected = co_await network->Connect(
      "localhost:" + std::to_string(third.listener->port()), kConnectTimeoutNs);
  EXPECT_EQ(connected.error, 0);
}

TEST_P(Conformance, Stream_APortHasOneListener) {
  Run(APortHasOneListener(environment()->network()));
}

Task<void> WhatIsNoAddressIsInvalid(Network* network) {
  Doorman doorman;
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:99999", ":80", "example.invalid:80"}) {
    EXPECT_EQ(network->Listen(address, 1, &doorman).error, -EINVAL) << address;
  }
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:99999", ":80"}) {
    ConnectResult connected = co_await network->Connect(address, kConnectTimeoutNs);
    EXPECT_EQ(connected.error, -EINVAL) << address;
  }
}

TEST_P(Conformance, Stream_WhatIsNoAddressIsInvalid) {
  Run(WhatIsNoAddressIsInvalid(environment()->network()));
}

class Echo : public StreamHandler {
 public:
  explicit Echo(std::unique_ptr<Stream> stream) : stream_(std::move(stream)), op_(&Sent) {
    op_.echo = this;
    stream_->Start(this);
  }
  void OnReceive(Bytes bytes) override {
    text_ = AsString(bytes);
    op_.Clear();
    op_.Add(AsBytes(text_));
    stream_->PauseReceive();
    stream_->Send(&op_);
  }
  void OnReceiveEnd(int) override { stream_->Close(); }

 private:
  struct EchoOp : SendOp {
    using SendOp::SendOp;
    Echo* echo = nullptr;
  };
  static void Sent(SendOp* op) { static_cast<EchoOp*>(op)->echo->stream_->ResumeReceive(); }
  std::unique_ptr<Stream> stream_;
  EchoOp op_;
  std::string text_;
};

class EchoServer : public AcceptHandler {
 public:
  void OnAccept(std::unique_ptr<Stream> stream) override { echoes.emplace_back(std::move(stream)); }
  void OnAcceptError(int error) override { ADD_FAILURE() << error; }
  std::deque<Echo> echoes;
};

Task<void> TalkToEcho(Network* network, std::string address, std::string text, int* right) {
  Ear ear;
  ConnectResult connected = co_await network->Connect(address, kConnectTimeoutNs);
  EXPECT_EQ(connected.error, 0);
  if (connected.error != 0) co_return;
  connected.stream->Start(&ear);
  for (int round = 0; round < 10; round++) {
    ear.text.clear();
    co_await Send(connected.stream.get(), AsBytes(text));
    co_await ear.WaitFor(text.size());
    *right += ear.text == text ? 1 : 0;
  }
  connected.stream->Close();
}

Task<void> ManyConnectionsTalkAtOnce(Environment* environment) {
  constexpr int kConnections = 150;
  EchoServer server;
  ListenResult listening = environment->network()->Listen("127.0.0.1:0", kListenBacklog, &server);
  EXPECT_EQ(listening.error, 0);
  int right = 0;
  TaskScope scope(environment->executor());
  for (int i = 0; i < kConnections; i++) {
    scope.Spawn(TalkToEcho(environment->network(), listening.listener->address(),
                           Pattern(10 + static_cast<size_t>(i) * 20, static_cast<uint64_t>(i)),
                           &right));
  }
  co_await scope.Join();
  EXPECT_EQ(right, 10 * kConnections);
  EXPECT_EQ(server.echoes.size(), size_t{kConnections});
}

TEST_P(Conformance, Stream_ManyConnectionsTalkAtOnce) {
  Run(ManyConnectionsTalkAtOnce(environment()));
}

// More than the smallest ring has room for completions.
Task<void> IdleConnectionsTakeNoRoomFromFiles(Environment* environment, std::string path) {
  constexpr size_t kConnections = 60;
  std::deque<Ear> ears;
  std::vector<std::unique_ptr<Stream>> streams;
  Connected ends(environment->network());
  for (size_t i = 0; i < kConnections; i++) {
    co_await ends.Join();
    for (std::unique_ptr<Stream>* end : {&ends.client, &ends.server}) {
      (*end)->Start(&ears.emplace_back());
      streams.push_back(std::move(*end));
    }
  }
  OpenFlags flags;
  flags.write = flags.create = true;
  OpenResult opened = co_await environment->disk()->Open(path, flags);
  EXPECT_EQ(opened.error, 0);
  EXPECT_EQ(co_await Write(opened.file.get(), 0, AsBytes("written")), 7);
  for (Ear& ear : ears) EXPECT_FALSE(ear.ended);
}

TEST_P(Conformance, Stream_IdleConnectionsTakeNoRoomFromFiles) {
  Run(IdleConnectionsTakeNoRoomFromFiles(environment(), Path("f")));
}

// Destroys the listener with the first connection and the connection too.
class Grump : public AcceptHandler {
 public:
  void OnAccept(std::unique_ptr<Stream> stream) override {
    accepted++;
    stream.reset();
    listener.reset();
  }
  void OnAcceptError(int) override {}
  std::unique_ptr<Listener> listener;
  int accepted = 0;
};

Task<void> AListenerMayGoInOnAccept(Environment* environment) {
  Grump grump;
  ListenResult listening = environment->network()->Listen("127.0.0.1:0", 8, &grump);
  EXPECT_EQ(listening.error, 0);
  std::string address = listening.listener->address();
  grump.listener = std::move(listening.listener);
  ConnectResult connected = co_await environment->network()->Connect(address, kConnectTimeoutNs);
  EXPECT_EQ(connected.error, 0);
  Ear ear;
  connected.stream->Start(&ear);
  co_await ear.WaitForEnd();
  EXPECT_EQ(ear.error, -ECONNRESET);
  EXPECT_EQ(grump.accepted, 1);
  EXPECT_EQ(grump.listener, nullptr);
  ConnectResult refused = co_await environment->network()->Connect(address, kConnectTimeoutNs);
  EXPECT_EQ(refused.error, -ECONNREFUSED);
}

TEST_P(Conformance, Stream_AListenerMayGoInOnAccept) {
  Run(AListenerMayGoInOnAccept(environment()));
}

}  // namespace
}  // namespace nexus::io
