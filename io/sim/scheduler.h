// Scheduler: virtual time, and the choice of what runs next.
//
// Holds what is ready to run and an agenda of what will be. One step runs one node: any of the
// first few that are ready, by a seeded choice (0 is the first: in order). Time moves by a fixed
// amount with each step, and to the next entry of the agenda when nothing is ready. Nothing runs
// inside another node's run. Time belongs to the world, so it goes on across crashes.
//
// Whatever is entered has an owner: the executor of a process that the incarnation's crashes do not
// touch (World::Outside), or null for the incarnation and its machine.
//
// Invariants: a node is in at most one place; after DropAll nothing of the dead incarnation is
// referred to. Cost: a step moves at most schedule_window entries. Threading: one thread.

#ifndef NEXUS_IO_SIM_SCHEDULER_H_
#define NEXUS_IO_SIM_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/executor.h"
#include "io/sim/choice.h"
#include "io/sim/options.h"
#include "io/sim/trace.h"

namespace nexus::sim {

class Executor;

class Scheduler {
 public:
  Scheduler(ChoiceSource* choices, Trace* trace, const Options* options)
      : choices_(choices), trace_(trace), options_(options) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Nanoseconds since the world began.
  int64_t now() const { return now_; }
  // Nodes run so far.
  uint64_t steps() const { return steps_; }
  bool running() const { return running_; }
  bool ready() const { return first_ready_ < ready_.size(); }
  // Timers of the incarnation.
  size_t armed_timers() const;
  // True if something is ready or will be, timers aside.
  bool busy() const { return ready() || agenda_.size() > armed_timers_; }

  // Whose code runs: Executor::Current() of the nodes.
  void SetExecutor(Executor* executor) { executor_ = executor; }

  // A node that is ready already is a bug of its owner: real run queues are linked through nodes.
  void Ready(io::RunNode* node, Executor* owner = nullptr) {
    NEXUS_CHECK(!IsReady(node));
    ready_.push_back({Kind::kNode, node, owner});
  }
  // Makes the node ready at `time_ns`, or now if that is past.
  void At(int64_t time_ns, io::RunNode* node, Executor* owner = nullptr) {
    Enter(time_ns, {Kind::kNode, node, owner});
  }
  // Has the executor execute the work at `time_ns`.
  void ExecuteAt(int64_t time_ns, io::Work* work, Executor* owner) {
    Enter(time_ns, {Kind::kExecute, work, owner});
  }
  // `time_ns` is the deadline in the world's time.
  void StartTimer(io::Timer* timer, int64_t time_ns, Executor* owner);
  void CancelTimer(io::Timer* timer, int64_t time_ns);

  // A delay of an operation or of work.
  int64_t Delay(const Latency& latency);

  // Runs one node, after moving time to `until_ns` at the most if nothing is ready. False if there
  // was nothing to run until then.
  bool Step(int64_t until_ns);
  // Moves time on with nothing to run on the way.
  void SkipTo(int64_t time_ns);
  // Calls `function()` as if it were a node.
  template <typename F>
  void RunHere(F&& function, Executor* owner = nullptr) {
    Enter(owner);
    function();
    Leave();
  }

  // Forgets everything of this owner, running nothing: the incarnation, or it, is dead.
  void DropAll(Executor* owner = nullptr);

 private:
  enum class Kind : uint8_t { kNode, kTimer, kExecute };
  struct Item {
    Kind kind;
    io::RunNode* node;
    Executor* owner;
  };
  struct Key {
    int64_t time_ns;
    uint64_t sequence;  // orders equal times
    auto operator<=>(const Key&) const = default;
  };

  void Enter(int64_t time_ns, Item item) { agenda_.emplace(Key{time_ns, next_sequence_++}, item); }
  bool IsReady(const io::RunNode* node) const {
    return std::any_of(ready_.begin() + static_cast<ptrdiff_t>(first_ready_), ready_.end(),
                       [node](const Item& item) { return item.node == node; });
  }
  void TakeDue();
  Item Pick();
  void Run(Item item);
  void Enter(Executor* owner);
  void Leave();

  ChoiceSource* const choices_;
  Trace* const trace_;
  const Options* const options_;
  Executor* executor_ = nullptr;
  int64_t now_ = 0;
  uint64_t steps_ = 0;
  uint64_t next_sequence_ = 0;
  bool running_ = false;
  std::vector<Item> ready_;  // from first_ready_ on
  size_t first_ready_ = 0;
  std::map<Key, Item> agenda_;
  size_t armed_timers_ = 0;  // those in the agenda
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_SCHEDULER_H_
