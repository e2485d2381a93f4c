// Charts: where dots are drawn, what is left out, and that no series makes a chart fail.

#include "server/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kMax = std::numeric_limits<double>::max();
constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
constexpr size_t kAxis = 11;  // columns left of the plotting area

PlotSeries Series(std::vector<double> values) {
  PlotSeries series{"s", {}, std::move(values)};
  for (size_t i = 0; i < series.values.size(); i++) {
    series.timestamps.push_back(static_cast<int64_t>(i) * 1'000'000'000);
  }
  return series;
}

// A chart as cells: the plotting area's characters, each a Braille pattern's 8 bits, 0 for none.
struct Chart {
  std::string text;
  std::vector<std::vector<int>> rows;
  std::vector<std::string> labels;  // of the value axis

  bool RowIsEmpty(size_t row) const {
    for (int bits : rows[row]) {
      if (bits != 0) return false;
    }
    return true;
  }
  size_t CellsDrawn() const {
    size_t cells = 0;
    for (const auto& row : rows) {
      for (int bits : row) cells += bits != 0 ? 1 : 0;
    }
    return cells;
  }
};

Chart Draw(const std::vector<PlotSeries>& series, PlotOptions options = {}) {
  Chart chart;
  chart.text = Plot(series, options);
  std::string_view rest = chart.text;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    if (line.size() < kAxis || line[kAxis - 1] != '|') continue;
    chart.labels.emplace_back(line.substr(0, kAxis - 1));
    std::vector<int> cells;
    for (size_t at = kAxis; at < line.size();) {
      if (line[at] == ' ') {
        cells.push_back(0);
        at++;
        continue;
      }
      EXPECT_EQ(line[at], '\xE2');
      EXPECT_LE(at + 3, line.size());
      if (at + 3 > line.size()) return chart;
      cells.push_back((line[at + 1] & 0x03) << 6 | (line[at + 2] & 0x3f));
      at += 3;
    }
    chart.rows.push_back(std::move(cells));
  }
  return chart;
}

TEST(Plot, NothingToDrawIsSaid) {
  EXPECT_EQ(Plot({}, {}), "no samples to plot\n");
  EXPECT_EQ(Plot({Series({})}, {}), "no samples to plot\n");
  EXPECT_EQ(Plot({Series({kNan, kInf, -kInf})}, {}), "no samples to plot\n");
}

TEST(Plot, IsAsLargeAsAsked) {
  Chart chart = Draw({Series({1, 2, 3})}, {.columns = 60, .rows = 7});
  ASSERT_EQ(chart.rows.size(), 7u);
  for (const auto& row : chart.rows) EXPECT_EQ(row.size(), 60 - kAxis - 1);
}

TEST(Plot, IsNeverSmallerThanItsAxes) {
  Chart chart = Draw({Series({1, 2, 3})}, {.columns = 1, .rows = 0});
  ASSERT_EQ(chart.rows.size(), 2u);
  EXPECT_FALSE(chart.rows[0].empty());
}

TEST(Plot, RisingLineRunsFromLowerLeftToUpperRight) {
  Chart chart = Draw({Series({0, 1, 2, 3})}, {.columns = 40, .rows = 8});
  EXPECT_EQ(chart.rows.back().front() & 0x40, 0x40) << "the lower left dot";
  EXPECT_EQ(chart.rows.front().back() & 0x08, 0x08) << "the upper right dot";
  EXPECT_EQ(chart.rows.front().front(), 0);
  EXPECT_EQ(chart.rows.back().back(), 0);
  EXPECT_THAT(chart.labels.front(), HasSubstr("3"));
  EXPECT_THAT(chart.labels.back(), HasSubstr("0"));
  for (size_t row = 0; row < chart.rows.size(); row++) EXPECT_FALSE(chart.RowIsEmpty(row)) << row;
}

TEST(Plot, ConstantSeriesIsAFlatLineInTheMiddle) {
  for (double value : {0.0, -0.0, 5.0, -7.5, 1e-300, 5e-324, kMax, -kMax}) {
    Chart chart = Draw({Series({value, value, value})}, {.columns = 40, .rows = 9});
    ASSERT_EQ(chart.rows.size(), 9u);
    size_t drawn = 0;
    for (size_t row = 0; row < chart.rows.size(); row++) drawn += chart.RowIsEmpty(row) ? 0 : 1;
    EXPECT_EQ(drawn, 1u) << value;
    EXPECT_THAT(chart.text, Not(HasSubstr("inf|"))) << value;
    EXPECT_THAT(chart.text, Not(HasSubstr("nan|"))) << value;
    if (std::fabs(value) < kMax) {
      EXPECT_FALSE(chart.RowIsEmpty(4)) << value;
    }
  }
}

TEST(Plot, OneSampleIsOneDot) { EXPECT_EQ(Draw({Series({5})}).CellsDrawn(), 1u); }

TEST(Plot, NanAndInfinitiesAreLeftOutAndBreakTheLine) {
  Chart whole = Draw({Series({1, 1, 1, 1, 1, 1, 1, 1, 1})});
  Chart broken = Draw({Series({1, 1, 1, kNan, kInf, -kInf, 1, 1, 1})});
  EXPECT_GT(broken.CellsDrawn(), 0u);
  EXPECT_LT(broken.CellsDrawn(), whole.CellsDrawn());
  EXPECT_EQ(broken.labels, whole.labels) << "they do not stretch the axis";
}

TEST(Plot, GapIsNotBridged) {
  PlotSeries series{"s", {0, 1, 2, 3, 97, 98, 99, 100}, std::vector<double>(8, 1.0)};
  Chart chart = Draw({series});
  EXPECT_LT(chart.CellsDrawn(), 12u) << "of 88";
}

TEST(Plot, LargestSpansOfTimeAndValueStayWithinTheChart) {
  PlotSeries series{"s", {kFirst, -1, 0, kLast}, {-kMax, kMax, -kMax, kMax}};
  Chart chart = Draw({series}, {.columns = 40, .rows = 8});
  EXPECT_EQ(chart.rows.back().front() & 0x40, 0x40) << "the lower left dot";
  EXPECT_EQ(chart.rows.front().back() & 0x08, 0x08) << "the upper right dot";
  EXPECT_THAT(chart.text, Not(HasSubstr("inf|")));
  EXPECT_THAT(chart.text, Not(HasSubstr("nan|")));
}

TEST(Plot, SmallestSpansOfTimeAndValueStayWithinTheChart) {
  PlotSeries series{"s", {kLast - 1, kLast}, {0, 5e-324}};
  Chart chart = Draw({series}, {.columns = 40, .rows = 8});
  EXPECT_EQ(chart.rows.front().back() & 0x08, 0x08) << "the upper right dot";
}

TEST(Plot, SeriesBeyondTheLimitAreNamedAsLeftOut) {
  std::vector<PlotSeries> series(kPlottedSeriesMax + 3, Series({1, 2}));
  for (size_t i = 0; i < series.size(); i++) series[i].name = "series" + std::to_string(i);
  std::string text = Plot(series, {});
  EXPECT_THAT(text, HasSubstr("series7"));
  EXPECT_THAT(text, Not(HasSubstr("series8")));
  EXPECT_THAT(text, HasSubstr("3 more series are not drawn"));
}

TEST(Plot, ColourOnlyWhereAskedFor) {
  EXPECT_THAT(Plot({Series({1, 2})}, {}), Not(HasSubstr("\x1b")));
  EXPECT_THAT(Plot({Series({1, 2})}, {.color = true}), HasSubstr("\x1b[36m"));
}

}  // namespace
}  // namespace nexus::server
