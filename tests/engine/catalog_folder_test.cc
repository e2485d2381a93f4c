// A rebuilt catalog gets to its place so that at every instant, whatever a crash leaves of the
// renames, the old one or the new one is found there.

#include "engine/catalog_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "io/file_util.h"
#include "io/sim/world.h"

namespace nexus::engine {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;

constexpr char kOld[] = "the old catalog";
constexpr char kNew[] = "the new catalog";

class CatalogFolderTest : public testing::Test {
 protected:
  static io::Task<StatusOr<std::string>> BuildAndPut(io::Disk* disk, Folder folder) {
    auto settled = co_await SettleCatalogFolder(disk, folder);
    NEXUS_CO_RETURN_IF_ERROR(settled.status());
    NEXUS_CO_RETURN_IF_ERROR(co_await MakeBuildingFolder(disk, folder));
    // As LMDB does: the file's bytes are synced, its name is not.
    std::string path = io::JoinPath(folder.catalog_building, "data.mdb");
    io::OpenFlags flags;
    flags.write = flags.create = true;
    NEXUS_CO_ASSIGN_OR_RETURN(auto file, co_await io::OpenFile(disk, path, flags));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::WriteAll(file.get(), 0, AsBytes(std::string_view(kNew))));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncFile(file.get()));
    co_return co_await PutCatalogInPlace(disk, folder);
  }

  // What opening finds after a crash.
  static std::string Settle(sim::World* world, const Folder& folder) {
    world->Boot();
    auto settled = world->RunTask(SettleCatalogFolder(world->environment()->disk(), folder));
    EXPECT_TRUE(settled.ok()) << settled.status();
    std::string found = world->disk().ReadVisible("/db/catalog/data.mdb").value_or("nothing");
    world->Crash(sim::CrashKind::kProcessKill);
    return found;
  }

  // Every content that lies in quarantine/.
  static std::vector<std::string> Quarantined(sim::World* world) {
    std::vector<std::string> contents;
    for (const std::string& path : world->disk().VisibleFiles()) {
      if (path.starts_with("/db/quarantine/")) contents.push_back(*world->disk().ReadVisible(path));
    }
    return contents;
  }

  const Folder folder_{"/db"};
};

TEST_F(CatalogFolderTest, OldOneIsKeptAsEvidenceAndNamed) {
  sim::World world(1);
  world.disk().WriteDurable("/db/catalog/data.mdb", AsBytes(std::string_view(kOld)));
  for (int round = 1; round <= 2; round++) {
    world.Boot();
    auto old = world.RunTask(BuildAndPut(world.environment()->disk(), folder_));
    ASSERT_TRUE(old.ok()) << old.status();
    EXPECT_EQ(*old, "/db/quarantine/catalog-" + std::to_string(round));
    world.Crash(sim::CrashKind::kPowerCut);
    EXPECT_EQ(world.disk().ReadDurable("/db/catalog/data.mdb"), kNew);
  }
  EXPECT_EQ(world.disk().ReadDurable("/db/quarantine/catalog-1/data.mdb"), kOld);
}

TEST_F(CatalogFolderTest, NoneBeforeIsNoneInQuarantine) {
  sim::World world(1);
  world.disk().WriteDurable("/db/IDENTITY", AsBytes(std::string_view("x")));
  world.Boot();
  auto old = world.RunTask(BuildAndPut(world.environment()->disk(), folder_));
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(*old, "");
  EXPECT_EQ(world.disk().ReadVisible("/db/catalog/data.mdb"), kNew);
}

TEST_F(CatalogFolderTest, CrashAtAnyStepLeavesTheOldOrTheNew) {
  size_t cuts = 0;
  size_t finished_by_settling = 0;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    for (sim::CrashKind kind : {sim::CrashKind::kProcessKill, sim::CrashKind::kPowerCut}) {
      bool done = false;
      for (uint64_t step = 1; !done; step++) {
        sim::World world(seed);
        world.disk().WriteDurable("/db/catalog/data.mdb", AsBytes(std::string_view(kOld)));
        world.Boot();
        world.CrashAfterSteps(step, kind);
        done = world.TryRunTask(BuildAndPut(world.environment()->disk(), folder_)).has_value();
        world.CancelScheduledCrash();
        if (world.alive()) world.Crash(kind);
        const bool missing = !world.disk().ReadVisible("/db/catalog/data.mdb").has_value();
        const std::string found = Settle(&world, folder_);
        ASSERT_TRUE(found == kOld || found == kNew) << found << " after step " << step;
        if (missing) finished_by_settling++;
        if (found == kNew) {
          EXPECT_THAT(Quarantined(&world), Contains(kOld)) << "step " << step;
        }
        // And it can be done again.
        world.Boot();
        auto again = world.RunTask(BuildAndPut(world.environment()->disk(), folder_));
        ASSERT_TRUE(again.ok()) << again.status();
        EXPECT_EQ(world.disk().ReadVisible("/db/catalog/data.mdb"), kNew);
        world.Crash(sim::CrashKind::kProcessKill);
        cuts++;
      }
    }
  }
  EXPECT_GT(cuts, 400u);
  EXPECT_GT(finished_by_settling, 0u) << "the moment between the renames was never hit";
}

TEST_F(CatalogFolderTest, LeftoverBesideACatalogInPlaceIsSetAside) {
  sim::World world(1);
  world.disk().WriteDurable("/db/catalog/data.mdb", AsBytes(std::string_view(kNew)));
  world.disk().WriteDurable("/db/catalog.rebuilt/data.mdb", AsBytes(std::string_view(kOld)));
  world.Boot();
  auto settled = world.RunTask(SettleCatalogFolder(world.environment()->disk(), folder_));
  ASSERT_TRUE(settled.ok()) << settled.status();
  EXPECT_THAT(*settled, EndsWith("left over from an interrupted rebuild"));
  EXPECT_EQ(world.disk().ReadVisible("/db/catalog/data.mdb"), kNew);
  EXPECT_EQ(world.disk().ReadVisible("/db/quarantine/catalog-1/data.mdb"), kOld);
}

}  // namespace
}  // namespace nexus::engine
