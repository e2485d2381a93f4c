// The work that `make profile` looks at: durable ingest, or the four questions of the comparison,
// for some seconds, with the embedded engine. Prints the rate and what it took from the heap.
//
//   profiled_work ingest|query --dir DIR [--seconds N] [--hosts N]

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/profile/counted_malloc.h"
#include "bench/telemetry_gen.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr size_t kBatchSamples = 1000;
constexpr int kTapeTicks = 200;
// Of the database that is asked: an hour and a half.
constexpr int kAskedTicks = 540;
constexpr int64_t kHourNs = 3'600'000'000'000;

struct Settings {
  std::string directory;
  double seconds = 10;
  size_t hosts = 1000;
};

// The engine and its series, and rows made beforehand that are written over and over, later each
// time.
class Subject {
 public:
  explicit Subject(const Settings& settings) : data_(DataSet::kCpu, settings.hosts) {
    std::filesystem::remove_all(settings.directory);
    Options options;
    options.directory = settings.directory;
    auto db = Database::Open(options);
    if (!db.ok()) fmt::print(stderr, "profiled_work: {}\n", db.status().ToString());
    NEXUS_CHECK(db.ok());
    db_ = *std::move(db);
    std::vector<Labels> labels;
    for (size_t s = 0; s < data_.series(); s++) labels.push_back(data_.LabelsOf(s));
    auto ids = db_->Series(labels);
    NEXUS_CHECK(ids.ok());
    ids_ = *std::move(ids);
    for (int tick = 0; tick < kTapeTicks; tick++) {
      rows_.emplace_back(data_.values().begin(), data_.values().end());
      data_.NextTick();
    }
  }
  ~Subject() { NEXUS_CHECK(db_->Close().ok()); }

  Database* db() { return db_.get(); }
  int64_t now_ns() const { return now_ns_; }

  // Samples of one tick of all series.
  uint64_t AppendTick() {
    const std::vector<double>& row = rows_[static_cast<size_t>(ticks_++ % kTapeTicks)];
    for (size_t first = 0; first < ids_.size(); first += kBatchSamples) {
      const size_t count = std::min(kBatchSamples, ids_.size() - first);
      WriteBatch batch;
      batch.AddRow(now_ns_, std::span(ids_).subspan(first, count),
                   std::span(row).subspan(first, count));
      db_->AppendAsync(std::move(batch), {},
                       [](StatusOr<AppendOutcome> outcome) { NEXUS_CHECK(outcome.ok()); });
    }
    now_ns_ += kTickMs * 1'000'000;
    // What is on its way is bounded, or the last of it would wait beyond its deadline.
    if (ticks_ % kTapeTicks == 0) NEXUS_CHECK(db_->Sync().ok());
    return ids_.size();
  }

 private:
  TelemetryGenerator data_;
  std::unique_ptr<Database> db_;
  std::vector<SeriesId> ids_;
  std::vector<std::vector<double>> rows_;
  int64_t now_ns_ = kFirstTickMs * 1'000'000;
  int64_t ticks_ = 0;
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

uint64_t Drain(StatusOr<std::unique_ptr<Cursor>> cursor) {
  NEXUS_CHECK(cursor.ok());
  SeriesChunk chunk;
  uint64_t samples = 0;
  while (true) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    NEXUS_CHECK(more.ok());
    if (!*more) return samples;
    samples += chunk.timestamps.size();
  }
}

// One of each question.
uint64_t Ask(Subject* subject, size_t host) {
  SelectQuery one;
  one.selector = fmt::format("usage_user{{hostname=\"host_{}\"}}", host);
  Drain(subject->db()->Latest(one));
  one.range = {subject->now_ns() - kHourNs, subject->now_ns()};
  Drain(subject->db()->Select(one));
  AggregateQuery some;
  some.select.selector = fmt::format("usage_user{{hostname=~\"host_[0-7]\"}}");
  some.select.range = {0, subject->now_ns()};
  some.function = AggregateFunction::kMax;
  some.step_ns = 60'000'000'000;
  Drain(subject->db()->Aggregate(some));
  AggregateQuery all;
  all.select.selector = "usage_user";
  all.select.range = one.range;
  all.function = AggregateFunction::kAvg;
  all.grouped = true;
  all.by = {"hostname"};
  Drain(subject->db()->Aggregate(all));
  return 4;
}

void Run(const std::string& work, const Settings& settings) {
  Subject subject(settings);
  if (work == "ingest") {
    Measure(settings, "sample", [&] { return subject.AppendTick(); });
  } else {
    for (int tick = 0; tick < kAskedTicks; tick++) subject.AppendTick();
    NEXUS_CHECK(subject.db()->Sync().ok() && subject.db()->Flush().ok());
    size_t host = 0;
    Measure(settings, "answer", [&] { return Ask(&subject, host++ % settings.hosts); });
  }
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
  std::filesystem::remove_all(settings.directory);
  return 0;
}
