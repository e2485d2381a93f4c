// nexus-sim: runs the real engine in the simulated world and says whether the oracle held.
//
//   nexus-sim --seed S              one run; one line: seed, operations, trace hash; exit 0 or 1
//   nexus-sim --seed S --seeds N    N runs from S on; a line for each that failed, and totals
//   --operations N                  length of a run (default 300)
//   --trace                         every event, to standard error
//
// Some seeds are run twice: the same seed must give the same trace hash.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "tests/sim/run.h"

namespace {

using nexus::sim_test::RunOptions;
using nexus::sim_test::RunResult;

// One in twenty runs is executed twice.
constexpr uint64_t kRepeatEvery = 20;

void Add(const RunResult& run, RunResult* total) {
  total->operations += run.operations;
  total->appends += run.appends;
  total->acknowledged += run.acknowledged;
  total->queries += run.queries;
  total->queries_with_data += run.queries_with_data;
  total->queries_spanning += run.queries_spanning;
  total->flushes += run.flushes;
  total->power_cuts += run.power_cuts;
  total->kills += run.kills;
  total->crashes_in_recovery += run.crashes_in_recovery;
  total->clean_closes += run.clean_closes;
  total->decided_present += run.decided_present;
  total->decided_absent += run.decided_absent;
}

void PrintRun(uint64_t seed, const RunResult& run) {
  std::printf("seed=%llu operations=%llu trace=%016llx %s\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(run.operations),
              static_cast<unsigned long long>(run.trace_hash),
              run.violation.has_value() ? run.violation->c_str() : "ok");
}

// Prints what the runs exercised; false if something they should have was never met.
bool PrintTotals(uint64_t runs, const RunResult& total) {
  struct Row {
    const char* name;
    uint64_t count;
  };
  const Row rows[] = {{"operations", total.operations},
                      {"appends", total.appends},
                      {"acknowledged", total.acknowledged},
                      {"queries", total.queries},
                      {"queries with data", total.queries_with_data},
                      {"queries over memtable and layers", total.queries_spanning},
                      {"flushes", total.flushes},
                      {"power cuts", total.power_cuts},
                      {"process kills", total.kills},
                      {"crashes within recovery", total.crashes_in_recovery},
                      {"clean closes", total.clean_closes},
                      {"in-doubt batches found present", total.decided_present},
                      {"in-doubt batches found absent", total.decided_absent}};
  bool complete = true;
  for (const Row& row : rows) {
    std::printf("%12llu  %s\n", static_cast<unsigned long long>(row.count), row.name);
    // A few runs need not meet everything; a gate's worth must.
    if (row.count == 0 && runs >= 100) {
      std::printf("never exercised: %s\n", row.name);
      complete = false;
    }
  }
  return complete;
}

// Prints a failure; true if the seed held.
bool RunOne(const RunOptions& options, bool repeat, RunResult* result) {
  *result = nexus::sim_test::RunSeed(options);
  if (result->violation.has_value()) return false;
  if (!repeat) return true;
  RunResult again = nexus::sim_test::RunSeed(options);
  if (again.trace_hash == result->trace_hash) return true;
  result->violation = "the same seed gave another trace: the run is not deterministic";
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs the nexus engine in a simulated world that loses power, and judges what it kept.");
  uint64_t seed = 1;
  uint64_t seeds = 1;
  RunOptions options;
  bool trace = false;
  app.add_option("--seed", seed, "the first seed")->capture_default_str();
  app.add_option("--seeds", seeds, "how many seeds to run")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--operations", options.operations, "operations of a run")->capture_default_str();
  app.add_flag("--trace", trace, "print every event to standard error");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (trace) {
    options.trace_sink = [](std::string_view line) {
      std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
    };
  }
  uint64_t failures = 0;
  RunResult total;
  for (uint64_t i = 0; i < seeds; i++) {
    options.seed = seed + i;
    RunResult result;
    bool held = RunOne(options, seeds > 1 && i % kRepeatEvery == 0, &result);
    if (!held) failures++;
    if (!held || seeds == 1) PrintRun(options.seed, result);
    Add(result, &total);
  }
  if (seeds > 1) {
    if (!PrintTotals(seeds, total)) failures++;
    std::printf("%llu seeds, %llu failed\n", static_cast<unsigned long long>(seeds),
                static_cast<unsigned long long>(failures));
  }
  return failures == 0 ? 0 : 1;
}
