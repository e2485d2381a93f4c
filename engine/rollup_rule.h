// Rollups as users state them: which resolutions a tenant keeps, and for how long.
//
// Threading: plain values. What a rollup is: engine/nexus.h, docs/operations.md.

#ifndef NEXUS_ENGINE_ROLLUP_RULE_H_
#define NEXUS_ENGINE_ROLLUP_RULE_H_

#include <cstdint>
#include <vector>

namespace nexus {

// Resolutions of a tenant at most.
inline constexpr int kRollupsMax = 4;

struct RollupRule {
  // Width of a bucket: 1 s to 1 day.
  int64_t resolution_ns = 0;
  // How long buckets are kept, whatever becomes of the samples; 0: for ever.
  int64_t keep_ns = 0;
  bool operator==(const RollupRule&) const = default;
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_ROLLUP_RULE_H_
