// Rows and objects. See query_output.h.

#include "server/query_output.h"

#include <fmt/format.h>

#include <cmath>

#include "base/time_text.h"
#include "server/terminal.h"

namespace nexus::server {
namespace {

std::string CsvCell(std::string_view text) {
  if (text.find_first_of(",\"\n\r") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string FormatValue(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string SeriesName(const SeriesChunk& chunk) {
  std::string out(chunk.metric);
  char separator = '{';
  for (const Label& label : *chunk.labels) {
    out += separator;
    out += label.name + "=" + JsonString(label.value);
    separator = ',';
  }
  if (separator == ',') return out + '}';
  return out.empty() ? "all" : out;
}

bool QueryWriter::Write(const SeriesChunk& chunk) {
  return format_ == OutputFormat::kJson ? WriteJson(chunk) : WriteRows(chunk);
}

bool QueryWriter::WriteRows(const SeriesChunk& chunk) {
  const bool csv = format_ == OutputFormat::kCsv;
  std::string out;
  if (!started_)
    out = csv ? "series,timestamp,value\n"
              : fmt::format("{:<31} {:>22}  series\n", "timestamp", "value");
  started_ = true;
  std::string series = csv ? CsvCell(SeriesName(chunk)) : SeriesName(chunk);
  for (size_t i = 0; i < chunk.timestamps.size(); i++) {
    std::string timestamp = FormatTime(chunk.timestamps[i]);
    std::string value = FormatValue(chunk.values[i]);
    out += csv ? fmt::format("{},{},{}\n", series, timestamp, value)
               : fmt::format("{:<31} {:>22}  {}\n", timestamp, value, series);
  }
  return WriteOutput(out);
}

bool QueryWriter::WriteJson(const SeriesChunk& chunk) {
  std::string out;
  const bool same_series = started_ && chunk.series_index == series_index_;
  if (!same_series) {
    if (started_) out += "]}\n";
    out += "{\"metric\":{";
    if (!chunk.metric.empty()) out += "\"__name__\":" + JsonString(chunk.metric);
    for (const Label& label : *chunk.labels) {
      if (out.back() != '{') out += ',';
      out += JsonString(label.name) + ":" + JsonString(label.value);
    }
    out += "},\"samples\":[";
  }
  started_ = true;
  bool first_of_series = !same_series || series_is_empty_;
  series_index_ = chunk.series_index;
  series_is_empty_ = first_of_series && chunk.timestamps.empty();
  for (size_t i = 0; i < chunk.timestamps.size(); i++) {
    double value = chunk.values[i];
    std::string text = FormatValue(value);
    if (!std::isfinite(value)) text = JsonString(text);
    if (i > 0 || !first_of_series) out += ',';
    out += fmt::format("[{},{}]", chunk.timestamps[i], text);
  }
  return WriteOutput(out);
}

bool QueryWriter::Finish() {
  if (format_ == OutputFormat::kJson && started_) return WriteOutput("]}\n");
  return true;
}

std::string DurationText(int64_t duration_ns) {
  struct Unit {
    const char* name;
    int64_t ns;
  };
  constexpr int64_t kSecond = 1'000'000'000;
  constexpr Unit kUnits[] = {{"d", 86'400 * kSecond},
                             {"h", 3'600 * kSecond},
                             {"m", 60 * kSecond},
                             {"s", kSecond},
                             {"ms", kSecond / 1'000}};
  for (const Unit& unit : kUnits) {
    if (duration_ns % unit.ns == 0) return fmt::format("{}{}", duration_ns / unit.ns, unit.name);
  }
  return fmt::format("{}ns", duration_ns);
}

}  // namespace nexus::server
