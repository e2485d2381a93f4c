// Scenarios from seeds. See scenario.h; their text: scenario_text.cc.

#include "tests/sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "io/sim/choice.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {
namespace {

using sim::Fault;

struct Tunable {
  const char* name;
  // The first is the commonest.
  std::vector<int64_t> values;
  void (*set)(Options* options, int64_t value);
  // Drawn behind all others, so that those, and the rates of faults, are what they were without it.
  bool drawn_last = false;
};

// Small enough that everything that can happen does.
const std::vector<Tunable>& Tunables() {
  static const std::vector<Tunable>* tunables = new std::vector<Tunable>{
      {"memtable_bytes",
       {4 << 20, 256 << 10, 1 << 20},
       [](Options* o, int64_t v) { o->memtable_bytes = static_cast<uint64_t>(v); }},
      {"log_segment_bytes",
       {1 << 20, 64 << 10, 256 << 10},
       [](Options* o, int64_t v) { o->log_segment_bytes = static_cast<uint64_t>(v); }},
      {"log_bytes_max",
       {4 << 20, 128 << 10},
       [](Options* o, int64_t v) { o->log_bytes_max = static_cast<uint64_t>(v); }},
      {"flush_interval_ms",
       {3'600'000, 500},
       [](Options* o, int64_t v) { o->flush_interval_ms = v; }},
      {"page_cache_bytes",
       {1 << 20, 0},
       [](Options* o, int64_t v) { o->page_cache_bytes = static_cast<uint64_t>(v); }},
      {"reserve_bytes",
       {0, 1 << 20},
       [](Options* o, int64_t v) { o->reserve_bytes = static_cast<uint64_t>(v); }},
      {"admission_timeout_ms",
       {30'000, 200},
       [](Options* o, int64_t v) { o->admission_timeout_ms = v; }},
      {"compaction", {1, 0}, [](Options* o, int64_t v) { o->compaction = v != 0; }},
      {"compaction_fan_in",
       {2, 8},
       [](Options* o, int64_t v) { o->compaction_fan_in = static_cast<uint32_t>(v); }},
      {"compaction_quiet_ms",
       {100, 5'000},
       [](Options* o, int64_t v) { o->compaction_quiet_ms = v; }},
      {"compaction_output_bytes_max",
       {1 << 20, 64 << 10},
       [](Options* o, int64_t v) { o->compaction_output_bytes_max = static_cast<uint64_t>(v); }},
      // The width of the first level in seconds.
      {"compaction_window",
       {60, 7, 600},
       [](Options* o, int64_t v) {
         o->compaction_windows = fmt::format("{}s,{}s,{}s", v, 2 * v, 8 * v);
       }},
      {"layer_files_open_max",
       {256, 4, 1},
       [](Options* o, int64_t v) { o->layer_files_open_max = static_cast<uint32_t>(v); },
       /*drawn_last=*/true},
      {"layer_metadata_bytes",
       {1 << 20, 64 << 10, 4 << 10, 0},
       [](Options* o, int64_t v) { o->layer_metadata_bytes = static_cast<uint64_t>(v); },
       /*drawn_last=*/true},
      {"clients", {0, 1, 2, 3}, nullptr},
      {"retention", {0, 1}, nullptr},
      {"carry_bytes_max",
       {64 << 10, 0, 2 << 10},
       [](Options* o, int64_t v) { o->carry_bytes_max = static_cast<uint64_t>(v); }},
      {"series_grace_ms",
       {300, 0, 3'000, 600'000},
       [](Options* o, int64_t v) { o->series_grace_ms = v; }},
  };
  return *tunables;
}

// What may go wrong and pass again. What damages data for good has tests of its own.
constexpr Fault kPassingFaults[] = {
    Fault::kWriteError,         Fault::kNoSpace,        Fault::kQuota,
    Fault::kReadOnlyError,      Fault::kShortWrite,     Fault::kSyncError,
    Fault::kDirectorySyncError, Fault::kMetadataError,  Fault::kSlowOperation,
    Fault::kClockJump,          Fault::kConnectRefused, Fault::kConnectionReset,
    Fault::kConnectionSilent};

// Of a run, each kind of operation has this share.
struct Share {
  OpKind kind;
  uint64_t weight;
};
constexpr Share kShares[] = {
    {OpKind::kAppend, 210},    {OpKind::kClientAppend, 100}, {OpKind::kQuery, 75},
    {OpKind::kFlush, 25},      {OpKind::kSync, 10},          {OpKind::kTenant, 4},
    {OpKind::kWait, 90},       {OpKind::kKill, 4},           {OpKind::kPowerCut, 4},
    {OpKind::kClose, 3},       {OpKind::kJump, 3},           {OpKind::kFillDisk, 3},
    {OpKind::kFreeDisk, 6},    {OpKind::kScrub, 3},          {OpKind::kLoseCatalog, 2},
    {OpKind::kCompact, 6},     {OpKind::kBranch, 6},         {OpKind::kSnapshot, 5},
    {OpKind::kDropBranch, 5},  {OpKind::kBranchAppend, 40},  {OpKind::kBranchQuery, 15},
    {OpKind::kDelete, 12},     {OpKind::kBranchDelete, 5},   {OpKind::kRetention, 6},
    {OpKind::kAcceptClock, 2}, {OpKind::kBackup, 4},         {OpKind::kDropTenant, 3},
    {OpKind::kRollups, 6}};

OpKind DrawKind(sim::Rng* rng) {
  uint64_t total = 0;
  for (const Share& share : kShares) total += share.weight;
  uint64_t drawn = rng->Below(total);
  for (const Share& share : kShares) {
    if (drawn < share.weight) return share.kind;
    drawn -= share.weight;
  }
  return OpKind::kWait;
}

// Crashes within the recovery that follows: none, one or two, each after so many steps; odd ones
// are power cuts.
int64_t DrawNested(sim::Rng* rng) {
  return rng->Below(3) == 0 ? static_cast<int64_t>(1 + rng->Below(2 * kRecoverySteps)) : 0;
}

// Mostly the older third of the places expires.
int64_t DrawCut(sim::Rng* rng) {
  const int64_t most = rng->Below(4) == 0 ? kTimestamps : kTimestamps / 3;
  return static_cast<int64_t>(rng->Below(static_cast<uint64_t>(most)));
}

int64_t Below(sim::Rng* rng, int64_t n) {
  return static_cast<int64_t>(rng->Below(static_cast<uint64_t>(n)));
}

// Arguments of an operation on branches, tenants or the whole.
decltype(Op::arguments) DrawForBranchesAndTenants(OpKind kind, sim::Rng* rng) {
  auto below = [rng](int64_t n) { return Below(rng, n); };
  switch (kind) {
    case OpKind::kBranch:
    case OpKind::kSnapshot:
      return {below(kBranchNames), below(64)};
    case OpKind::kDropBranch:
      return {below(64)};
    case OpKind::kBranchAppend: {
      const int64_t form = below(kForms - 1);
      return {below(64), form, below(kSeries), below(kTimestamps),
              1 + below(form == kScrape ? kSeries : 40)};
    }
    case OpKind::kBranchQuery:
      return {below(64), below(kSeries), below(6), below(kTimestamps), below(8)};
    case OpKind::kBranchDelete:
      return {below(64), below(kSeries), below(6), below(kTimestamps),
              below(4) == 0 ? kAllOfTime : below(kTimestamps / 4)};
    case OpKind::kTenant:
    case OpKind::kDropTenant:
      return {below(8)};
    case OpKind::kBackup:
      return {below(2)};
    case OpKind::kRollups:
      return {below(kRollupForms)};
    default:
      return {};
  }
}

Op DrawOp(sim::Rng* rng) {
  auto below = [rng](int64_t n) { return Below(rng, n); };
  Op op;
  op.kind = DrawKind(rng);
  auto& a = op.arguments;
  switch (op.kind) {
    case OpKind::kAppend: {
      const int64_t form = below(8) == 0 ? kFresh : below(kForms - 1);
      a = {form, below(form == kFresh ? kFreshSeries : kSeries), below(kTimestamps),
           1 + below(form == kScrape  ? kSeries
                     : below(16) == 0 ? kBigBatch
                                      : 40),
           below(6) == 0 ? 1 : 0};
      break;
    }
    case OpKind::kClientAppend:
      a = {below(kClientsMax), below(kClientSeries), below(kTimestamps), 1 + below(12)};
      break;
    case OpKind::kQuery:
      a = {below(kSeries), below(6), below(kTimestamps), below(kTimestamps), below(8)};
      break;
    case OpKind::kWait:
      a = {below(4) == 0 ? below(2'000'000'000) : below(5'000'000)};
      break;
    case OpKind::kKill:
    case OpKind::kPowerCut:
    case OpKind::kClose:
      a = {DrawNested(rng), DrawNested(rng)};
      break;
    case OpKind::kLoseCatalog:
      a = {below(2), DrawNested(rng)};
      break;
    case OpKind::kJump:
      a = {below(40'000) - 20'000};
      break;
    case OpKind::kFillDisk:
      a = {below(256 << 10)};
      break;
    case OpKind::kDelete:
      // Mostly a stretch of a few series; one in four takes all of time.
      a = {below(kSeries), below(6), below(kTimestamps),
           below(4) == 0 ? kAllOfTime : below(kTimestamps / 4), below(4) == 0 ? 1 : 0};
      break;
    case OpKind::kRetention:
      a = {below(kRetentionForms), below(kSeries), below(6), DrawCut(rng), DrawCut(rng)};
      break;
    case OpKind::kBranch:
    case OpKind::kSnapshot:
    case OpKind::kDropBranch:
    case OpKind::kBranchAppend:
    case OpKind::kBranchQuery:
    case OpKind::kBranchDelete:
    case OpKind::kTenant:
    case OpKind::kDropTenant:
    case OpKind::kBackup:
    case OpKind::kRollups:
      a = DrawForBranchesAndTenants(op.kind, rng);
      break;
    case OpKind::kAcceptClock:
    case OpKind::kFlush:
    case OpKind::kSync:
    case OpKind::kFreeDisk:
    case OpKind::kScrub:
    case OpKind::kCompact:
      break;
  }
  return op;
}

}  // namespace

int64_t Scenario::clients() const {
  auto found = tunables.find("clients");
  return found == tunables.end() ? 0 : std::clamp<int64_t>(found->second, 0, kClientsMax);
}

bool Scenario::retention() const {
  auto found = tunables.find("retention");
  return found != tunables.end() && found->second != 0;
}

Scenario MakeScenario(uint64_t seed, uint64_t operations) {
  Scenario scenario;
  scenario.seed = seed;
  sim::Rng settings(sim::MixBits(seed));
  auto draw = [&](bool last) {
    for (const Tunable& tunable : Tunables()) {
      if (tunable.drawn_last != last) continue;
      const uint64_t drawn = settings.Below(tunable.values.size() + 1);
      scenario.tunables[tunable.name] = tunable.values[drawn % tunable.values.size()];
    }
  };
  draw(/*last=*/false);
  scenario.faults[Fault::kGarbageSector] = 100'000;
  scenario.faults[Fault::kShortRead] = 10'000;
  scenario.faults[Fault::kInterrupted] = 10'000;
  // Half of the runs have crashes alone. The others have some of the faults, so that one that is
  // frequent does not hide what another would have met.
  const bool faulty = settings.Below(2) == 1;
  for (Fault fault : kPassingFaults) {
    constexpr uint32_t kRates[] = {300, 3'000, 20'000};
    uint32_t rate = kRates[settings.Below(std::size(kRates))];
    // Decided once a connection, of which there are few.
    if (fault == Fault::kConnectRefused) rate *= 10;
    if (settings.Below(4) == 0 && faulty) scenario.faults[fault] = rate;
  }
  draw(/*last=*/true);
  for (uint64_t i = 0; i < operations; i++) {
    sim::Rng rng(sim::MixBits(seed ^ sim::MixBits(i + 1)));
    scenario.ops.push_back(DrawOp(&rng));
  }
  return scenario;
}

void ApplyTunables(const Scenario& scenario, Options* options) {
  for (const Tunable& tunable : Tunables()) {
    auto found = scenario.tunables.find(tunable.name);
    if (found != scenario.tunables.end() && tunable.set != nullptr) {
      tunable.set(options, found->second);
    }
  }
}

}  // namespace nexus::sim_test
