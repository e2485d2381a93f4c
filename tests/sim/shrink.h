// Shrinking: the smallest scenario that still fails as one that was found did.
//
// Takes away operations (delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", 2002), then classes of faults, then settings and clients, and again,
// until nothing can go. The same rule must be broken: a smaller scenario that fails in another way
// is another bug. Cost: some hundred runs. Threading: one thread.

#ifndef NEXUS_TESTS_SIM_SHRINK_H_
#define NEXUS_TESTS_SIM_SHRINK_H_

#include <cstdint>
#include <functional>

#include "tests/sim/run.h"
#include "tests/sim/scenario.h"

namespace nexus::sim_test {

// Called after each run with the number of operations that are left.
using ShrinkProgress = std::function<void(uint64_t runs, size_t operations)>;

// REQUIRES: the scenario fails.
Scenario Shrink(Scenario scenario, const RunOptions& options, const ShrinkProgress& progress);

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_SHRINK_H_
