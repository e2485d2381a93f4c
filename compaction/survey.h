// Survey: a layer map seen as the policy sees it - runs of layers, and cells of time.
//
// A *run* is a layer, or all parts of one that a merge split by size; the policy takes it whole. A
// *cell* is a window that has a target level, the one its contents are to be brought to: of the
// windows that hold an instant, the widest that is past and holds no more than a job may merge, or
// has a run of its level already; the window of level 1, with target 0, where none is past. Time in
// which no run begins or ends is one cell of many windows, so that two samples a century apart cost
// nothing. Layers that do not fit a window of their level, because the settings were changed, count
// as layers of level 0. Threading: immutable once made.

#ifndef NEXUS_COMPACTION_SURVEY_H_
#define NEXUS_COMPACTION_SURVEY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "compaction/layer_map.h"
#include "compaction/policy.h"

namespace nexus::compaction {

struct Run {
  // Where its layers begin in those of the survey, and how many there are (Survey::LayersOf).
  uint32_t layers_begin = 0;
  uint32_t layers_count = 0;
  TimeRange range;
  // The part of the range with most of its samples: what is newer than everything written before
  // it, or all of it if nothing is. The rest are samples that came late.
  TimeRange body;
  OrderRange order;
  uint32_t level = 0;  // 0 also if it does not fit a window of its level
  uint64_t bytes = 0;
  int64_t age_ns = 0;  // of its youngest layer
  bool needs_rewrite = false;
  bool busy = false;  // an input of a running job
  // A memtable that overlaps it is not entirely later in write order: its flush will come in below
  // this run, which stays at level 0 until then.
  bool pinned = false;
  size_t first_cell = 0;  // the cells that it overlaps
  size_t last_cell = 0;
};

struct Cell {
  TimeRange range;      // whole windows
  uint32_t target = 0;  // the level its contents are to reach; 0: its time has not come
  int64_t width_ns = 0;
  uint64_t windows = 1;  // more than 1 only if no run begins or ends in it
  // Runs of level 0 within it, and those of levels from 1 up to the target (to 1, if that is 0).
  std::vector<uint32_t> flushed;
  std::vector<uint32_t> settled;
  // Runs of level 0 that overlap other cells too. Not listed if there are more than
  // kCrossingMax: then `crowded` is set.
  std::vector<uint32_t> crossing;
  bool crowded = false;

  // What to merge it to if it is to be merged now.
  uint32_t level() const { return target == 0 ? 1 : target; }
};

// More than this many are joined before anything else is looked at, so that the lists of 10,000
// cells and 10,000 layers are short.
inline constexpr size_t kCrossingMax = 64;

class Survey {
 public:
  Survey(const LayerMap& map, const PolicyOptions& options);

  const LayerMap& map() const { return map_; }
  const PolicyOptions& options() const { return options_; }
  const std::vector<Run>& runs() const { return runs_; }  // in write order, oldest first
  // Positions in the map, in order of time.
  std::span<const uint32_t> LayersOf(const Run& run) const {
    return std::span(layers_).subspan(run.layers_begin, run.layers_count);
  }
  const std::vector<Cell>& cells() const { return cells_; }  // in order of time
  // What PickJobs lowers (JobsBound).
  uint64_t Weight(const Run& run) const;
  uint64_t Windows(size_t first_cell, size_t last_cell) const {
    return windows_before_[last_cell + 1] - windows_before_[first_cell];
  }

 private:
  // A layer, with the level that its run has here.
  struct Part {
    uint32_t layer = 0;
    uint32_t level = 0;
  };
  // The cell that holds a timestamp of a layer.
  size_t CellOf(int64_t ts) const;
  std::vector<Part> SortedParts() const;
  bool Continues(const Run& run, const Part& part) const;
  void MakeRuns(const std::vector<Part>& parts);
  void FindBodies();
  void FillCells();

  const LayerMap& map_;
  const PolicyOptions& options_;
  std::vector<Cell> cells_;
  std::vector<uint64_t> windows_before_;  // by cell, and of all
  std::vector<int64_t> cell_begins_;
  std::vector<Run> runs_;
  std::vector<uint32_t> layers_;  // of all runs
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_SURVEY_H_
