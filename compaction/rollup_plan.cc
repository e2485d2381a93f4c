// Windows, what is new in them, and whether it is enough. See rollup_plan.h.

#include "compaction/rollup_plan.h"

#include <algorithm>
#include <limits>
#include <set>

#include "compaction/merge_job.h"
#include "compaction/rollup_bucket.h"
#include "layer/layer.h"

namespace nexus::compaction {
namespace {

// How many timestamps a range has that is not empty; saturating.
int64_t WidthOf(TimeRange range) {
  int64_t width;
  const bool over = __builtin_sub_overflow(range.last, range.first, &width) ||
                    __builtin_add_overflow(width, 1, &width);
  return over ? std::numeric_limits<int64_t>::max() : width;
}

TimeRange HullOf(std::optional<TimeRange> hull, TimeRange range) {
  if (!hull.has_value()) return range;
  return {std::min(hull->first, range.first), std::max(hull->last, range.last)};
}

// The stretch of one window as a candidate.
class WindowPicker {
 public:
  WindowPicker(const RollupMap& map, const RollupOptions& options, int64_t resolution_ns,
               TimeRange window)
      : map_(map), options_(options) {
    pick_.resolution_ns = resolution_ns;
    pick_.window = window;
  }

  std::optional<RollupPick> Pick() {
    FindRun();
    if (!FindNew()) return std::nullopt;
    TakeLayers();
    if (!FitsAJob() || IsWaiting() || !IsDue()) return std::nullopt;
    const auto nothing = options_.nothing_left.find(pick_.name());
    const bool known_empty = nothing != options_.nothing_left.end() &&
                             pick_.high <= nothing->second && pick_.rollups.empty();
    if (known_empty) return std::nullopt;
    return std::move(pick_);
  }

 private:
  void FindRun() {
    for (uint32_t i = 0; i < map_.rollups.size(); ++i) {
      const RollupMap::Rollup& rollup = map_.rollups[i];
      if (rollup.resolution_ns != pick_.resolution_ns) continue;
      if (!rollup.range.Overlaps(pick_.window)) continue;
      pick_.rollups.push_back(i);
      known_ = known_.has_value() ? std::min(*known_, rollup.high) : rollup.high;
      has_deletes_ |= rollup.has_deletes;
    }
  }

  bool IsNew(const RollupMap::Raw& layer) const {
    return !known_.has_value() || layer.high > *known_;
  }

  // Up to where the new run will know: the newest layer that is settled.
  bool FindNew() {
    if (known_.has_value()) pick_.high = *known_;
    bool any = false;
    for (const RollupMap::Raw& layer : map_.layers) {
      if (!layer.range.Overlaps(pick_.window) || !IsNew(layer)) continue;
      if (layer.level == 0 && !options_.everything && !Hurries(layer.range.first)) continue;
      pick_.high = std::max(pick_.high, layer.high);
      any = true;
    }
    return any || has_deletes_;
  }

  void TakeLayers() {
    std::optional<TimeRange> stale;
    if (has_deletes_) stale = pick_.window;
    for (uint32_t i = 0; i < map_.layers.size(); ++i) {
      const RollupMap::Raw& layer = map_.layers[i];
      if (!layer.range.Overlaps(pick_.window) || layer.high > pick_.high) continue;
      pick_.layers.push_back(i);
      if (IsNew(layer)) stale = HullOf(stale, layer.range);
    }
    if (!stale.has_value()) stale = pick_.window;
    const int64_t width = pick_.resolution_ns;
    pick_.stale = {std::max(pick_.window.first, BucketStart(stale->first, width)),
                   std::min(pick_.window.last, BucketLast(stale->last, width))};
  }

  bool FitsAJob() const {
    const auto read = std::count_if(pick_.layers.begin(), pick_.layers.end(), [&](uint32_t i) {
      return map_.layers[i].range.Overlaps(pick_.stale);
    });
    return static_cast<size_t>(read) <= options_.layers_max &&
           pick_.layers.size() + pick_.rollups.size() <= layer::kLayerInputsMax;
  }

  bool IsWaiting() const {
    return std::any_of(map_.memtables.begin(), map_.memtables.end(), [&](const auto& memtable) {
      return memtable.range.Overlaps(pick_.window) && memtable.order.low < pick_.high;
    });
  }

  // Whether the bucket in which what begins there lies may be frozen soon: that goes by where the
  // bucket begins, and it would stay as what came before has it.
  bool Hurries(int64_t first) const {
    const int64_t within = std::max(first, pick_.window.first);
    return BucketStart(within, pick_.resolution_ns) < options_.hurry_before_ns;
  }

  bool IsDue() const {
    if (Hurries(pick_.stale.first)) return true;
    if (options_.only_in_a_hurry) return false;
    if (options_.everything || has_deletes_) return true;
    const int64_t enough = std::min(WidthOf(pick_.window) / kRollupPart, kRollupStretchMaxNs);
    if (WidthOf(pick_.stale) >= enough) return true;
    return std::any_of(map_.layers.begin(), map_.layers.end(),
                       [&](const auto& layer) { return layer.range.last > pick_.window.last; });
  }

  const RollupMap& map_;
  const RollupOptions& options_;
  RollupPick pick_;
  std::optional<WriteOrder> known_;  // up to where the run that is there knows everything
  bool has_deletes_ = false;
};

// The first timestamps of the windows that layers with anything new for a resolution overlap.
// A layer of a year at a second overlaps 22,000 of them.
std::set<int64_t> WindowsOf(const RollupMap& map, int64_t resolution_ns, int64_t keep_from_ns) {
  std::set<int64_t> windows;
  const auto add = [&](TimeRange range) {
    int64_t ts = std::max(range.first, keep_from_ns);
    while (ts <= range.last) {
      const TimeRange window = RollupWindowOf(ts, resolution_ns);
      windows.insert(window.first);
      if (window.last == std::numeric_limits<int64_t>::max()) break;
      ts = window.last + 1;
    }
  };
  for (const RollupMap::Raw& layer : map.layers) {
    // Of a layer of level 0 that lies over more windows than this most have nothing of it.
    const bool settled = layer.level > 0 || WidthOf(layer.range) / resolution_ns <
                                                kRollupWindowBuckets * kRollupWindowBuckets;
    if (settled) add(layer.range);
  }
  for (const RollupMap::Rollup& rollup : map.rollups) {
    if (rollup.resolution_ns == resolution_ns && rollup.has_deletes) add(rollup.range);
  }
  return windows;
}

}  // namespace

TimeRange RollupWindowOf(int64_t ts, int64_t resolution_ns) {
  return WindowOf(ts, resolution_ns * kRollupWindowBuckets);
}

std::optional<RollupPick> PickRollup(const RollupMap& map, const RollupOptions& options) {
  for (size_t i = 0; i < options.resolutions_ns.size(); ++i) {
    const int64_t resolution_ns = options.resolutions_ns[i];
    for (int64_t first : WindowsOf(map, resolution_ns, options.keep_from_ns[i])) {
      if (options.passed_over.contains({resolution_ns, first})) continue;
      WindowPicker picker(map, options, resolution_ns, RollupWindowOf(first, resolution_ns));
      if (std::optional<RollupPick> pick = picker.Pick(); pick.has_value()) return pick;
    }
  }
  return std::nullopt;
}

std::vector<uint32_t> ExpiredRollups(const RollupMap& map, const RollupOptions& options) {
  std::vector<uint32_t> expired;
  for (uint32_t r = 0; r < map.rollups.size(); ++r) {
    const RollupMap::Rollup& rollup = map.rollups[r];
    const auto at = std::find(options.resolutions_ns.begin(), options.resolutions_ns.end(),
                              rollup.resolution_ns);
    const bool is_made = at != options.resolutions_ns.end();
    const auto number = static_cast<size_t>(at - options.resolutions_ns.begin());
    const TimeRange window = RollupWindowOf(rollup.range.first, rollup.resolution_ns);
    if (!is_made || window.last < options.keep_from_ns[number]) expired.push_back(r);
  }
  return expired;
}

}  // namespace nexus::compaction
