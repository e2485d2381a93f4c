// PickJobs: which layers of a branch are to be merged next, as a pure function of its layer map.
//
// What a job promises: published by itself, or together with the others of the same call in any
// order, it leaves a map in which of two layers that overlap in time one is later in write order
// with all it holds (the order rule; pick_check.h verifies it), it brings the map nearer to rest
// (JobsBound), and its inputs are bounded. A map at rest gives no jobs. How picks are made, and
// what they cost, is written up in docs/compaction.md. Threading: pure functions.

#ifndef NEXUS_COMPACTION_POLICY_H_
#define NEXUS_COMPACTION_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "compaction/layer_map.h"
#include "compaction/windows.h"
#include "layer/layer.h"

namespace nexus::compaction {

struct PolicyOptions {
  WindowSettings windows;

  // How many flushes are waited for before they go into windows together. Default 8, at least 2.
  // More of it writes less, and leaves more layers to be opened. Of level 0 one window may have
  // 8 times as many before they are joined though its time has not come.
  uint32_t fan_in = 8;

  // How many runs of level 0 may overlap at one instant before they are joined. Default 12, at
  // least 2. With those of the levels above it is the most that a query of one instant reads. More
  // of it writes less when much data comes out of order: n flushes that all overlap are written
  // about t times over, where t is the least with (overlap_max + t)! / (overlap_max! t!) >= n.
  uint32_t overlap_max = 12;

  // A window counts as finished, and is merged whole into one layer of its level, when nothing was
  // added to it for so long. Default 2 hours. Longer delays the best compression of backfilled
  // windows; shorter writes them more often while the backfill runs.
  int64_t quiet_ns = int64_t{2} * 3600 * kNanosPerSecond;

  // A window goes up a level only if all it holds is at most so much, default 16 GiB: what a job
  // needs twice on the disk, and what is lost of its work when it fails. One window of level 1 is
  // merged whatever it holds.
  uint64_t job_bytes_max = uint64_t{16} << 30;

  // Inputs of a job. Default and most 10,000, what an edit may name (DESIGN section 4); at least
  // 16. A run of more layers than that is left as it is.
  size_t job_layers_max = layer::kLayerInputsMax;

  // Runs among the inputs of a job: what a merge reads side by side, and so what its memory grows
  // with (layers that are parts of one run hold different series and follow each other). Default
  // 64, at least 16. Windows of more runs are merged in two steps, and their bytes written once
  // more.
  size_t job_runs_max = 64;

  // Compaction by hand: every window is brought to the highest level it can have now, and what a
  // delete or a retention covers is written again, without waiting for age, count or size.
  bool everything = false;
};

enum class JobKind {
  kCut,      // layers that lie across windows are cut into pieces of level 0
  kMerge,    // layers are joined into windows of one level
  kRewrite,  // a run is written again where it is, without what was deleted
};

// Most urgent first.
enum class JobClass {
  kOverlap,  // more layers overlap than a query should read
  kFlush,    // level 0 goes into windows
  kSettle,   // windows go up a level
  kRewrite,  // deletes and retention are carried out
};

// What becomes of the samples of a stretch of time.
struct OutputSpan {
  TimeRange bounds;
  uint32_t level = 0;
  int64_t width_ns = 0;  // windows that outputs are cut into; 0: the span is one window

  bool operator==(const OutputSpan&) const = default;
};

struct Job {
  JobKind kind = JobKind::kMerge;
  JobClass job_class = JobClass::kFlush;
  // Positions in LayerMap::layers, in write order, oldest first.
  std::vector<uint32_t> inputs;
  // In order of time, adjacent, and together all of int64.
  std::vector<OutputSpan> outputs;
  uint64_t bytes = 0;  // of the inputs
  // For people: "level 0 -> 1: 9 layers of 2 windows from 2024-05-01T00:00:00Z, 11 MiB".
  std::string reason;
};

// Where samples of a job go. Every layer written for the window, however many parts there are,
// gets this level and exactly this order: by that the policy knows them as one run.
struct OutputWindow {
  TimeRange window;  // the samples that go where this one goes
  uint32_t level = 0;
  OrderRange order;  // hull of the orders of the inputs that overlap the window
};

// The window of the job that `ts` falls into; the next one begins after window.last. A merge goes
// from window to window with it and passes over those that hold no sample. Several layers may be
// written for one window if they hold different series; layers of one window must not hold samples
// of the same series. REQUIRES: `job` was picked from `map`, and an input overlaps the window of
// `ts`.
OutputWindow OutputWindowAt(const LayerMap& map, const Job& job, int64_t ts);

// At most `max_jobs` jobs, most urgent first, that can run at the same time: they do not overlap in
// time. Empty if there is nothing to do now; adding layers and the passing of time change that.
// Cost: O(n log n) for n layers, a few milliseconds for 10,000 (bench/compaction).
// REQUIRES: options as their comments say.
std::vector<Job> PickJobs(const LayerMap& map, const PolicyOptions& options, size_t max_jobs);

// Windows that end before the window of this time count as past, and their contents go up to their
// level. It is the newest sample in any layer, so that data of any age settles as it would have
// when it was new, but never later than the clock, so that a sample from the far future makes no
// other window count as past, and never earlier than one window of level 2 (of level 1, if that is
// all) before the clock, so that a branch that is no longer written to settles too. A clock that is
// wrong costs writing or reading more, never more than the bounds of docs/compaction.md.
int64_t PastHorizon(const LayerMap& map, const PolicyOptions& options);

// An upper bound of the number of jobs that bring the map to rest if nothing is added and no time
// passes. Each job published lowers it by at least one.
uint64_t JobsBound(const LayerMap& map, const PolicyOptions& options);

// The jobs of one branch, as candidates beside those of others.
struct BranchJobs {
  uint64_t branch = 0;        // the caller's number for it
  uint64_t bytes_served = 0;  // bytes of its jobs run of late, by the caller's measure of "of late"
  std::vector<Job> jobs;      // of PickJobs
};

struct RankedJob {
  uint64_t branch = 0;
  size_t job = 0;  // position in its BranchJobs::jobs
};

// Which of many branches' jobs run first: by class, and within a class the branch that was served
// the fewest bytes, each job counting to it as it is ranked; so a branch that always has work does
// not keep others waiting, and a thousand small ones are not behind one large.
std::vector<RankedJob> RankJobs(const std::vector<BranchJobs>& branches, size_t max_jobs);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_POLICY_H_
