// What compaction does to the time until an append is acknowledged.
//
//   compaction_ingest_bench [--dir DIR] [--seconds S] [--rate N] [--batch N] [--backlog N]
//       [--hosts N] [--cpu-percent P] [--by-hand]
//
// Fills a database with a backlog of small layers while compaction is paused. They come as from
// twelve backfills at once: each layer holds every twelfth tick of six hours, so that all chunks
// of twelve layers overlap. Then a writer sends requests, at a fixed pace whatever becomes of those
// before, each acknowledged when it is durable: S seconds while compaction stays paused, then S
// seconds while it works through the backlog. Prints the quantiles of both, their ratios, and what
// the compactor did meanwhile. Two times are taken of each request: from the call to its
// acknowledgement, and from when it was due, which has in it what the requests before and the
// scheduler made it wait. Goal: p99 of the second at most 5 ms while compacting.
//
// A compactor that has nothing to do disturbs nobody, so the bench fails if it rested during the
// second phase, ended no job in it, or has nothing to do when it ends. How much a backlog must hold
// for that depends on the machine: unless it is given, some layers are compacted first to learn it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
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

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr double kGoalMs = 5;
// Ticks in a layer of the backlog, and layers whose ticks alternate.
constexpr int64_t kLayerTicks = 180;
constexpr int64_t kOverlapping = 12;
constexpr int64_t kTickNs = kTickMs * 1'000'000;
// Between two looks at what the compactor does.
constexpr int64_t kLookNs = 10'000'000;
// From one job to the next the compactor deletes files, commits to the catalog and picks. Longer
// than this it rests.
constexpr double kRestMaxMs = 500;

struct Arguments {
  std::string directory = "/tmp/nexus-compaction-bench";
  int seconds = 8;
  int rate = 200;
  size_t batch = 1'000;
  size_t hosts = 100;
  uint64_t backlog = 0;  // as much as a first try says
  int cpu_percent = Options().compaction_cpu_percent;
  bool by_hand = false;
};

class Backlog {
 public:
  Backlog(Database* db, size_t hosts) : db_(db), data_(DataSet::kMixed, hosts) {
    ids_ = SeriesOf(db, data_);
  }

  const std::vector<SeriesId>& ids() const { return ids_; }

  // At least so many samples more. Returns how many.
  uint64_t Fill(uint64_t samples) {
    const uint64_t before = samples_;
    while (samples_ - before < samples) {
      for (int64_t i = 0; i < kOverlapping; i++) AddLayer(first_ns_ + i * kTickNs);
      first_ns_ += kLayerTicks * kOverlapping * kTickNs;
    }
    return samples_ - before;
  }
  // What comes from now on is in windows of its own, of every level.
  void Skip() { first_ns_ += 60 * 86'400 * kSecondNs; }

 private:
  // A sparse event that does not happen is written as it happened last, so that all rows are alike.
  void AddLayer(int64_t first_ns) {
    for (int64_t tick = 0; tick < kLayerTicks; tick++) {
      WriteBatch batch;
      batch.AddRow(first_ns + tick * kOverlapping * kTickNs, ids_, data_.values());
      samples_ += ids_.size();
      db_->AppendAsync(std::move(batch), {},
                       [](const StatusOr<AppendOutcome>& outcome) { NEXUS_CHECK(outcome.ok()); });
      data_.NextTick();
    }
    NEXUS_CHECK(db_->Flush().ok());
  }

  Database* const db_;
  TelemetryGenerator data_;
  std::vector<SeriesId> ids_;
  int64_t first_ns_ = kFirstTickMs * 1'000'000;
  uint64_t samples_ = 0;
};

// Looks at what the compactor does until it is destroyed.
class Watch {
 public:
  explicit Watch(Database* db) : db_(db), thread_([this] { Run(); }) {}
  ~Watch() {
    if (thread_.joinable()) End();
  }
  void End() {
    ended_ = true;
    thread_.join();
  }

  // After End.
  double working_percent() const {
    return 100 * static_cast<double>(working_) / static_cast<double>(std::max(looks_, 1));
  }
  double longest_rest_ms() const { return longest_rest_ms_; }
  // Since the watch began, when it was seen last before the longest rest.
  double rested_after_ms() const { return rested_after_ms_; }

 private:
  void Run() {
    const int64_t begun_ns = io::RealMonotonicNanos();
    int64_t seen_ns = begun_ns;
    uint64_t jobs = db_->GetStats()->compactions;
    while (!ended_) {
      const int64_t now_ns = io::RealMonotonicNanos();
      const Stats stats = *db_->GetStats();
      looks_++;
      if (stats.compaction_state.starts_with("running") || stats.compactions != jobs) {
        working_++;
        jobs = stats.compactions;
        seen_ns = io::RealMonotonicNanos();
      } else if (const auto rest_ms = static_cast<double>(now_ns - seen_ns) * 1e-6;
                 rest_ms > longest_rest_ms_) {
        longest_rest_ms_ = rest_ms;
        rested_after_ms_ = static_cast<double>(seen_ns - begun_ns) * 1e-6;
      }
      std::this_thread::sleep_for(std::chrono::nanoseconds(kLookNs));
    }
  }

  Database* const db_;
  int looks_ = 0;
  int working_ = 0;
  double longest_rest_ms_ = 0;
  double rested_after_ms_ = 0;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

struct Times {
  std::vector<double> acknowledged_ms;  // from the call
  std::vector<double> due_ms;           // from when it was due
};

// Requests at a fixed pace for `seconds`.
Times Send(Database* db, std::span<const SeriesId> ids, const Arguments& arguments, int seconds) {
  const auto count = static_cast<size_t>(seconds) * static_cast<size_t>(arguments.rate);
  const int64_t step_ns = kSecondNs / arguments.rate;
  std::vector<double> values(arguments.batch);
  Times times;
  times.acknowledged_ms.resize(count);
  times.due_ms.resize(count);
  std::atomic<size_t> acknowledged = 0;
  const int64_t begun_ns = io::RealMonotonicNanos() + step_ns;
  for (size_t i = 0; i < count; i++) {
    for (size_t s = 0; s < values.size(); s++) values[s] = static_cast<double>((i * s) % 1'000) / 8;
    WriteBatch batch;
    batch.AddRow(io::RealWallNanos(), ids, values);
    const int64_t due_ns = begun_ns + static_cast<int64_t>(i) * step_ns;
    const int64_t wait_ns = due_ns - io::RealMonotonicNanos();
    if (wait_ns > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(wait_ns));
    const int64_t called_ns = io::RealMonotonicNanos();
    db->AppendAsync(std::move(batch), {},
                    [&times, &acknowledged, i, due_ns, called_ns](const auto& outcome) {
                      NEXUS_CHECK(outcome.ok());
                      times.acknowledged_ms[i] = MillisSince(called_ns);
                      times.due_ms[i] = MillisSince(due_ns);
                      acknowledged.fetch_add(1, std::memory_order_release);
                    });
  }
  NEXUS_CHECK(db->Sync().ok());
  while (acknowledged.load(std::memory_order_acquire) < count) std::this_thread::yield();
  return times;
}

void PrintRow(std::string_view name, const Quantiles& of) {
  fmt::print("{:<34} {:9.3f} {:9.3f} {:9.3f} {:9.3f}\n", name, of.p50, of.p99, of.p999, of.max);
}

void PrintRatio(std::string_view name, const Quantiles& of, const Quantiles& to) {
  fmt::print("{:<34} {:8.2f}x {:8.2f}x {:8.2f}x {:8.2f}x\n", name, of.p50 / to.p50, of.p99 / to.p99,
             of.p999 / to.p999, of.max / to.max);
}

void PrintTable(const Times& paused, const Times& compacting) {
  const Quantiles paused_acknowledged = QuantilesOf(paused.acknowledged_ms);
  const Quantiles paused_due = QuantilesOf(paused.due_ms);
  const Quantiles acknowledged = QuantilesOf(compacting.acknowledged_ms);
  const Quantiles due = QuantilesOf(compacting.due_ms);
  fmt::print("\n{:<34} {:>9} {:>9} {:>9} {:>9}\n", "ms until acknowledged", "p50", "p99", "p99.9",
             "max");
  PrintRow("A  paused, from the call", paused_acknowledged);
  PrintRow("A  paused, from when due", paused_due);
  PrintRow("B  compacting, from the call", acknowledged);
  PrintRow("B  compacting, from when due", due);
  PrintRatio("B/A  from the call", acknowledged, paused_acknowledged);
  PrintRatio("B/A  from when due", due, paused_due);
  fmt::print("\ngoal      p99 while compacting, from when due: {:.3f} ms, at most {:.0f}: {}\n",
             due.p99, kGoalMs, due.p99 <= kGoalMs ? "kept" : "NOT KEPT");
}

// Of jobs that ended between the two. What jobs read is what left the layers.
void PrintWork(const Stats& before, const Stats& after, const Watch& watch) {
  constexpr double kMib = 1 << 20;
  const uint64_t written = after.compacted_bytes - before.compacted_bytes;
  const uint64_t flushed = after.flushed_bytes - before.flushed_bytes;
  const uint64_t read = before.layer_bytes + flushed + written - after.layer_bytes;
  fmt::print(
      "compactor {} jobs read {:.1f} MiB and wrote {:.1f} MiB; layers {} -> {}; {} flushes "
      "beside it; write amplification of the database so far {:.2f}\n"
      "          at work in {:.1f} % of the looks, between two jobs at most {:.0f} ms\n",
      after.compactions - before.compactions, static_cast<double>(read) / kMib,
      static_cast<double>(written) / kMib, before.layers, after.layers,
      after.flushes - before.flushes, after.write_amplification, watch.working_percent(),
      watch.longest_rest_ms());
}

// Until nothing was seen of the compactor for kRestMaxMs - before its first job for `first_ms` - or
// `longest_ms` passed. Returns how long it worked, in ms; 0 if it did nothing.
double WaitForRest(Database* db, double first_ms, double longest_ms) {
  const int64_t begun_ns = io::RealMonotonicNanos();
  uint64_t jobs = db->GetStats()->compactions;
  double worked_ms = 0;
  while (MillisSince(begun_ns) <
         std::min(longest_ms, worked_ms == 0 ? first_ms : worked_ms + kRestMaxMs)) {
    const Stats stats = *db->GetStats();
    if (stats.compaction_state.starts_with("running") || stats.compactions != jobs) {
      jobs = stats.compactions;
      worked_ms = MillisSince(begun_ns);
    }
    std::this_thread::sleep_for(std::chrono::nanoseconds(kLookNs));
  }
  return worked_ms;
}

// Samples that keep the compactor busy for the second phase, by how long it takes for a few layers;
// twice as many, since the machine may leave it more then, and what is less than half of what its
// window has already is let be. 0 if it did nothing.
uint64_t SamplesFor(Database* db, Backlog* backlog, const Arguments& arguments) {
  constexpr uint64_t kTrySamples = 10'000'000;
  constexpr double kFirstMaxMs = 5'000;
  constexpr double kTryMaxMs = 60'000;
  const uint64_t samples = backlog->Fill(kTrySamples);
  db->ResumeCompaction();
  const double worked_ms = WaitForRest(db, kFirstMaxMs, kTryMaxMs);
  db->PauseCompaction();
  backlog->Skip();
  fmt::print("first try {} samples compacted in {:.1f} s\n", samples, worked_ms * 1e-3);
  if (worked_ms == 0) return 0;
  return static_cast<uint64_t>(2e3 * arguments.seconds * static_cast<double>(samples) / worked_ms);
}

// Why the second phase says nothing, if so. `jobs` ended in it.
std::optional<std::string> Rested(Database* db, const Watch& watch, uint64_t jobs) {
  if (watch.longest_rest_ms() > kRestMaxMs) {
    return fmt::format("it rested for {:.0f} ms, {:.1f} s after it had begun",
                       watch.longest_rest_ms(), watch.rested_after_ms() * 1e-3);
  }
  if (jobs == 0) return "none of its jobs ended, so none was published";
  if (WaitForRest(db, kRestMaxMs, kRestMaxMs) == 0)
    return "it had nothing left to do when the phase ended";
  return std::nullopt;
}

// Compaction by hand again and again, until compaction is paused.
class ByHand {
 public:
  ByHand(Database* db, bool really) {
    if (!really) return;
    thread_ = std::thread([db] {
      while (db->Compact().ok()) {
      }
    });
  }
  // REQUIRES: compaction is paused.
  ~ByHand() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

void PrintPlan(const Arguments& arguments, const Options& options, const Stats& stats,
               uint64_t samples, double filled_ms) {
  fmt::print(
      "command   compaction_ingest_bench --dir {} --seconds {} --rate {} --batch {} --hosts {} "
      "--backlog {} --cpu-percent {}{}\n",
      arguments.directory, arguments.seconds, arguments.rate, arguments.batch, arguments.hosts,
      arguments.backlog, arguments.cpu_percent, arguments.by_hand ? " --by-hand" : "");
  fmt::print(
      "backlog   {} samples of {} series, made in {:.1f} s; {} layers of {:.1f} MiB in all\n",
      samples, stats.series, filled_ms * 1e-3, stats.layers,
      static_cast<double>(stats.layer_bytes) / (1 << 20));
  fmt::print("load      {} requests a second of {} samples, durable, for {} s a phase\n",
             arguments.rate, arguments.batch, arguments.seconds);
  if (arguments.by_hand) {
    fmt::print("pace      of compaction by hand: unbounded\n");
  } else {
    fmt::print("pace      of compaction: {} % of a worker, {} MiB/s\n",
               options.compaction_cpu_percent, options.compaction_bytes_per_second >> 20);
  }
  std::fflush(stdout);
}

bool Run(Arguments arguments) {
  std::filesystem::remove_all(arguments.directory);
  Options options;
  options.compaction_cpu_percent = arguments.cpu_percent;
  options.flush_interval_ms = 0;    // layers are made by Fill only
  options.compaction_quiet_ms = 1;  // they need not lie for two hours before they are compacted
  std::unique_ptr<Database> db = OpenAt(arguments.directory, options);
  db->PauseCompaction();
  Backlog backlog(db.get(), arguments.hosts);
  PrintMachineAndBuild();
  if (arguments.backlog == 0) arguments.backlog = SamplesFor(db.get(), &backlog, arguments);
  if (arguments.backlog == 0) {
    fmt::print(stderr, "FAILED: the compactor let be what was to be compacted; give --backlog\n");
    return false;
  }
  const int64_t begun_ns = io::RealMonotonicNanos();
  const uint64_t samples = backlog.Fill(arguments.backlog);
  PrintPlan(arguments, options, *db->GetStats(), samples, MillisSince(begun_ns));
  const std::span<const SeriesId> ids = std::span(backlog.ids()).first(arguments.batch);
  Send(db.get(), ids, arguments, 1);  // warms up
  Times paused;
  {
    const Watch watch(db.get());  // costs the same in both phases
    paused = Send(db.get(), ids, arguments, arguments.seconds);
  }
  const Stats before = *db->GetStats();
  db->ResumeCompaction();
  std::optional<std::string> lie;
  {
    const ByHand by_hand(db.get(), arguments.by_hand);
    Watch watch(db.get());
    const Times compacting = Send(db.get(), ids, arguments, arguments.seconds);
    watch.End();
    const Stats after = *db->GetStats();
    lie = Rested(db.get(), watch, after.compactions - before.compactions);
    db->PauseCompaction();
    PrintTable(paused, compacting);
    PrintWork(before, after, watch);
  }
  NEXUS_CHECK(db->Close().ok());
  std::filesystem::remove_all(arguments.directory);
  if (!lie.has_value()) return true;
  fmt::print(stderr,
             "FAILED: the compactor did not work all through phase B: {}. Its figures are not "
             "those of ingestion beside compaction. Give it more to do (--backlog), or less time "
             "(--seconds).\n",
             *lie);
  return false;
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures acknowledgements of appends beside compaction.");
  nexus::bench::Arguments arguments;
  app.add_option("--dir", arguments.directory, "scratch folder, wiped before and after")
      ->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "of each phase")
      ->capture_default_str()
      ->check(CLI::Range(1, 3'600));
  app.add_option("--rate", arguments.rate, "requests a second")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--batch", arguments.batch, "samples of a request, at most ten for each host")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--hosts", arguments.hosts, "of ten series each")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--backlog", arguments.backlog,
                 "samples that wait for compaction; 0: as many as a first try says")
      ->capture_default_str();
  app.add_option("--cpu-percent", arguments.cpu_percent, "of a worker, for compaction")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_flag("--by-hand", arguments.by_hand, "compaction by hand, which has no pace");
  CLI11_PARSE(app, argc, argv);
  arguments.batch = std::min(arguments.batch, arguments.hosts * nexus::bench::kMetricsPerHost);
  return nexus::bench::Run(arguments) ? 0 : 1;
}
