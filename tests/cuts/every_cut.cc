// The walk. See every_cut.h.

#include "tests/cuts/every_cut.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace nexus::cuts {
namespace {

using sim::CrashKind;
using sim::Stream;

constexpr Stream kGarbage = sim::StreamOf(sim::Fault::kGarbageSector);
// No small protocol takes more; far more means that one does not end.
constexpr uint64_t kCutsMax = 2000;

uint64_t OperationsSubmitted(const sim::Disk& disk) {
  uint64_t submitted = 0;
  for (size_t op = 0; op < sim::kOpCount; op++)
    submitted += disk.submitted(static_cast<sim::Op>(op));
  return submitted;
}

// Steps of the run after which a crash means something new.
std::vector<uint64_t> FindCuts(const MakeProtocol& make, uint64_t schedule) {
  std::set<uint64_t> cuts;
  Protocol* running = nullptr;
  uint64_t begin = 0;
  std::optional<uint64_t> last;
  // The world calls at every step, before its node runs, so that what the one before did is seen.
  auto look = [&](std::string_view) {
    if (running == nullptr) return;
    const sim::World& world = *running->world();
    const sim::Disk& disk = running->world()->disk();
    const uint64_t now = sim::MixBits(
        sim::MixBits(OperationsSubmitted(disk) << 16 ^ disk.in_flight()) ^ running->Progress());
    if (now == last) return;
    last = now;
    cuts.insert(world.steps() - begin);
  };
  CrashChoices benign(schedule);
  const std::unique_ptr<Protocol> protocol = make(&benign, WorldOptions(look));
  begin = protocol->world()->steps();
  running = protocol.get();
  protocol->Run();
  cuts.insert(protocol->world()->steps() - begin);
  running = nullptr;
  return {cuts.begin(), cuts.end()};
}

uint64_t HashOfFiles(sim::Disk* disk) {
  std::string all;
  for (const bool durable : {false, true}) {
    for (const std::string& path : durable ? disk->DurableFiles() : disk->VisibleFiles()) {
      const std::optional<std::string> content =
          durable ? disk->ReadDurable(path) : disk->ReadVisible(path);
      all += path;
      all += fmt::format("{:x}/", XxHash64(AsBytes(*content)));
    }
    all += '|';
  }
  return XxHash64(AsBytes(all));
}

class Walker {
 public:
  Walker(const MakeProtocol& make, CrashKind kind, WalkLimits limits)
      : make_(make), kind_(kind), limits_(limits) {}

  void Walk(uint64_t schedule) {
    schedule_ = schedule;
    const std::vector<uint64_t> cuts = FindCuts(make_, schedule);
    EXPECT_LT(cuts.size(), kCutsMax);
    for (uint64_t cut : cuts) {
      if (testing::Test::HasFailure()) return;
      census.cuts++;
      const bool all = WalkOutcomes(cut);
      if (!all) census.cuts_bounded++;
      DrawOutcomes(cut, all ? limits_.drawn : limits_.drawn_beyond);
    }
  }

  Census census;

 private:
  // False if there are more than were walked.
  bool WalkOutcomes(uint64_t cut) {
    sim::EnumeratedChoices outcomes({sim::Stream::kCrash});
    do {
      Visit(cut, &outcomes, /*garbage=*/false);
      if (testing::Test::HasFailure()) {
        ADD_FAILURE() << "schedule " << schedule_ << ", cut " << cut << ", outcome "
                      << outcomes.runs();
        return false;
      }
      if (!outcomes.Advance()) return true;
    } while (outcomes.runs() <= limits_.walked);
    return false;
  }
  void DrawOutcomes(uint64_t cut, uint64_t count) {
    for (uint64_t i = 0; i < count && !testing::Test::HasFailure(); i++) {
      sim::SeededChoices drawn(cut << 32 | i);
      Visit(cut, &drawn, /*garbage=*/true);
      if (testing::Test::HasFailure()) {
        ADD_FAILURE() << "schedule " << schedule_ << ", cut " << cut << ", draw " << i;
      }
    }
  }
  void Visit(uint64_t cut, sim::ChoiceSource* outcome, bool garbage) {
    census.outcomes++;
    CrashChoices choices(schedule_);
    const std::unique_ptr<Protocol> protocol = make_(&choices, WorldOptions(nullptr));
    sim::World* world = protocol->world();
    choices.Follow(outcome, garbage);
    world->CrashAfterSteps(cut, kind_);
    protocol->Run();
    if (world->alive()) world->Crash(kind_);
    choices.LoseEverything();
    const uint64_t promises = protocol->Progress();
    const uint64_t beside = protocol->Reboot();
    // What a dead process left in flight is no state yet: it is on its way to one.
    const bool settled = world->disk().in_flight() == 0;
    const uint64_t state =
        sim::MixBits(sim::MixBits(HashOfFiles(&world->disk()) ^ promises) ^ beside);
    if (settled && !seen_.insert(state).second) return;
    census.states++;
    protocol->Recover();
  }

  const MakeProtocol& make_;
  const CrashKind kind_;
  const WalkLimits limits_;
  uint64_t schedule_ = 0;
  std::set<uint64_t> seen_;
};

}  // namespace

CrashChoices::CrashChoices(uint64_t schedule) {
  if (schedule > 0) order_.emplace(schedule);
}

void CrashChoices::Follow(sim::ChoiceSource* outcome, bool garbage) {
  outcome_ = outcome;
  garbage_ = garbage;
}

void CrashChoices::LoseEverything() {
  lose_everything_ = true;
  garbage_ = false;
}

uint64_t CrashChoices::Choose(Stream stream, uint64_t n) {
  const bool crash = stream == Stream::kCrash || stream == kGarbage;
  if (!crash) return order_.has_value() ? order_->Choose(stream, n) : 0;
  if (lose_everything_) return n - 1;
  return outcome_ == nullptr ? 0 : outcome_->Choose(stream, n);
}

bool CrashChoices::Chance(Stream stream, uint32_t per_million) {
  return stream == kGarbage && garbage_ && outcome_->Chance(stream, per_million);
}

sim::Options WorldOptions(std::function<void(std::string_view)> sink) {
  sim::Options options;
  options.faults[sim::Fault::kGarbageSector] = 300'000;
  options.trace_sink = std::move(sink);
  return options;
}

Census WalkEveryCut(std::string_view name, const MakeProtocol& make, CrashKind kind,
                    WalkLimits limits) {
  Walker walker(make, kind, limits);
  for (uint64_t schedule = 0; schedule < limits.schedules; schedule++) walker.Walk(schedule);
  const Census& census = walker.census;
  fmt::print("{}, {}: {} cuts ({} with more outcomes than are walked), {} outcomes, {} states\n",
             name, kind == CrashKind::kPowerCut ? "power cut" : "kill", census.cuts,
             census.cuts_bounded, census.outcomes, census.states);
  return census;
}

}  // namespace nexus::cuts
