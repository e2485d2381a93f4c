// The work that `make profile` looks at, for some seconds: durable ingest, or four questions in
// turn, with the embedded engine. Prints the rate and what it took from the heap.
//
//   profiled_work ingest|query --dir DIR [--seconds N] [--hosts N]

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/embedded.h"
#include "bench/profile/counted_malloc.h"
#include "bench/telemetry_gen.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

// Rows that are written over and over, later each time.
constexpr int kTapeTicks = 200;
// Of the database that is asked: an hour and a half.
constexpr int kAskedTicks = 540;
constexpr int64_t kHourNs = 3'600'000'000'000;

struct Settings {
  std::string directory;
  double seconds = 10;
  size_t hosts = 1000;
};

// Works until the time is over; prints what a unit cost.
template <typename Work>
void Measure(const Settings& settings, const char* unit, Work&& work) {
  const Allocations before = AllocationsNow();
  const int64_t began = io::RealMonotonicNanos();
  double units = 0, seconds = 0;
  while (seconds < settings.seconds) {
    units += static_cast<double>(work());
    seconds = static_cast<double>(io::RealMonotonicNanos() - began) * 1e-9;
  }
  const Allocations after = AllocationsNow();
  fmt::print(
      "{:.0f} {}s in {:.1f} s: {:.3g} a second; {:.4g} allocations and {:.4g} bytes of heap each\n",
      units, unit, seconds, units / seconds,
      static_cast<double>(after.calls - before.calls) / units,
      static_cast<double>(after.bytes - before.bytes) / units);
}

// The latest sample and an hour of a series, the maximum of each minute of eight series, and the
// average of each host over an hour. Returns how many questions that were.
uint64_t Ask(Database* db, size_t host, TimeRange hour) {
  SelectQuery one;
  one.selector = fmt::format("usage_user{{hostname=\"host_{}\"}}", host);
  Drain(db->Latest(one));
  one.range = hour;
  Drain(db->Select(one));
  AggregateQuery some;
  some.select.selector = "usage_user{hostname=~\"host_[0-7]\"}";
  some.function = AggregateFunction::kMax;
  some.step_ns = kHourNs / 60;
  some.select.range = {0, hour.last};
  Drain(db->Aggregate(some));
  AggregateQuery all;
  all.select.selector = "usage_user";
  all.select.range = hour;
  all.function = AggregateFunction::kAvg;
  all.grouped = true;
  all.by = {"hostname"};
  Drain(db->Aggregate(all));
  return 4;
}

void Ingest(const Settings& settings, Database* db) {
  TelemetryGenerator data(DataSet::kCpu, settings.hosts);
  const std::vector<SeriesId> ids = SeriesOf(db, data);
  Tape tape = Record(&data, kTapeTicks);
  Measure(settings, "sample", [&] {
    const uint64_t samples = AppendTape(db, ids, tape, false);
    for (int64_t& timestamp : tape.timestamps) timestamp += kTapeTicks * kTickMs * 1'000'000;
    return samples;
  });
}

void Query(const Settings& settings, Database* db) {
  TelemetryGenerator data(DataSet::kCpu, settings.hosts);
  const std::vector<SeriesId> ids = SeriesOf(db, data);
  const Tape tape = Record(&data, kAskedTicks);
  AppendTape(db, ids, tape, false);
  NEXUS_CHECK(db->Flush().ok());
  const int64_t last = tape.timestamps.back();
  size_t host = 0;
  Measure(settings, "answer", [&] {
    return Ask(db, host++ % settings.hosts, {last - kHourNs, last});
  });
}

void Run(const std::string& work, const Settings& settings) {
  std::filesystem::remove_all(settings.directory);
  auto db = OpenAt(settings.directory);
  work == "ingest" ? Ingest(settings, db.get()) : Query(settings, db.get());
  NEXUS_CHECK(db->Close().ok());
  std::filesystem::remove_all(settings.directory);
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Works for some seconds, to be profiled: make profile.");
  nexus::bench::Settings settings;
  std::string work;
  app.add_option("work", work, "ingest or query")
      ->required()
      ->check(CLI::IsMember({"ingest", "query"}));
  app.add_option("--dir", settings.directory, "scratch folder, wiped before and after")->required();
  app.add_option("--seconds", settings.seconds, "how long")->capture_default_str();
  app.add_option("--hosts", settings.hosts, "hosts of ten series each")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  nexus::bench::Run(work, settings);
  return 0;
}
