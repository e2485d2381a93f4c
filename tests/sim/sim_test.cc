// The simulator's gate: the oracle holds over many seeds, and a seed is a whole description of a
// run.

#include <gtest/gtest.h>

#include "tests/sim/run.h"

namespace nexus::sim_test {
namespace {

TEST(Simulator, OracleHoldsOverPowerCutsAndKills) {
  for (uint64_t seed = 1; seed <= 200; seed++) {
    RunOptions options;
    options.seed = seed;
    options.operations = 150;
    RunResult result = RunSeed(options);
    ASSERT_FALSE(result.violation.has_value()) << "seed " << seed << ": " << *result.violation;
  }
}

TEST(Simulator, SameSeedGivesTheSameTrace) {
  for (uint64_t seed : {7, 8, 9}) {
    RunOptions options;
    options.seed = seed;
    RunResult first = RunSeed(options);
    RunResult second = RunSeed(options);
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.acknowledged, second.acknowledged);
  }
}

TEST(Simulator, DifferentSeedsDiffer) {
  RunOptions options;
  options.seed = 1;
  RunResult one = RunSeed(options);
  options.seed = 2;
  EXPECT_NE(one.trace_hash, RunSeed(options).trace_hash);
}

}  // namespace
}  // namespace nexus::sim_test
