// Where choices come from: seeds, enumeration, bytes.

#include <gmock/gmock.h>

#include <set>

#include "io/sim/choice.h"
#include "tests/io/sim_machine.h"

namespace nexus::sim {
namespace {

using io::kSectorBytes;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

TEST(SimChoices, SeededStreamsAreIndependent) {
  SeededChoices plain(9);
  SeededChoices drained(9);
  for (int i = 0; i < 1000; i++) drained.Choose(Stream::kLatency, 10);
  for (int i = 0; i < 100; i++) {
    EXPECT_EQ(plain.Choose(Stream::kCrash, 1000), drained.Choose(Stream::kCrash, 1000));
  }
}

TEST(SimChoices, ChancesComeAtTheirRate) {
  SeededChoices choices(1);
  int hits = 0;
  for (int i = 0; i < 100'000; i++) hits += choices.Chance(Stream::kWorkload, 100'000);
  EXPECT_NEAR(hits, 10'000, 500);
  for (int i = 0; i < 1000; i++) {
    EXPECT_FALSE(choices.Chance(Stream::kWorkload, 0));
    EXPECT_TRUE(choices.Chance(Stream::kWorkload, 1'000'000));
  }
}

TEST(SimChoices, EnumerationVisitsEveryPathOnce) {
  EnumeratedChoices choices({Stream::kCrash});
  std::set<std::string> paths;
  do {
    std::string path;
    const uint64_t first = choices.Choose(Stream::kCrash, 3);
    path += static_cast<char>('0' + first);
    EXPECT_EQ(choices.Choose(Stream::kSchedule, 5), 0U);  // not enumerated
    // A tree of uneven depth.
    for (uint64_t i = 0; i < first; i++) {
      path += choices.Chance(Stream::kCrash, 10) ? 'y' : 'n';
    }
    EXPECT_TRUE(paths.insert(path).second);
  } while (choices.Advance());
  EXPECT_EQ(paths.size(), 1U + 2U + 4U);
  EXPECT_EQ(choices.runs(), paths.size());
}

TEST(SimChoices, AllChoicesZeroIsTheBenignWorld) {
  Options options;
  for (size_t i = 0; i < kFaultCount; i++) options.faults.per_million[i] = 500'000;
  ByteChoices benign({});
  Machine m(&benign, options);
  auto file = m.Open("/f");
  EXPECT_EQ(m.WriteSectors(file.get(), 0, "ab"), int64_t{2 * kSectorBytes});
  m.PowerCut();
  EXPECT_EQ(m.Seen("/f"), "ab");
}

// Every cut of a small protocol times every state a power cut may leave: write two sectors, sync.
TEST(SimChoices, ASmallProtocolCanBeWalkedExhaustively) {
  Outcomes unsynced;
  Outcomes synced;
  uint64_t runs = 0;
  for (uint64_t cut = 0; cut < 100; cut++) {
    EnumeratedChoices choices({Stream::kCrash});
    bool finished = false;
    do {
      Machine m(&choices);
      auto file = m.Durable("/f", "oo");
      io::AlignedBuffer buffer = Sectors("nn");
      m.world.CrashAfterSteps(cut, CrashKind::kPowerCut);
      m.world.TryRunTask(WriteTask(file.get(), 0, buffer.span()));
      std::optional<int64_t> result;
      if (m.world.alive()) result = m.world.TryRunTask(SyncTask(file.get()));
      finished = m.world.alive();
      if (finished) m.world.Crash(CrashKind::kPowerCut);
      (result.has_value() ? synced : unsynced)[m.Seen("/f")]++;
    } while (choices.Advance());
    runs += choices.runs();
    if (finished) break;
  }
  EXPECT_THAT(unsynced, UnorderedElementsAre(Key("oo"), Key("on"), Key("no"), Key("nn")));
  EXPECT_THAT(synced, UnorderedElementsAre(Key("nn")));
  EXPECT_GT(runs, 20U);
  RecordProperty("states_visited", static_cast<int>(runs));
}

TEST(SimChoices, BytesDriveAWholeWorld) {
  std::string bytes;
  Rng rng(3);
  for (int i = 0; i < 2000; i++) bytes += static_cast<char>(rng.Next());
  uint64_t hashes[2];
  for (uint64_t& hash : hashes) {
    ByteChoices choices(AsBytes(bytes));
    Machine m(&choices);
    auto file = m.Open("/f");
    for (int i = 0; i < 20; i++) m.Write(file.get(), 0, "some text");
    m.PowerCut();
    hash = m.world.trace_hash();
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

}  // namespace
}  // namespace nexus::sim
