// PickRollup: which window of rollups is to be made next, as a pure function of a branch's layers.
//
// Rollups of a resolution are made by windows of kRollupWindowBuckets buckets. What a window has is
// a run: layers of one write order, published together and replaced together. Its order says what
// it was made from: all layers of samples that overlap the window and do not end behind it
// (`high`), with the deletes below its `deletes_applied` carried out. So whether a bucket may be
// answered from it is told by comparing orders, and stays told however samples are compacted since:
// a merge of what is in it keeps its order, and one that brings other samples ends later.
//
// A window is due when enough of it (kRollupPart of its width, or a day) lies in layers of windows
// (level 1 and up) that its run does not know, when no more will follow - the branch has samples
// behind the window -, when what it does not know lies in a bucket that begins before
// `hurry_before_ns`, or when a delete concerns its run. Made from level 1 on, rollups are written a
// few times, not at each flush.
// A window waits while a memtable that began before what would be rolled up overlaps it: the layer
// of that memtable would count as known and not be.
// Threading: pure functions.

#ifndef NEXUS_COMPACTION_ROLLUP_PLAN_H_
#define NEXUS_COMPACTION_ROLLUP_PLAN_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/types.h"
#include "compaction/layer_map.h"

namespace nexus::compaction {

// A window is made when a part of it in so many is new.
inline constexpr int64_t kRollupPart = 8;
inline constexpr int64_t kRollupStretchMaxNs = int64_t{24} * 3600 * 1'000'000'000;

struct RollupMap {
  struct Raw {
    TimeRange range;
    uint32_t level = 0;
    WriteOrder high;
  };
  struct Rollup {
    TimeRange range;
    int64_t resolution_ns = 0;
    WriteOrder high;
    bool has_deletes = false;  // one concerns it that is not carried out in it
  };
  std::vector<Raw> layers;
  std::vector<Rollup> rollups;
  std::vector<MapMemtable> memtables;  // only those that hold samples
};

// Names a window for ever.
struct RollupWindow {
  int64_t resolution_ns = 0;
  int64_t first_ns = 0;
  auto operator<=>(const RollupWindow&) const = default;
};

struct RollupOptions {
  std::vector<int64_t> resolutions_ns;  // ascending
  // Of each resolution, in the same order: buckets that end before it are kept no more.
  std::vector<int64_t> keep_from_ns;
  bool everything = false;       // by hand: nothing is waited for but memtables
  bool only_in_a_hurry = false;  // none but windows of which buckets may be frozen soon
  // Buckets that begin before it may be frozen soon.
  int64_t hurry_before_ns = INT64_MIN;
  // Windows of which nothing was left when they were made up to this order.
  std::map<RollupWindow, WriteOrder> nothing_left;
  // Windows that are let be, so that others are not kept waiting: they failed lately.
  std::set<RollupWindow> passed_over;
  size_t layers_max = 64;  // of samples, that one job reads
};

struct RollupPick {
  int64_t resolution_ns = 0;
  TimeRange window;
  std::vector<uint32_t> layers;   // positions in RollupMap::layers: all that the run will know
  std::vector<uint32_t> rollups;  // the run that it replaces
  WriteOrder high;                // of the new run
  // Whole buckets of the window: those outside are in the run already, as they are.
  TimeRange stale;

  RollupWindow name() const { return {resolution_ns, window.first}; }
};

// The pick of the finest resolution and the oldest window that is due; nullopt: none is.
std::optional<RollupPick> PickRollup(const RollupMap& map, const RollupOptions& options);

// Positions of rollups of which nothing is to be kept: those whose window ends before
// `keep_from_ns` of their resolution, and of resolutions that are not made any more. A run goes as
// a whole: what is left of one would say of the series of a file that went that they have nothing.
std::vector<uint32_t> ExpiredRollups(const RollupMap& map, const RollupOptions& options);

// The window of rollups that a timestamp lies in.
TimeRange RollupWindowOf(int64_t ts, int64_t resolution_ns);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_ROLLUP_PLAN_H_
