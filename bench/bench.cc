// `make bench`: the embedded engine measured, one table, with machine and build.
//
//   bazel run --config=release //bench:bench -- [--dir DIR] [--hosts N] [--ticks N]
//
// Data is the `cpu` set of telemetry_gen.h; every append is durable at its acknowledgement unless a
// row says otherwise. Times are wall times of this machine at this moment: compare rows of one run,
// not runs.

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/embedded.h"
#include "bench/readings.h"
#include "bench/telemetry_gen.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

struct Settings {
  std::string directory = "/tmp/nexus-bench";
  size_t hosts = 1000;
  int ticks = 4320;
};

double Seconds(int64_t from_ns) {
  return static_cast<double>(io::RealMonotonicNanos() - from_ns) * 1e-9;
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Resident memory of this process without pages of files, in MiB.
double AnonymousMiB() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("RssAnon:")) return std::stod(line.substr(8)) / 1024;
  }
  return 0;
}

void Row(std::string_view name, std::string_view value, std::string_view mark) {
  fmt::print("{:<52} {:>22}   {}\n", name, value, mark);
  std::fflush(stdout);
}

// One batch: the values of kBatchSamples consecutive series at the present tick.
WriteBatch BatchAt(const TelemetryGenerator& data, const std::vector<SeriesId>& ids, size_t first) {
  size_t count = std::min(kBatchSamples, ids.size() - first);
  WriteBatch batch;
  batch.AddRow(data.timestamp_ms(0) * 1'000'000, std::span(ids).subspan(first, count),
               data.values().subspan(first, count));
  return batch;
}

void MeasureAppends(Database* db, const std::vector<SeriesId>& ids, TelemetryGenerator* data,
                    const Settings& settings) {
  // In pieces that fit in memory; the first warms up.
  const int piece = std::max(1, std::min(settings.ticks / 8, 500));
  double best_rate = 0, total_seconds = 0, total_cpu = 0;
  uint64_t total = 0;
  for (int done = 0; done + piece <= settings.ticks; done += piece) {
    Tape tape = Record(data, piece);
    double cpu = CpuSeconds();
    int64_t started = io::RealMonotonicNanos();
    uint64_t samples = AppendTape(db, ids, tape, false);
    double seconds = Seconds(started);
    total_cpu += CpuSeconds() - cpu;
    total_seconds += seconds;
    total += samples;
    best_rate = std::max(best_rate, static_cast<double>(samples) / seconds);
  }
  Row("append async, durable, 1,000-sample batches",
      fmt::format("{:.1f} M samples/s", static_cast<double>(total) / total_seconds * 1e-6),
      fmt::format(">= 10; best piece {:.1f}; flushes included; {:.4f} cpu-s/M", best_rate * 1e-6,
                  total_cpu / static_cast<double>(total) * 1e6));
}

void MeasureSyncAppends(Database* db, const std::vector<SeriesId>& ids, TelemetryGenerator* data) {
  Tape tape = Record(data, 200);
  int64_t started = io::RealMonotonicNanos();
  uint64_t samples = AppendTape(db, ids, tape, true);
  Row("append sync, durable, 1,000-sample batches",
      fmt::format("{:.2f} M samples/s", static_cast<double>(samples) / Seconds(started) * 1e-6),
      ">= 2");
  std::vector<double> latencies;
  for (int i = 0; i < 2000; i++) {
    WriteBatch batch;
    batch.AddRow(tape.timestamps.back() + (i + 1) * 1'000'000'000LL, std::span(ids).first(10),
                 std::span(tape.values[0]).first(10));
    int64_t at = io::RealMonotonicNanos();
    NEXUS_CHECK(db->Append(std::move(batch)).ok());
    latencies.push_back(Seconds(at) * 1e3);
  }
  std::sort(latencies.begin(), latencies.end());
  Row("one durable batch of 10 samples, p50 / p99",
      fmt::format("{:.3f} / {:.3f} ms", latencies[latencies.size() / 2],
                  latencies[latencies.size() * 99 / 100]),
      "p99 <= 1 ms");
}

void MeasureSize(Database* db) {
  int64_t started = io::RealMonotonicNanos();
  NEXUS_CHECK(db->Flush().ok());
  double seconds = Seconds(started);
  StatusOr<Stats> stats = db->GetStats();
  NEXUS_CHECK(stats.ok());
  Row("bytes per sample, catalog included", fmt::format("{:.3f} B", stats->bytes_per_sample),
      fmt::format("<= 0.6; {} layers of {:.1f} MiB, catalog {:.1f} MiB; last flush {:.2f} s",
                  stats->layers, static_cast<double>(stats->layer_bytes) / (1 << 20),
                  static_cast<double>(stats->catalog_bytes) / (1 << 20), seconds));
}

void MeasureScan(Database* db) {
  for (int round = 0; round < 2; round++) {
    SelectQuery query;
    query.selector = "{__name__=~\"usage_.*\"}";
    int64_t started = io::RealMonotonicNanos();
    StatusOr<std::unique_ptr<Cursor>> cursor = db->Select(query);
    NEXUS_CHECK(cursor.ok());
    double sum = 0;
    uint64_t samples = 0;
    SeriesChunk chunk;
    while (*(*cursor)->Next(&chunk)) {
      samples += chunk.values.size();
      for (double value : chunk.values) sum += value;
    }
    double seconds = Seconds(started);
    if (round == 0) continue;  // the first reads from the disk
    Row("raw scan of all samples, one thread",
        fmt::format("{:.0f} M samples/s", static_cast<double>(samples) / seconds * 1e-6),
        fmt::format(">= 300; {} samples, sum {:.0f}", samples, sum));
  }
}

void MeasureQueries(Database* db, const TelemetryGenerator& data) {
  const int64_t last = data.timestamp_ms(0) * 1'000'000;
  const int64_t hour = 3'600'000'000'000;
  auto measure = [&](const char* name, int rounds, auto&& query) {
    std::vector<double> latencies;
    for (int i = 0; i < rounds; i++) {
      int64_t started = io::RealMonotonicNanos();
      query(i);
      latencies.push_back(Seconds(started) * 1e3);
    }
    std::sort(latencies.begin(), latencies.end());
    Row(name,
        fmt::format("{:.3f} / {:.3f} ms", latencies[latencies.size() / 2],
                    latencies[latencies.size() * 99 / 100]),
        "");
  };
  measure("1 series x 1 h raw, p50 / p99", 200, [&](int i) {
    SelectQuery query;
    query.selector = fmt::format("usage_user{{hostname=\"host_{}\"}}",
                                 static_cast<size_t>(i) * 7 % data.hosts());
    query.range = {last - hour, last};
    Drain(db->Select(query));
  });
  measure("8 series x 12 h, 1-min max, p50 / p99", 50, [&](int i) {
    AggregateQuery query;
    query.select.selector = fmt::format("usage_user{{hostname=~\"host_{}[0-7]\"}}", i % 90 + 1);
    query.select.range = {last - 12 * hour, last};
    query.function = AggregateFunction::kMax;
    query.step_ns = hour / 60;
    Drain(db->Aggregate(query));
  });
  measure("1000 hosts x 1 h avg by host, p50 / p99", 20, [&](int) {
    AggregateQuery query;
    query.select.selector = "usage_user";
    query.select.range = {last - hour, last};
    query.grouped = true;
    query.by = {"hostname"};
    Drain(db->Aggregate(query));
  });
}

// Fills a log of about 256 MiB in a child that is killed, then opens. The child has memory for all
// of it, so that no flush takes a part of the log away.
void MeasureRecovery(const Settings& settings) {
  const std::string directory = settings.directory + "/recovery";
  pid_t child = fork();
  NEXUS_CHECK(child >= 0);
  if (child == 0) {
    Options unflushed;
    unflushed.memtable_bytes = 1ull << 30;
    auto db = OpenAt(directory, unflushed);
    TelemetryGenerator data(DataSet::kCpu, settings.hosts);
    std::vector<SeriesId> ids = SeriesOf(db.get(), data);
    uint64_t bytes = 0;
    while (bytes < (256ull << 20)) {
      for (size_t first = 0; first < ids.size(); first += kBatchSamples) {
        WriteBatch batch = BatchAt(data, ids, first);
        bytes += batch.bytes();
        db->AppendAsync(std::move(batch), {}, nullptr);
      }
      data.NextTick();
    }
    NEXUS_CHECK(db->Sync().ok());
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  int64_t started = io::RealMonotonicNanos();
  auto db = OpenAt(directory);
  SelectQuery query;
  query.selector = "usage_user{hostname=\"host_1\"}";
  auto cursor = db->Latest(query);
  NEXUS_CHECK(cursor.ok());
  SeriesChunk chunk;
  NEXUS_CHECK(*(*cursor)->Next(&chunk));
  cursor->reset();
  double seconds = Seconds(started);
  const RecoveryReport& report = db->recovery();
  Row("kill -9 to first answer, 256 MiB of log", fmt::format("{:.2f} s", seconds),
      fmt::format("<= 1; {} samples replayed", report.replayed_samples));
  Row("replay",
      fmt::format("{:.1f} M samples/s",
                  static_cast<double>(report.replayed_samples) / report.seconds * 1e-6),
      ">= 20");
}

void PrintMachine(const Settings& settings) {
  PrintMachineAndBuild();
  fmt::print("data      cpu set, {} hosts, {} ticks, in {}\n\n", settings.hosts, settings.ticks,
             settings.directory);
}

void Run(const Settings& settings) {
  std::filesystem::remove_all(settings.directory);
  PrintMachine(settings);
  fmt::print("{:<52} {:>22}   mark and details\n", "what", "measured");
  // First: the child must not inherit threads.
  MeasureRecovery(settings);
  {
    auto db = OpenAt(settings.directory + "/main");
    TelemetryGenerator data(DataSet::kCpu, settings.hosts);
    std::vector<SeriesId> ids = SeriesOf(db.get(), data);
    MeasureAppends(db.get(), ids, &data, settings);
    MeasureSize(db.get());
    MeasureScan(db.get());
    MeasureQueries(db.get(), data);
    MeasureSyncAppends(db.get(), ids, &data);
    NEXUS_CHECK(db->Close().ok());
  }
  pid_t child = fork();
  NEXUS_CHECK(child >= 0);
  if (child == 0) {
    execl("/proc/self/exe", "bench", "--idle", (settings.directory + "/main").c_str(),
          static_cast<char*>(nullptr));
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::filesystem::remove_all(settings.directory);
}

// In a process of its own: what an opened, flushed database of 10,000 series takes.
void RunIdle(const std::string& directory) {
  auto db = OpenAt(directory);
  NEXUS_CHECK(db->Flush().ok());
  StatusOr<Stats> stats = db->GetStats();
  NEXUS_CHECK(stats.ok());
  double beside = AnonymousMiB() - static_cast<double>(stats->memtable_bytes) / (1 << 20);
  Row("idle anonymous memory beside the memtable", fmt::format("{:.0f} MiB", beside), "<= 60");
  NEXUS_CHECK(db->Close().ok());
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures the embedded engine on the cpu data set.");
  nexus::bench::Settings settings;
  std::string idle;
  app.add_option("--dir", settings.directory, "scratch folder, wiped before and after")
      ->capture_default_str();
  app.add_option("--hosts", settings.hosts, "hosts of ten series each")->capture_default_str();
  app.add_option("--ticks", settings.ticks, "10 s intervals")->capture_default_str();
  app.add_option("--idle", idle, "measure the memory of this database alone");
  CLI11_PARSE(app, argc, argv);
  if (idle.empty()) {
    nexus::bench::Run(settings);
  } else {
    nexus::bench::RunIdle(idle);
  }
  return 0;
}
