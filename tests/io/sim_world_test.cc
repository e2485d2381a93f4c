// The world itself: determinism, scheduling, time, crashes that drop everything, locks.

#include <gmock/gmock.h>

#include <cerrno>
#include <deque>

#include "io/sim/world.h"
#include "tests/io/sim_machine.h"

namespace nexus::sim {
namespace {

using io::kSectorBytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::UnorderedElementsAre;
using Kind = io::FileOp::Kind;

constexpr int64_t kMillisecond = 1'000'000;

// A task that does a bit of everything, for ever.
io::Task<void> Busy(io::Environment* environment, std::string path, int* rounds) {
  io::Disk* disk = environment->disk();
  io::OpenResult opened = co_await disk->Open(path, ForWriting());
  if (opened.error != 0) co_return;
  std::unique_ptr<io::File> file = std::move(opened.file);
  const std::string text(3000, 'b');
  std::string read(3000, '?');
  for (uint64_t at = 0;; at += text.size()) {
    co_await io::Write(file.get(), at, AsBytes(text));
    co_await io::Sync(file.get());
    co_await io::Read(file.get(), at, std::as_writable_bytes(std::span(read)));
    co_await environment->executor()->Sleep(
        static_cast<int64_t>(environment->random()->Next() % 1000));
    co_await environment->executor()->Run(io::Lane::kWorker, [] { return 1; });
    co_await environment->executor()->Run(io::Lane::kCatalog, [] { return 2; });
    co_await environment->executor()->Yield();
    co_await disk->Rename(path, path + "~");
    co_await disk->Rename(path + "~", path);
    co_await disk->List("/");
    co_await disk->SyncDirectory("/");
    (*rounds)++;
  }
}

Options Harsh() {
  Options options;
  options.faults[Fault::kShortWrite] = 50'000;
  options.faults[Fault::kSyncError] = 20'000;
  options.faults[Fault::kMetadataError] = 20'000;
  options.faults[Fault::kGarbageSector] = 200'000;
  options.faults[Fault::kClockJump] = 100'000;
  return options;
}

// Runs the busy tasks through a number of crashes; the trace's hash.
uint64_t BusyLife(uint64_t seed, const Options& options, int* rounds) {
  World world(seed, options);
  for (int life = 0; life < 6; life++) {
    io::Environment* environment = world.Boot();
    io::TaskScope scope(environment->executor());
    for (const char* path : {"/a", "/b", "/c"}) scope.Spawn(Busy(environment, path, rounds));
    world.RunFor(30 * kMillisecond);
    world.Crash(life % 2 == 0 ? CrashKind::kProcessKill : CrashKind::kPowerCut);
    // The scope destroys frames suspended in every kind of operation.
  }
  return world.trace_hash();
}

TEST(SimWorld, SameSeedSameTraceDifferentSeedDifferentTrace) {
  int rounds = 0;
  std::set<uint64_t> hashes;
  for (uint64_t seed = 0; seed < 10; seed++) {
    const uint64_t hash = BusyLife(seed, Harsh(), &rounds);
    EXPECT_EQ(BusyLife(seed, Harsh(), &rounds), hash);
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), 10U);
  EXPECT_GT(rounds, 100);
}

TEST(SimWorld, TheTextOfTheTraceIsTheSameToo) {
  auto text = [](uint64_t seed) {
    std::string lines;
    Options options = Harsh();
    options.trace_sink = [&](std::string_view line) {
      lines += line;
      lines += '\n';
    };
    int rounds = 0;
    BusyLife(seed, options, &rounds);
    return lines;
  };
  const std::string lines = text(3);
  EXPECT_EQ(lines, text(3));
  EXPECT_NE(lines, text(4));
  for (const char* part :
       {"submit #1 write /", "complete #", "power cut", "process kill", "boot of process 1001",
        "execute catalog work", "rename /a /a~", "fault: short_write", "survived: /"}) {
    EXPECT_THAT(lines, HasSubstr(part));
  }
}

TEST(SimWorld, AnOperationLessDoesNotShiftTheOtherStreams) {
  auto random = [](bool extra) {
    Machine m(5);
    auto file = m.Open("/f");
    if (extra) m.Write(file.get(), 0, "x");
    ChoiceSource* choices = m.world.choices();
    return std::make_tuple(m.world.environment()->random()->Next(),
                           choices->Choose(Stream::kCrash, 1'000'000),
                           choices->Choose(StreamOf(Fault::kBitRot), 1'000'000),
                           choices->Choose(Stream::kWorkload, 1'000'000));
  };
  EXPECT_EQ(random(false), random(true));
}

TEST(SimWorld, ReadyNodesRunInAnyOrder) {
  auto order = [](uint64_t seed, bool fifo) {
    Options options;
    options.fifo = fifo;
    World world(seed, options);
    io::Executor* executor = world.Boot()->executor();
    struct Noter : io::RunNode {
      Noter(char letter, std::string* order) : RunNode(&Note), name(letter), into(order) {}
      static void Note(RunNode* node) {
        auto* self = static_cast<Noter*>(node);
        *self->into += self->name;
      }
      char name;
      std::string* into;
    };
    std::string seen;
    std::deque<Noter> nodes;
    for (char letter : {'a', 'b', 'c'}) executor->Schedule(&nodes.emplace_back(letter, &seen));
    world.RunUntilIdle();
    return seen;
  };
  EXPECT_EQ(OverSeeds([&](uint64_t seed) { return order(seed, false); }).size(), 6U);
  EXPECT_THAT(OverSeeds([&](uint64_t seed) { return order(seed, true); }),
              UnorderedElementsAre(Key("abc")));
}

TEST(SimWorld, AYieldingLoopDoesNotStopTime) {
  struct Loops {
    static io::Task<void> Spin(io::Executor* executor, bool* stop) {
      while (!*stop) co_await executor->Yield();
    }
    static io::Task<void> StopLater(io::Executor* executor, bool* stop) {
      co_await executor->Sleep(kMillisecond);
      *stop = true;
    }
  };
  World world(1);
  io::Executor* executor = world.Boot()->executor();
  bool stop = false;
  io::TaskScope scope(executor);
  scope.Spawn(Loops::Spin(executor, &stop));
  world.RunTask(Loops::StopLater(executor, &stop));
  world.RunUntilIdle();
  EXPECT_EQ(scope.running(), 0);
}

TEST(SimWorld, RunForMovesTimeExactlyWhenNothingHappens) {
  World world(1);
  world.Boot();
  world.RunFor(5 * kMillisecond);
  EXPECT_EQ(world.now_ns(), 5 * kMillisecond);
  EXPECT_EQ(world.environment()->MonotonicNanos(), 5 * kMillisecond);
  const int64_t wall = world.environment()->WallNanos();
  world.JumpWallClock(-1000);
  EXPECT_EQ(world.environment()->WallNanos(), wall - 1000);
}

TEST(SimWorld, RunUntilIdleLeavesTimersThatAreNotDue) {
  struct Sleeper {
    static io::Task<void> Sleep(io::Executor* executor) {
      co_await executor->Sleep(1000 * kMillisecond);
    }
  };
  World world(1);
  io::Executor* executor = world.Boot()->executor();
  io::TaskScope scope(executor);
  scope.Spawn(Sleeper::Sleep(executor));
  world.RunUntilIdle();
  EXPECT_EQ(scope.running(), 1);
  EXPECT_LT(world.now_ns(), kMillisecond);
  world.RunFor(1001 * kMillisecond);
  EXPECT_EQ(scope.running(), 0);
}

TEST(SimWorld, WorkRunsLaterAndEndsLaterStill) {
  struct Probe : io::Work {
    explicit Probe(World* in) : Work(io::Lane::kWorker, &Executed, &Completed), world(in) {}
    static void Executed(Work* work) {
      auto* self = static_cast<Probe*>(work);
      self->executed_ns = self->world->now_ns();
    }
    static void Completed(RunNode* node) {
      auto* self = static_cast<Probe*>(static_cast<Work*>(node));
      self->completed_ns = self->world->now_ns();
    }
    World* world;
    int64_t executed_ns = -1;
    int64_t completed_ns = -1;
  };
  int overtakes = 0;
  for (uint64_t seed = 0; seed < 50; seed++) {
    World world(seed);
    io::Executor* executor = world.Boot()->executor();
    Probe first(&world);
    Probe second(&world);
    executor->Offload(&first);
    executor->Offload(&second);
    world.RunUntilIdle();
    EXPECT_GT(first.executed_ns, 0);
    EXPECT_GT(first.completed_ns, first.executed_ns);
    overtakes += second.executed_ns < first.executed_ns;
  }
  EXPECT_GT(overtakes, 5);
  EXPECT_LT(overtakes, 45);
}

// After the crash nothing of the incarnation runs, whatever step it was cut at, and its frames are
// destroyed without touching what is gone (the address sanitizer watches).
TEST(SimWorld, ACrashAtAnyStepDropsEverything) {
  for (uint64_t cut = 0; cut < 120; cut++) {
    for (CrashKind kind : {CrashKind::kProcessKill, CrashKind::kPowerCut}) {
      World world(cut);
      io::Environment* environment = world.Boot();
      int rounds = 0;
      auto scope = std::make_unique<io::TaskScope>(environment->executor());
      scope->Spawn(Busy(environment, "/a", &rounds));
      scope->Spawn(Busy(environment, "/b", &rounds));
      world.CrashAfterSteps(cut, kind);
      world.RunFor(1000 * kMillisecond);
      EXPECT_FALSE(world.alive());
      EXPECT_EQ(world.steps(), cut);
      const int rounds_at_the_crash = rounds;
      world.Boot();
      if (cut % 2 == 0) scope.reset();  // before or after the next life
      world.RunFor(20 * kMillisecond);
      EXPECT_EQ(rounds, rounds_at_the_crash);
      scope.reset();
      EXPECT_EQ(world.disk().left_behind(), 0U);
    }
  }
}

TEST(SimWorld, FilesAndLocksMayOutliveTheWorld) {
  auto machine = std::make_unique<Machine>(1);
  auto file = machine->Open("/f");
  io::LockResult lock = machine->world.RunTask(machine->disk()->Lock("/lock"));
  machine.reset();
  EXPECT_EQ(file->path(), "/f");
  EXPECT_EQ(file->Size(), 0);
  file.reset();
  lock.lock.reset();
}

using SimWorldDeathTest = ::testing::Test;

TEST(SimWorldDeathTest, UsingADeadIncarnationIsAProgrammerError) {
  World world(1);
  io::Executor* executor = world.Boot()->executor();
  world.Crash(CrashKind::kPowerCut);
  io::Timer timer([](io::RunNode*) {});
  executor->CancelTimer(&timer);  // harmless: destructors do it
  EXPECT_DEATH(executor->StartTimer(&timer, 1), "alive_");
  EXPECT_DEATH(executor->Schedule(&timer), "alive_");
}

TEST(SimWorldDeathTest, ATaskThatWaitsForEverIsFound) {
  struct Waiter {
    static io::Task<void> Wait(io::Event* event) { co_await event->Wait(); }
  };
  World world(1);
  world.Boot();
  io::Event never;
  EXPECT_DEATH(world.RunTask(Waiter::Wait(&never)), "stepped");
}

TEST(SimWorld, AnOrderlyExitLosesNoNames) {
  Machine m(1);
  io::LockResult lock = m.world.RunTask(m.disk()->Lock("/lock"));
  m.Open("/f").reset();
  lock.lock.reset();
  m.world.Exit();
  m.world.Boot();
  EXPECT_EQ(m.Seen("/f"), "");
  EXPECT_EQ(m.world.RunTask(m.disk()->Lock("/lock")).error, 0);
}

TEST(SimWorldDeathTest, ATimerLeftArmedAtTheExitIsFound) {
  io::Timer timer([](io::RunNode*) {});
  World world(1);
  io::Executor* executor = world.Boot()->executor();
  executor->StartTimer(&timer, 1'000'000);
  EXPECT_DEATH(world.Exit(), "the_engine_left_timers_armed");
}

TEST(SimWorld, TheLockOfAKilledProcessIsHeldUntilItsWritesHaveLanded) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    io::LockResult lock = m.world.RunTask(m.disk()->Lock("/lock"));
    EXPECT_EQ(lock.error, 0);
    const int64_t pid = lock.holder_pid;
    auto file = m.Durable("/f", "o");
    io::AlignedBuffer buffer = Sectors("n");
    Flying write(file.get(), Kind::kWriteThenSync, 0, buffer.span());
    m.ProcessKill();
    const bool left = m.world.disk().left_behind() > 0;
    io::LockResult again = m.world.RunTask(m.disk()->Lock("/lock"));
    if (again.error == 0) {
      EXPECT_EQ(m.world.disk().left_behind(), 0U);
    } else {
      EXPECT_EQ(again.error, -EWOULDBLOCK);
      EXPECT_EQ(again.holder_pid, pid);
      EXPECT_TRUE(left);
      m.world.RunFor(100 * kMillisecond);
      again = m.world.RunTask(m.disk()->Lock("/lock"));
      EXPECT_EQ(again.error, 0);
    }
    return left ? "left" : "nothing left";
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("left"), Key("nothing left")));
}

TEST(SimWorld, APowerCutFreesEveryLock) {
  Machine m(1);
  io::LockResult lock = m.world.RunTask(m.disk()->Lock("/lock"));
  m.PowerCut();
  EXPECT_EQ(m.world.RunTask(m.disk()->Lock("/lock")).error, 0);
}

TEST(SimWorld, PowerMayGoWhileADeadProcessesWritesAreInFlight) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "oo", /*direct=*/true);
    io::AlignedBuffer buffer = Sectors("nn");
    Flying write(file.get(), Kind::kWrite, 0, buffer.span());
    m.world.Crash(CrashKind::kProcessKill);
    std::memset(buffer.data(), 'x', buffer.size());  // the memory is gone with the process
    m.world.Crash(CrashKind::kPowerCut);
    EXPECT_EQ(m.world.disk().in_flight(), 0U);
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("oo"), Key("on"), Key("no"), Key("nn")));
}

TEST(SimWorld, ScratchFoldersAreEachIncarnationsOwn) {
  World world(1);
  world.Boot();
  const std::string first = world.ScratchDirectory();
  EXPECT_EQ(world.ScratchDirectory(), first);
  world.Crash(CrashKind::kPowerCut);
  world.Boot();
  EXPECT_NE(world.ScratchDirectory(), first);
}

}  // namespace
}  // namespace nexus::sim
