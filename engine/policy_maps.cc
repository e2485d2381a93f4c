// Maps of branches. See policy_maps.h.

#include "engine/policy_maps.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "engine/delete_edits.h"

namespace nexus::engine {
namespace {

// Its memtables that hold samples.
std::vector<compaction::MapMemtable> MemtablesOf(const DatabaseState& state,
                                                 const BranchState& branch) {
  std::vector<compaction::MapMemtable> memtables;
  for (const InMemory& memtable : state.InMemoryOf(branch)) {
    const WriteOrder end = memtable.sealed.value_or(compaction::MapMemtable::kOrderEnd);
    memtables.push_back({memtable.range, {memtable.first, end}});
  }
  return memtables;
}

}  // namespace

// A snapshot, and a branch to which nothing was written yet, names files that its parent compacts;
// doing it for both would only take room. One in which something was deleted since has content of
// its own.
bool IsCompacted(const BranchState& branch) {
  const Tombstones& deletes = *branch.tombstones;
  const bool deletes_itself = std::any_of(
      deletes.begin(), deletes.end(),
      [&](const auto& tombstone) { return tombstone->order().lsn > branch.record.created; });
  if (deletes_itself) return true;
  if (branch.record.kind == catalog::BranchKind::kSnapshot) return false;
  auto is_own = [&](const OpenLayer& open) { return open.record.high.lsn > branch.record.created; };
  const std::span<const OpenLayer> layers = branch.SampleLayers();
  return std::any_of(layers.begin(), layers.end(), is_own);
}

compaction::LayerMap MapOf(const DatabaseState& state, const BranchState& branch,
                           const std::vector<char>& expired) {
  compaction::LayerMap map;
  const int64_t now = state.environment->MonotonicNanos();
  map.now_ns = state.environment->WallNanos();
  const std::span<const OpenLayer> layers = branch.SampleLayers();
  map.layers.reserve(layers.size());
  for (size_t i = 0; i < layers.size(); i++) {
    const OpenLayer& open = layers[i];
    const catalog::LayerRecord& record = open.record;
    compaction::MapLayer& layer = map.layers.emplace_back();
    layer.key = {record.open_count, record.sequence};
    layer.range = record.range;
    layer.level = record.level;
    layer.order = {record.low, record.high};
    layer.bytes = record.file_bytes;
    layer.samples = record.samples;
    layer.series = record.series;
    layer.age_ns = std::max<int64_t>(0, now - open.added_ns);
    layer.needs_rewrite =
        HasDeletes(*branch.tombstones, record) || (!expired.empty() && expired[i] != 0);
  }
  // Picking is two times faster where they nearly stand in its order.
  std::sort(map.layers.begin(), map.layers.end(), [](const auto& a, const auto& b) {
    return std::pair(a.range.first, a.key) < std::pair(b.range.first, b.key);
  });
  map.memtables = MemtablesOf(state, branch);
  return map;
}

compaction::RollupMap RollupMapOf(const DatabaseState& state, const BranchState& branch) {
  compaction::RollupMap map;
  for (const OpenLayer& open : branch.SampleLayers()) {
    map.layers.push_back({open.record.range, open.record.level, open.record.high});
  }
  for (const OpenLayer& open : branch.RollupLayers()) {
    const catalog::LayerRecord& record = open.record;
    const bool has_deletes =
        !TombstonesFor(*branch.tombstones, MarkOf(record), record.range).empty();
    map.rollups.push_back({record.range, record.resolution_ns, record.high, has_deletes});
  }
  map.memtables = MemtablesOf(state, branch);
  return map;
}

}  // namespace nexus::engine
