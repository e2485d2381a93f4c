// Run: one life of a database in the simulated world, over many crashes - a scenario's operations,
// what the world makes of them, and the oracle's judgement.
//
// A run is a function of its scenario and options: the same gives the same trace hash. After the
// operations comes a calm phase without faults: all that waits must drain, and everything that was
// acknowledged must be there, over a kill, a power cut, a flush and a clean close (rule 10).
// Threading: one thread.

#ifndef NEXUS_TESTS_SIM_RUN_H_
#define NEXUS_TESTS_SIM_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "io/sim/fault.h"
#include "tests/sim/scenario.h"

namespace nexus::sim_test {

struct RunOptions {
  // Classes that may hit, of those that the scenario has.
  sim::FaultMask mask = sim::FaultMask::All();
  // Ends the run, without its calm phase, at this time of the world.
  int64_t until_ns = INT64_MAX;
  // If set, gets one line for each event of the world and each operation.
  std::function<void(std::string_view)> trace_sink;
};

// What was exercised, by name, and how often. Every name is there, also those that are zero.
using Exercised = std::map<std::string, uint64_t, std::less<>>;

struct RunResult {
  std::optional<std::string> violation;  // what rule was broken, where
  uint64_t operations = 0;
  uint64_t trace_hash = 0;
  int64_t end_ns = 0;  // the world's time
  Exercised exercised;
};

RunResult RunScenario(const Scenario& scenario, const RunOptions& options = {});

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_RUN_H_
