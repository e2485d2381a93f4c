// LayerMap: all that the compactor's policy knows of a branch, as plain values.
//
// One map describes one branch: its layers (its own and those it has from its parent alike), its
// memtables that are not flushed yet, and the time. Nothing here refers to files or to the catalog,
// so that the policy is tested on maps made by hand. Threading: values.

#ifndef NEXUS_COMPACTION_LAYER_MAP_H_
#define NEXUS_COMPACTION_LAYER_MAP_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "base/types.h"
#include "layer/layer.h"

namespace nexus::compaction {

// A piece of the write order: everything from `low` on and before `high`. A flush's layer begins
// with its oldest record and ends before the record it was sealed at (layer::LayerIdentity), so
// that of two flushes of a branch the later begins at or after the end of the earlier.
struct OrderRange {
  WriteOrder low;
  WriteOrder high;

  bool Intersects(const OrderRange& other) const { return low < other.high && other.low < high; }
  auto operator<=>(const OrderRange&) const = default;
};

struct MapLayer {
  layer::LayerKey key;
  TimeRange range;  // of its samples, not empty
  uint32_t level = 0;
  OrderRange order;
  uint64_t bytes = 0;
  uint64_t samples = 0;
  uint64_t series = 0;
  // How long ago the layer was published. A clock that went back gives 0, never less.
  int64_t age_ns = 0;
  // A delete or a retention covers part of it: it is to be written again without that part as soon
  // as nothing else is to be done.
  bool needs_rewrite = false;
  // Not 0: it is an input of the running job of this number. No job is picked that overlaps the
  // inputs of a running job, or what lies between them, in time.
  uint64_t job = 0;
};

// Samples of the branch that are in no layer yet.
struct MapMemtable {
  TimeRange range;
  // From its oldest record to where it was sealed; no end if it still takes samples.
  OrderRange order{{}, kOrderEnd};

  static constexpr WriteOrder kOrderEnd{std::numeric_limits<uint32_t>::max(),
                                        Lsn{std::numeric_limits<uint64_t>::max()}};
};

struct LayerMap {
  std::vector<MapLayer> layers;        // in any order: what is picked does not depend on it
  std::vector<MapMemtable> memtables;  // only those that hold samples
  // The wall clock, nanoseconds since the Unix epoch. Samples beyond it do not make windows count
  // as past (policy.h).
  int64_t now_ns = 0;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_LAYER_MAP_H_
