// World: a deterministic simulated machine for the engine to live, crash and recover in.
//
//   World world(seed, options);
//   io::Environment* env = world.Boot();
//   auto engine = world.RunTask(Engine::Open(env, "/db"));
//   ...
//   world.Crash(CrashKind::kPowerCut);   // nothing of the incarnation runs any more
//   engine.reset();                      // destroys suspended frames; does no I/O
//   env = world.Boot();                  // the disk holds what survived
//
// Everything in it - order, delays, faults, what survives - is decided by a ChoiceSource, so a run
// is a function of (seed, options, calls) and trace_hash() is its fingerprint. Time is virtual and
// moves only while something runs. At most one incarnation lives at a time.
//
// A crash drops every queued node, timer, operation and work of the incarnation without running
// them. What the engine still holds - coroutine frames, files, locks - must be destroyed after the
// crash, at any time before the world's end (files and locks even later).
// Threading: one thread, all of it.

#ifndef NEXUS_IO_SIM_WORLD_H_
#define NEXUS_IO_SIM_WORLD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/environment.h"
#include "io/sim/choice.h"
#include "io/sim/disk.h"
#include "io/sim/incarnation.h"
#include "io/sim/lmdb_shadow.h"
#include "io/sim/network.h"
#include "io/sim/options.h"
#include "io/sim/outside.h"
#include "io/sim/scheduler.h"
#include "io/sim/trace.h"
#include "io/task.h"

namespace nexus::sim {

class World {
 public:
  explicit World(uint64_t seed, Options options = {});
  // From choices of the caller's, which must outlive the world. The seed is only for what is random
  // but no choice: the engine's random numbers and the bytes of garbage.
  World(ChoiceSource* choices, uint64_t seed, Options options = {});
  // Ends what is alive as a crash does, but leaves the disk alone.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // ---- Lives.

  // Begins an incarnation. REQUIRES: none is alive. The environment is the world's; its memory
  // stays until the world's end.
  io::Environment* Boot();
  bool alive() const { return alive_ != nullptr; }
  // REQUIRES: alive. The current incarnation's.
  io::Environment* environment() const;
  // Ends the incarnation. A power cut may also follow a process kill. REQUIRES: not called from a
  // node (there, use CrashAfterSteps(0, kind)).
  void Crash(CrashKind kind);
  // Ends the incarnation in order, as a process that returns from main. REQUIRES: the engine is
  // closed and destroyed, so that nothing is in flight, offloaded or armed.
  void Exit();
  // Crashes by itself once that many more nodes have run; the driving call then returns. For
  // cutting a protocol at each of its steps.
  void CrashAfterSteps(uint64_t steps, CrashKind kind);
  void CancelScheduledCrash() { crash_at_step_.reset(); }

  // A process on another machine, for clients: see outside.h. There from the first call on.
  Outside* outside();
  // Ends it as a process kill does; its frames may then be destroyed. The next call of outside()
  // begins another. REQUIRES: not called from a node.
  void EndOutside();

  // ---- Driving. None may be called from a node; all return early if the incarnation crashes.

  // Runs one node, moving time to the next event if nothing is ready. False if there is nothing to
  // run ever, or the incarnation crashed.
  bool Step();
  // Runs until nothing is ready, in flight or offloaded. Timers that are not due stay.
  void RunUntilIdle();
  // Runs what happens in the next `ns` nanoseconds of virtual time.
  void RunFor(int64_t ns);
  // Runs until `condition()` holds after some node; false if that can never be.
  template <typename F>
  bool RunUntil(F condition);
  // Runs the task to its end and returns its value; everything else runs along. REQUIRES: it ends,
  // without a crash, within kTaskStepsMax nodes.
  template <typename T>
  T RunTask(io::Task<T> task);
  // The same, or nullopt if the incarnation crashed before the end; the task is destroyed then.
  template <typename T>
  std::optional<T> TryRunTask(io::Task<T> task);
  bool TryRunTask(io::Task<void> task);
  // Calls `function()` on the loop, at once.
  template <typename F>
  void RunOnLoop(F&& function);
  // The same on the loop of the process outside.
  template <typename F>
  void RunOutside(F&& function);

  // ---- Time, chance, record.

  int64_t now_ns() const { return scheduler_.now(); }
  uint64_t steps() const { return scheduler_.steps(); }
  void JumpWallClock(int64_t by_ns) { wall_.Jump(by_ns); }
  ChoiceSource* choices() { return choices_; }
  Options* options() { return &options_; }
  Disk& disk() { return disk_; }
  Network& network() { return network_; }
  Trace* trace() { return &trace_; }
  uint64_t trace_hash() const { return trace_.hash(); }

  // ---- What stands beside the seam.

  // A real, empty folder under /dev/shm for this incarnation alone; removed at the next Boot or
  // with the world. REQUIRES: alive.
  const std::string& ScratchDirectory();
  // Crashes along with the world.
  LmdbShadow& lmdb() { return lmdb_; }

  // A task that takes more nodes than this hangs: a thousand times what the longest test takes.
  static constexpr uint64_t kTaskStepsMax = 100'000'000;

 private:
  template <typename T>
  static io::Task<void> Deliver(io::Task<T> task, std::optional<T>* result) {
    result->emplace(co_await std::move(task));
  }
  static io::Task<void> DeliverEnd(io::Task<void> task, bool* ended) {
    co_await std::move(task);
    *ended = true;
  }
  // Runs until the task has ended; false if the incarnation crashed before.
  bool RunInScope(io::Task<void> task);
  bool CrashIfDue();
  void EndIncarnation(CrashKind kind);
  void RemoveScratch();

  Options options_;
  std::unique_ptr<ChoiceSource> own_choices_;
  ChoiceSource* const choices_;
  Trace trace_;
  Scheduler scheduler_;
  Disk disk_;
  Network network_;
  WallClock wall_;
  Rng random_;
  const uint64_t outside_seed_;
  LmdbShadow lmdb_;
  std::vector<std::unique_ptr<Incarnation>> incarnations_;
  Incarnation* alive_ = nullptr;
  // The last one is alive, if outside_alive_.
  std::vector<std::unique_ptr<Outside>> outsides_;
  bool outside_alive_ = false;
  std::string scratch_;
  struct ScheduledCrash {
    uint64_t step;
    CrashKind kind;
  };
  std::optional<ScheduledCrash> crash_at_step_;
};

template <typename F>
bool World::RunUntil(F condition) {
  while (!condition()) {
    if (!Step()) return false;
  }
  return true;
}

template <typename T>
T World::RunTask(io::Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    const bool ended_without_a_crash = RunInScope(std::move(task));
    NEXUS_CHECK(ended_without_a_crash);
  } else {
    std::optional<T> result;
    const bool ended_without_a_crash = RunInScope(Deliver(std::move(task), &result));
    NEXUS_CHECK(ended_without_a_crash);
    return std::move(*result);
  }
}

template <typename T>
std::optional<T> World::TryRunTask(io::Task<T> task) {
  std::optional<T> result;
  RunInScope(Deliver(std::move(task), &result));
  return result;
}

template <typename F>
void World::RunOnLoop(F&& function) {
  NEXUS_CHECK(alive());
  scheduler_.RunHere(std::forward<F>(function));
}

template <typename F>
void World::RunOutside(F&& function) {
  scheduler_.RunHere(std::forward<F>(function), outside()->executor());
}

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_WORLD_H_
