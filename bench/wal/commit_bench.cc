// One durable commit of the log on the real kernel: appended alone, waited for on the loop itself.
// Real time.
//
//   TMPDIR=/on/the/disk bazel run --config=release //bench/wal:commit_bench

#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/wal/bench_log.h"
#include "io/real.h"

namespace nexus::wal {
namespace {

constexpr int kCommitsPerRound = 100;

io::Task<Status> Trim(Log* log) { co_return co_await log->Trim(log->durable()); }

void Commit(benchmark::State& state) {
  const std::string folder = std::filesystem::temp_directory_path() / "nexus_commit_bench";
  auto environment = io::RealEnvironment::Start(io::RealOptions());
  NEXUS_CHECK(environment.ok());
  Opened opened;
  OpenLog(environment->get(), folder, &opened);
  auto round = [&] {
    // Room is made before the clock runs.
    Must((*environment)->BlockOn(Trim(opened.log.get())));
    std::vector<int64_t> nanoseconds;
    Must((*environment)
             ->BlockOn(AppendOneByOne(environment->get(), &opened,
                                      static_cast<uint64_t>(state.range(0)), kCommitsPerRound,
                                      &nanoseconds)));
    return static_cast<double>(
               std::accumulate(nanoseconds.begin(), nanoseconds.end(), int64_t{0})) *
           1e-9;
  };
  round();  // warms up
  for (auto _ : state) state.SetIterationTime(round());
  state.SetItemsProcessed(state.iterations() * kCommitsPerRound);
  CloseLog(environment->get(), &opened);
  (*environment)->Stop();
  std::filesystem::remove_all(folder);
}
BENCHMARK(Commit)->ArgName("bytes")->Arg(100)->Arg(4096)->Arg(65'536)->UseManualTime();

}  // namespace
}  // namespace nexus::wal
