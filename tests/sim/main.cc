// nexus-sim: runs the real engine in the simulated world and says whether the oracle held.
//
//   nexus-sim --seed S              one run; one line: seed, operations, trace hash; exit 0 or 1
//   nexus-sim --seed S --seeds N    N runs from S on; a line for each that failed, and totals
//   --operations N                  length of a run
//   --scenario FILE                 one run of a scenario instead of a seed's
//   --until SECONDS                 ends a run at this time of its world
//   --mask CLASS,CLASS              faults that may not hit
//   --trace                         every event, to standard error
//   --stop                          ends at the first failure
//   --shrink                        of the first failure, the smallest scenario that fails alike
//   --plant NAME                    with a planted bug (builds with --config=planted)
//
// Some seeds are run twice: the same seed must give the same trace hash.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/planted.h"
#include "tests/sim/run.h"
#include "tests/sim/shrink.h"

namespace nexus::sim_test {
namespace {

// One in twenty runs is executed twice.
constexpr uint64_t kRepeatEvery = 20;
constexpr int kUsage = 2;

struct Asked {
  uint64_t seed = 1;
  uint64_t seeds = 1;
  uint64_t operations = 400;
  std::string scenario;
  double until = 0;
  std::vector<std::string> mask;
  std::string plant;
  bool trace = false;
  bool shrink = false;
  bool stop = false;
  RunOptions options;
};

void PrintRun(const std::string& name, const RunResult& run) {
  fmt::print("{} operations={} seconds={:.3f} trace={:016x} {}\n", name, run.operations,
             static_cast<double>(run.end_ns) / 1e9, run.trace_hash, run.violation.value_or("ok"));
  std::fflush(stdout);
}

// A few runs need not meet everything; these must: it is what one shard of the gate has.
constexpr uint64_t kRunsThatMeetAll = 500;

// Prints what the runs exercised; false if something they should have was never met.
bool PrintTotals(uint64_t runs, const Exercised& total) {
  bool complete = true;
  for (const auto& [name, count] : total) {
    fmt::print("{:12}  {}\n", count, name);
    if (count > 0 || runs < kRunsThatMeetAll) continue;
    fmt::print("never exercised: {}\n", name);
    complete = false;
  }
  return complete;
}

// The run, executed again if `repeat`.
RunResult RunOnce(const Scenario& scenario, const RunOptions& options, bool repeat) {
  RunResult result = RunScenario(scenario, options);
  if (result.violation.has_value() || !repeat) return result;
  if (RunScenario(scenario, options).trace_hash != result.trace_hash) {
    result.violation = "the same seed gave another trace: the run is not deterministic";
  }
  return result;
}

void PrintShrunk(const Scenario& scenario, const RunOptions& options) {
  RunOptions quiet = options;
  quiet.trace_sink = nullptr;
  const Scenario small = Shrink(scenario, quiet, [](uint64_t runs, size_t operations) {
    fmt::print(stderr, "\rshrinking: {} runs, {} operations left ", runs, operations);
  });
  fmt::print(stderr, "\n");
  // Every line of it a comment of the scenario.
  std::string violation = RunScenario(small, quiet).violation.value_or("ok");
  for (size_t at = 0; (at = violation.find('\n', at)) != std::string::npos; at++) {
    violation.insert(at + 1, "# ");
  }
  fmt::print("# {}\n{}", violation, ToText(small));
}

int RunFile(const Asked& asked) {
  std::ifstream file(asked.scenario);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  StatusOr<Scenario> scenario = ParseScenario(text);
  if (!file.good() || !scenario.ok()) {
    fmt::print(
        stderr, "nexus-sim: {}: {}\n", asked.scenario,
        scenario.ok() ? "cannot be read" : std::string(FromAbsl(scenario.status().message())));
    return kUsage;
  }
  const RunResult result = RunOnce(*scenario, asked.options, /*repeat=*/true);
  PrintRun(asked.scenario, result);
  if (result.violation.has_value() && asked.shrink) PrintShrunk(*scenario, asked.options);
  return result.violation.has_value() ? 1 : 0;
}

int RunSeeds(const Asked& asked) {
  uint64_t failures = 0;
  Exercised total;
  for (uint64_t i = 0; i < asked.seeds; i++) {
    const Scenario scenario = MakeScenario(asked.seed + i, asked.operations);
    const bool repeat = asked.seeds > 1 && i % kRepeatEvery == 0;
    const RunResult result = RunOnce(scenario, asked.options, repeat);
    for (const auto& [name, count] : result.exercised) total[name] += count;
    if (result.violation.has_value()) failures++;
    if (result.violation.has_value() || asked.seeds == 1) {
      PrintRun(fmt::format("seed={}", asked.seed + i), result);
    }
    if (result.violation.has_value() && asked.stop) return 1;
    if (result.violation.has_value() && asked.shrink) {
      PrintShrunk(scenario, asked.options);
      return 1;
    }
  }
  bool complete = true;
  if (asked.seeds > 1) {
    complete = PrintTotals(asked.seeds, total);
    const auto seeds = static_cast<double>(asked.seeds);
    fmt::print("{:.0f} operations and {:.1f} crashes a seed\n",
               static_cast<double>(total["operations"]) / seeds,
               static_cast<double>(total["power cuts"] + total["process kills"] +
                                   total["crashes within recovery"]) /
                   seeds);
    fmt::print("{} seeds, {} failed\n", asked.seeds, failures);
  }
  return failures == 0 && complete ? 0 : 1;
}

// False, after a message, if a name is unknown.
bool SetMask(const std::vector<std::string>& names, sim::FaultMask* mask) {
  for (const std::string& name : names) {
    bool known = false;
    for (size_t i = 0; i < sim::kFaultCount; i++) {
      const auto fault = static_cast<sim::Fault>(i);
      if (name != sim::FaultName(fault)) continue;
      mask->Set(fault, false);
      known = true;
    }
    if (known) continue;
    fmt::print(stderr, "nexus-sim: --mask {}: no such class; there are:", name);
    for (size_t i = 0; i < sim::kFaultCount; i++) {
      fmt::print(stderr, " {}", sim::FaultName(static_cast<sim::Fault>(i)));
    }
    fmt::print(stderr, "\n");
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Runs the nexus engine in a simulated world that loses power, and judges what it kept.");
  Asked asked;
  app.add_option("--seed", asked.seed, "the first seed")->capture_default_str();
  app.add_option("--seeds", asked.seeds, "how many seeds to run")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--operations", asked.operations, "operations of a run")->capture_default_str();
  app.add_option("--scenario", asked.scenario, "run this file's scenario instead");
  app.add_option("--until", asked.until, "end a run at this time of its world, in seconds");
  app.add_option("--mask", asked.mask, "classes of faults that may not hit")->delimiter(',');
  app.add_option("--plant", asked.plant, "with this planted bug, or `list` them");
  app.add_flag("--trace", asked.trace, "print every event to standard error");
  app.add_flag("--stop", asked.stop, "end at the first failure");
  app.add_flag("--shrink", asked.shrink, "print the smallest scenario that fails as the first one");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (asked.plant == "list") {
    for (const PlantedBug& bug : PlantedBugs()) fmt::print("{}: {}\n", bug.name, bug.what);
    return 0;
  }
  if (!asked.plant.empty() && !Plant(asked.plant)) {
    fmt::print(stderr,
               "nexus-sim: --plant {}: no such bug in this build; --plant list names them "
               "(builds with --config=planted have some)\n",
               asked.plant);
    return kUsage;
  }
  if (!SetMask(asked.mask, &asked.options.mask)) return kUsage;
  if (asked.until > 0) asked.options.until_ns = static_cast<int64_t>(asked.until * 1e9);
  if (asked.trace) {
    asked.options.trace_sink = [](std::string_view line) { fmt::print(stderr, "{}\n", line); };
  }
  return asked.scenario.empty() ? RunSeeds(asked) : RunFile(asked);
}

}  // namespace
}  // namespace nexus::sim_test

int main(int argc, char** argv) { return nexus::sim_test::Main(argc, argv); }
