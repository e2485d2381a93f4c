// The simulator's gate: the oracle holds over many seeds, and a seed is a whole description of a
// run.

#include <gtest/gtest.h>

#include "tests/sim/run.h"

namespace nexus::sim_test {
namespace {

TEST(Simulator, OracleHoldsOverPowerCutsAndKills) {
  for (uint64_t seed = 1; seed <= 100; seed++) {
    RunResult result = RunScenario(MakeScenario(seed, 200));
    ASSERT_FALSE(result.violation.has_value()) << "seed " << seed << ": " << *result.violation;
  }
}

TEST(Simulator, SameSeedGivesTheSameTrace) {
  for (uint64_t seed : {7u, 8u, 9u}) {
    const Scenario scenario = MakeScenario(seed, 200);
    RunResult first = RunScenario(scenario);
    RunResult second = RunScenario(scenario);
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.exercised, second.exercised);
  }
}

TEST(Simulator, DifferentSeedsDiffer) {
  EXPECT_NE(RunScenario(MakeScenario(1, 100)).trace_hash,
            RunScenario(MakeScenario(2, 100)).trace_hash);
}

}  // namespace
}  // namespace nexus::sim_test
