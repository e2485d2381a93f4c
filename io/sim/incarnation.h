// Incarnation: one life of the simulated process - the io::Environment that the engine is given.
//
// It ends at World::Crash. Whatever the engine still holds of it then - files, locks, frames
// suspended in it - may be destroyed at any later time and does nothing; using it is a programmer
// error. Threading: one thread.

#ifndef NEXUS_IO_SIM_INCARNATION_H_
#define NEXUS_IO_SIM_INCARNATION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "io/environment.h"
#include "io/sim/disk.h"
#include "io/sim/executor.h"
#include "io/sim/life.h"
#include "io/sim/network.h"

namespace nexus::sim {

// The disk as a process sees it.
class MountedDisk : public io::Disk {
 public:
  explicit MountedDisk(std::shared_ptr<Life> life) : life_(std::move(life)) {}

  io::Task<io::OpenResult> Open(std::string path, io::OpenFlags flags) override;
  io::OpenResult OpenBlocking(std::string path) override;
  io::Task<int> Rename(std::string from, std::string to) override;
  io::Task<int> Unlink(std::string path) override;
  io::Task<int> Link(std::string from, std::string to) override;
  io::Task<int> MakeDirectory(std::string path) override;
  io::Task<int> RemoveDirectory(std::string path) override;
  io::Task<int> SyncDirectory(std::string path) override;
  io::Task<io::ListResult> List(std::string path) override;
  io::Task<io::LockResult> Lock(std::string path) override;
  io::Task<io::SpaceResult> FreeSpace(std::string path) override;

 private:
  io::Task<int> PerformOnPath(Op kind, std::string path);

  const std::shared_ptr<Life> life_;
};

// Where the wall clock stands and how it jumps; the world's, shared by its incarnations.
class WallClock {
 public:
  WallClock(Scheduler* scheduler, ChoiceSource* choices, FaultPlan* faults, int64_t start_ns)
      : scheduler_(scheduler), choices_(choices), faults_(faults), offset_ns_(start_ns) {}

  int64_t Now();
  void Jump(int64_t by_ns) { offset_ns_ += by_ns; }

 private:
  Scheduler* const scheduler_;
  ChoiceSource* const choices_;
  FaultPlan* const faults_;
  int64_t offset_ns_;
};

class SimRandom : public io::Random {
 public:
  explicit SimRandom(Rng* rng) : rng_(rng) {}
  uint64_t Next() override { return rng_->Next(); }

 private:
  Rng* const rng_;
};

class Incarnation : public io::Environment {
 public:
  Incarnation(Scheduler* scheduler, Trace* trace, const Options* options, Disk* disk,
              sim::Network* network, WallClock* wall, Rng* random, int64_t pid);

  sim::Executor* executor() override { return &executor_; }
  io::Disk* disk() override { return &disk_; }
  io::Network* network() override { return &network_; }
  io::Random* random() override { return &random_; }
  int64_t WallNanos() override { return wall_->Now(); }
  int64_t MonotonicNanos() override { return executor_.MonotonicNanos(); }
  const char* name() const override { return "simulation"; }

  int64_t pid() const { return life_->pid; }
  const Life& life() const { return *life_; }
  // REQUIRES: the scheduler has dropped everything.
  void Kill();

 private:
  const std::shared_ptr<Life> life_;
  sim::Executor executor_;
  MountedDisk disk_;
  MountedNetwork network_;
  WallClock* const wall_;
  SimRandom random_;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_INCARNATION_H_
