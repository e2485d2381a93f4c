// Compactor: brings layers into the windows of their levels, and lets go of what was replaced.
//
// What is to be done the policy tells (compaction/policy.h) from a map of each branch; one job runs
// at a time, over all branches, most urgent first. Its outputs are published by one edit that
// retires the inputs, on condition that they are all still live: a crash, or anything that
// happened meanwhile, leaves the old or the new. Queries that read the old keep it. Retired files
// go by garbage.h. What is expired (retention.h) goes with what is merged anyway, with the layers
// that hold nothing else, and by writing again layers where that is worth it (retention_plan.h).
// Rollups (rollups.h) are made of what was merged, one window at a time, and dropped when their own
// time is over.
// Pace: bytes a second and share of a core are bounded by options; Compact, by hand, is not.
// Failure: a job that fails drops its output and keeps its inputs, and its branch is let be for a
// minute; state() tells why. Compaction that cannot go on stops nothing else: a window of rollups
// that fails neither merges and retention of its branch nor the other windows.
// Threading: loop; the policy, merging and reading back on workers.

#ifndef NEXUS_ENGINE_COMPACTOR_H_
#define NEXUS_ENGINE_COMPACTOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "compaction/layer_map.h"
#include "compaction/policy.h"
#include "compaction/rollup_plan.h"
#include "engine/applier.h"
#include "engine/catalog_keeper.h"
#include "engine/committer.h"
#include "engine/compaction_job.h"
#include "engine/options.h"
#include "engine/retention_sweep.h"
#include "engine/rollup_build.h"
#include "engine/series_forgetter.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

class Compactor {
 public:
  // Since the database was opened.
  struct Figures {
    uint64_t jobs = 0;
    uint64_t bytes_written = 0;
    uint64_t bytes_read = 0;
    uint64_t layers_expired = 0;  // retired whole, for retention
    uint64_t rollups = 0;         // windows of rollups made
  };

  Compactor(DatabaseState* state, Applier* applier, Committer* committer, CatalogKeeper* keeper);

  // Steps whenever garbage was removed. Before Run.
  void SetForgetter(SeriesForgetter* forgetter) { forgetter_ = forgetter; }

  // Runs until Stop. Spawned once.
  io::Task<void> Run();
  // Ends Run at the next step of its job.
  void Stop();
  // Records were applied: looks whether there is something to do.
  void Kick();

  // Runs every job there is, at full pace, until each window is in its level; then removes garbage.
  // `progress` may be empty; it is told of bytes, of those known to be to do. The error of the
  // first job that fails. FailedPrecondition: paused or closing.
  io::Task<Status> Compact(ProgressCallback progress);
  // No further job begins, and the one that runs is given up.
  void Pause();
  void Resume();

  const Figures& figures() const { return figures_; }
  // "idle", "running: ...", "paused", "off", or why the last job failed.
  std::string state() const;

 private:
  // What the passing of time alone makes due can wait so long.
  static constexpr int64_t kLookAgainNs = 60'000'000'000;
  // A branch whose job failed is let be for so long: a full disk or a damaged layer does not go
  // away by trying.
  static constexpr int64_t kLetBeNs = 60'000'000'000;

  using BranchNumbers = std::pair<uint32_t, uint32_t>;  // tenant, branch
  struct Tick : io::Timer {
    Tick(Compactor* c, Function function) : Timer(function), compactor(c) {}
    Compactor* compactor;
  };
  // What is known of a branch since it was last looked at.
  struct Look {
    uint64_t layer_edits = 0;
    int64_t at_ns = 0;  // monotonic
    int64_t let_be_until_ns = 0;
    uint64_t bytes_served = 0;
  };
  // A branch that may have work, and the job that was picked for it.
  struct Candidate {
    BranchNumbers branch;
    uint64_t layer_edits = 0;
    uint64_t bytes_served = 0;
    compaction::LayerMap map;
    std::vector<compaction::Job> jobs;  // at most one
  };
  // What a job merges; its inputs have no readers yet.
  struct Merge {
    compaction::MergeJob job;
    std::vector<LayerFilePtr> files;  // of its inputs
    std::vector<TimeRange> ranges;    // likewise
  };

  // What is known of a branch's rollups.
  struct RollupLook {
    uint64_t layer_edits = 0;
    int64_t at_ns = 0;  // monotonic
    int64_t let_be_until_ns = 0;
    bool by_hand = false;
    std::map<compaction::RollupWindow, WriteOrder> nothing_left;
    std::map<compaction::RollupWindow, int64_t> retry_at_ns;  // monotonic, of those that failed
  };

  // Those of deleted branches.
  void DropLooks();
  bool NeedsLook(const Look& look, const BranchState& branch, int64_t now) const;
  std::vector<Candidate> Candidates();
  io::Task<std::optional<Candidate>> Choose();
  // A step of retention's own work; true if there was something to do.
  io::Task<bool> Sweep();
  // Of `layers` as many as one edit may name.
  io::Task<Status> DropExpired(BranchNumbers numbers, std::vector<catalog::LayerKey> layers);
  void AddRetention(const TenantState& tenant, const BranchState& branch, Merge* merge) const;
  // Makes or drops rollups of one window; true if there was something to do.
  io::Task<bool> RollUp();
  io::Task<bool> RollUpBranch(BranchNumbers numbers);
  io::Task<Status> MakeRollups(BranchNumbers numbers, compaction::RollupPick pick);
  StatusOr<RollupJob> RollupJobOf(BranchNumbers numbers, const compaction::RollupPick& pick,
                                  std::vector<catalog::LayerKey>* replaced) const;
  // `window`: what was made; nullopt: something was dropped.
  void FinishedRollups(BranchNumbers branch, std::optional<compaction::RollupWindow> window,
                       Status status);
  void Finished(BranchNumbers branch, Status status, uint64_t bytes);
  static PublishLayers EditOf(BranchNumbers numbers);
  CompactionPace Pace() const;
  io::Task<Status> RunJob(Candidate chosen);
  StatusOr<Merge> MergeOf(const Candidate& chosen) const;
  static StatusOr<std::unique_ptr<compaction::LayerSteps>> MakerOf(Merge* merge);
  io::Task<Status> Publish(CompactionJob* job, PublishLayers edit, std::vector<OpenLayer> outputs);
  io::Task<void> UnlinkEarly(std::vector<catalog::LayerKey> layers);
  io::Task<void> Turn();
  void WakeLater();

  DatabaseState* const state_;
  Applier* const applier_;
  Committer* const committer_;
  CatalogKeeper* const keeper_;
  SeriesForgetter* forgetter_ = nullptr;
  compaction::PolicyOptions policy_;
  RetentionSweep retention_;
  Tick tick_;
  io::Event wake_;
  io::Event turned_;  // pulsed after each turn of Run
  bool stopping_ = false;
  bool paused_ = false;
  bool give_up_ = false;      // stopping or paused: what a running job watches
  bool rested_ = false;       // the last turn found nothing to do
  bool rolled_last_ = false;  // the last turn made rollups
  std::map<BranchNumbers, Look> looks_;
  std::map<BranchNumbers, RollupLook> rollup_looks_;
  BranchNumbers rolled_up_{};  // the branch that had the last job of rollups
  uint64_t edits_seen_ = 0;    // of DatabaseState::layer_edits, by the last turn
  std::string running_;        // what the running job does, for people
  Status job_status_;          // of the last job
  uint64_t failures_ = 0;
  int by_hand_ = 0;                          // calls of Compact under way
  std::optional<int64_t> by_hand_clock_ns_;  // of retention, when the first of them began
  uint64_t rests_by_hand_ = 0;               // turns for them that found nothing to do
  ProgressCallback progress_;                // of the newest of them
  Figures figures_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_COMPACTOR_H_
