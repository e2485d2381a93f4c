// The server on a simulated network: peers of every protocol at one port, too many of them, silent
// ones, and its graceful end.

#include "server/server.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/sim_fixture.h"
#include "tests/io/stream_parts.h"

namespace nexus::server {
namespace {

constexpr char kAddress[] = "127.0.0.1:8080";
constexpr int64_t kSecond = 1'000'000'000;

// A connection from outside: sends a text, maybe ends its side, and hears the answer.
struct Peer {
  Peer(sim::World* in, std::string says, bool ends)
      : world(in), text(std::move(says)), ends_side(ends), say(AsBytes(text)) {}
  ~Peer() {
    world->RunOutside([this] { stream.reset(); });
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  static io::Task<void> Connect(Peer* peer) {
    io::ConnectResult result =
        co_await peer->world->outside()->network()->Connect(kAddress, io::kConnectTimeoutNs);
    peer->error = result.error;
    if (result.error != 0) co_return;
    peer->stream = std::move(result.stream);
    peer->stream->Start(&peer->ear);
    if (!peer->text.empty()) peer->say.To(peer->stream.get());
    if (peer->ends_side) peer->stream->ShutdownSend();
  }

  sim::World* const world;
  const std::string text;
  const bool ends_side;
  int error = 0;
  io::WatchedSend say;
  io::Ear ear;
  std::unique_ptr<io::Stream> stream;
};

class ServerTest : public engine::SimDatabaseTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Open().ok());
    service_ = std::make_unique<Service>(core_.get(), world_.environment());
    callers_ = std::make_unique<io::TaskScope>(world_.outside()->executor());
  }
  void TearDown() override {
    peers_.clear();
    world_.RunUntilIdle();
    callers_.reset();
    world_.RunOnLoop([this] { server_.reset(); });
    service_.reset();
    world_.EndOutside();
  }
  void Listen(uint32_t connections_max = 100) {
    ServerOptions options;
    options.listen = kAddress;
    options.connections_max = connections_max;
    options.idle_timeout_ns = 100 * kSecond;
    world_.RunOnLoop([&] {
      server_ =
          std::make_unique<Server>(service_.get(), options, [](LogLevel, std::string_view) {});
      ASSERT_TRUE(server_->Listen().ok());
    });
  }
  Peer* Call(std::string text, bool ends = true) {
    peers_.push_back(std::make_unique<Peer>(&world_, std::move(text), ends));
    Peer* peer = peers_.back().get();
    world_.RunOutside([&] { callers_->Spawn(Peer::Connect(peer)); });
    return peer;
  }
  std::string AnswerOf(Peer* peer) {
    world_.RunUntil([peer] { return peer->ear.ended || peer->error != 0; });
    EXPECT_EQ(peer->error, 0);
    return peer->ear.text;
  }

  std::unique_ptr<Service> service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<io::TaskScope> callers_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST_F(ServerTest, FirstBytesDecideWhatAPeerSpeaks) {
  Listen();
  EXPECT_TRUE(AnswerOf(Call("m,host=a v=1 1\n")).starts_with("ok 1 0 "));
  EXPECT_TRUE(AnswerOf(Call("GET /health HTTP/1.0\r\n\r\n")).starts_with("HTTP/1.0 200"));
  EXPECT_TRUE(AnswerOf(Call("{\"a\":1}")).starts_with("error JSON"));
  EXPECT_TRUE(AnswerOf(Call("NXP1 but no frame, as its header's checksum will show: 64 bytes.."))
                  .starts_with("NXP1"));
  EXPECT_EQ(AnswerOf(Call("")), "");
  // A metric that begins as a method does.
  EXPECT_TRUE(AnswerOf(Call("GET v=1 1\n")).starts_with("ok 1 0 "));
  EXPECT_TRUE(AnswerOf(Call("N v=1 1")).starts_with("ok 1 0 "));
}

TEST_F(ServerTest, RecogniseWaitsForAsManyBytesAsItNeeds) {
  EXPECT_EQ(Recognise("N"), Protocol::kUndecided);
  EXPECT_EQ(Recognise("NXP1"), Protocol::kBinary);
  EXPECT_EQ(Recognise("NXPx"), Protocol::kText);
  EXPECT_EQ(Recognise("POST "), Protocol::kUndecided);
  EXPECT_EQ(Recognise("POST /"), Protocol::kHttp);
  EXPECT_EQ(Recognise("POST v=1"), Protocol::kText);
  EXPECT_EQ(Recognise("\x16"), Protocol::kUndecided);
  EXPECT_EQ(Recognise("\x16\x03"), Protocol::kTls);
  EXPECT_EQ(Recognise("["), Protocol::kJson);
  for (std::string_view longest : {"OPTIONS /", "DELETE /"}) {
    for (size_t n = 0; n < longest.size(); n++) {
      EXPECT_EQ(Recognise(longest.substr(0, n)), Protocol::kUndecided);
    }
    EXPECT_LE(longest.size(), kFirstBytesMax);
  }
}

TEST_F(ServerTest, ManyPeersAtOnceAreAllAnswered) {
  Listen();
  std::vector<Peer*> peers;
  for (int i = 0; i < 40; i++) {
    std::string lines;
    for (int line = 0; line < 50; line++)
      lines += fmt::format("m,peer=p{} v={} {}\n", i, line, line);
    peers.push_back(Call(lines));
  }
  for (Peer* peer : peers) EXPECT_TRUE(AnswerOf(peer).starts_with("ok 50 0 ")) << peer->ear.text;
  EXPECT_EQ(core_->state()->FindBranch({}, {})->active->samples(), 40u * 50);
}

TEST_F(ServerTest, OneConnectionTooManyIsToldSoInWhatItSpeaks) {
  Listen(/*connections_max=*/1);
  Peer* first = Call("m v=1 1\n", /*ends=*/false);
  world_.RunFor(kSecond);
  EXPECT_TRUE(AnswerOf(Call("m v=2 2\n")).starts_with("error too many connections"));
  EXPECT_TRUE(AnswerOf(Call("GET /health HTTP/1.1\r\n\r\n")).starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(AnswerOf(Call("NXP1")).starts_with("NXP1"));
  EXPECT_FALSE(first->ear.ended);
  world_.RunOutside([first] { first->stream->ShutdownSend(); });
  EXPECT_TRUE(AnswerOf(first).starts_with("ok 1 0 "));
  world_.RunFor(kSecond);
  EXPECT_TRUE(AnswerOf(Call("m v=3 3\n")).starts_with("ok 1 0 "));
}

TEST_F(ServerTest, SilentPeersAreClosedOthersAreNot) {
  Listen();
  Peer* undecided = Call("", /*ends=*/false);
  Peer* begun = Call("m v=1", /*ends=*/false);
  world_.RunFor(50 * kSecond);
  EXPECT_TRUE(undecided->ear.ended);
  EXPECT_FALSE(begun->ear.ended);
  world_.RunFor(100 * kSecond);
  EXPECT_TRUE(begun->ear.ended);
}

io::Task<void> StopThem(Server* server, bool* stopped) {
  co_await server->Stop(10 * kSecond);
  *stopped = true;
}

TEST_F(ServerTest, StoppingEndsIdlePeersAndRefusesNewOnes) {
  Listen();
  Peer* idle = Call("", /*ends=*/false);
  Peer* text = Call("m v=1 1\n", /*ends=*/false);
  world_.RunFor(kSecond);
  bool stopped = false;
  io::TaskScope scope(world_.environment()->executor());
  world_.RunOnLoop([&] { scope.Spawn(StopThem(server_.get(), &stopped)); });
  world_.RunUntil([&] { return stopped; });
  world_.RunFor(kSecond);
  EXPECT_TRUE(idle->ear.ended);
  EXPECT_TRUE(text->ear.ended);
  EXPECT_TRUE(text->ear.text.starts_with("ok 1 0 ")) << text->ear.text;
  Peer* late = Call("m v=2 2\n");
  world_.RunFor(kSecond);
  EXPECT_NE(late->error, 0);
}

}  // namespace
}  // namespace nexus::server
