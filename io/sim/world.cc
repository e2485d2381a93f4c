// Lives and driving of a simulated world. See world.h.

#include "io/sim/world.h"

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <utility>

namespace nexus::sim {
namespace {

// Sub-seeds: MixBits of the seed and one of these.
constexpr uint64_t kRandomSeed = 0x52616e646f6d;     // "Random"
constexpr uint64_t kGarbageSeed = 0x47617262616765;  // "Garbage"
constexpr uint64_t kOutsideSeed = 0x4f757473696465;  // "Outside"

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
constexpr int64_t kFirstPid = 1000;

}  // namespace

World::World(uint64_t seed, Options options)
    : World(new SeededChoices(seed), seed, std::move(options)) {
  own_choices_.reset(choices_);
}

World::World(ChoiceSource* choices, uint64_t seed, Options options)
    : options_(std::move(options)),
      choices_(choices),
      trace_(options_.trace_sink),
      scheduler_(choices, &trace_, &options_),
      disk_(&scheduler_, choices, &trace_, &options_, MixBits(seed ^ kGarbageSeed)),
      network_(&scheduler_, choices, &trace_, &options_, disk_.faults()),
      wall_(&scheduler_, choices, disk_.faults(), options_.wall_start_ns),
      random_(MixBits(seed ^ kRandomSeed)),
      outside_seed_(MixBits(seed ^ kOutsideSeed)),
      lmdb_(choices) {
  // Else a loop that only yields would never let time pass.
  NEXUS_CHECK(options_.step_ns > 0);
}

World::~World() {
  scheduler_.DropAll();
  if (alive()) EndIncarnation(CrashKind::kProcessKill);
  EndOutside();
  RemoveScratch();
}

io::Environment* World::Boot() {
  NEXUS_CHECK(!alive());
  RemoveScratch();
  const int64_t pid = kFirstPid + static_cast<int64_t>(incarnations_.size());
  incarnations_.push_back(std::make_unique<Incarnation>(&scheduler_, &trace_, &options_, &disk_,
                                                        &network_, &wall_, &random_, pid));
  alive_ = incarnations_.back().get();
  scheduler_.SetExecutor(alive_->executor());
  trace_.Event(TraceTag::kBoot, {static_cast<uint64_t>(pid)}, "{} boot of process {}",
               scheduler_.now(), pid);
  return alive_;
}

io::Environment* World::environment() const {
  NEXUS_CHECK(alive());
  return alive_;
}

void World::EndIncarnation(CrashKind kind) {
  alive_->Kill();
  network_.Died(alive_->life(), kind);
  scheduler_.SetExecutor(nullptr);
  alive_ = nullptr;
}

Outside* World::outside() {
  if (!std::exchange(outside_alive_, true)) {
    outsides_.push_back(std::make_unique<Outside>(&scheduler_, &trace_, &options_, &network_,
                                                  &wall_, outside_seed_ + outsides_.size()));
  }
  return outsides_.back().get();
}

void World::EndOutside() {
  if (!std::exchange(outside_alive_, false)) return;
  Outside* const ended = outsides_.back().get();
  scheduler_.DropAll(ended->executor());
  ended->Kill();
  network_.Died(ended->life(), CrashKind::kProcessKill);
}

void World::Crash(CrashKind kind) {
  NEXUS_CHECK(!scheduler_.running());
  const bool power_cut = kind == CrashKind::kPowerCut;
  NEXUS_CHECK(alive() || power_cut);
  crash_at_step_.reset();
  trace_.Event(TraceTag::kCrash, {static_cast<uint64_t>(kind)}, "{} {}", scheduler_.now(),
               power_cut ? "power cut" : "process kill");
  scheduler_.DropAll();
  if (power_cut) {
    disk_.PowerCut();
  } else {
    disk_.ProcessKill(alive_->pid());
  }
  lmdb_.Crash(kind);
  if (alive()) EndIncarnation(kind);
}

void World::Exit() {
  NEXUS_CHECK(alive());
  crash_at_step_.reset();
  RunUntilIdle();
  const bool the_engine_left_timers_armed = scheduler_.armed_timers() > 0;
  NEXUS_CHECK(!the_engine_left_timers_armed);
  Crash(CrashKind::kProcessKill);
}

void World::CrashAfterSteps(uint64_t steps, CrashKind kind) {
  crash_at_step_ = ScheduledCrash{scheduler_.steps() + steps, kind};
}

bool World::CrashIfDue() {
  if (!crash_at_step_ || scheduler_.steps() < crash_at_step_->step) return false;
  Crash(crash_at_step_->kind);
  return true;
}

// A scheduled crash comes before the next node, not after the last: a task whose last node that
// was is still seen to end.
bool World::Step() { return !CrashIfDue() && scheduler_.Step(kForever); }

void World::RunUntilIdle() {
  while (scheduler_.busy()) {
    if (!Step()) return;
  }
}

void World::RunFor(int64_t ns) {
  const int64_t end = scheduler_.now() + ns;
  while (scheduler_.now() < end) {
    if (CrashIfDue()) return;
    if (!scheduler_.Step(end)) {
      scheduler_.SkipTo(end);
      return;
    }
  }
}

bool World::RunInScope(io::Task<void> task) {
  NEXUS_CHECK(alive());
  const Incarnation* const incarnation = alive_;
  io::TaskScope scope(alive_->executor());
  scope.Spawn(std::move(task));
  const uint64_t last_step = scheduler_.steps() + kTaskStepsMax;
  while (scope.running() > 0) {
    const bool stepped = Step();
    if (alive_ != incarnation) return false;
    // Else it waits for what will never happen.
    NEXUS_CHECK(stepped);
    NEXUS_CHECK(scheduler_.steps() < last_step);
  }
  return true;
}

bool World::TryRunTask(io::Task<void> task) {
  bool ended = false;
  RunInScope(DeliverEnd(std::move(task), &ended));
  return ended;
}

const std::string& World::ScratchDirectory() {
  NEXUS_CHECK(alive());
  if (scratch_.empty()) {
    const std::filesystem::path memory = "/dev/shm";
    const std::filesystem::path base =
        std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    scratch_ = (base / "nexus-sim-XXXXXX").string();
    const bool scratch_is_made = mkdtemp(scratch_.data()) != nullptr;
    NEXUS_CHECK(scratch_is_made);
  }
  return scratch_;
}

void World::RemoveScratch() {
  if (scratch_.empty()) return;
  std::error_code ignored;  // a folder left in /dev/shm harms no later run
  std::filesystem::remove_all(scratch_, ignored);
  scratch_.clear();
}

}  // namespace nexus::sim
