// CheckMap and CheckPick: the rules that a layer map and a job must keep, checked from their
// definition.
//
// Written apart from the policy and without its shortcuts, so that the one finds the other's
// mistakes: tests check every pick, the simulator checks them at run time. Failure: Internal,
// saying which layers break which rule. Cost: O(n log n) and the pairs of layers that overlap in
// time. Threading: pure functions.

#ifndef NEXUS_COMPACTION_PICK_CHECK_H_
#define NEXUS_COMPACTION_PICK_CHECK_H_

#include "base/status.h"
#include "compaction/layer_map.h"
#include "compaction/policy.h"

namespace nexus::compaction {

// The order rule of a map: of two layers, or a layer and a memtable, that overlap in time, the
// order of one ends before that of the other begins - or both are parts of one run: same level and
// same order.
Status CheckMap(const LayerMap& map);

// A job picked from `map`: its inputs are there, once each, free, in write order and not too many;
// no layer or memtable that is not an input lies between inputs in write order in a window of the
// output, so that one comparison of layers still decides who wins; runs are taken whole; its
// outputs cover all of time without overlap, each window of a level from 1 up within the windows of
// that level and free of other layers of it; it overlaps no running job.
Status CheckPick(const LayerMap& map, const PolicyOptions& options, const Job& job);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_PICK_CHECK_H_
