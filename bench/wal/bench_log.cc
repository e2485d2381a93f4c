// Opening, closing and one append after the other. See bench_log.h.

#include "bench/wal/bench_log.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace nexus::wal {
namespace {

io::Task<Status> StartLog(io::Environment* environment, std::string folder, Opened* opened) {
  NEXUS_CO_ASSIGN_OR_RETURN(opened->scan,
                            co_await ScanLog(environment, folder, Witness(), nullptr));
  LogOptions options;
  options.directory = folder;
  options.database = DatabaseId{1, 2};
  options.open_count = opened->scan.open_count_max + 1;
  NEXUS_CO_ASSIGN_OR_RETURN(
      opened->log, co_await Log::Start(environment, options, &opened->scan, opened->waker.get()));
  co_return OkStatus();
}

io::Task<Status> EndLog(Log* log) { co_return co_await log->Close(); }

}  // namespace

void Must(const Status& status) {
  if (status.ok()) return;
  fmt::print(stderr, "the log of a bench: {}\n", std::string(FromAbsl(status.message())));
  std::exit(1);
}

void OpenLog(io::RealEnvironment* environment, const std::string& folder, Opened* opened) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  Must(environment->BlockOn(StartLog(environment, folder, opened)));
}

void CloseLog(io::RealEnvironment* environment, Opened* opened) {
  Must(environment->BlockOn(EndLog(opened->log.get())));
  environment->RunOnLoop([&] { opened->log.reset(); });
}

io::Task<Status> AppendOneByOne(io::Environment* environment, Opened* opened, uint64_t record_bytes,
                                int rounds, std::vector<int64_t>* nanoseconds) {
  std::string body(record_bytes, 'x');
  Bytes piece = AsBytes(body);
  Log* log = opened->log.get();
  for (int round = 0; round < rounds; round++) {
    while (!log->CanAppend(record_bytes)) co_await opened->waker->changed.Wait();
    int64_t before = environment->MonotonicNanos();
    StatusOr<AppendResult> result = log->Append(kBenchKind, {&piece, 1});
    NEXUS_CO_RETURN_IF_ERROR(result.status());
    while (log->durable() < result->end) co_await opened->waker->changed.Wait();
    nanoseconds->push_back(environment->MonotonicNanos() - before);
  }
  co_return OkStatus();
}

}  // namespace nexus::wal
