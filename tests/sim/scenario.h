// Scenario: what a run of the simulator does, as data: settings, rates of faults, and a list of
// operations. Made from a seed, cut down by the shrinker, and written and read as text, so that a
// failure that a seed found becomes a test (tests/scenarios/) which no later change of the workload
// can lose.
//
//   seed 17                                  the world's own choices: order, delays, what survives
//   tunable memtable_bytes 262144
//   fault write_error 2000                   per million opportunities
//   append form=1 series=3 start=17 count=12 buffered=0
//   power_cut nested=311
//
// Each operation has its own numbers, drawn from its place in the seed alone, so that taking one
// away leaves the others as they were. Threading: plain values.

#ifndef NEXUS_TESTS_SIM_SCENARIO_H_
#define NEXUS_TESTS_SIM_SCENARIO_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/options.h"
#include "io/sim/fault.h"

namespace nexus::sim_test {

enum class OpKind : uint8_t {
  kAppend,        // a batch of the embedded writer
  kClientAppend,  // a batch of a client, through the server
  kQuery,
  kFlush,
  kSync,
  kTenant,    // creates a tenant
  kWait,      // lets time pass
  kKill,      // the process dies; then the database is opened again
  kPowerCut,  // likewise
  kClose,     // a clean end; then it is opened again
  kJump,      // of the wall clock
  kFillDisk,  // leaves `left` bytes
  kFreeDisk,
  kScrub,        // the physical check, while no fault hits
  kLoseCatalog,  // in a crash; it is rebuilt, then the database is opened again
  kCompact,      // by hand; what goes on meanwhile does so
  kBranch,       // makes a branch
  kSnapshot,
  kDropBranch,    // deletes a branch or snapshot
  kBranchAppend,  // a batch of the embedded writer to a branch
  kBranchQuery,   // of a branch or snapshot
  kDelete,        // of the embedded writer's series
  kBranchDelete,  // of a branch
  kRetention,     // sets rules
  kAcceptClock,   // of retention
  kBackup,        // of the whole, while no fault hits; a compaction beside it
  kDropTenant,    // deletes a tenant
  kRollups,       // sets which are kept
};
inline constexpr size_t kOpKinds = static_cast<size_t>(OpKind::kRollups) + 1;
inline constexpr size_t kOpArguments = 5;

struct Op {
  OpKind kind = OpKind::kWait;
  // By the names that ArgumentNames(kind) gives.
  std::array<int64_t, kOpArguments> arguments{};
  bool operator==(const Op&) const = default;
};

// Of an append: how its places are chosen.
inline constexpr int64_t kScrape = 0;   // one instant, many series
inline constexpr int64_t kRun = 1;      // one series, successive instants
inline constexpr int64_t kScatter = 2;  // here and there
inline constexpr int64_t kFresh = 3;    // series that are new, or were new a while ago
inline constexpr int64_t kForms = 4;

// Of a retention: what its rules choose.
inline constexpr int64_t kKeepEverything = 0;  // there are none
inline constexpr int64_t kRuleForAll = 1;      // one for every series
inline constexpr int64_t kRuleForSome = 2;     // one for a few series
inline constexpr int64_t kTwoRules = 3;        // that one, then one for every series
inline constexpr int64_t kRetentionForms = 4;

// Of rollups: none, or of one or more resolutions; the last is kept for a while only.
inline constexpr int64_t kRollupForms = 4;

// Of a delete: its length if it has no ends.
inline constexpr int64_t kAllOfTime = -1;

std::string_view OpName(OpKind kind);
std::vector<std::string_view> ArgumentNames(OpKind kind);

struct Scenario {
  uint64_t seed = 1;
  // By name; those left out have the engine's default. "clients" is the number of clients.
  std::map<std::string, int64_t> tunables;
  sim::FaultRates faults;
  std::vector<Op> ops;

  int64_t clients() const;
  // Whether samples expire: a place that has expired once is not judged any more, so most runs go
  // without.
  bool retention() const;
};

// What a seed stands for.
Scenario MakeScenario(uint64_t seed, uint64_t operations);
// Of these the engine's.
void ApplyTunables(const Scenario& scenario, Options* options);

std::string ToText(const Op& op);
std::string ToText(const Scenario& scenario);
// Errors: InvalidArgument with the line and what is allowed there.
StatusOr<Scenario> ParseScenario(std::string_view text);

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_SCENARIO_H_
