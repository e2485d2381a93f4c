// CompactionJob: carries out one job of the compactor: make layers, write, sync, read back.
//
// What makes them - a merge, or a maker of rollups - runs on a worker in steps of some
// milliseconds; the loop writes what they give. Each output is written as *.tmp, synced and
// renamed; then the folder is synced once, and each output is opened and read back. Only after that
// may an edit name them (D2, D4). Nothing is published here. Between steps the job waits as its
// pace says. Failure: whatever was written is unlinked; what a crash leaves, the next opening
// deletes, since its inputs are all listed. Threading: the task runs on the loop.

#ifndef NEXUS_ENGINE_COMPACTION_JOB_H_
#define NEXUS_ENGINE_COMPACTION_JOB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "compaction/layer_merge.h"
#include "engine/state.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::engine {

// How fast the compactor may go. It keeps bytes written and time on a worker below their shares by
// waiting after each step.
class CompactionPace {
 public:
  // 0 bytes a second: without bound. `cpu_percent` of one core, 1..100.
  CompactionPace(io::Environment* environment, uint64_t bytes_per_second, int cpu_percent)
      : environment_(environment), bytes_per_second_(bytes_per_second), cpu_percent_(cpu_percent) {}

  // How long to wait after a step that wrote `bytes` and took a worker for `busy_ns`.
  int64_t PauseAfter(uint64_t bytes, int64_t busy_ns) const;
  io::Environment* environment() const { return environment_; }

 private:
  io::Environment* const environment_;
  const uint64_t bytes_per_second_;
  const int cpu_percent_;
};

class CompactionJob {
 public:
  using ProgressFunction = std::function<void(const compaction::MergeProgress&)>;

  // `progress` is called after each step. `stopping`, which outlives the job, ends it with
  // Cancelled once it is true.
  CompactionJob(DatabaseState* state, std::unique_ptr<compaction::LayerSteps> maker,
                CompactionPace pace, ProgressFunction progress, const bool* stopping);

  // The outputs; none if nothing was left. Errors: Cancelled, ResourceExhausted
  // (disk full), DataLoss (an input is damaged, or an output was not written as it was meant),
  // those of the disk.
  io::Task<StatusOr<std::vector<OpenLayer>>> Run();
  // Unlinks the outputs, which nothing names: the edit was refused.
  io::Task<void> Drop();

  const compaction::MergeProgress& progress() const { return progress_; }

 private:
  // An output while it is written.
  struct Output {
    uint64_t sequence = 0;
    std::string path;  // under which it stands now
    std::unique_ptr<io::File> file;
    uint64_t bytes = 0;
    layer::LayerSummary summary;  // once it is whole
  };

  io::Task<Status> Make();
  io::Task<Status> Append(compaction::MergeStep step, uint64_t sequence);
  io::Task<Status> FinishOutput(layer::LayerSummary summary);
  io::Task<Status> CheckOutputs();
  io::Task<Status> Verify(const layer::LayerSummary& written);
  io::Task<void> Pause(uint64_t bytes, int64_t busy_ns);
  Status MayGoOn() const;

  DatabaseState* const state_;
  const std::unique_ptr<compaction::LayerSteps> maker_;
  const CompactionPace pace_;
  const ProgressFunction tell_;
  const bool* const stopping_;
  compaction::MergeProgress progress_;
  std::vector<Output> outputs_;
  std::vector<OpenLayer> layers_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_COMPACTION_JOB_H_
