// Outside: a process on another machine, which the crashes of the world's incarnations do not
// touch: where clients live that must keep their state while the server dies and comes back.
//
// It has the world's time, the network, and random numbers of its own; no disk. Its nodes run along
// whenever the world is driven, whether an incarnation lives or not. What it still holds - tasks,
// streams, operations - ends with World::EndOutside() or the world. Threading: one thread.

#ifndef NEXUS_IO_SIM_OUTSIDE_H_
#define NEXUS_IO_SIM_OUTSIDE_H_

#include <cstdint>
#include <memory>

#include "base/check.h"
#include "io/environment.h"
#include "io/sim/executor.h"
#include "io/sim/incarnation.h"
#include "io/sim/life.h"
#include "io/sim/network.h"

namespace nexus::sim {

class Outside : public io::Environment {
 public:
  Outside(Scheduler* scheduler, Trace* trace, const Options* options, Network* network,
          WallClock* wall, uint64_t seed)
      : executor_(scheduler, trace, options, /*outside=*/true),
        life_(std::make_shared<Life>(Life{nullptr, 0, &executor_})),
        network_(network, life_),
        wall_(wall),
        rng_(seed) {}

  sim::Executor* executor() override { return &executor_; }
  // It has none.
  io::Disk* disk() override {
    const bool outside_has_a_disk = false;
    NEXUS_CHECK(outside_has_a_disk);
    return nullptr;
  }
  io::Network* network() override { return &network_; }
  io::Random* random() override { return &random_; }
  int64_t WallNanos() override { return wall_->Now(); }
  int64_t MonotonicNanos() override { return executor_.MonotonicNanos(); }
  const char* name() const override { return "simulation, outside"; }

  const Life& life() const { return *life_; }
  // REQUIRES: the scheduler has dropped everything of it.
  void Kill() {
    life_->alive = false;
    executor_.Kill();
  }

 private:
  sim::Executor executor_;
  const std::shared_ptr<Life> life_;
  MountedNetwork network_;
  WallClock* const wall_;
  Rng rng_;
  SimRandom random_{&rng_};
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_OUTSIDE_H_
