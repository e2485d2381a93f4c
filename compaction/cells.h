// MakeCells: cuts the time that layers cover into cells (survey.h).
//
// Threading: pure functions.

#ifndef NEXUS_COMPACTION_CELLS_H_
#define NEXUS_COMPACTION_CELLS_H_

#include <cstdint>
#include <vector>

#include "compaction/survey.h"

namespace nexus::compaction {

// By level, the first timestamp that is not in a past window of it; of level 0 it is INT64_MAX.
std::vector<int64_t> PastBoundaries(const LayerMap& map, const PolicyOptions& options);

// A layer, as far as it matters here.
struct Covering {
  TimeRange range;
  uint64_t bytes = 0;
  uint32_t level = 0;  // of its run in the survey
};

// The cells of the time that is covered by layers, in order, without their runs. Every window that
// a layer begins or ends in is a cell of its own.
std::vector<Cell> MakeCells(std::vector<Covering> coverings, const PolicyOptions& options,
                            const std::vector<int64_t>& past_before);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_CELLS_H_
