// Run: one seeded life of a database in the simulated world - appends, flushes, queries, power
// cuts, process kills, crashes within recovery - judged by the oracle.
//
// A run is a function of its seed and options: the same seed gives the same trace hash. What is
// rare in real life is made common: memtables of a few hundred kilobytes, segments of 64 KiB, tiny
// pauses. Threading: one thread.

#ifndef NEXUS_TESTS_SIM_RUN_H_
#define NEXUS_TESTS_SIM_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core.h"
#include "io/sim/world.h"
#include "tests/sim/oracle.h"

namespace nexus::sim_test {

struct RunOptions {
  uint64_t seed = 1;
  uint64_t operations = 300;
  // If set, gets one line for each event of the world and each operation of the workload.
  std::function<void(std::string_view)> trace_sink;
};

struct RunResult {
  std::optional<std::string> violation;  // what rule was broken, where
  uint64_t operations = 0;
  uint64_t trace_hash = 0;
  // What the run exercised.
  uint64_t appends = 0;
  uint64_t acknowledged = 0;
  uint64_t queries = 0;
  uint64_t queries_with_data = 0;
  uint64_t queries_spanning = 0;  // over memtable and layers both
  uint64_t flushes = 0;
  uint64_t power_cuts = 0;
  uint64_t kills = 0;
  uint64_t crashes_in_recovery = 0;
  uint64_t clean_closes = 0;
  uint64_t decided_present = 0;
  uint64_t decided_absent = 0;
};

RunResult RunSeed(const RunOptions& options);

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_RUN_H_
