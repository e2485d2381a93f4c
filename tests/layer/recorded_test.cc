// Real telemetry through layers: the Numenta Anomaly Benchmark's recorded series
// (../shared/data/nab beside the project, or where NEXUS_SHARED points) come back bit for bit.
// Where that folder is absent the test says so and uses the generator's data.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "bench/telemetry_gen.h"
#include "tests/layer/layer_fixture.h"

namespace nexus::layer {
namespace {

using testing::Build;
using testing::Built;
using testing::CanonicalOf;
using testing::ExpectSame;
using testing::LayerData;
using testing::Open;
using testing::ReadAll;
using testing::SeriesData;

std::filesystem::path DataFolder() {
  if (const char* named = std::getenv("NEXUS_SHARED")) {
    return std::filesystem::path(named) / "data/nab/data";
  }
  return "../shared/data/nab/data";
}

// "YYYY-MM-DD HH:MM:SS,value" lines. Some recordings repeat a timestamp: the later line wins.
SeriesData ReadCsv(const std::filesystem::path& path, uint64_t id) {
  std::map<int64_t, double> samples;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::tm time = {};
    std::istringstream text(line);
    text >> std::get_time(&time, "%Y-%m-%d %H:%M:%S");
    const size_t comma = line.find(',');
    if (text.fail() || comma == std::string::npos) continue;
    samples[timegm(&time) * 1'000'000'000] = std::strtod(line.c_str() + comma + 1, nullptr);
  }
  SeriesData series;
  series.id = id;
  for (const auto& [ts, value] : samples) {
    series.ts.push_back(ts);
    series.values.push_back(value);
  }
  return series;
}

LayerData Recorded() {
  LayerData data;
  if (!std::filesystem::exists(DataFolder())) return data;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(DataFolder())) {
    if (entry.path().extension() == ".csv") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    data[CanonicalOf("nab", path.stem())] = ReadCsv(path, data.size() + 1);
  }
  return data;
}

LayerData Generated() {
  LayerData data;
  std::vector<SeriesData> series;
  bench::TelemetryGenerator generator(bench::DataSet::kMixed, 5);
  series.resize(generator.series());
  for (int tick = 0; tick < 3000; ++tick, generator.NextTick()) {
    for (size_t i = 0; i < series.size(); ++i) {
      if (!generator.present(i)) continue;
      const int64_t ms = generator.timestamp_ms(i / bench::kMetricsPerHost);
      series[i].ts.push_back(ms * 1'000'000);
      series[i].values.push_back(generator.value(i));
    }
  }
  for (size_t i = 0; i < series.size(); ++i) {
    series[i].id = i + 1;
    data[generator.LabelsOf(i).Canonical()] = series[i];
  }
  return data;
}

TEST(RecordedData, ComesBackBitForBitInChunksOfAnySize) {
  LayerData data = Recorded();
  if (data.empty()) {
    std::cout << "no recorded data at " << DataFolder() << ": using the generator's\n";
    data = Generated();
  }
  ASSERT_GE(data.size(), 50U);
  for (uint32_t chunk : {97U, 720U, 8192U}) {
    BuilderOptions options;
    options.chunk_samples_max = chunk;
    const Built built = Build(data, options);
    auto reader = Open(built.bytes);
    ASSERT_TRUE(reader.ok());
    auto got = ReadAll(*reader);
    ASSERT_TRUE(got.ok()) << got.status();
    ExpectSame(*got, data);
    const auto report = VerifyLayer(*reader);
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->ToStatus().ok()) << report->ToStatus();
    std::cout << chunk << " samples a chunk: " << built.summary.samples << " samples, "
              << static_cast<double>(built.bytes.size()) /
                     static_cast<double>(built.summary.samples)
              << " bytes each\n";
  }
}

}  // namespace
}  // namespace nexus::layer
