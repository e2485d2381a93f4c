// The least and the greatest of a run of integers.
//
// Four of each side by side: the compare-and-select chain of one pair is several cycles long, and
// the compiler does not split it by itself. Threading: pure functions.

#ifndef NEXUS_LAYER_CODEC_EXTREMES_H_
#define NEXUS_LAYER_CODEC_EXTREMES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace nexus::layer {

struct Extremes {
  int64_t low = 0;
  int64_t high = 0;
};

// REQUIRES: values not empty.
inline Extremes FindExtremes(std::span<const int64_t> values) {
  constexpr size_t kLanes = 4;
  const int64_t* from = values.data();
  const size_t n = values.size();
  int64_t low[kLanes] = {from[0], from[0], from[0], from[0]};
  int64_t high[kLanes] = {from[0], from[0], from[0], from[0]};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const int64_t value = from[i + lane];
      low[lane] = value < low[lane] ? value : low[lane];
      high[lane] = value > high[lane] ? value : high[lane];
    }
  }
  for (; i < n; ++i) {
    low[0] = std::min(low[0], from[i]);
    high[0] = std::max(high[0], from[i]);
  }
  return {std::min(std::min(low[0], low[1]), std::min(low[2], low[3])),
          std::max(std::max(high[0], high[1]), std::max(high[2], high[3]))};
}

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_EXTREMES_H_
