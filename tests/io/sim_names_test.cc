// The simulated disk keeps the contract for names, D4 and D5, and uses the freedom it leaves.

#include <gmock/gmock.h>

#include <cerrno>

#include "tests/io/sim_machine.h"

namespace nexus::sim {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Key;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

// A synced file under a name that is not.
void CreateSynced(Machine* m, const std::string& path, std::string_view letters) {
  auto file = m->Open(path);
  m->WriteSectors(file.get(), 0, letters);
  EXPECT_EQ(m->Sync(file.get()), 0);
}

std::string Listing(Machine* m) {
  std::string names;
  for (const std::string& path : m->world.disk().VisibleFiles()) names += path;
  return names;
}

TEST(SimNames, D4_AnySubsetOfUnsyncedCreationsSurvives) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    CreateSynced(&m, "/a", "x");
    CreateSynced(&m, "/b", "x");
    m.PowerCut();
    return Listing(&m);
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key(""), Key("/a"), Key("/b"), Key("/a/b")));
}

TEST(SimNames, D4_SyncedDirectoryKeepsItsNames) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    EXPECT_EQ(m.world.RunTask(m.disk()->MakeDirectory("/d")), 0);
    EXPECT_EQ(m.SyncDirectory("/"), 0);
    CreateSynced(&m, "/d/a", "x");
    EXPECT_EQ(m.SyncDirectory("/d"), 0);
    m.PowerCut();
    return Listing(&m) + m.Seen("/d/a");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("/d/ax")));
}

TEST(SimNames, D4_AFileIsLostWithTheUnsyncedDirectoryAboveIt) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    EXPECT_EQ(m.world.RunTask(m.disk()->MakeDirectory("/d")), 0);
    CreateSynced(&m, "/d/a", "x");
    EXPECT_EQ(m.SyncDirectory("/d"), 0);  // but not "/"
    m.PowerCut();
    return Listing(&m);
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key(""), Key("/d/a")));
}

TEST(SimNames, D4_SyncSubmittedWhileACreationFliesDoesNotCoverIt) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    io::TaskScope scope(m.world.environment()->executor());
    struct Steps {
      static io::Task<void> Create(io::Disk* disk) { co_await disk->Open("/a", ForWriting()); }
      static io::Task<void> Sync(io::Disk* disk) { co_await disk->SyncDirectory("/"); }
    };
    scope.Spawn(Steps::Create(m.disk()));
    scope.Spawn(Steps::Sync(m.disk()));
    m.world.RunUntilIdle();
    m.PowerCut();
    return Listing(&m);
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key(""), Key("/a")));
}

TEST(SimNames, D4_UnsyncedUnlinkMayComeBackWhole) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    m.Durable("/a", "xy").reset();
    EXPECT_EQ(m.Unlink("/a"), 0);
    EXPECT_EQ(m.Seen("/a"), "absent");
    m.PowerCut();
    return m.Seen("/a");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("absent"), Key("xy")));
}

TEST(SimNames, D4_SyncedUnlinkStaysGone) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    m.Durable("/a", "x").reset();
    EXPECT_EQ(m.Unlink("/a"), 0);
    EXPECT_EQ(m.SyncDirectory("/"), 0);
    m.PowerCut();
    return m.Seen("/a");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("absent")));
}

TEST(SimNames, D4_AnUnsyncedLinkMayBeLostAndTheFileNever) {
  for (bool synced : {false, true}) {
    Outcomes seen = OverSeeds([&](uint64_t seed) {
      Machine m(seed);
      m.Durable("/a/f", "x").reset();
      m.Durable("/b/other", "x").reset();
      EXPECT_EQ(m.world.RunTask(m.disk()->Link("/a/f", "/b/f")), 0);
      if (synced) {
        EXPECT_EQ(m.SyncDirectory("/b"), 0);
      }
      m.PowerCut();
      return m.Seen("/a/f") + " " + m.Seen("/b/f");
    });
    if (synced) {
      EXPECT_THAT(seen, UnorderedElementsAre(Key("x x")));
    } else {
      EXPECT_THAT(seen, UnorderedElementsAre(Key("x x"), Key("x absent")));
    }
  }
}

TEST(SimNames, AFileTakesItsSpaceUntilTheLastOfItsNamesGoes) {
  Machine m(1);
  m.Durable("/f", "xyz").reset();
  const uint64_t used = m.world.disk().used_bytes();
  EXPECT_EQ(m.world.RunTask(m.disk()->Link("/f", "/g")), 0);
  EXPECT_EQ(m.world.disk().used_bytes(), used);
  EXPECT_EQ(m.Unlink("/f"), 0);
  EXPECT_EQ(m.world.disk().used_bytes(), used);
  EXPECT_EQ(m.Seen("/g"), "xyz");
  EXPECT_EQ(m.Unlink("/g"), 0);
  EXPECT_EQ(m.world.disk().used_bytes(), 0u);
}

TEST(SimNames, D4_FailedDirectorySyncMakesNothingDurable) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    CreateSynced(&m, "/a", "x");
    m.world.disk().FailNext({Op::kSyncDirectory}, -EIO);
    EXPECT_EQ(m.SyncDirectory("/"), -EIO);
    m.PowerCut();
    return Listing(&m);
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key(""), Key("/a")));
}

TEST(SimNames, D4_NamesOfAKilledProcessAreVisibleButNotDurable) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    CreateSynced(&m, "/a", "x");
    m.ProcessKill();
    EXPECT_EQ(Listing(&m), "/a");
    m.PowerCut();
    return Listing(&m);
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key(""), Key("/a")));
}

TEST(SimNames, D4_ACreationInFlightAtAKillHappensOrNot) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    io::Task<io::OpenResult> task = m.disk()->Open("/a", ForWriting());
    m.world.CrashAfterSteps(1, CrashKind::kProcessKill);
    EXPECT_FALSE(m.world.TryRunTask(std::move(task)).has_value());
    return Listing(&m);
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key(""), Key("/a")));
}

TEST(SimNames, D5_RenamesTargetIsTheOldFileOrTheNewOne) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    m.Durable("/f", "o").reset();
    m.Durable("/f.tmp", "n").reset();
    EXPECT_EQ(m.Rename("/f.tmp", "/f"), 0);
    m.PowerCut();
    return m.Seen("/f") + " " + m.Seen("/f.tmp");
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o n"), Key("n n"), Key("n absent")));
}

TEST(SimNames, D5_TheNewFileHoldsOnlyWhatWasSynced) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    m.Durable("/f", "o").reset();
    auto file = m.Open("/f.tmp");
    m.WriteSectors(file.get(), 0, "n");
    EXPECT_EQ(m.Rename("/f.tmp", "/f"), 0);
    EXPECT_EQ(m.SyncDirectory("/"), 0);
    m.PowerCut();
    return m.Seen("/f");
  });
  // The classic: renamed before it was synced, the file is there and empty.
  EXPECT_THAT(seen, UnorderedElementsAre(Key(""), Key("0"), Key("n")));
}

TEST(SimNames, D5_ReplaceFileIsOldOrNewAtEachStepOfACut) {
  std::string contents[2] = {std::string(10'000, 'o'), std::string(9'000, 'n')};
  Outcomes seen;
  for (uint64_t seed = 0; seed < kSeeds; seed++) {
    Machine m(seed);
    m.world.disk().WriteDurable("/d/f", AsBytes(contents[0]));
    m.world.CrashAfterSteps(seed % 30, CrashKind::kPowerCut);
    std::optional<Status> replaced =
        m.world.TryRunTask(io::ReplaceFile(m.disk(), "/d/f", contents[1]));
    if (m.world.alive()) m.world.Crash(CrashKind::kPowerCut);
    const std::string after = m.world.disk().ReadVisible("/d/f").value_or("lost");
    EXPECT_THAT(after, AnyOf(contents[0], contents[1]));
    if (replaced.has_value()) {
      EXPECT_TRUE(replaced->ok()) << *replaced;
      EXPECT_EQ(after, contents[1]);
    }
    seen[after.substr(0, 1)]++;
  }
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o"), Key("n")));
}

TEST(SimNames, D5_ARenameBetweenDirectoriesLosesTheFileFromNeverBoth) {
  for (bool sync_source : {false, true}) {
    Outcomes seen = OverSeeds([&](uint64_t seed) {
      Machine m(seed);
      m.Durable("/a/f", "x").reset();
      m.Durable("/b/other", "x").reset();
      EXPECT_EQ(m.Rename("/a/f", "/b/f"), 0);
      if (sync_source) {
        EXPECT_EQ(m.SyncDirectory("/a"), 0);
      }
      m.PowerCut();
      return m.Seen("/a/f") + " " + m.Seen("/b/f");
    });
    EXPECT_THAT(seen, UnorderedElementsAre(Key("x absent"), Key("absent x"), Key("x x")));
  }
}

TEST(SimNames, D5_ARenameBetweenDirectoriesIsDurableAfterBothSyncs) {
  for (bool target_first : {false, true}) {
    Outcomes seen = OverSeeds([&](uint64_t seed) {
      Machine m(seed);
      m.Durable("/a/f", "x").reset();
      m.Durable("/b/other", "x").reset();
      EXPECT_EQ(m.Rename("/a/f", "/b/f"), 0);
      EXPECT_EQ(m.SyncDirectory(target_first ? "/b" : "/a"), 0);
      EXPECT_EQ(m.SyncDirectory(target_first ? "/a" : "/b"), 0);
      m.PowerCut();
      return m.Seen("/a/f") + " " + m.Seen("/b/f");
    });
    EXPECT_THAT(seen, UnorderedElementsAre(Key("absent x")));
  }
}

TEST(SimNames, RenameChecksItsArgumentsAsTheKernelDoes) {
  Machine m(1);
  m.Durable("/d/f", "x").reset();
  m.Durable("/g", "y").reset();
  EXPECT_EQ(m.Rename("/g", "/d"), -EISDIR);
  EXPECT_EQ(m.Rename("/d", "/g"), -ENOTDIR);
  EXPECT_EQ(m.Rename("/d", "/d/below"), -EINVAL);
  EXPECT_EQ(m.Rename("/absent", "/x"), -ENOENT);
  EXPECT_EQ(m.Rename("/g", "/g"), 0);
  EXPECT_EQ(m.Rename("/d", "/e"), 0);
  EXPECT_THAT(m.world.disk().VisibleFiles(), ElementsAre("/e/f", "/g"));
}

TEST(SimNames, CopyFromCopiesWhatWaitsToBecomeDurable) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(1);
    auto file = m.Durable("/f", "o");
    m.WriteSectors(file.get(), 0, "n");
    CreateSynced(&m, "/a", "x");
    World copy(seed);
    copy.disk().CopyFrom(m.world.disk());
    copy.Crash(CrashKind::kPowerCut);
    const std::string outcome = BySector(copy.disk().ReadVisible("/f").value_or("")) +
                                (copy.disk().ReadVisible("/a") ? "+" : "-");
    EXPECT_EQ(m.Seen("/f"), "n");  // the original goes on
    EXPECT_EQ(m.Seen("/a"), "x");
    return outcome;
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("o+"), Key("o-"), Key("n+"), Key("n-")));
}

}  // namespace
}  // namespace nexus::sim
