// What a tenant has on the disk and in memory, each thing once, however many of its branches share
// it. Threading: loop only.

#ifndef NEXUS_ENGINE_TENANT_CONTENTS_H_
#define NEXUS_ENGINE_TENANT_CONTENTS_H_

#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "engine/memtable.h"
#include "engine/state.h"

namespace nexus::engine {

// Calls visit(const OpenLayer&) for each file.
template <typename Visit>
void VisitLayers(const TenantState& tenant, Visit&& visit) {
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> visited;
  for (const auto& [number, branch] : tenant.branches) {
    for (const OpenLayer& open : branch->layers) {
      const catalog::LayerRecord& record = open.record;
      if (visited.emplace(record.open_count, record.sequence).second) visit(open);
    }
  }
}

// Calls visit(const Memtable&) for each that is not empty: an empty one has tables of its own,
// which are no samples.
template <typename Visit>
void VisitMemtables(const TenantState& tenant, Visit&& visit) {
  absl::flat_hash_set<const Memtable*> visited;
  for (const auto& [number, branch] : tenant.branches) {
    for (const SealedMemtable& sealed : branch->sealed) {
      if (visited.insert(sealed.memtable.get()).second) visit(*sealed.memtable);
    }
    if (branch->active_first.has_value()) visit(*branch->active);
  }
}

// Deletes that layers still need: one that several branches have counts for each of them, as it is
// carried out in each.
inline uint64_t CountTombstones(const TenantState& tenant) {
  uint64_t tombstones = 0;
  for (const auto& [number, branch] : tenant.branches) tombstones += branch->tombstones->size();
  return tombstones;
}

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_TENANT_CONTENTS_H_
