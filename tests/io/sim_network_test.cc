// The simulated network: what crashes do to connections, clients that outlive servers, faults,
// determinism. What holds without luck is in stream_conformance.cc and connect_conformance.cc.

#include <gmock/gmock.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "io/sim/world.h"
#include "tests/io/sim_machine.h"
#include "tests/io/stream_parts.h"

namespace nexus::sim {
namespace {

using io::Ear;
using io::kConnectTimeoutNs;
using io::WatchedSend;
using ::testing::Contains;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

constexpr char kAddress[] = "127.0.0.1:8080";
constexpr int64_t kSecond = 1'000'000'000;

// Greets everybody and keeps what they say.
class Greeter : public io::AcceptHandler {
 public:
  explicit Greeter(io::Environment* environment) {
    io::ListenResult listening = environment->network()->Listen(kAddress, io::kListenBacklog, this);
    EXPECT_EQ(listening.error, 0);
    listener_ = std::move(listening.listener);
  }
  void OnAccept(std::unique_ptr<io::Stream> stream) override {
    Guest& guest = guests.emplace_back();
    guest.stream = std::move(stream);
    guest.stream->Start(&guest.ear);
    guest.greeting.To(guest.stream.get());
  }
  void OnAcceptError(int error) override { ADD_FAILURE() << error; }

  struct Guest {
    std::string text = std::string(20'000, 'g');
    WatchedSend greeting{AsBytes(text)};
    Ear ear;
    std::unique_ptr<io::Stream> stream;
  };
  std::deque<Guest> guests;

 private:
  std::unique_ptr<io::Listener> listener_;
};

// Who connects from outside: one connection, and what it heard.
struct Caller {
  explicit Caller(World* in) : world(in), scope(in->outside()->executor()) {}
  void Connect() {
    error.reset();
    world->RunOutside([this] { scope.Spawn(ConnectTask()); });
    EXPECT_TRUE(world->RunUntil([this] { return error.has_value(); }));
  }
  io::Task<void> ConnectTask() {
    io::ConnectResult connected =
        co_await world->outside()->network()->Connect(kAddress, kConnectTimeoutNs);
    if (connected.error == 0) {
      stream = std::move(connected.stream);
      stream->Start(&ear);
    }
    error = connected.error;
  }
  void Say(WatchedSend* op) {
    world->RunOutside([&] { op->To(stream.get()); });
  }

  World* const world;
  Ear ear;
  std::unique_ptr<io::Stream> stream;
  std::optional<int> error;
  io::TaskScope scope;
};

TEST(SimNetwork, AClientOutsideOutlivesTheServer) {
  for (uint64_t seed = 0; seed < 20; seed++) {
    World world(seed);
    auto greeter = std::make_unique<Greeter>(world.Boot());
    Caller first(&world);
    first.Connect();
    ASSERT_EQ(first.error, 0);
    ASSERT_TRUE(world.RunUntil([&] { return first.ear.text.size() == 20'000; }));
    world.Crash(CrashKind::kProcessKill);
    greeter.reset();
    // Also while nobody lives here the outside goes on.
    ASSERT_TRUE(world.RunUntil([&] { return first.ear.ended; }));
    EXPECT_EQ(first.ear.error, -ECONNRESET);
    Caller second(&world);
    second.Connect();
    EXPECT_EQ(second.error, -ECONNREFUSED);
    greeter = std::make_unique<Greeter>(world.Boot());
    second.Connect();
    EXPECT_EQ(second.error, 0) << "the port is free for the next incarnation";
    ASSERT_TRUE(world.RunUntil([&] { return second.ear.text.size() == 20'000; }));
  }
}

TEST(SimNetwork, AnyPrefixOfWhatWasSentArrivesBeforeTheReset) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    World world(seed);
    Greeter greeter(world.Boot());
    Caller caller(&world);
    caller.Connect();
    EXPECT_TRUE(world.RunUntil(
        [&] { return !greeter.guests.empty() && greeter.guests[0].greeting.completions == 1; }));
    world.Crash(CrashKind::kProcessKill);
    EXPECT_TRUE(world.RunUntil([&] { return caller.ear.ended; }));
    const std::string& heard = caller.ear.text;
    EXPECT_EQ(heard, greeter.guests[0].text.substr(0, heard.size()));
    return heard.empty() ? "nothing" : heard.size() == 20'000 ? "all" : "a part";
  });
  // That all of it arrives, or nothing, is one case in thousands.
  EXPECT_THAT(seen, Contains(Key("a part")));
}

// What a power cut of the server does to a client that says nothing.
std::string AfterAPowerCut(uint64_t seed) {
  World world(seed);
  Greeter greeter(world.Boot());
  Caller caller(&world);
  caller.Connect();
  EXPECT_TRUE(world.RunUntil([&] { return caller.ear.text.size() == 20'000; }));
  world.Crash(CrashKind::kPowerCut);
  world.RunFor(3600 * kSecond);
  if (!caller.ear.ended) return "silence";
  EXPECT_EQ(caller.ear.error, -ECONNRESET);
  return "reset";
}

TEST(SimNetwork, APowerCutIsAResetOrSilence) {
  EXPECT_THAT(OverSeeds(AfterAPowerCut), UnorderedElementsAre(Key("reset"), Key("silence")));
}

TEST(SimNetwork, ASilentConnectionTakesOneWindowAndNoMore) {
  Options options;
  options.network_window_bytes = 10'000;
  World world(1, options);
  Greeter greeter(world.Boot());
  Caller caller(&world);
  caller.Connect();
  ASSERT_TRUE(world.RunUntil([&] { return caller.ear.text.size() == 20'000; }));
  world.network().SilenceAll();
  std::string text(10'000, 'x');
  WatchedSend fits(AsBytes(text));
  WatchedSend waits(AsBytes(text));
  caller.Say(&fits);
  caller.Say(&waits);
  world.RunFor(3600 * kSecond);
  EXPECT_EQ(fits.completions, 1);
  EXPECT_EQ(waits.completions, 0);
  EXPECT_EQ(greeter.guests[0].ear.text, "");
  EXPECT_FALSE(greeter.guests[0].ear.ended);
  // Giving up frees the operation, and tells nobody.
  world.RunOutside([&] { caller.stream->Close(); });
  world.RunFor(kSecond);
  EXPECT_EQ(waits.result, -ECANCELED);
  EXPECT_FALSE(greeter.guests[0].ear.ended);
}

TEST(SimNetwork, TheWorldsOwnResetsAreSeenAtBothEnds) {
  World world(1);
  Greeter greeter(world.Boot());
  Caller caller(&world);
  caller.Connect();
  ASSERT_TRUE(world.RunUntil([&] { return caller.ear.text.size() == 20'000; }));
  world.network().ResetAll();
  world.RunUntilIdle();
  EXPECT_EQ(caller.ear.error, -ECONNRESET);
  EXPECT_EQ(greeter.guests[0].ear.error, -ECONNRESET);
  EXPECT_EQ(world.network().resets(), 2U);
}

TEST(SimNetwork, FaultsHitWithTheirRates) {
  Outcomes seen = OverSeeds([](uint64_t seed) -> std::string {
    Options options;
    options.faults[Fault::kConnectRefused] = 200'000;
    options.faults[Fault::kConnectionReset] = 100'000;
    options.faults[Fault::kConnectionSilent] = 100'000;
    World world(seed, options);
    Greeter greeter(world.Boot());
    Caller caller(&world);
    caller.Connect();
    if (caller.error != 0) return "refused";
    world.RunFor(kSecond);
    if (caller.ear.ended) return "reset";
    return caller.ear.text.size() == 20'000 ? "good" : "silent";
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("refused"), Key("reset"), Key("good"), Key("silent")));
}

TEST(SimNetwork, PiecesAreOfAllSizes) {
  std::set<int> pieces;
  for (uint64_t seed = 0; seed < 50; seed++) {
    World world(seed);
    Greeter greeter(world.Boot());
    Caller caller(&world);
    caller.Connect();
    ASSERT_TRUE(world.RunUntil([&] { return caller.ear.text.size() == 20'000; }));
    pieces.insert(caller.ear.pieces);
  }
  EXPECT_TRUE(pieces.contains(1)) << "whole";
  EXPECT_GT(*pieces.rbegin(), 5) << "in many";
}

TEST(SimNetwork, AFullBacklogMakesConnectionsWait) {
  class Slow : public io::AcceptHandler {
   public:
    void OnAccept(std::unique_ptr<io::Stream> stream) override {
      streams.push_back(std::move(stream));
    }
    void OnAcceptError(int error) override { ADD_FAILURE() << error; }
    std::deque<std::unique_ptr<io::Stream>> streams;
  };
  World world(3);
  io::Environment* environment = world.Boot();
  Slow slow;
  io::ListenResult listening = environment->network()->Listen(kAddress, 1, &slow);
  ASSERT_EQ(listening.error, 0);
  std::deque<Caller> callers;
  for (int i = 0; i < 20; i++) callers.emplace_back(&world);
  world.RunOutside([&] {
    for (Caller& caller : callers) caller.scope.Spawn(caller.ConnectTask());
  });
  world.RunUntilIdle();
  for (Caller& caller : callers) EXPECT_EQ(caller.error, 0);
  EXPECT_EQ(slow.streams.size(), 20U);
}

TEST(SimNetwork, TheEndOfTheOutsideResetsItsConnections) {
  World world(1);
  Greeter greeter(world.Boot());
  {
    Caller caller(&world);
    caller.Connect();
    world.RunUntilIdle();
    world.EndOutside();
  }
  world.RunUntilIdle();
  ASSERT_EQ(greeter.guests.size(), 1U);
  EXPECT_EQ(greeter.guests[0].ear.error, -ECONNRESET);
  EXPECT_EQ(world.network().connections(), 1U) << "our end is open until we close it";
  world.RunOnLoop([&] { greeter.guests[0].stream->Close(); });
  world.RunUntilIdle();
  EXPECT_EQ(world.network().connections(), 0U);
  Caller another(&world);
  another.Connect();
  EXPECT_EQ(another.error, 0) << "there is always an outside";
}

TEST(SimNetwork, TimersOutsideFireWhileNobodyLivesHere) {
  World world(1);
  struct Ringer : io::Timer {
    Ringer() : Timer(&Ring) {}
    static void Ring(io::RunNode* node) { static_cast<Ringer*>(static_cast<Timer*>(node))->rung++; }
    int rung = 0;
  };
  Ringer before;
  Ringer after;
  world.Boot();
  world.outside()->executor()->StartTimer(&before, kSecond);
  world.outside()->executor()->StartTimer(&after, 3 * kSecond);
  world.Crash(CrashKind::kPowerCut);
  world.RunFor(2 * kSecond);
  EXPECT_EQ(before.rung, 1);
  EXPECT_EQ(after.rung, 0);
  world.Boot();
  world.RunFor(2 * kSecond);
  EXPECT_EQ(after.rung, 1);
}

// Callers that come again and again through a server's lives; the trace's hash.
uint64_t BusyNetwork(uint64_t seed, uint64_t* arrivals) {
  Options options;
  options.faults[Fault::kConnectionReset] = 20'000;
  options.faults[Fault::kConnectRefused] = 20'000;
  World world(seed, options);
  std::deque<Caller> callers;
  for (int life = 0; life < 4; life++) {
    Greeter greeter(world.Boot());
    for (int i = 0; i < 5; i++) {
      Caller& caller = callers.emplace_back(&world);
      world.RunOutside([&] { caller.scope.Spawn(caller.ConnectTask()); });
    }
    world.RunFor(kSecond / 500);
    world.Crash(life % 2 == 0 ? CrashKind::kProcessKill : CrashKind::kPowerCut);
  }
  // Before the frames of those who still connect go.
  world.EndOutside();
  *arrivals += world.network().arrivals();
  return world.trace_hash();
}

TEST(SimNetwork, SameSeedSameTrace) {
  uint64_t arrivals = 0;
  std::set<uint64_t> hashes;
  for (uint64_t seed = 0; seed < 10; seed++) {
    const uint64_t hash = BusyNetwork(seed, &arrivals);
    EXPECT_EQ(BusyNetwork(seed, &arrivals), hash);
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), 10U);
  EXPECT_GT(arrivals, 100U);
}

}  // namespace
}  // namespace nexus::sim
