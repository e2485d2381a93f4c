// Floor division at the ends of int64, and durations with commas. See windows.h.

#include "compaction/windows.h"

#include <fmt/format.h>

#include <limits>

#include "base/time_text.h"

namespace nexus::compaction {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

struct Unit {
  int64_t ns;
  const char* name;
};
// No weeks: what people write is 30d, and 28d for four of them is as clear.
constexpr Unit kUnits[] = {{int64_t{86'400} * kNanosPerSecond, "d"},
                           {int64_t{3'600} * kNanosPerSecond, "h"},
                           {int64_t{60} * kNanosPerSecond, "m"},
                           {kNanosPerSecond, "s"},
                           {1'000'000, "ms"},
                           {1'000, "us"},
                           {1, "ns"}};

std::string WidthText(int64_t width_ns) {
  for (const Unit& unit : kUnits) {
    if (width_ns % unit.ns == 0) return fmt::format("{}{}", width_ns / unit.ns, unit.name);
  }
  return {};
}

std::string ListText(const std::vector<int64_t>& widths_ns) {
  std::string text;
  for (int64_t width : widths_ns) {
    if (!text.empty()) text += ',';
    text += WidthText(width);
  }
  return text;
}

}  // namespace

int64_t WindowIndex(int64_t ts, int64_t width_ns) {
  int64_t quotient = ts / width_ns;
  return ts % width_ns < 0 ? quotient - 1 : quotient;
}

TimeRange WindowAt(int64_t ts, int64_t width_ns) {
  // How far into its window `ts` lies: in [0, width).
  int64_t into = ts % width_ns;
  if (into < 0) into += width_ns;
  TimeRange window;
  if (__builtin_sub_overflow(ts, into, &window.first)) window.first = kMin;
  if (__builtin_add_overflow(ts, width_ns - 1 - into, &window.last)) window.last = kMax;
  return window;
}

bool WithinOneWindow(TimeRange range, int64_t width_ns) {
  return WindowIndex(range.first, width_ns) == WindowIndex(range.last, width_ns);
}

WindowSettings::WindowSettings()
    : widths_ns_{int64_t{2 * 3'600} * kNanosPerSecond, int64_t{86'400} * kNanosPerSecond,
                 int64_t{30 * 86'400} * kNanosPerSecond} {}

StatusOr<WindowSettings> WindowSettings::Make(std::vector<int64_t> widths_ns) {
  if (widths_ns.empty()) {
    return InvalidArgument("window settings: no window, expected 1 to {} widths like 2h,1d,30d",
                           kWindowLevelsMax);
  }
  if (widths_ns.size() > kWindowLevelsMax) {
    return InvalidArgument("window settings: {} widths, at most {} are possible", widths_ns.size(),
                           kWindowLevelsMax);
  }
  if (widths_ns[0] < kWindowWidthMinNs) {
    return InvalidArgument("window settings: the width of level 1 is {} ns, less than {}",
                           widths_ns[0], WidthText(kWindowWidthMinNs));
  }
  for (size_t i = 1; i < widths_ns.size(); i++) {
    if (widths_ns[i] <= widths_ns[i - 1]) {
      return InvalidArgument(
          "window settings {}: the width of level {}, {}, is not larger than that of level {}, {}; "
          "give widths from small to large",
          ListText(widths_ns), i + 1, WidthText(widths_ns[i]), i, WidthText(widths_ns[i - 1]));
    }
    if (widths_ns[i] % widths_ns[i - 1] != 0) {
      return InvalidArgument(
          "window settings {}: {} (level {}) is not a multiple of {} (level {}), so their windows "
          "would overlap; give widths that nest, like 2h,1d,30d",
          ListText(widths_ns), WidthText(widths_ns[i]), i + 1, WidthText(widths_ns[i - 1]), i);
    }
  }
  return WindowSettings(std::move(widths_ns));
}

StatusOr<WindowSettings> WindowSettings::Parse(std::string_view text) {
  std::vector<int64_t> widths_ns;
  std::string_view rest = text;
  while (true) {
    size_t comma = rest.find(',');
    StatusOr<int64_t> width = ParseDuration(rest.substr(0, comma));
    if (!width.ok()) return Annotate(width.status(), "window settings");
    widths_ns.push_back(*width);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
    // A text of any length does not grow the list beyond what Make refuses.
    if (widths_ns.size() > kWindowLevelsMax) break;
  }
  return Make(std::move(widths_ns));
}

std::string WindowSettings::ToString() const { return ListText(widths_ns_); }

}  // namespace nexus::compaction
