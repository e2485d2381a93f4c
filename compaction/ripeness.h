// Which cells are to be settled now, and where too many runs of level 0 lie on each other.
//
// Threading: pure functions.

#ifndef NEXUS_COMPACTION_RIPENESS_H_
#define NEXUS_COMPACTION_RIPENESS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "compaction/job_builder.h"
#include "compaction/survey.h"

namespace nexus::compaction {

// Runs of level 0 that one window holds or is reached by before they are joined though its time has
// not come: what a query of that window reads at most. A multiple of fan_in.
inline constexpr size_t kCellRunsPerFanIn = 8;

struct RipeSpan {
  CellSpan span;
  bool late = false;  // runs with only late samples in it are taken too
  size_t runs = 0;    // that it makes fewer
};

// Adjacent cells that are to be settled in one job, in order of time.
std::vector<RipeSpan> FindRipe(const Survey& survey);

// Where too many runs of level 0 are.
struct Heap {
  size_t runs = 0;
  size_t cell = 0;
  int64_t ts = 0;           // they overlap there; with whole_cell an instant of the cell
  bool whole_cell = false;  // all that the cell has, whether they overlap or not
};

// The most overlapped instants and the fullest cells, at most `heaps_max`, the worst first.
std::vector<Heap> FindHeaps(const Survey& survey, size_t heaps_max);

// The runs of a heap, in write order.
std::vector<uint32_t> RunsOf(const Survey& survey, const Heap& heap);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_RIPENESS_H_
