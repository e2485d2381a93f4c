// Query output: JSON lines as DESIGN section 13 has them, CSV, tables, and exact values.

#include "server/query_output.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace nexus::server {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int64_t kTime = 1714566600'000'000'000;  // 2024-05-01T12:30:00Z

struct Chunk {
  uint64_t series_index = 0;
  std::string metric;
  std::vector<Label> labels;
  std::vector<int64_t> timestamps;
  std::vector<double> values;

  SeriesChunk View() const { return {&labels, metric, series_index, timestamps, values}; }
};

// What the writer puts on standard output for these chunks.
std::string Written(OutputFormat format, const std::vector<Chunk>& chunks) {
  testing::internal::CaptureStdout();
  QueryWriter writer(format);
  for (const Chunk& chunk : chunks) EXPECT_TRUE(writer.Write(chunk.View()));
  EXPECT_TRUE(writer.Finish());
  return testing::internal::GetCapturedStdout();
}

TEST(FormatValue, IsTheShortestThatReadsBackAsTheSameBits) {
  EXPECT_EQ(FormatValue(0.1), "0.1");
  EXPECT_EQ(FormatValue(42), "42");
  EXPECT_EQ(FormatValue(-0.0), "-0");
  for (uint64_t i = 1; i < 20'000; i++) {
    auto value = std::bit_cast<double>(i * 0x9e3779b97f4a7c15);
    if (!std::isfinite(value)) continue;
    std::string text = FormatValue(value);
    double read = 0;
    std::from_chars(text.data(), text.data() + text.size(), read);
    ASSERT_EQ(std::bit_cast<uint64_t>(read), std::bit_cast<uint64_t>(value)) << text;
  }
}

TEST(FormatValue, NamesWhatIsNoNumber) {
  EXPECT_EQ(FormatValue(std::nan("")), "NaN");
  EXPECT_EQ(FormatValue(-std::nan("5")), "NaN");
  EXPECT_EQ(FormatValue(kInf), "+Inf");
  EXPECT_EQ(FormatValue(-kInf), "-Inf");
}

TEST(QueryJson, IsOneObjectALine) {
  EXPECT_EQ(
      Written(OutputFormat::kJson, {{0, "cpu", {{"core", "1"}, {"host", "a"}}, {5, -6}, {1, 2.5}},
                                    {1, "up", {}, {7}, {1}}}),
      "{\"metric\":{\"__name__\":\"cpu\",\"core\":\"1\",\"host\":\"a\"},"
      "\"samples\":[[5,1],[-6,2.5]]}\n"
      "{\"metric\":{\"__name__\":\"up\"},\"samples\":[[7,1]]}\n");
}

TEST(QueryJson, ChunksOfOneSeriesAreOneObject) {
  EXPECT_EQ(Written(OutputFormat::kJson,
                    {{0, "m", {}, {1, 2}, {1, 2}}, {0, "m", {}, {3}, {3}}, {1, "n", {}, {4}, {4}}}),
            "{\"metric\":{\"__name__\":\"m\"},\"samples\":[[1,1],[2,2],[3,3]]}\n"
            "{\"metric\":{\"__name__\":\"n\"},\"samples\":[[4,4]]}\n");
}

TEST(QueryJson, EmptyChunksLeaveNoStrayComma) {
  EXPECT_EQ(Written(OutputFormat::kJson, {{0, "m", {}, {}, {}},
                                          {0, "m", {}, {}, {}},
                                          {0, "m", {}, {3}, {3}},
                                          {0, "m", {}, {}, {}},
                                          {0, "m", {}, {4}, {4}}}),
            "{\"metric\":{\"__name__\":\"m\"},\"samples\":[[3,3],[4,4]]}\n");
}

TEST(QueryJson, NothingFoundIsNoLine) { EXPECT_EQ(Written(OutputFormat::kJson, {}), ""); }

TEST(QueryJson, GroupWithoutMetricHasOnlyItsLabels) {
  EXPECT_EQ(
      Written(OutputFormat::kJson, {{0, "", {{"host", "a"}}, {1}, {1}}, {1, "", {}, {1}, {2}}}),
      "{\"metric\":{\"host\":\"a\"},\"samples\":[[1,1]]}\n"
      "{\"metric\":{},\"samples\":[[1,2]]}\n");
}

TEST(QueryJson, ValuesThatJsonLacksAreStrings) {
  EXPECT_EQ(Written(OutputFormat::kJson,
                    {{0, "m", {}, {1, 2, 3, 4}, {std::nan(""), kInf, -kInf, 1e300}}}),
            "{\"metric\":{\"__name__\":\"m\"},"
            "\"samples\":[[1,\"NaN\"],[2,\"+Inf\"],[3,\"-Inf\"],[4,1e+300]]}\n");
}

TEST(QueryJson, TextIsEscaped) {
  EXPECT_EQ(JsonString("a\"b\\c\n\x01\t\xC3\xA9"), "\"a\\\"b\\\\c\\u000a\\u0001\\u0009\xC3\xA9\"");
}

TEST(QueryCsv, QuotesTheSeriesWhereItMust) {
  EXPECT_EQ(
      Written(OutputFormat::kCsv, {{0, "cpu", {{"host", "a,b"}}, {kTime, kTime + 1}, {1.5, kInf}},
                                   {1, "up", {}, {kTime}, {1}}}),
      "series,timestamp,value\n"
      "\"cpu{host=\"\"a,b\"\"}\",2024-05-01T12:30:00Z,1.5\n"
      "\"cpu{host=\"\"a,b\"\"}\",2024-05-01T12:30:00.000000001Z,+Inf\n"
      "up,2024-05-01T12:30:00Z,1\n");
}

TEST(QueryTable, HasAHeadingAndALineForEachSample) {
  EXPECT_EQ(Written(OutputFormat::kTable, {{0, "up", {{"host", "a"}}, {kTime}, {-1.25}}}),
            "timestamp                                        value  series\n"
            "2024-05-01T12:30:00Z                             -1.25  up{host=\"a\"}\n");
}

TEST(SeriesName, NamesMetricLabelsGroupsAndAll) {
  EXPECT_EQ(SeriesName(Chunk{0, "m", {{"a", "x\"y"}}, {}, {}}.View()), "m{a=\"x\\\"y\"}");
  EXPECT_EQ(SeriesName(Chunk{0, "m", {}, {}, {}}.View()), "m");
  EXPECT_EQ(SeriesName(Chunk{0, "", {{"a", "b"}, {"c", "d"}}, {}, {}}.View()), "{a=\"b\",c=\"d\"}");
  EXPECT_EQ(SeriesName(Chunk{}.View()), "all");
}

}  // namespace
}  // namespace nexus::server
