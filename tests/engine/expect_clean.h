// What a scrub finds in a simulated database, as failures of GoogleTest's.

#ifndef NEXUS_TESTS_ENGINE_EXPECT_CLEAN_H_
#define NEXUS_TESTS_ENGINE_EXPECT_CLEAN_H_

#include <gtest/gtest.h>

#include "engine/core.h"
#include "engine/scrub.h"
#include "io/sim/world.h"

namespace nexus::engine {

// REQUIRES: the world is alive, the database open.
inline void ExpectScrubFindsNothing(sim::World* world, DatabaseCore* core) {
  const StatusOr<ScrubReport> report = world->RunTask(Scrub(core, ScrubOptions()));
  ASSERT_TRUE(report.ok()) << report.status();
  for (const ScrubFinding& finding : report->findings) {
    ADD_FAILURE() << finding.file << ": " << finding.what;
  }
}

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_EXPECT_CLEAN_H_
