// MapBuilder: layer maps in few words, for tests of the policy.
//
// Layers come in write order, each with an order range of its own; times are in hours since a
// moment where windows of every default level begin.

#ifndef NEXUS_TESTS_COMPACTION_MAP_BUILDER_H_
#define NEXUS_TESTS_COMPACTION_MAP_BUILDER_H_

#include <cstdint>

#include "base/types.h"
#include "compaction/layer_map.h"
#include "compaction/windows.h"

namespace nexus::compaction {

inline constexpr int64_t kHourNs = 3600 * kNanosPerSecond;
inline constexpr double kDayHours = 24;
inline constexpr double kMonthHours = 30 * 24;
inline constexpr uint64_t kMib = uint64_t{1} << 20;

class MapBuilder {
 public:
  LayerMap map;

  static int64_t At(double hours) {
    // A multiple of 30 days.
    constexpr int64_t kBegin = int64_t{666} * 30 * 24 * kHourNs;
    return kBegin + static_cast<int64_t>(hours * static_cast<double>(kHourNs));
  }
  static TimeRange Between(double from, double to) { return {At(from), At(to) - 1}; }

  void Now(double hours) { map.now_ns = At(hours); }

  // A layer of `level`, published `age` hours ago. Returns its position.
  uint32_t Add(uint32_t level, double from, double to, double age = 0, uint64_t bytes = kMib) {
    MapLayer layer;
    layer.key = {1, map.layers.size() + 1};
    layer.range = Between(from, to);
    layer.level = level;
    layer.order = NextOrder();
    layer.bytes = bytes;
    layer.samples = bytes;
    layer.series = 1;
    layer.age_ns = static_cast<int64_t>(age * static_cast<double>(kHourNs));
    map.layers.push_back(layer);
    return static_cast<uint32_t>(map.layers.size() - 1);
  }
  uint32_t Flush(double from, double to, double age = 0, uint64_t bytes = kMib) {
    return Add(0, from, to, age, bytes);
  }
  // Another part of the run that layer `of` is part of.
  uint32_t Part(uint32_t of, double from, double to) {
    MapLayer part = map.layers[of];
    part.key.sequence = map.layers.size() + 1;
    part.range = Between(from, to);
    map.layers.push_back(part);
    return static_cast<uint32_t>(map.layers.size() - 1);
  }
  void Memtable(double from, double to, OrderRange order) {
    map.memtables.push_back({Between(from, to), order});
  }
  OrderRange NextOrder() {
    lsn_ += 10;
    return {{0, Lsn{lsn_ - 10}}, {0, Lsn{lsn_}}};
  }

 private:
  uint64_t lsn_ = 100;
};

}  // namespace nexus::compaction

#endif  // NEXUS_TESTS_COMPACTION_MAP_BUILDER_H_
