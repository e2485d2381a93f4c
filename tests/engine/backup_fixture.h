// A simulated database that is backed up, and databases restored from that.
//
// The world has one catalog that crashes along with it: that of the database `options_` names. A
// restored database either takes its place (RestoreAndMove), or lives beside it within one
// incarnation and is looked at (RestoredAnswers).

#ifndef NEXUS_TESTS_ENGINE_BACKUP_FIXTURE_H_
#define NEXUS_TESTS_ENGINE_BACKUP_FIXTURE_H_

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/backup.h"
#include "engine/restore.h"
#include "tests/engine/catalog_rebuild_fixture.h"

namespace nexus::engine {

inline constexpr char kBackup[] = "/backup";

class BackupFixture : public CatalogRebuildFixture {
 protected:
  explicit BackupFixture(uint64_t seed = 1) : CatalogRebuildFixture(seed) {
    options_.compaction = false;
  }

  StatusOr<BackupResult> MakeBackup(const std::string& destination = kBackup) {
    const BackupOptions options;
    return world_.RunTask(Backup(core_.get(), destination, options));
  }

  // What a user can ask of the database that is restored from `source`, or why there is none. The
  // open one, if any, goes on. REQUIRES: the world is alive.
  StatusOr<std::string> RestoredAnswers(const std::string& source = kBackup) {
    const std::string directory = "/look-" + std::to_string(++looks_);
    const std::string catalog = world_.ScratchDirectory() + directory;
    std::filesystem::create_directories(catalog);
    RestoreOptions restore;
    restore.source = source;
    restore.directory = directory;
    CatalogRebuildHooks hooks;
    hooks.directory = catalog;
    hooks.adopt = [] {};
    auto restored = world_.RunTask(RestoreBackup(world_.environment(), restore, std::move(hooks)));
    NEXUS_RETURN_IF_ERROR(restored.status());
    Options options = options_;
    options.directory = directory;
    CatalogHooks opening;
    opening.directory = catalog;
    auto opened =
        world_.RunTask(DatabaseCore::Open(world_.environment(), options, std::move(opening)));
    NEXUS_RETURN_IF_ERROR(opened.status());
    std::swap(core_, *opened);
    std::string answers = Answers();
    ExpectClean();
    std::swap(core_, *opened);
    const Status closed = world_.RunTask((*opened)->Close());
    EXPECT_TRUE(closed.ok()) << closed;
    world_.RunOnLoop([&] { opened->reset(); });
    return answers;
  }

  // Restores into `directory`, which is from now on the database of this test. The world is down
  // before and after.
  StatusOr<RestoreResult> RestoreAndMove(const std::string& directory,
                                         const std::string& source = kBackup) {
    auto restored = TryRestore(directory, source, std::nullopt);
    if (restored->ok()) options_.directory = directory;
    return *std::move(restored);
  }
  std::optional<StatusOr<RestoreResult>> TryRestore(const std::string& directory,
                                                    const std::string& source,
                                                    std::optional<RebuildCrash> crash) {
    world_.Boot();
    RestoreOptions restore;
    restore.source = source;
    restore.directory = directory;
    CatalogRebuildHooks hooks;
    hooks.directory = world_.ScratchDirectory();
    hooks.adopt = [this, folder = hooks.directory] { world_.lmdb().OnSynced(folder); };
    if (crash.has_value()) world_.CrashAfterSteps(crash->steps, crash->kind);
    auto restored =
        world_.TryRunTask(RestoreBackup(world_.environment(), restore, std::move(hooks)));
    world_.CancelScheduledCrash();
    if (world_.alive()) world_.Crash(sim::CrashKind::kPowerCut);
    return restored;
  }

  std::vector<std::string> Visible(std::string_view prefix) {
    std::vector<std::string> found;
    for (const std::string& path : world_.disk().VisibleFiles()) {
      if (path.starts_with(prefix)) found.push_back(path);
    }
    return found;
  }

 private:
  int looks_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_BACKUP_FIXTURE_H_
