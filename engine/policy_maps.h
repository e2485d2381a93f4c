// Branches as those see them who plan: the policy of compaction, and the planner of rollups. Their
// plans are pure functions of these maps, so that they can be tried without a database.
// Threading: loop.

#ifndef NEXUS_ENGINE_POLICY_MAPS_H_
#define NEXUS_ENGINE_POLICY_MAPS_H_

#include <vector>

#include "compaction/layer_map.h"
#include "compaction/rollup_plan.h"
#include "engine/state.h"

namespace nexus::engine {

// Whether the branch is compacted for itself.
bool IsCompacted(const BranchState& branch);

// Layers of samples by first timestamp, and memtables. `expired`: of each layer, whether retention
// wants it written again; or empty.
compaction::LayerMap MapOf(const DatabaseState& state, const BranchState& branch,
                           const std::vector<char>& expired = {});

// Positions of layers are those in BranchState::SampleLayers(), of rollups those in RollupLayers().
compaction::RollupMap RollupMapOf(const DatabaseState& state, const BranchState& branch);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_POLICY_MAPS_H_
