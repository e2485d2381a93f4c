// Executor: the loop of one simulated incarnation of the process.
//
// Its nodes, timers and work wait in the world's scheduler. Offloaded work runs at a later virtual
// time and completes later still; work of the catalog lane is executed strictly in order, one at a
// time (its completions, like all, are delivered in any order). Once the incarnation is dead,
// handing it anything is a programmer error, since destructors neither do I/O nor resume anybody;
// cancelling a timer stays harmless. Threading: one thread.

#ifndef NEXUS_IO_SIM_EXECUTOR_H_
#define NEXUS_IO_SIM_EXECUTOR_H_

#include <cstdint>
#include <deque>

#include "io/executor.h"
#include "io/sim/scheduler.h"

namespace nexus::sim {

class Executor : public io::Executor {
 public:
  // `outside`: of a process that the incarnation's crashes do not touch.
  Executor(Scheduler* scheduler, Trace* trace, const Options* options, bool outside = false)
      : scheduler_(scheduler),
        trace_(trace),
        options_(options),
        owner_(outside ? this : nullptr),
        booted_ns_(scheduler->now()) {}

  void Schedule(io::RunNode* node) override;
  void Post(io::RunNode* node) override;
  void Offload(io::Work* work) override;
  void StartTimer(io::Timer* timer, int64_t deadline_ns) override;
  void CancelTimer(io::Timer* timer) override;
  // Since this incarnation was booted, as after a reboot of the machine.
  int64_t MonotonicNanos() const override { return scheduler_->now() - booted_ns_; }

  bool alive() const { return alive_; }
  // Who owns its entries in the scheduler.
  Executor* owner() const { return owner_; }
  // REQUIRES: the scheduler has dropped everything.
  void Kill();

  // For the scheduler: makes `executor` (may be null) the current one; executes work now.
  static void Enter(Executor* executor) { SetCurrent(executor); }
  void Execute(io::Work* work);

 private:
  void ExecuteLater(io::Work* work);
  // A deadline "never" stays one.
  int64_t WorldTime(int64_t monotonic_ns) const;

  Scheduler* const scheduler_;
  Trace* const trace_;
  const Options* const options_;
  Executor* const owner_;
  const int64_t booted_ns_;
  bool alive_ = true;
  std::deque<io::Work*> catalog_lane_;  // the first is under way
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_EXECUTOR_H_
