// Measures the log on the real kernel: durable append throughput, the latency of small durable
// appends, and replay.
//
// usage: wal_bench [FOLDER=.]    FOLDER/wal_bench.data is made, filled with about 1 GiB, and
// removed
//
// Throughput: one loop thread appends as long as the log takes records, and trims behind itself, so
// that segments are recycled as in a database whose memtable is flushed. Latency: appends one at a
// time, each waited for, with a client thread's wake left out (all on the loop). Replay: the scan
// of recovery, and the cursor, over a log of 512 MiB in the page cache.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bench/wal/bench_log.h"
#include "io/real.h"
#include "wal/cursor.h"
#include "wal/log.h"
#include "wal/scan.h"

namespace nexus::wal {
namespace {

constexpr uint64_t kThroughputBytes = uint64_t{2} << 30;
constexpr uint64_t kReplayBytes = uint64_t{512} << 20;
constexpr int kLatencyRounds = 5000;
// As far behind the end as a memtable of that size would hold the log.
constexpr uint64_t kTrimLag = uint64_t{128} << 20;

io::Task<void> TrimInBackground(Log* log, Lsn below, bool* busy) {
  Must(co_await log->Trim(below));
  *busy = false;
}

// Appends `total` bytes in records of one size, as fast as the log takes them.
io::Task<Status> Fill(io::Environment* environment, Opened* opened, uint64_t record_bytes,
                      uint64_t total, bool trim) {
  std::string body(record_bytes, 'x');
  Bytes piece = AsBytes(body);
  Log* log = opened->log.get();
  io::TaskScope scope(environment->executor());
  bool trimming = false;
  for (uint64_t done = 0; done < total;) {
    if (!log->CanAppend(record_bytes)) {
      co_await opened->waker->changed.Wait();
      continue;
    }
    NEXUS_CO_RETURN_IF_ERROR(log->Append(kBenchKind, {&piece, 1}).status());
    done += record_bytes;
    if (trim && !trimming && done % (uint64_t{32} << 20) < record_bytes && done > kTrimLag) {
      trimming = true;
      Lsn below{log->durable().value - std::min(log->durable().value, kTrimLag)};
      scope.Spawn(TrimInBackground(log, below, &trimming));
    }
  }
  Status synced = co_await log->Sync();
  co_await scope.Join();
  co_return synced;
}

io::Task<Status> Replay(io::Environment* environment, LogScan scan, uint64_t* bytes,
                        uint64_t* records) {
  LogCursor cursor(environment, scan, CursorOptions());
  while (true) {
    NEXUS_CO_ASSIGN_OR_RETURN(std::span<const RecordView> some, co_await cursor.Next());
    if (some.empty()) co_return OkStatus();
    for (const RecordView& record : some) *bytes += record.body.size();
    *records += some.size();
  }
}

class Bench {
 public:
  Bench(io::RealEnvironment* environment, std::string folder)
      : environment_(environment), folder_(std::move(folder)) {}

  void Run() {
    for (uint64_t bytes : {256u, 4096u, 16384u, 262144u}) MeasureThroughput(bytes);
    for (uint64_t bytes : {100u, 16384u}) MeasureLatency(bytes);
    MeasureReplay();
  }

 private:
  double Seconds(int64_t since_ns) const {
    return static_cast<double>(environment_->MonotonicNanos() - since_ns) * 1e-9;
  }

  void MeasureThroughput(uint64_t record_bytes) {
    Opened opened;
    OpenLog(environment_, folder_, &opened);
    // Enough records of each size for a second or so.
    uint64_t total = std::min(kThroughputBytes, record_bytes * 4'000'000);
    Must(environment_->BlockOn(Fill(environment_, &opened, record_bytes, total / 4, true)));
    int64_t before = environment_->MonotonicNanos();
    LogStats at_first = opened.log->stats();
    Must(environment_->BlockOn(Fill(environment_, &opened, record_bytes, total, true)));
    double seconds = Seconds(before);
    const uint64_t records = total / record_bytes;
    LogStats stats = opened.log->stats();
    fmt::print(
        "durable append, records of {:>6} B  {:>8.0f} MB/s {:>10.0f} records/s {:>6.0f} KiB a "
        "round\n",
        record_bytes, static_cast<double>(total) / seconds / 1e6,
        static_cast<double>(records) / seconds,
        static_cast<double>(stats.written_bytes - at_first.written_bytes) / 1024 /
            static_cast<double>(stats.rounds - at_first.rounds));
    CloseLog(environment_, &opened);
  }

  void MeasureLatency(uint64_t record_bytes) {
    Opened opened;
    OpenLog(environment_, folder_, &opened);
    std::vector<int64_t> samples;
    Must(environment_->BlockOn(
        AppendOneByOne(environment_, &opened, record_bytes, kLatencyRounds, &samples)));
    samples.erase(samples.begin(), samples.begin() + kLatencyRounds / 10);  // they warm up
    std::sort(samples.begin(), samples.end());
    auto at = [&](double share) {
      auto index = static_cast<size_t>(share * static_cast<double>(samples.size() - 1));
      return static_cast<double>(samples[index]) / 1e3;
    };
    fmt::print(
        "one durable append of {:>6} B       p50 {:.0f} us, p99 {:.0f} us, p99.9 {:.0f} us\n",
        record_bytes, at(0.5), at(0.99), at(0.999));
    CloseLog(environment_, &opened);
  }

  void MeasureReplay() {
    Opened opened;
    OpenLog(environment_, folder_, &opened);
    Must(environment_->BlockOn(Fill(environment_, &opened, 16384, kReplayBytes, false)));
    CloseLog(environment_, &opened);
    int64_t before = environment_->MonotonicNanos();
    StatusOr<LogScan> scan =
        environment_->BlockOn(ScanLog(environment_, folder_, Witness(), nullptr));
    Must(scan.status());
    Must(scan->status());
    double scan_seconds = Seconds(before);
    uint64_t bytes = 0;
    uint64_t records = 0;
    before = environment_->MonotonicNanos();
    Must(environment_->BlockOn(Replay(environment_, *scan, &bytes, &records)));
    double replay_seconds = Seconds(before);
    NEXUS_CHECK(bytes == kReplayBytes);
    fmt::print("scan of {} MiB                     {:>8.0f} MB/s\n", kReplayBytes >> 20,
               static_cast<double>(bytes) / scan_seconds / 1e6);
    fmt::print("replay, records of  16384 B          {:>8.0f} MB/s {:>10.0f} records/s\n",
               static_cast<double>(bytes) / replay_seconds / 1e6,
               static_cast<double>(records) / replay_seconds);
  }

  io::RealEnvironment* const environment_;
  const std::string folder_;
};

}  // namespace
}  // namespace nexus::wal

int main(int argc, char** argv) {
  std::string folder = std::string(argc > 1 ? argv[1] : ".") + "/wal_bench.data";
  auto environment = nexus::io::RealEnvironment::Start(nexus::io::RealOptions());
  nexus::wal::Must(environment.status());
  nexus::wal::Bench((*environment).get(), folder).Run();
  (*environment)->Stop();
  std::filesystem::remove_all(folder);
  return 0;
}
