// How long it takes to open a database of many layers, and what they take of memory and
// descriptors.
//
//   open_bench DIR [--layers N] [--series N] [--samples N] [--rounds N]
//
// Fills DIR with N layers, each of SAMPLES samples of each of SERIES series, unless it has as many
// from an earlier run (compaction is off). Then opens and closes it ROUNDS times, and after the
// last opening reads all of it. Prints the time of opening, the memory of knowing the layers - as
// `stats` counts it and as the process grew - and the open files, before and after the read. Goal:
// 10,000 layers in at most 200 ms. Wall times of this machine at this moment.

#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/embedded.h"
#include "bench/readings.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr int64_t kStepNs = 10'000'000'000;

struct Arguments {
  std::string directory;
  uint64_t layers = 10'000;
  uint64_t series = 100;
  uint64_t samples = 10;  // of a series in a layer
  uint64_t rounds = 10;
};

// Bytes of anonymous memory; what the C library holds free is given back first.
uint64_t Memory() {
  malloc_trim(0);
  std::ifstream status("/proc/self/status");
  std::string word;
  uint64_t kib = 0;
  while (status >> word) {
    if (word == "RssAnon:" && status >> kib) return kib * 1024;
  }
  return 0;
}

void Fill(Database* db, const Arguments& arguments) {
  const std::vector<SeriesId> ids = NumberedSeries(db, "bench", arguments.series);
  std::vector<double> values(ids.size());
  uint64_t state = 1;
  for (uint64_t layer = db->GetStats()->layers; layer < arguments.layers; layer++) {
    for (uint64_t row = 0; row < arguments.samples; row++) {
      for (double& value : values) value = static_cast<double>(state++ % 1000) / 8;
      WriteBatch batch;
      batch.AddRow(static_cast<int64_t>(layer * arguments.samples + row) * kStepNs, ids, values);
      NEXUS_CHECK(db->Append(std::move(batch)).ok());
    }
    NEXUS_CHECK(db->Flush().ok());
    if (layer % 1000 == 999) fmt::print(stderr, "{} layers\n", layer + 1);
  }
  NEXUS_CHECK(db->Close().ok());
}

void PrintFigures(const char* when, const Stats& stats, uint64_t base_bytes) {
  const auto layers = static_cast<double>(stats.layers);
  fmt::print(
      "{:<9} {} layers, {} open files, {:.0f} bytes of metadata a layer; the process has {:.1f} "
      "MiB "
      "of anonymous memory, {:.0f} bytes a layer more than before\n",
      when, stats.layers, stats.layer_files_open,
      static_cast<double>(stats.layer_metadata_bytes) / layers,
      static_cast<double>(Memory()) / (1 << 20),
      (static_cast<double>(Memory()) - static_cast<double>(base_bytes)) / layers);
}

void Run(const Arguments& arguments) {
  PrintMachineAndBuild();
  fmt::print("command   open_bench DIR --layers {} --series {} --samples {} --rounds {}\n",
             arguments.layers, arguments.series, arguments.samples, arguments.rounds);
  Options options;
  options.compaction = false;
  options.reserve_bytes = 0;
  Fill(OpenAt(arguments.directory, options).get(), arguments);
  std::vector<double> taken_ms;
  std::unique_ptr<Database> db;
  uint64_t base_bytes = 0;
  for (uint64_t round = 0; round < arguments.rounds; round++) {
    db.reset();
    base_bytes = Memory();
    const int64_t begun = io::RealMonotonicNanos();
    db = OpenAt(arguments.directory, options);
    taken_ms.push_back(MillisSince(begun));
  }
  std::sort(taken_ms.begin(), taken_ms.end());
  fmt::print("opening   p50 {:.1f} ms, max {:.1f} ms ({} rounds)\n", taken_ms[taken_ms.size() / 2],
             taken_ms.back(), taken_ms.size());
  PrintFigures("opened", *db->GetStats(), base_bytes);
  SelectQuery query;
  query.selector = "bench";
  const int64_t begun = io::RealMonotonicNanos();
  Drain(db->Select(query));
  fmt::print("read      all samples in {:.0f} ms\n", MillisSince(begun));
  PrintFigures("read", *db->GetStats(), base_bytes);
  NEXUS_CHECK(db->Close().ok());
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures opening a database of many layers.");
  nexus::bench::Arguments arguments;
  app.add_option("DIR", arguments.directory, "scratch folder")->required();
  app.add_option("--layers", arguments.layers, "that the database has")->capture_default_str();
  app.add_option("--series", arguments.series, "of a layer")->capture_default_str();
  app.add_option("--samples", arguments.samples, "of a series in a layer")->capture_default_str();
  app.add_option("--rounds", arguments.rounds, "of opening")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  nexus::bench::Run(arguments);
  return 0;
}
