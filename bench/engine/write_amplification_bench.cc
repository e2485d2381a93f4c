// How often each byte of a day is written to layers, by the figures of `stats`.
//
//   write_amplification_bench [--dir DIR] [--hosts N] [--flush-minutes M] [--hour-ms MS]
//
// Appends a day of samples at an interval of 10 s, those of the last 24 hours, so that windows end
// as they do for samples that have just been taken, and flushes as often as it is said. An hour
// takes MS milliseconds, and the two hours that a window waits for late samples twice as many.
// Then compacts what waits. Prints write amplification before and after that. Goal: at most 3.
// Days that take as long as days, and months, are simulated: tests/engine:compaction_life_test.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bench/embedded.h"
#include "bench/readings.h"
#include "bench/telemetry_gen.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr double kGoal = 3;
constexpr int kDayMinutes = 24 * 60;
constexpr int kTicksPerMinute = 6;
constexpr int64_t kTickNs = kTickMs * 1'000'000;

struct Arguments {
  std::string directory = "/tmp/nexus-amplification-bench";
  size_t hosts = 30;
  int flush_minutes = 60;
  int hour_ms = 500;
};

void PrintFigures(std::string_view when, const Stats& stats) {
  constexpr double kMib = 1 << 20;
  fmt::print(
      "{:<18} {} flushes of {:.2f} MiB, {} jobs wrote {:.2f} MiB, {} layers of {:.2f} MiB: write "
      "amplification {:.2f}, at most {:.0f}: {}\n",
      when, stats.flushes, static_cast<double>(stats.flushed_bytes) / kMib, stats.compactions,
      static_cast<double>(stats.compacted_bytes) / kMib, stats.layers,
      static_cast<double>(stats.layer_bytes) / kMib, stats.write_amplification, kGoal,
      stats.write_amplification <= kGoal ? "kept" : "NOT KEPT");
}

void WriteDay(Database* db, TelemetryGenerator* data, const Arguments& arguments) {
  const std::vector<SeriesId> ids = SeriesOf(db, *data);
  int64_t at_ns = io::RealWallNanos() - int64_t{kDayMinutes} * kTicksPerMinute * kTickNs;
  for (int minute = 0; minute < kDayMinutes; minute += arguments.flush_minutes) {
    const int64_t begun_ns = io::RealMonotonicNanos();
    for (int tick = 0; tick < arguments.flush_minutes * kTicksPerMinute; tick++) {
      WriteBatch batch;
      batch.AddRow(at_ns, ids, data->values());
      db->AppendAsync(std::move(batch), {},
                      [](const StatusOr<AppendOutcome>& outcome) { NEXUS_CHECK(outcome.ok()); });
      at_ns += kTickNs;
      data->NextTick();
    }
    NEXUS_CHECK(db->Flush().ok());
    const double pause_ms =
        arguments.hour_ms * arguments.flush_minutes / 60.0 - MillisSince(begun_ns);
    if (pause_ms > 0)
      std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(pause_ms));
  }
}

void Run(const Arguments& arguments) {
  std::filesystem::remove_all(arguments.directory);
  PrintMachineAndBuild();
  fmt::print(
      "command   write_amplification_bench --dir {} --hosts {} --flush-minutes {} --hour-ms {}\n",
      arguments.directory, arguments.hosts, arguments.flush_minutes, arguments.hour_ms);
  Options options;
  options.flush_interval_ms = 0;  // as often as it is said
  options.compaction_quiet_ms = 2 * arguments.hour_ms;
  std::unique_ptr<Database> db = OpenAt(arguments.directory, options);
  TelemetryGenerator data(DataSet::kCpu, arguments.hosts);
  WriteDay(db.get(), &data, arguments);
  PrintFigures("a day", *db->GetStats());
  NEXUS_CHECK(db->Compact().ok());
  PrintFigures("and its last hours", *db->GetStats());
  NEXUS_CHECK(db->Close().ok());
  std::filesystem::remove_all(arguments.directory);
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures how often each byte of a day is written.");
  nexus::bench::Arguments arguments;
  app.add_option("--dir", arguments.directory, "scratch folder, wiped before and after")
      ->capture_default_str();
  app.add_option("--hosts", arguments.hosts, "of ten series each")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  app.add_option("--flush-minutes", arguments.flush_minutes, "of samples in a flush")
      ->capture_default_str()
      ->check(CLI::Range(1, 60));
  app.add_option("--hour-ms", arguments.hour_ms, "what an hour takes")
      ->capture_default_str()
      ->check(CLI::Range(1, 3'600'000));
  CLI11_PARSE(app, argc, argv);
  nexus::bench::Run(arguments);
  return 0;
}
