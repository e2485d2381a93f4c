// Dots into characters. See plot.h.

#include "server/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/time_text.h"

namespace nexus::server {
namespace {

constexpr size_t kDotColumns = 2;  // of a character
constexpr size_t kDotRows = 4;
constexpr size_t kAxisColumns = 11;  // the values' axis: ten characters and a bar
// ANSI colours that are told apart on light and dark backgrounds.
constexpr int kColors[kPlottedSeriesMax] = {36, 33, 35, 32, 34, 31, 96, 95};

struct Bounds {
  int64_t first_ts = std::numeric_limits<int64_t>::max();
  int64_t last_ts = std::numeric_limits<int64_t>::min();
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  bool empty() const { return low > high; }
};

Bounds BoundsOf(const std::vector<PlotSeries>& series) {
  Bounds bounds;
  for (const PlotSeries& one : series) {
    for (size_t i = 0; i < one.timestamps.size(); i++) {
      if (!std::isfinite(one.values[i])) continue;
      bounds.first_ts = std::min(bounds.first_ts, one.timestamps[i]);
      bounds.last_ts = std::max(bounds.last_ts, one.timestamps[i]);
      bounds.low = std::min(bounds.low, one.values[i]);
      bounds.high = std::max(bounds.high, one.values[i]);
    }
  }
  if (!bounds.empty() && bounds.high - bounds.low <= 0) {
    // A flat line in the middle. The margin is a normal number, and the bounds stay finite.
    constexpr double kMax = std::numeric_limits<double>::max();
    double margin = std::fabs(bounds.low) * 0.1;
    if (margin < std::numeric_limits<double>::min()) margin = 1;
    bounds.low = std::max(bounds.low - margin, -kMax);
    bounds.high = std::min(bounds.high + margin, kMax);
  }
  return bounds;
}

// Where a value lies between the bounds: 0 to 1. Bounds may be further apart than a double can say,
// so halves are subtracted then.
double LevelOf(double value, const Bounds& bounds) {
  double span = bounds.high - bounds.low;
  double level = std::isfinite(span)
                     ? (value - bounds.low) / span
                     : (value / 2 - bounds.low / 2) / (bounds.high / 2 - bounds.low / 2);
  return std::clamp(level, 0.0, 1.0);
}

// The dots of one chart: for each character its Braille bits and the series drawn last in it.
class Canvas {
 public:
  Canvas(size_t columns, size_t rows) : columns_(columns), rows_(rows), cells_(columns * rows) {}

  size_t dot_columns() const { return columns_ * kDotColumns; }
  size_t dot_rows() const { return rows_ * kDotRows; }

  // (0, 0) is the lower left dot.
  void Dot(size_t x, size_t y, size_t series) {
    // The bits of U+2800..U+28FF by column and row from the top.
    static constexpr uint8_t kBits[kDotColumns][kDotRows] = {{0x01, 0x02, 0x04, 0x40},
                                                             {0x08, 0x10, 0x20, 0x80}};
    size_t from_top = dot_rows() - 1 - y;
    Cell& cell = cells_[from_top / kDotRows * columns_ + x / kDotColumns];
    cell.bits |= kBits[x % kDotColumns][from_top % kDotRows];
    cell.series = series;
  }

  std::string Row(size_t row, bool color) const {
    std::string out;
    for (size_t column = 0; column < columns_; column++) {
      const Cell& cell = cells_[row * columns_ + column];
      if (cell.bits == 0) {
        out += ' ';
        continue;
      }
      if (color) out += fmt::format("\x1b[{}m", kColors[cell.series]);
      // UTF-8 of U+2800 + bits.
      out += '\xE2';
      out += static_cast<char>(0xA0 | cell.bits >> 6);
      out += static_cast<char>(0x80 | (cell.bits & 0x3f));
      if (color) out += "\x1b[0m";
    }
    return out;
  }

 private:
  struct Cell {
    uint8_t bits = 0;
    size_t series = 0;
  };
  const size_t columns_;
  const size_t rows_;
  std::vector<Cell> cells_;
};

// A line from one point to the next, so that steep changes are joined.
void DrawSegment(Canvas* canvas, size_t x0, size_t y0, size_t x1, size_t y1, size_t series) {
  size_t steps = std::max(x1 - x0, y1 > y0 ? y1 - y0 : y0 - y1);
  for (size_t i = 0; i <= steps; i++) {
    double part = steps == 0 ? 0 : static_cast<double>(i) / static_cast<double>(steps);
    double x = static_cast<double>(x0) + part * static_cast<double>(x1 - x0);
    double y = static_cast<double>(y0) + part * (static_cast<double>(y1) - static_cast<double>(y0));
    canvas->Dot(static_cast<size_t>(std::lround(x)), static_cast<size_t>(std::lround(y)), series);
  }
}

// Points further apart than this many times the usual distance are not joined: something is
// missing.
constexpr size_t kGapDistances = 4;

// The usual distance between neighbouring points, in ns.
int64_t UsualDistance(const std::vector<int64_t>& timestamps) {
  std::vector<int64_t> distances;
  for (size_t i = 1; i < timestamps.size(); i++) {
    int64_t distance = 0;
    if (!__builtin_sub_overflow(timestamps[i], timestamps[i - 1], &distance)) {
      distances.push_back(distance);
    }
  }
  if (distances.empty()) return 0;
  auto middle = distances.begin() + static_cast<ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return *middle;
}

// Exact where the difference of two doubles would not be.
double NanosBetween(int64_t from, int64_t to) {
  return static_cast<double>(static_cast<uint64_t>(to) - static_cast<uint64_t>(from));
}

// At most as wide as the axis: "-1.234e+100" would push its row to the right.
std::string AxisLabel(double level) {
  std::string label = fmt::format("{:>10.4g}|", level);
  return label.size() > kAxisColumns ? fmt::format("{:>10.3g}|", level) : label;
}

void DrawSeries(const PlotSeries& one, size_t number, const Bounds& bounds, Canvas* canvas) {
  const double span = NanosBetween(bounds.first_ts, bounds.last_ts);
  const double width = static_cast<double>(canvas->dot_columns() - 1);
  const double usual = span <= 0 ? 0 : static_cast<double>(UsualDistance(one.timestamps)) / span;
  const size_t gap = static_cast<size_t>(usual * width * kGapDistances) + 1;
  bool joined = false;
  size_t last_x = 0;
  size_t last_y = 0;
  for (size_t i = 0; i < one.timestamps.size(); i++) {
    if (!std::isfinite(one.values[i])) {
      joined = false;
      continue;
    }
    double since = NanosBetween(bounds.first_ts, one.timestamps[i]);
    double level = LevelOf(one.values[i], bounds);
    auto x = static_cast<size_t>(span <= 0 ? 0 : since / span * width);
    auto y = static_cast<size_t>(level * static_cast<double>(canvas->dot_rows() - 1));
    if (joined && x - last_x <= gap) {
      DrawSegment(canvas, last_x, last_y, x, y, number);
    } else {
      canvas->Dot(x, y, number);
    }
    joined = true;
    last_x = x;
    last_y = y;
  }
}

std::string Legend(const std::vector<PlotSeries>& series, const PlotOptions& options) {
  std::string out;
  for (size_t i = 0; i < std::min(series.size(), kPlottedSeriesMax); i++) {
    std::string dot = options.color ? fmt::format("\x1b[{}m*\x1b[0m", kColors[i]) : "*";
    double last = series[i].values.empty() ? std::nan("") : series[i].values.back();
    out += fmt::format("  {} {}  last {:.6g}\n", dot, series[i].name, last);
  }
  if (series.size() > kPlottedSeriesMax) {
    out += fmt::format(
        "  ({} more series are not drawn; narrow the selector or aggregate with --agg and --by)\n",
        series.size() - kPlottedSeriesMax);
  }
  return out;
}

}  // namespace

std::string Plot(const std::vector<PlotSeries>& series, const PlotOptions& options) {
  std::vector<PlotSeries> drawn(
      series.begin(),
      series.begin() + static_cast<ptrdiff_t>(std::min(series.size(), kPlottedSeriesMax)));
  Bounds bounds = BoundsOf(drawn);
  if (bounds.empty()) return "no samples to plot\n";
  size_t columns = std::max<size_t>(options.columns, kAxisColumns + 10) - kAxisColumns - 1;
  const size_t rows = std::max<size_t>(options.rows, 2);
  Canvas canvas(columns, rows);
  for (size_t i = 0; i < drawn.size(); i++) DrawSeries(drawn[i], i, bounds, &canvas);
  std::string out;
  for (size_t row = 0; row < rows; row++) {
    double level = std::lerp(bounds.high, bounds.low,
                             static_cast<double>(row) / static_cast<double>(rows - 1));
    bool labelled = row % 5 == 0 || row + 1 == rows;
    out += labelled ? AxisLabel(level) : fmt::format("{:>10}|", "");
    out += canvas.Row(row, options.color) + "\n";
  }
  out += fmt::format("{:>10}+{}\n", "", std::string(columns, '-'));
  std::string from = FormatTime(bounds.first_ts);
  std::string to = FormatTime(bounds.last_ts);
  size_t blanks = columns > from.size() + to.size() ? columns - from.size() - to.size() : 1;
  out += fmt::format("{:>11}{}{}{}\n", "", from, std::string(blanks, ' '), to);
  return out + Legend(series, options);
}

}  // namespace nexus::server
