// What rollups take and what they give: a month of samples every 10 s, asked for with a step of an
// hour.
//
//   rollup_bench DIR [--series N] [--days N]
//
// Fills DIR, compacts, asks avg and rate of every series; then sets rollups of 1 min and 1 h,
// compacts again and asks the same. Prints layer bytes, and the median of the queries' times.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/embedded.h"
#include "bench/readings.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kStepNs = 10 * kSecond;
constexpr int64_t kDay = 86'400 * kSecond;
constexpr int kRounds = 7;
constexpr int64_t kRowsOfBatch = 512;

struct Arguments {
  std::string directory;
  uint64_t series = 100;
  int64_t days = 30;
};

// A gauge with one decimal for each series, a random walk.
void Fill(Database* db, const Arguments& arguments) {
  const std::vector<SeriesId> ids = NumberedSeries(db, "bench", arguments.series);
  uint64_t state = 1;
  std::vector<int64_t> tenths(ids.size(), 500);
  std::vector<double> values(ids.size());
  int64_t at = 0;
  while (at < arguments.days * kDay) {
    WriteBatch batch;
    for (int64_t row = 0; row < kRowsOfBatch; row++, at += kStepNs) {
      for (size_t i = 0; i < ids.size(); i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        tenths[i] += static_cast<int64_t>(state >> 62) - 1;
        values[i] = static_cast<double>(tenths[i]) / 10;
      }
      batch.AddRow(at, ids, values);
    }
    const StatusOr<AppendOutcome> outcome = db->Append(std::move(batch));
    NEXUS_CHECK(outcome.ok());
  }
  NEXUS_CHECK(db->Flush().ok());
}

void Ask(Database* db, const Arguments& arguments, AggregateFunction function, const char* name) {
  std::vector<double> taken_ms;
  uint64_t buckets = 0;
  for (int round = 0; round < kRounds; round++) {
    AggregateQuery query;
    query.select.selector = "bench";
    query.select.range = {0, arguments.days * kDay - 1};
    query.function = function;
    query.step_ns = 3'600 * kSecond;
    const int64_t begun = io::RealMonotonicNanos();
    auto cursor = db->Aggregate(query);
    NEXUS_CHECK(cursor.ok());
    SeriesChunk chunk;
    while (*(*cursor)->Next(&chunk)) continue;
    taken_ms.push_back(MillisSince(begun));
    buckets = (*cursor)->statistics().rollup_buckets;
  }
  std::sort(taken_ms.begin(), taken_ms.end());
  fmt::print("  {:<6} {:>10.2f} ms, {} buckets of rollups\n", name, taken_ms[kRounds / 2], buckets);
}

void Measure(Database* db, const Arguments& arguments, const char* what) {
  const int64_t begun = io::RealMonotonicNanos();
  NEXUS_CHECK(db->Compact().ok());
  const double seconds = MillisSince(begun) / 1e3;
  const StatusOr<Stats> stats = db->GetStats();
  NEXUS_CHECK(stats.ok());
  fmt::print(
      "{}: {} samples in {} B of layers, {} B of rollups in {} layers; compacted in {:.1f} s\n",
      what, stats->samples, stats->layer_bytes - stats->rollup_bytes, stats->rollup_bytes,
      stats->rollup_layers, seconds);
  Ask(db, arguments, AggregateFunction::kAvg, "avg");
  Ask(db, arguments, AggregateFunction::kMax, "max");
  Ask(db, arguments, AggregateFunction::kRate, "rate");
}

void Run(const Arguments& arguments) {
  PrintMachineAndBuild();
  fmt::print("command   rollup_bench DIR --series {} --days {}\n", arguments.series,
             arguments.days);
  auto db = OpenAt(arguments.directory);
  Fill(db.get(), arguments);
  Measure(db.get(), arguments, "samples");
  NEXUS_CHECK(db->SetRollups({{3'600 * kSecond, 0}}).ok());
  Measure(db.get(), arguments, "hours");
  NEXUS_CHECK(db->SetRollups({{60 * kSecond, 0}, {3'600 * kSecond, 0}}).ok());
  Measure(db.get(), arguments, "minutes and hours");
  NEXUS_CHECK(db->Close().ok());
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures a month asked for by the hour, by samples and by rollups.");
  nexus::bench::Arguments arguments;
  app.add_option("DIR", arguments.directory, "scratch folder, without a database")->required();
  app.add_option("--series", arguments.series, "of one metric")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--days", arguments.days, "of samples every 10 s")
      ->capture_default_str()
      ->check(CLI::Range(1, 3'650));
  CLI11_PARSE(app, argc, argv);
  nexus::bench::Run(arguments);
  return 0;
}
