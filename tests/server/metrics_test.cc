// The page of GET /metrics: what Prometheus demands of its form, and the names that scripts rely
// on.

#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace nexus::server {
namespace {

using testing::ElementsAre;

std::vector<std::string> LinesOf(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The value of the one sample that is written just so; "" if there is none.
std::string ValueOf(const std::string& page, const std::string& sample) {
  for (const std::string& line : LinesOf(page)) {
    if (line.starts_with(sample + " ")) return line.substr(sample.size() + 1);
  }
  return "";
}

TEST(Metrics, EverySampleBelongsToAFamilyWithHelpAndType) {
  Metrics metrics;
  metrics.CountRequest("query", 1'000'000);
  metrics.CountParseError("line");
  std::set<std::string> families;
  std::string helped;
  for (const std::string& line : LinesOf(RenderMetrics(metrics, Stats{}, {}))) {
    if (line.starts_with("# HELP ")) {
      helped = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(helped).second) << helped << " stands twice";
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(line.substr(7, line.find(' ', 7) - 7), helped);
    } else {
      EXPECT_TRUE(line.starts_with(helped)) << line << " stands under " << helped;
    }
  }
  for (const char* name :
       {"nexus_connections_active", "nexus_metrics_received_total",
        "nexus_request_duration_seconds", "nexus_parse_errors_total", "nexus_memory_usage_bytes",
        "nexus_cpu_usage_ratio", "nexus_wal_bytes", "nexus_wal_rounds_total", "nexus_flushes_total",
        "nexus_layers", "nexus_layer_files_open", "nexus_layer_bytes", "nexus_catalog_bytes",
        "nexus_series", "nexus_samples", "nexus_durable_lsn"}) {
    EXPECT_TRUE(families.contains(name)) << name;
  }
}

TEST(Metrics, FiguresComeOutExactly) {
  Metrics metrics;
  metrics.connections_active = 3;
  metrics.samples_received = 12345678901234567890u;
  Stats stats;
  stats.durable_lsn = Lsn{1ull << 60};
  stats.bytes_per_sample = 0.375;
  stats.memtable_bytes = 4096;
  stats.tombstones = 7;
  stats.samples_expired = 8;
  stats.write_state = "ok";
  ProcessFigures process;
  process.resident_bytes = 1 << 20;
  process.cpu_seconds = 5;
  process.uptime_seconds = 20;
  TenantInfo tenant;
  tenant.name = "acme";
  tenant.tombstones = 5;
  const std::string page = RenderMetrics(metrics, stats, process, {tenant});
  EXPECT_EQ(ValueOf(page, "nexus_tombstones"), "7");
  EXPECT_EQ(ValueOf(page, "nexus_tenant_tombstones{tenant=\"acme\"}"), "5");
  EXPECT_EQ(ValueOf(page, "nexus_samples_expired_total"), "8");
  EXPECT_EQ(ValueOf(page, "nexus_connections_active"), "3");
  EXPECT_EQ(ValueOf(page, "nexus_metrics_received_total"), "12345678901234567890");
  EXPECT_EQ(ValueOf(page, "nexus_durable_lsn"), "1152921504606846976");
  EXPECT_EQ(ValueOf(page, "nexus_bytes_per_sample"), "0.375");
  EXPECT_EQ(ValueOf(page, "nexus_memory_usage_bytes{type=\"memtable\"}"), "4096");
  EXPECT_EQ(ValueOf(page, "nexus_memory_usage_bytes{type=\"resident\"}"), "1048576");
  EXPECT_EQ(ValueOf(page, "nexus_cpu_usage_ratio"), "0.25");
  EXPECT_EQ(ValueOf(page, "nexus_writable"), "1");
}

TEST(Metrics, NoCpuRatioBeforeTimeHasPassed) {
  ProcessFigures process;
  process.cpu_seconds = 1;
  EXPECT_EQ(ValueOf(RenderMetrics({}, Stats{}, process), "nexus_cpu_usage_ratio"), "0");
}

TEST(Metrics, RefusedWritesShow) {
  Stats stats;
  stats.write_state = "no space on the device";
  EXPECT_EQ(ValueOf(RenderMetrics({}, stats, {}), "nexus_writable"), "0");
}

TEST(Metrics, LabelValuesAreEscaped) {
  Metrics metrics;
  metrics.CountParseError("a \"b\"\\\nc");
  const std::string page = RenderMetrics(metrics, Stats{}, {});
  EXPECT_EQ(ValueOf(page, "nexus_parse_errors_total{reason=\"a \\\"b\\\"\\\\\\nc\"}"), "1");
}

TEST(Metrics, BucketsAreCumulativeAndClosedAbove) {
  Metrics metrics;
  metrics.CountRequest("query", 100'000);         // 0.1 ms: on a bound, counts below it
  metrics.CountRequest("query", 200'000);         // 0.2 ms
  metrics.CountRequest("query", 60'000'000'000);  // a minute
  const std::string page = RenderMetrics(metrics, Stats{}, {});
  const std::string name = "nexus_request_duration_seconds_";
  EXPECT_EQ(ValueOf(page, name + "bucket{request=\"query\",le=\"0.0001\"}"), "1");
  EXPECT_EQ(ValueOf(page, name + "bucket{request=\"query\",le=\"0.00025\"}"), "2");
  EXPECT_EQ(ValueOf(page, name + "bucket{request=\"query\",le=\"10\"}"), "2");
  EXPECT_EQ(ValueOf(page, name + "bucket{request=\"query\",le=\"+Inf\"}"), "3");
  EXPECT_EQ(ValueOf(page, name + "count{request=\"query\"}"), "3");
  EXPECT_THAT(ValueOf(page, name + "sum{request=\"query\"}"), testing::StartsWith("60.0003"));
}

TEST(Metrics, CountsAreKeptByReason) {
  Metrics metrics;
  metrics.CountParseError("line");
  metrics.CountParseError("line");
  metrics.CountParseError("label");
  EXPECT_THAT(metrics.parse_errors,
              ElementsAre(testing::Pair("label", 1u), testing::Pair("line", 2u)));
}

}  // namespace
}  // namespace nexus::server
