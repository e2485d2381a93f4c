// Table and JSON. See cardinality_output.h.

#include "server/cardinality_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "server/query_output.h"
#include "server/terminal.h"

namespace nexus::server {
namespace {

using Entries = std::vector<CardinalityEntry>;

std::string NameOf(const CardinalityEntry& entry) {
  return entry.value.empty() ? entry.name : fmt::format("{}={}", entry.name, entry.value);
}

void AddTable(std::string_view title, const Entries& entries, std::string* out) {
  if (entries.empty()) return;
  // Long ones go beyond their column rather than push everything out of sight.
  constexpr size_t kWidthMax = 60;
  size_t width = title.size();
  for (const CardinalityEntry& entry : entries) width = std::max(width, NameOf(entry).size());
  width = std::min(width, kWidthMax);
  *out += fmt::format("\n{:<{}}  {:>12}  {:>12}\n", title, width, "SERIES", "NEW");
  for (const CardinalityEntry& entry : entries) {
    *out += fmt::format("{:<{}}  {:>12}  {:>12}\n", NameOf(entry), width, FormatCount(entry.series),
                        FormatCount(entry.grown));
  }
}

void AddJson(std::string_view name, std::string_view what, const Entries& entries,
             std::string* out) {
  *out += fmt::format(",\"{}\":[", name);
  for (size_t i = 0; i < entries.size(); i++) {
    const CardinalityEntry& entry = entries[i];
    *out += fmt::format("{}{{\"{}\":{}", i == 0 ? "" : ",", what, JsonString(entry.name));
    if (!entry.value.empty()) *out += fmt::format(",\"value\":{}", JsonString(entry.value));
    *out += fmt::format(",\"series\":{},\"new\":{}}}", entry.series, entry.grown);
  }
  *out += ']';
}

}  // namespace

std::string CardinalityTable(const std::string& tenant, const CardinalityReport& report) {
  std::string out = fmt::format(
      "tenant {}: {} series, {} of them new since opening, of {} metrics, {} labels and {} "
      "label=value\n",
      tenant, FormatCount(report.series), FormatCount(report.grown), FormatCount(report.metrics),
      FormatCount(report.labels), FormatCount(report.pairs));
  AddTable("METRICS BY SERIES", report.top_metrics, &out);
  AddTable("LABELS BY SERIES", report.top_labels, &out);
  AddTable("LABEL=VALUE BY SERIES", report.top_pairs, &out);
  AddTable("METRICS BY GROWTH", report.growing_metrics, &out);
  AddTable("LABELS BY GROWTH", report.growing_labels, &out);
  AddTable("LABEL=VALUE BY GROWTH", report.growing_pairs, &out);
  return out;
}

std::string CardinalityJson(const std::string& tenant, const CardinalityReport& report) {
  std::string out = fmt::format(
      "{{\"tenant\":{},\"series\":{},\"new\":{},\"metrics\":{},\"labels\":{},\"pairs\":{}",
      JsonString(tenant), report.series, report.grown, report.metrics, report.labels, report.pairs);
  AddJson("top_metrics", "metric", report.top_metrics, &out);
  AddJson("top_labels", "label", report.top_labels, &out);
  AddJson("top_pairs", "label", report.top_pairs, &out);
  AddJson("growing_metrics", "metric", report.growing_metrics, &out);
  AddJson("growing_labels", "label", report.growing_labels, &out);
  AddJson("growing_pairs", "label", report.growing_pairs, &out);
  return out + "}\n";
}

}  // namespace nexus::server
