// What names and describes a layer: its identity, its summary, its file name.
//
// A layer is one immutable file: the samples of one tenant and branch within a time range, with the
// labels of their series. A layer of columns holds several values for each timestamp of a series,
// as rollups need them (compaction/rollup_bucket.h). (open count, sequence) names it within its
// database for ever; everything else in the file name only makes listings readable and sortable by
// time. Threading: values. Format: docs/format/layer.md.

#ifndef NEXUS_LAYER_LAYER_H_
#define NEXUS_LAYER_LAYER_H_

#include <compare>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"

namespace nexus::layer {

// Names a layer within its database: the database's open count when it was written, and a number
// that rises within that opening. Never re-used.
struct LayerKey {
  uint64_t open_count = 0;
  uint64_t sequence = 0;
  auto operator<=>(const LayerKey&) const = default;
};

// Known before the first sample is written.
struct LayerIdentity {
  DatabaseId database;
  TenantId tenant;
  BranchId branch;
  uint64_t identity_seed = 0;  // of the tenant's series identities (DESIGN section 3)
  uint32_t level = 0;          // at most kLayerLevelMax
  // The lowest and the highest write order of what the layer holds.
  WriteOrder order_low;
  WriteOrder order_high;
  // Every delete of the branch whose record begins below it is carried out in what the layer holds:
  // of a compaction's output, whose inputs were filtered by them. A flush needs none, for it holds
  // what was left of everything below order_high.
  Lsn deletes_applied;
  // 0: the layer holds samples. Else it holds rollups: of each series the buckets of so many
  // nanoseconds, whose beginnings are the timestamps of all its columns.
  int64_t resolution_ns = 0;
  // Values that each series has for each of its timestamps, 1..kLayerColumnsMax; 1 where it holds
  // samples.
  uint32_t columns = 1;
  uint64_t open_count = 0;
  uint64_t sequence = 0;

  LayerKey key() const { return {open_count, sequence}; }
  bool operator==(const LayerIdentity&) const = default;
};

inline constexpr uint32_t kLayerLevelMax = 255;
// Twice as many as rollups have.
inline constexpr uint32_t kLayerColumnsMax = 32;
// A compaction's output names what it was made of. 10,000 is the most a publish edit may name
// (DESIGN section 4).
inline constexpr uint64_t kLayerInputsMax = 10'000;

struct LayerSummary {
  LayerIdentity identity;
  TimeRange range;  // of the samples, or all of the buckets
  uint64_t series = 0;
  uint64_t samples = 0;  // of all columns together
  uint64_t chunks = 0;
  uint64_t file_bytes = 0;
  // Covers the footer, which holds every page's checksum: two files of equal hash have equal
  // contents.
  uint64_t footer_hash = 0;
  std::vector<LayerKey> inputs;  // a compaction's inputs; empty for a flush

  bool operator==(const LayerSummary&) const = default;
};

// What a layer covers whose first and last timestamp are those of `stamps`: a rollup's last bucket
// reaches to its end.
inline TimeRange CoveredBy(const LayerIdentity& identity, TimeRange stamps) {
  if (identity.resolution_ns == 0) return stamps;
  const bool over = __builtin_add_overflow(stamps.last, identity.resolution_ns - 1, &stamps.last);
  if (over) stamps.last = std::numeric_limits<int64_t>::max();
  return stamps;
}

// "<first>-<last>-<level>-<open count>-<sequence>.layer", all in lower-case hex of fixed width,
// timestamps as ts ^ 1<<63, so that byte order of names is order of time.
// REQUIRES: level <= kLayerLevelMax.
std::string LayerFileName(const LayerIdentity& identity, TimeRange range);
inline std::string LayerFileName(const LayerSummary& summary) {
  return LayerFileName(summary.identity, summary.range);
}

struct ParsedLayerName {
  TimeRange range;
  uint32_t level = 0;
  LayerKey key;
};

// InvalidArgument if `name` (without folder) is not exactly what LayerFileName would write.
StatusOr<ParsedLayerName> ParseLayerFileName(std::string_view name);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_LAYER_H_
