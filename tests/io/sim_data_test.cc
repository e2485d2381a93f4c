// The simulated disk keeps the contract for data, D1-D3, D6, D7 and D10, and uses the freedom it
// leaves: over many seeds every allowed outcome is seen and no other.

#include <gmock/gmock.h>

#include <cerrno>
#include <set>

#include "tests/io/sim_machine.h"

namespace nexus::sim {
namespace {

using io::kSectorBytes;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::IsSupersetOf;
using ::testing::Key;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Kind = io::FileOp::Kind;

TEST(SimData, D1_CompletedWriteIsLostOrKeptByAPowerCut) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    EXPECT_EQ(m.WriteSectors(file.get(), 0, "n"), int64_t{kSectorBytes});
    EXPECT_EQ(m.Seen("/f"), "n");
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o"), Key("n")));
}

TEST(SimData, D1_CompletedWriteSurvivesAProcessKill) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    m.WriteSectors(file.get(), 0, "n");
    m.ProcessKill();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("n")));
}

TEST(SimData, D1_WhatAKilledProcessWroteIsStillNotDurable) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    m.WriteSectors(file.get(), 0, "n");
    m.ProcessKill();
    EXPECT_EQ(m.Seen("/f"), "n");  // read it, and lose it all the same
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o"), Key("n")));
}

TEST(SimData, D2_SyncMakesDurableWhatWasDeliveredBeforeIt) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "ooo");
    m.WriteSectors(file.get(), 1, "n");
    EXPECT_EQ(m.Sync(file.get()), 0);
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("ono")));
}

TEST(SimData, D2_SyncSubmittedWhileAWriteFliesDoesNotCoverIt) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    io::AlignedBuffer buffer = Sectors("n");
    Flying write(file.get(), Kind::kWrite, 0, buffer.span());
    Flying sync(file.get(), Kind::kSync, 0, {});
    EXPECT_TRUE(m.world.RunUntil([&] { return write.landed && sync.landed; }));
    EXPECT_EQ(sync.result, 0);
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o"), Key("n")));
}

TEST(SimData, D2_LinkedSyncCoversItsWriteAndWhatWasDeliveredBefore) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "ooo", /*direct=*/true);
    m.WriteSectors(file.get(), 0, "b");
    io::AlignedBuffer buffer = Sectors("c");
    io::AlignedBuffer other = Sectors("n");
    Flying chain(file.get(), Kind::kWriteThenSync, kSectorBytes, buffer.span());
    Flying beside(file.get(), Kind::kWrite, 2 * kSectorBytes, other.span());
    EXPECT_TRUE(m.world.RunUntil([&] { return chain.landed && beside.landed; }));
    EXPECT_EQ(chain.sync_result, 0);
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("bco"), Key("bcn")));
}

TEST(SimData, D2_OlderUnsyncedContentNeverReplacesWhatALaterChainMadeDurable) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    io::AlignedBuffer buffer = Sectors("c");
    // Different bytes of one sector: the first lands, unsynced, while the chain flies.
    Flying chain(file.get(), Kind::kWriteThenSync, 0, buffer.span().first(kSectorBytes / 2));
    Flying beside(file.get(), Kind::kWrite, kSectorBytes / 2, buffer.span().last(kSectorBytes / 2));
    EXPECT_TRUE(m.world.RunUntil([&] { return chain.landed; }));
    m.PowerCut();
    return m.world.disk().ReadVisible("/f")->substr(0, kSectorBytes / 2);
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key(std::string(kSectorBytes / 2, 'c'))));
}

TEST(SimData, D2_SyncOfAnotherFileCoversNothingHere) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    auto other = m.Durable("/g", "o");
    m.WriteSectors(file.get(), 0, "n");
    EXPECT_EQ(m.Sync(other.get()), 0);
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, Contains(Key("o")));
}

TEST(SimData, D2_WritesLeftBehindCountAsDeliveredOnceTheSuccessorHasTheLock) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    io::LockResult lock = m.world.RunTask(m.disk()->Lock("/lock"));
    io::AlignedBuffer buffer = Sectors("n");
    Flying write(file.get(), Kind::kWrite, 0, buffer.span());
    m.ProcessKill();
    while (m.world.RunTask(m.disk()->Lock("/lock")).error != 0) m.world.RunFor(1'000'000);
    EXPECT_EQ(m.world.disk().left_behind(), 0U);
    const std::string landed = m.Seen("/f");
    auto again = m.Open("/f");
    EXPECT_EQ(m.Sync(again.get()), 0);
    m.PowerCut();
    EXPECT_EQ(m.Seen("/f"), landed);
    return landed;
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o"), Key("n")));
}

TEST(SimData, D2_WithoutTheLockASuccessorMeetsADeadProcessesWrites) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    io::AlignedBuffer buffer = Sectors("n");
    Flying write(file.get(), Kind::kWrite, 0, buffer.span());
    m.ProcessKill();
    const std::string first = m.Seen("/f");
    m.world.RunFor(10'000'000);
    return first + m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("oo"), Key("on")));
}

TEST(SimData, D1_AKilledProcessesWriteInFlightLandsWholeInPartOrNever) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    io::AlignedBuffer buffer = Sectors("nn");
    Flying write(file.get(), Kind::kWriteThenSync, kSectorBytes, buffer.span());
    m.ProcessKill();
    m.world.RunFor(10'000'000);
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o"), Key("on"), Key("onn")));
}

TEST(SimData, D3_AfterAFailedSyncTheHandleFails) {
  Machine m(1);
  auto file = m.Durable("/f", "o");
  m.WriteSectors(file.get(), 0, "n");
  m.world.disk().FailNext({Op::kSync}, -EIO);
  EXPECT_EQ(m.Sync(file.get()), -EIO);
  EXPECT_EQ(m.Sync(file.get()), -EIO);
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "x"), -EIO);
  std::string read(16, '?');
  EXPECT_EQ(m.Read(file.get(), 0, &read), 16);  // reads go on
}

TEST(SimData, D3_WhatAFailedSyncLostALaterSyncDoesNotBringBack) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    m.WriteSectors(file.get(), 0, "n");
    m.world.disk().FailNext({Op::kSync}, -EIO);
    EXPECT_EQ(m.Sync(file.get()), -EIO);
    auto again = m.Open("/f");
    EXPECT_EQ(m.Sync(again.get()), 0);
    const std::string before = m.Seen("/f");
    m.PowerCut();
    return before + m.Seen("/f");
  });
  // Among the outcomes the trap: it reads as new, a sync says OK, and it is gone.
  EXPECT_THAT(seen, UnorderedElementsAre(Key("nn"), Key("no"), Key("oo")));
}

TEST(SimData, D3_WhatWasDurableSurvivesAFailedSync) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "oo");
    m.WriteSectors(file.get(), 0, "s");
    EXPECT_EQ(m.Sync(file.get()), 0);
    m.WriteSectors(file.get(), 1, "n");
    m.world.disk().FailNext({Op::kSync}, -EIO);
    EXPECT_EQ(m.Sync(file.get()), -EIO);
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("so"), Key("sn")));
}

TEST(SimData, D6_AFileMayGrowBeforeItsDataArrives) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    m.WriteSectors(file.get(), 1, "n");
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o"), Key("o0"), Key("on")));
}

TEST(SimData, D6_TheGapMayReadGarbage) {
  Options options;
  options.faults[Fault::kGarbageSector] = 500'000;
  Outcomes seen = OverSeeds([&](uint64_t seed) {
    Machine m(seed, options);
    auto file = m.Durable("/f", "o");
    m.WriteSectors(file.get(), 1, "n");
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, Contains(Key("o?")));
  for (const auto& [outcome, times] : seen) EXPECT_EQ(outcome[0], 'o');
}

TEST(SimData, D6_SpaceMadeDurableAsZerosNeverReadsGarbage) {
  Options options;
  options.faults[Fault::kGarbageSector] = 1'000'000;
  Outcomes seen = OverSeeds([&](uint64_t seed) {
    Machine m(seed, options);
    m.world.disk().WriteDurable("/f", {});
    auto file = m.Open("/f");
    EXPECT_EQ(m.world.RunTask(file->Allocate(4 * kSectorBytes)), 0);
    EXPECT_EQ(m.Sync(file.get()), 0);
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("0000")));
}

TEST(SimData, D6_UnsyncedTruncationMayComeBack) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "oo");
    EXPECT_EQ(m.world.RunTask(file->Truncate(kSectorBytes)), 0);
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, IsSupersetOf({Key("o"), Key("oo")}));
  EXPECT_THAT(seen, Not(Contains(Key("0"))));
}

// Every mixture of old and new sectors, and nothing else.
TEST(SimData, D7_UnsyncedWriteIsTornBySectorInAnyWay) {
  for (bool in_flight : {false, true}) {
    Outcomes seen = OverSeeds([&](uint64_t seed) {
      Machine m(seed);
      auto file = m.Durable("/f", "ooooo", /*direct=*/true);
      io::AlignedBuffer buffer = Sectors("nnn");
      Flying write(file.get(), Kind::kWrite, kSectorBytes, buffer.span());
      if (!in_flight) m.world.RunUntil([&] { return write.landed; });
      m.PowerCut();
      return m.Seen("/f");
    });
    EXPECT_EQ(seen.size(), 8U) << in_flight;
    for (const auto& [outcome, times] : seen) {
      EXPECT_EQ(outcome.front(), 'o');
      EXPECT_EQ(outcome.back(), 'o');
      EXPECT_EQ(outcome.find_first_not_of("on"), std::string::npos) << outcome;
    }
  }
}

TEST(SimData, D7_GarbageStaysInTheSectorsBeingWritten) {
  Options options;
  options.faults[Fault::kGarbageSector] = 500'000;
  std::set<std::string> contents;
  Outcomes seen = OverSeeds([&](uint64_t seed) {
    Machine m(seed, options);
    auto file = m.Durable("/f", "ooo", /*direct=*/true);
    io::AlignedBuffer buffer = Sectors("n");
    Flying write(file.get(), Kind::kWrite, kSectorBytes, buffer.span());
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("ooo"), Key("ono"), Key("o?o")));
}

TEST(SimData, D7_AnyVersionSinceTheLastSyncMaySurvive) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "a");
    m.WriteSectors(file.get(), 0, "b");
    EXPECT_EQ(m.Sync(file.get()), 0);
    m.WriteSectors(file.get(), 0, "c");
    m.WriteSectors(file.get(), 0, "d");
    m.PowerCut();
    return m.Seen("/f");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("b"), Key("c"), Key("d")));
}

TEST(SimData, D7_WhatAPowerCutLeftStaysLeft) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "o");
    m.WriteSectors(file.get(), 0, "nn");
    m.PowerCut();
    const std::string first = m.Seen("/f");
    m.PowerCut();
    EXPECT_EQ(m.Seen("/f"), first);
    return first;
  });
  EXPECT_GT(seen.size(), 3U);
}

TEST(SimData, D10_CompletionsComeInAnyOrder) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    auto file = m.Durable("/f", "ooo");
    io::AlignedBuffer buffer = Sectors("abc");
    std::string order;
    struct Named : io::FileOp {
      Named(io::File* file, char letter, uint64_t at, MutableBytes bytes, std::string* into)
          : FileOp(Kind::kWrite, at, bytes, &Note), name(letter), order(into) {
        file->Submit(this);
      }
      static void Note(FileOp* op) {
        auto* self = static_cast<Named*>(op);
        *self->order += self->name;
      }
      char name;
      std::string* order;
    };
    auto part = [&](uint64_t i) { return buffer.span().subspan(i * kSectorBytes, kSectorBytes); };
    Named a(file.get(), 'a', 0, part(0), &order);
    Named b(file.get(), 'b', kSectorBytes, part(1), &order);
    Named c(file.get(), 'c', 2 * kSectorBytes, part(2), &order);
    m.world.RunUntilIdle();
    return order;
  });
  EXPECT_EQ(seen.size(), 6U);
}

using SimDataDeathTest = ::testing::Test;

TEST(SimDataDeathTest, OverlappingWritesInFlightAreAProgrammerError) {
  Machine m(1);
  auto file = m.Durable("/f", "ooo");
  io::AlignedBuffer buffer = Sectors("nn");
  Flying first(file.get(), Kind::kWrite, 0, buffer.span());
  EXPECT_DEATH(Flying(file.get(), Kind::kWrite, kSectorBytes, buffer.span()), "overlap");
  m.world.RunUntilIdle();
}

TEST(SimDataDeathTest, MisalignedDirectWriteIsAProgrammerError) {
  Machine m(1);
  auto file = m.Durable("/f", "ooo", /*direct=*/true);
  io::AlignedBuffer buffer = Sectors("n");
  EXPECT_DEATH(Flying(file.get(), Kind::kWrite, 512, buffer.span()), "IsAligned");
  EXPECT_DEATH(Flying(file.get(), Kind::kWrite, 0, buffer.span().first(512)), "IsAligned");
}

TEST(SimDataDeathTest, ChangingABufferInFlightIsAProgrammerError) {
  Machine m(1);
  auto file = m.Durable("/f", "o");
  io::AlignedBuffer buffer = Sectors("n");
  Flying write(file.get(), Kind::kWrite, 0, buffer.span());
  buffer.data()[7] = std::byte{'x'};
  EXPECT_DEATH(m.world.RunUntilIdle(), "buffer_is_unchanged");
  buffer.data()[7] = std::byte{'n'};
  m.world.RunUntilIdle();
}

}  // namespace
}  // namespace nexus::sim
