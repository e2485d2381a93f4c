// A process in the simulated world that rebuilds a catalog, and ends. The catalog that was is out
// of its reach, as one that is lost or that LMDB cannot read.

#ifndef NEXUS_TESTS_ENGINE_SIMULATED_REBUILD_H_
#define NEXUS_TESTS_ENGINE_SIMULATED_REBUILD_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "engine/catalog_rebuild.h"
#include "io/sim/world.h"

namespace nexus::engine {

// Crashes after so many steps, unless the rebuild ended before.
struct RebuildCrash {
  uint64_t steps = 0;
  sim::CrashKind kind = sim::CrashKind::kProcessKill;
};

// nullopt if the crash came first. The world is down afterwards.
inline std::optional<StatusOr<CatalogRebuildReport>> SimulateRebuild(
    sim::World* world, const Options& options, CatalogRebuildOptions rebuild,
    std::optional<RebuildCrash> crash) {
  world->Boot();
  CatalogRebuildHooks hooks;
  hooks.directory = world->ScratchDirectory();
  hooks.adopt = [world, folder = hooks.directory] { world->lmdb().OnSynced(folder); };
  if (crash.has_value()) world->CrashAfterSteps(crash->steps, crash->kind);
  auto report =
      world->TryRunTask(RebuildCatalog(world->environment(), options, rebuild, std::move(hooks)));
  world->CancelScheduledCrash();
  if (world->alive()) world->Crash(sim::CrashKind::kProcessKill);
  return report;
}

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_SIMULATED_REBUILD_H_
