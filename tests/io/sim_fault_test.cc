// Injected faults of the simulated disk: D8, D9, scripted rules, space, read-only, clock.

#include <gmock/gmock.h>

#include <cerrno>

#include "tests/io/sim_machine.h"

namespace nexus::sim {
namespace {

using io::kSectorBytes;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::UnorderedElementsAre;
using Kind = io::FileOp::Kind;

std::string ReadAll(Machine* m, io::File* file) {
  std::string content(static_cast<size_t>(file->Size()), '\0');
  const int64_t n = m->Read(file, 0, &content);
  return n < 0 ? std::to_string(n) : content.substr(0, static_cast<size_t>(n));
}

TEST(SimFaults, D8_FlippedBitIsReadForEverByEveryHandle) {
  Machine m(1);
  auto file = m.Durable("/f", "ab");
  const std::string good = ReadAll(&m, file.get());
  m.world.disk().FlipBit("/f", 5000, 3);
  std::string bad = good;
  bad[5000] = static_cast<char>(bad[5000] ^ 8);
  EXPECT_EQ(ReadAll(&m, file.get()), bad);
  EXPECT_EQ(io::ReadWholeFileBlocking(m.disk(), "/f", 1 << 20).value(), bad);
  m.PowerCut();
  EXPECT_EQ(m.world.disk().ReadVisible("/f"), bad);
}

TEST(SimFaults, D8_UnreadableSectorFailsEveryReadOfItUntilItIsWritten) {
  Machine m(1);
  auto file = m.Durable("/f", "abc");
  m.world.disk().MakeUnreadable("/f", kSectorBytes + 17);
  EXPECT_EQ(ReadAll(&m, file.get()), std::to_string(-EIO));
  std::string other(16, '?');
  EXPECT_EQ(m.Read(file.get(), 0, &other), 16);
  EXPECT_EQ(m.Read(file.get(), 2 * kSectorBytes, &other), 16);
  EXPECT_EQ(m.Read(file.get(), 2 * kSectorBytes - 1, &other), -EIO);
  m.PowerCut();
  file = m.Open("/f");
  EXPECT_EQ(ReadAll(&m, file.get()), std::to_string(-EIO));
  m.WriteSectors(file.get(), 1, "x");
  EXPECT_EQ(BySector(ReadAll(&m, file.get())), "axc");
}

TEST(SimFaults, D8_MisdirectedSectorReadsAsAnother) {
  Machine m(1);
  auto file = m.Durable("/f", "abc");
  m.world.disk().Misdirect("/f", 0, 2 * kSectorBytes);
  EXPECT_EQ(BySector(ReadAll(&m, file.get())), "cbc");
}

TEST(SimFaults, D8_RandomDamageIsLasting) {
  for (Fault fault : {Fault::kBitRot, Fault::kReadError, Fault::kMisdirectedRead}) {
    Options options;
    options.faults[fault] = 200'000;
    Outcomes seen = OverSeeds([&](uint64_t seed) {
      Machine m(seed, options);
      auto file = m.Durable("/f", "abc");
      const std::string first = ReadAll(&m, file.get());
      m.world.options()->mask = FaultMask::None();
      EXPECT_EQ(ReadAll(&m, file.get()), first);
      return BySector(first) == "abc" ? "good" : "bad";
    });
    EXPECT_THAT(seen, UnorderedElementsAre(Key("good"), Key("bad"))) << FaultName(fault);
  }
}

TEST(SimFaults, D9_WritesFailWithEachErrorOfTheirClass) {
  const std::pair<Fault, int> cases[] = {{Fault::kWriteError, -EIO},
                                         {Fault::kNoSpace, -ENOSPC},
                                         {Fault::kQuota, -EDQUOT},
                                         {Fault::kReadOnlyError, -EROFS},
                                         {Fault::kInterrupted, -EINTR}};
  for (const auto& each : cases) {
    const Fault fault = each.first;
    const int error = each.second;
    Options options;
    options.faults[fault] = 500'000;
    Outcomes seen = OverSeeds([&](uint64_t seed) {
      Machine m(seed);
      auto file = m.Durable("/f", "o");
      *m.world.options() = options;
      const int64_t result = m.WriteSectors(file.get(), 0, "n");
      const std::string after = m.Seen("/f");
      if (result >= 0) {
        EXPECT_EQ(after, "n");
      } else if (fault != Fault::kWriteError) {
        EXPECT_EQ(after, "o");
      }
      return std::to_string(result);
    });
    EXPECT_THAT(seen, UnorderedElementsAre(Key(std::to_string(error)), Key("4096")))
        << FaultName(fault);
  }
}

TEST(SimFaults, D9_AfterAWriteErrorAnySectorMayHaveBeenWritten) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "oo");
    m.world.disk().FailNext({Op::kWrite}, -EIO);
    EXPECT_EQ(m.WriteSectors(file.get(), 0, "nn"), -EIO);
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("oo"), Key("on"), Key("no"), Key("nn")));
}

TEST(SimFaults, D9_ShortTransfersAreRetriedAbove) {
  Options options;
  options.faults[Fault::kShortWrite] = 500'000;
  options.faults[Fault::kShortRead] = 500'000;
  options.faults[Fault::kInterrupted] = 200'000;
  for (bool direct : {false, true}) {
    Outcomes seen = OverSeeds([&](uint64_t seed) {
      Machine m(seed);
      auto file = m.Open("/f", ForWriting(direct));
      *m.world.options() = options;
      io::AlignedBuffer data = Sectors("abcdefgh");
      Status written = m.world.RunTask(io::WriteAll(file.get(), 0, data.span()));
      EXPECT_TRUE(written.ok()) << written;
      io::AlignedBuffer read(data.size());
      StatusOr<uint64_t> got = m.world.RunTask(io::ReadUpTo(file.get(), 0, read.span()));
      EXPECT_EQ(got.value_or(0), data.size()) << got.status();
      EXPECT_EQ(BySector(AsString(read.span())), "abcdefgh");
      const FaultPlan& faults = *m.world.disk().faults();
      return faults.hits(Fault::kShortWrite) + faults.hits(Fault::kShortRead) > 0 ? "hit" : "none";
    });
    EXPECT_GT(seen["hit"], int{kSeeds} / 2);
  }
}

TEST(SimFaults, ScriptedRulesHitTheNthMatchAndNoOther) {
  Machine m(1);
  auto file = m.Durable("/wal/1", "oo");
  auto other = m.Durable("/layer/1", "oo");
  m.world.disk().FailNth({{Op::kWrite}, "wal"}, 2, -ENOSPC);
  EXPECT_EQ(m.WriteSectors(other.get(), 0, "a"), 4096);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "a"), 4096);
  EXPECT_EQ(m.WriteSectors(other.get(), 0, "a"), 4096);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "b"), -ENOSPC);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "b"), 4096);
  EXPECT_EQ(m.world.disk().faults()->rules_hit(), 1U);
  m.world.disk().FailFrom({Op::kWrite, Op::kSync}, 2, -EIO);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "c"), 4096);
  EXPECT_EQ(m.WriteSectors(other.get(), 0, "c"), -EIO);
  EXPECT_EQ(m.Sync(other.get()), -EIO);
  m.world.disk().faults()->ClearRules();
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "d"), 4096);
  m.world.disk().ShortenNext({Op::kWrite}, 10);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "e"), 10);
  m.world.disk().faults()->Shorten({Op::kWrite}, 2, 20, /*from_then_on=*/true);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "f"), 4096);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "g"), 20);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "h"), 20);
}

TEST(SimFaults, ScriptedRulesReachNamesToo) {
  Machine m(1);
  m.Durable("/a", "x").reset();
  const std::pair<Op, int> cases[] = {{Op::kRename, -EIO}, {Op::kUnlink, -EBUSY}};
  for (const auto& [op, error] : cases) {
    m.world.disk().FailNext({op}, error);
    EXPECT_EQ(op == Op::kRename ? m.Rename("/a", "/b") : m.Unlink("/a"), error);
    EXPECT_EQ(m.Seen("/a"), "x");
  }
  m.world.disk().FailNext({Op::kOpen}, -EMFILE);
  EXPECT_EQ(m.disk()->OpenBlocking("/a").error, -EMFILE);
  m.world.disk().FailNext({Op::kCreate}, -ENOSPC);
  EXPECT_EQ(m.world.RunTask(m.disk()->Open("/new", ForWriting())).error, -ENOSPC);
  EXPECT_EQ(m.Seen("/new"), "absent");
}

TEST(SimFaults, AFullDiskTakesWhatFitsAndHealsWhenSpaceReturns) {
  Options options;
  options.capacity_bytes = 4 * kSectorBytes;
  Machine m(1, options);
  auto file = m.Open("/f");
  auto reserve = m.Open("/reserve");
  EXPECT_EQ(m.world.RunTask(reserve->Allocate(kSectorBytes)), 0);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "abcd"), int64_t{3 * kSectorBytes});
  EXPECT_EQ(m.WriteSectors(file.get(), 3, "d"), -ENOSPC);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "x"), int64_t{kSectorBytes});  // its space is its own
  EXPECT_EQ(m.world.RunTask(m.disk()->FreeSpace("/")).available_bytes, 0U);
  EXPECT_EQ(m.world.RunTask(reserve->Allocate(2 * kSectorBytes)), -ENOSPC);
  EXPECT_EQ(m.Unlink("/reserve"), 0);
  EXPECT_EQ(m.WriteSectors(file.get(), 3, "d"), -ENOSPC);  // still open
  reserve.reset();
  EXPECT_EQ(m.WriteSectors(file.get(), 3, "d"), int64_t{kSectorBytes});
  EXPECT_EQ(m.world.disk().used_bytes(), 4 * kSectorBytes);
  EXPECT_EQ(m.world.RunTask(file->Truncate(0)), 0);
  EXPECT_EQ(m.world.disk().used_bytes(), 0U);
}

TEST(SimFaults, AReadOnlyDiskRefusesEveryChangeAndServesReads) {
  Machine m(1);
  auto file = m.Durable("/f", "o");
  m.WriteSectors(file.get(), 0, "n");
  m.world.disk().SetReadOnly(true);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "x"), -EROFS);
  EXPECT_EQ(m.Sync(file.get()), -EIO);  // D3: what it should have synced cannot be
  EXPECT_EQ(m.Unlink("/f"), -EROFS);
  EXPECT_EQ(m.Rename("/f", "/g"), -EROFS);
  EXPECT_EQ(m.world.RunTask(m.disk()->MakeDirectory("/d")), -EROFS);
  EXPECT_EQ(m.world.RunTask(m.disk()->Open("/new", ForWriting())).error, -EROFS);
  EXPECT_EQ(m.world.RunTask(file->Truncate(0)), -EROFS);
  auto reader = m.Open("/f", io::OpenFlags());
  EXPECT_EQ(ReadAll(&m, reader.get()).size(), kSectorBytes);
}

TEST(SimFaults, SlowOperationsTakeSeconds) {
  Options options;
  options.faults[Fault::kSlowOperation] = 1'000'000;
  Outcomes seen = OverSeeds([&](uint64_t seed) {
    Machine m(seed, options);
    auto file = m.Open("/f");
    const int64_t before = m.world.now_ns();
    m.WriteSectors(file.get(), 0, "n");
    return m.world.now_ns() - before > 1'000'000'000 ? "slow" : "quick";
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("slow"), Key("quick")));
}

TEST(SimFaults, TheWallClockJumpsAndTheMonotonicOneDoesNot) {
  Options options;
  options.faults[Fault::kClockJump] = 500'000;
  Machine m(1, options);
  io::Environment* environment = m.world.environment();
  int back = 0;
  int ahead = 0;
  int64_t wall = environment->WallNanos();
  int64_t monotonic = environment->MonotonicNanos();
  for (int i = 0; i < 100; i++) {
    m.world.RunFor(1'000'000);
    const int64_t next = environment->WallNanos();
    back += next < wall;
    ahead += next > wall + 1'000'000;
    wall = next;
    EXPECT_EQ(environment->MonotonicNanos(), monotonic + 1'000'000);
    monotonic += 1'000'000;
  }
  EXPECT_GT(back, 10);
  EXPECT_GT(ahead, 10);
}

TEST(SimFaults, AMaskedClassNeverHitsAndShiftsNoOther) {
  auto hits = [](FaultMask mask) {
    Options options;
    options.faults[Fault::kNoSpace] = 100'000;
    options.faults[Fault::kShortWrite] = 100'000;
    options.mask = mask;
    Machine m(7);
    auto file = m.Durable("/f", "oo");
    *m.world.options() = options;
    std::string results;
    for (int i = 0; i < 200; i++) {
      const int64_t result = m.WriteSectors(file.get(), 0, "nn");
      results += result == -ENOSPC ? 'E' : result < 8192 ? 's' : '.';
    }
    return results;
  };
  const std::string both = hits(FaultMask::All());
  std::string only_short = hits(FaultMask::All().Set(Fault::kNoSpace, false));
  EXPECT_THAT(both, HasSubstr("E"));
  EXPECT_THAT(only_short, HasSubstr("s"));
  EXPECT_EQ(only_short.find('E'), std::string::npos);
  // Where the error hit, it hid what the other class did; elsewhere they are the same.
  for (size_t i = 0; i < both.size(); i++) {
    if (both[i] == 'E') only_short[i] = 'E';
  }
  EXPECT_EQ(both, only_short);
  EXPECT_EQ(hits(FaultMask::None()), std::string(200, '.'));
}

}  // namespace
}  // namespace nexus::sim
