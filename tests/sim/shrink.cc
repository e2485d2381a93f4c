// Delta debugging over scenarios. See shrink.h.

#include "tests/sim/shrink.h"

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace nexus::sim_test {
namespace {

// What was broken, without the numbers of batches and series: "after a kill: rule 1: batch".
std::string KindOf(const std::string& violation) {
  std::string kind;
  const size_t rule = violation.find("rule ");
  if (rule != std::string::npos) return violation.substr(rule, 6);
  for (char c : violation) {
    if (c >= '0' && c <= '9') break;
    kind += c;
  }
  return kind;
}

class Shrinker {
 public:
  Shrinker(Scenario scenario, const RunOptions& options, const ShrinkProgress& progress)
      : best_(std::move(scenario)), options_(options), progress_(progress) {
    RunResult first = RunScenario(best_, options_);
    NEXUS_CHECK(first.violation.has_value());
    kind_ = KindOf(*first.violation);
  }

  Scenario Shrink() {
    bool smaller = true;
    while (smaller) {
      smaller = ShrinkOperations();
      smaller = ShrinkFaults() || smaller;
      smaller = ShrinkTunables() || smaller;
    }
    return best_;
  }

 private:
  bool Try(Scenario candidate) {
    RunResult result = RunScenario(candidate, options_);
    runs_++;
    const bool same = result.violation.has_value() && KindOf(*result.violation) == kind_;
    if (same) {
      // What comes behind the failure has no part in it.
      candidate.ops.resize(std::min<size_t>(candidate.ops.size(), result.operations));
      best_ = std::move(candidate);
    }
    if (progress_) progress_(runs_, best_.ops.size());
    return same;
  }

  bool ShrinkOperations() {
    bool smaller = false;
    for (size_t piece = best_.ops.size() / 2; piece > 0; piece /= 2) {
      for (size_t at = 0; at < best_.ops.size();) {
        Scenario candidate = best_;
        const size_t end = std::min(at + piece, candidate.ops.size());
        candidate.ops.erase(candidate.ops.begin() + static_cast<ptrdiff_t>(at),
                            candidate.ops.begin() + static_cast<ptrdiff_t>(end));
        const bool gone = Try(std::move(candidate));
        smaller = smaller || gone;
        if (!gone) at += piece;
      }
    }
    return smaller;
  }

  bool ShrinkFaults() {
    bool smaller = false;
    for (size_t i = 0; i < sim::kFaultCount; i++) {
      const auto fault = static_cast<sim::Fault>(i);
      if (best_.faults[fault] == 0) continue;
      Scenario candidate = best_;
      candidate.faults[fault] = 0;
      smaller = Try(std::move(candidate)) || smaller;
    }
    return smaller;
  }

  bool ShrinkTunables() {
    bool smaller = false;
    const std::map<std::string, int64_t> tunables = best_.tunables;
    for (const auto& [name, value] : tunables) {
      Scenario candidate = best_;
      candidate.tunables.erase(name);
      smaller = Try(std::move(candidate)) || smaller;
    }
    return smaller;
  }

  Scenario best_;
  const RunOptions& options_;
  const ShrinkProgress& progress_;
  std::string kind_;
  uint64_t runs_ = 0;
};

}  // namespace

Scenario Shrink(Scenario scenario, const RunOptions& options, const ShrinkProgress& progress) {
  return Shrinker(std::move(scenario), options, progress).Shrink();
}

}  // namespace nexus::sim_test
