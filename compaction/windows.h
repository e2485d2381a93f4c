// WindowSettings: how time is cut into windows, one width a level (DESIGN section 8).
//
// Level 0 holds layers as they were flushed and has no windows. Level n, from 1 up, holds layers
// that lie within one window of the n-th width. Windows are counted from the Unix epoch by floor
// division, so that a window before 1970 is as wide as one after it, and each width is a multiple
// of the one before, so that a window lies within exactly one of the next level. Only the two
// windows at the ends of int64 are shorter than the others. Failure: settings that break these
// rules are InvalidArgument and say which two widths do. Threading: values.

#ifndef NEXUS_COMPACTION_WINDOWS_H_
#define NEXUS_COMPACTION_WINDOWS_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"

namespace nexus::compaction {

inline constexpr int64_t kNanosPerSecond = 1'000'000'000;
// Narrower windows than the interval of most telemetry would make a layer of each sample.
inline constexpr int64_t kWindowWidthMinNs = kNanosPerSecond;
// Each level is one more layer that a query of any instant may have to read and one more time that
// each sample is written.
inline constexpr uint32_t kWindowLevelsMax = 6;

// The number of the window of `width_ns` that holds `ts`: floor(ts / width_ns).
// REQUIRES: width_ns > 0.
int64_t WindowIndex(int64_t ts, int64_t width_ns);

// The window of `width_ns` that holds `ts`, first and last timestamp, cut to int64.
// REQUIRES: width_ns > 0.
TimeRange WindowAt(int64_t ts, int64_t width_ns);

// What is in both; empty if nothing is.
inline TimeRange Intersection(TimeRange a, TimeRange b) {
  return {std::max(a.first, b.first), std::min(a.last, b.last)};
}

// From the first of either to the last of either.
inline TimeRange Hull(TimeRange a, TimeRange b) {
  return {std::min(a.first, b.first), std::max(a.last, b.last)};
}

// True if all of `range` lies within one window. REQUIRES: width_ns > 0, range is not empty.
bool WithinOneWindow(TimeRange range, int64_t width_ns);

class WindowSettings {
 public:
  // 2 hours, 1 day, 30 days.
  WindowSettings();

  // Widths in nanoseconds, of level 1 first. InvalidArgument unless there are 1 to kWindowLevelsMax
  // of at least kWindowWidthMinNs, each larger than and a multiple of the one before.
  static StatusOr<WindowSettings> Make(std::vector<int64_t> widths_ns);

  // From durations with commas between them, as ToString gives them: "2h,1d,30d". Errors are
  // InvalidArgument, quote the text and say what is accepted.
  static StatusOr<WindowSettings> Parse(std::string_view text);

  // The same settings as text, each width in the largest unit that divides it.
  std::string ToString() const;

  // The number of windowed levels: the highest level there is.
  uint32_t levels() const { return static_cast<uint32_t>(widths_ns_.size()); }
  // REQUIRES: 1 <= level <= levels().
  int64_t width_ns(uint32_t level) const { return widths_ns_[level - 1]; }

  bool operator==(const WindowSettings&) const = default;

 private:
  explicit WindowSettings(std::vector<int64_t> widths_ns) : widths_ns_(std::move(widths_ns)) {}

  std::vector<int64_t> widths_ns_;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_WINDOWS_H_
