// Fuzzes `nexus import --format csv`: every line of a file is in one record, and what is stored,
// written as CSV in its plainest form and imported again, is the same.
//
// The first byte is how many keys of series the importer holds, the rest is the file.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/time_text.h"
#include "fuzz/server/import_world.h"
#include "server/csv_reader.h"
#include "server/line_protocol.h"

namespace nexus::server {
namespace {

constexpr std::string_view kName = "plant";

Imported Import(std::string_view file, size_t keys) {
  return ImportBytes(file, keys, [](Importer* importer) {
    return MakeCsvImport({"file", {}, 7}, std::string(kName), importer);
  });
}

// Records are the lines in their order, none lost, none twice, however they are joined.
void FuzzRecords(std::string_view file) {
  std::string joined;
  uint64_t lines = 0;
  CsvRecords records([&](std::string_view record, uint64_t line) {
    NEXUS_CHECK(line == lines + 1);
    lines += 1 + static_cast<uint64_t>(std::count(record.begin(), record.end(), '\n'));
    joined.append(record).append(1, '\n');
    return OkStatus();
  });
  std::string text(file);
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  LineSplitter splitter;
  uint64_t number = 0;
  while (auto line = splitter.Next(text)) NEXUS_CHECK(records.Line(*line, ++number).ok());
  NEXUS_CHECK(records.End().ok());
  NEXUS_CHECK(joined == text);
}

std::string Quoted(std::string_view cell) {
  std::string quoted = "\"";
  for (char c : cell) quoted.append(c == '"' ? "\"\"" : std::string(1, c));
  return quoted + "\"";
}

std::string ColumnOf(std::string_view canonical) {
  const std::string_view metric = canonical.substr(0, canonical.find('\xFF'));
  return std::string(metric == kName ? "value" : metric.substr(kName.size() + 1));
}

std::string Write(const std::vector<ImportedSample>& samples) {
  std::map<std::string, size_t> columns;
  for (const ImportedSample& sample : samples) columns.emplace(ColumnOf(sample.series), 0);
  std::string file = "timestamp";
  size_t place = 0;
  for (auto& [name, at] : columns) {
    at = ++place;
    file += "," + Quoted(name);
  }
  for (const ImportedSample& sample : samples) {
    const size_t at = columns.at(ColumnOf(sample.series));
    file += fmt::format("\n{}{}{}{}", FormatTime(sample.timestamp_ns), std::string(at, ','),
                        std::bit_cast<double>(sample.bits), std::string(place - at, ','));
  }
  return file;
}

void Fuzz(uint8_t keys, std::string_view file) {
  FuzzRecords(file);
  const Imported imported = Import(file, 1 + keys);
  NEXUS_CHECK(imported.status.ok() || absl::IsInvalidArgument(imported.status));
  if (imported.samples.empty()) return;
  const Imported again = Import(Write(imported.samples), 1000);
  NEXUS_CHECK(again.status.ok());
  NEXUS_CHECK(again.rejected == 0);
  NEXUS_CHECK(again.samples == imported.samples);
}

}  // namespace
}  // namespace nexus::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  nexus::server::Fuzz(data[0], std::string_view(reinterpret_cast<const char*>(data + 1), size - 1));
  return 0;
}
