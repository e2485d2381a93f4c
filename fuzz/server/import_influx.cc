// Fuzzes `nexus import --format influx`: what is stored of a file is what its lines say, read one
// by one with nothing remembered from one to the next.
//
// The first byte: two bits for the unit of timestamps, one for labels of the command line, the rest
// how many keys of series the importer holds. The rest is the file.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "fuzz/server/import_world.h"
#include "server/line_protocol.h"

namespace nexus::server {
namespace {

constexpr int64_t kNow = 1'714'566'600'000'000'000;
int64_t Now() { return kNow; }

// One line; nothing if it is to be rejected.
std::optional<std::vector<ImportedSample>> SamplesOf(std::string_view line, TimestampUnit unit,
                                                     const std::vector<Label>& more) {
  ParsedLine parsed;
  if (!ParseLine(line, &parsed).ok()) return std::nullopt;
  int64_t timestamp_ns = kNow;
  if (parsed.timestamp.has_value() &&
      __builtin_mul_overflow(*parsed.timestamp, unit.nanos, &timestamp_ns)) {
    return std::nullopt;
  }
  std::vector<Label> labels = parsed.tags;
  labels.insert(labels.end(), more.begin(), more.end());
  std::vector<ImportedSample> samples;
  for (const LineField& field : parsed.fields) {
    StatusOr<Labels> series = Labels::Make(MetricOf(parsed.measurement, field.name), labels);
    if (!series.ok()) return std::nullopt;
    samples.push_back({series->Canonical(), timestamp_ns, BitsOf(field.value)});
  }
  return samples;
}

Imported Expected(std::string_view file, TimestampUnit unit, const std::vector<Label>& labels) {
  Imported expected;
  while (!file.empty()) {
    const size_t end = std::min(file.find('\n'), file.size());
    auto samples = SamplesOf(file.substr(0, end), unit, labels);
    file.remove_prefix(std::min(end + 1, file.size()));
    if (samples.has_value()) {
      expected.samples.insert(expected.samples.end(), samples->begin(), samples->end());
    } else {
      expected.rejected++;
    }
  }
  return expected;
}

void Fuzz(uint8_t how, std::string_view file) {
  const TimestampUnit unit = UnitOf(std::vector<std::string_view>{"ns", "us", "ms", "s"}[how & 3]);
  std::vector<Label> labels;
  if ((how & 4) != 0) labels.push_back({"site", "north"});
  const Imported imported = ImportBytes(file, 1 + (how >> 3), [&](Importer* importer) {
    return MakeInfluxImport({"file", labels, 7}, unit, &Now, importer);
  });
  const Imported expected = Expected(file, unit, labels);
  NEXUS_CHECK(imported.status.ok());
  NEXUS_CHECK(imported.samples == expected.samples);
  NEXUS_CHECK(imported.rejected == expected.rejected);
}

}  // namespace
}  // namespace nexus::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  nexus::server::Fuzz(data[0], std::string_view(reinterpret_cast<const char*>(data + 1), size - 1));
  return 0;
}
