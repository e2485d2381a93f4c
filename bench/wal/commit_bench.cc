// One durable commit of the log on the real kernel: appended alone, waited for on the loop itself.
// Real time.
//
//   TMPDIR=/on/the/disk bazel run --config=release //bench/wal:commit_bench

#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/check.h"
#include "io/real.h"
#include "wal/log.h"
#include "wal/scan.h"

namespace nexus::wal {
namespace {

constexpr RecordKind kKind{1};
constexpr int kCommitsPerRound = 100;

class Waker : public LogObserver {
 public:
  void OnDurable(Lsn) override { changed.Pulse(); }
  void OnFailed(Status why) override { NEXUS_CHECK(why.ok()); }
  void OnRoom() override { changed.Pulse(); }
  io::Event changed;
};

// A log in a folder of its own, which goes with it.
class OpenedLog {
 public:
  OpenedLog() : folder_(std::filesystem::temp_directory_path() / "nexus_commit_bench") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    auto environment = io::RealEnvironment::Start(io::RealOptions());
    NEXUS_CHECK(environment.ok());
    environment_ = *std::move(environment);
    NEXUS_CHECK(environment_->BlockOn(Open()).ok());
  }
  ~OpenedLog() {
    NEXUS_CHECK(environment_->BlockOn(Close()).ok());
    environment_->RunOnLoop([&] { log_.reset(); });
    environment_->Stop();
    std::filesystem::remove_all(folder_);
  }

  // Seconds of a number of commits, one after the other.
  double Commit(size_t record_bytes, int commits) {
    auto seconds = environment_->BlockOn(CommitAll(record_bytes, commits));
    NEXUS_CHECK(seconds.ok());
    return *seconds;
  }

 private:
  io::Task<Status> Open() {
    NEXUS_CO_ASSIGN_OR_RETURN(scan_,
                              co_await ScanLog(environment_.get(), folder_, Witness(), nullptr));
    LogOptions options;
    options.directory = folder_;
    options.database = DatabaseId{1, 2};
    options.open_count = scan_.open_count_max + 1;
    NEXUS_CO_ASSIGN_OR_RETURN(log_,
                              co_await Log::Start(environment_.get(), options, &scan_, &waker_));
    co_return OkStatus();
  }
  io::Task<Status> Close() { co_return co_await log_->Close(); }

  io::Task<StatusOr<double>> CommitAll(size_t record_bytes, int commits) {
    const std::string body(record_bytes, 'x');
    const Bytes piece = AsBytes(body);
    // Room is made before the clock runs.
    NEXUS_CO_RETURN_IF_ERROR(co_await log_->Trim(log_->durable()));
    const int64_t began = environment_->MonotonicNanos();
    for (int i = 0; i < commits; i++) {
      while (!log_->CanAppend(record_bytes)) co_await waker_.changed.Wait();
      StatusOr<AppendResult> result = log_->Append(kKind, {&piece, 1});
      NEXUS_CO_RETURN_IF_ERROR(result.status());
      while (log_->durable() < result->end) co_await waker_.changed.Wait();
    }
    co_return static_cast<double>(environment_->MonotonicNanos() - began) * 1e-9;
  }

  const std::string folder_;
  std::unique_ptr<io::RealEnvironment> environment_;
  LogScan scan_;
  Waker waker_;
  std::unique_ptr<Log> log_;
};

void Commit(benchmark::State& state) {
  OpenedLog log;
  const auto bytes = static_cast<size_t>(state.range(0));
  log.Commit(bytes, kCommitsPerRound);
  for (auto _ : state) state.SetIterationTime(log.Commit(bytes, kCommitsPerRound));
  state.SetItemsProcessed(state.iterations() * kCommitsPerRound);
}
BENCHMARK(Commit)->ArgName("bytes")->Arg(100)->Arg(4096)->Arg(65'536)->UseManualTime();

}  // namespace
}  // namespace nexus::wal
