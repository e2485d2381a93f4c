// Plot: series as a chart of characters, for terminals.
//
// Braille dots (two by four to a character) where the output is UTF-8, so 80 columns show 160
// points. On a terminal each series has a colour. Empty columns stay empty; NaN and
// infinities are left out. Threading: pure functions.

#ifndef NEXUS_SERVER_PLOT_H_
#define NEXUS_SERVER_PLOT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace nexus::server {

struct PlotSeries {
  std::string name;
  std::vector<int64_t> timestamps;  // ns
  std::vector<double> values;
};

struct PlotOptions {
  size_t columns = 100;  // of the whole chart
  size_t rows = 16;      // of the plotting area
  bool color = false;
};

// The chart with axes and a legend, lines ended by newlines. At most kPlottedSeriesMax series are
// drawn; the legend says how many were left out.
inline constexpr size_t kPlottedSeriesMax = 8;
std::string Plot(const std::vector<PlotSeries>& series, const PlotOptions& options);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_PLOT_H_
