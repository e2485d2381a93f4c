// Measures the seam on the real kernel: what a durable write costs, and what handing work between
// threads costs. Prints a table of medians and 99th percentiles in microseconds.
//
// usage: seam_bench [FOLDER=.]    FOLDER is on the file system to measure; 64 MiB are written there
//
// The file is zero-filled and overwritten in place by direct I/O, as the log does it. Handing over:
// from the moment of the call in one thread to the moment it runs in the other.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/file_util.h"
#include "io/real.h"

namespace nexus::io {
namespace {

constexpr uint64_t kFileBytes = 64 << 20;
constexpr int kRounds = 3000;
constexpr int kWarmUpRounds = 200;

using Samples = std::vector<int64_t>;

void Report(const std::string& what, Samples samples) {
  std::sort(samples.begin(), samples.end());
  auto at = [&](double share) {
    size_t index = static_cast<size_t>(share * static_cast<double>(samples.size() - 1));
    return static_cast<double>(samples[index]) / 1e3;
  };
  fmt::print("{:<58} {:>9.2f} {:>9.2f} {:>9.2f}\n", what, at(0.5), at(0.99), at(1));
}

// One write and its sync as a linked chain; resumes with the write's result if the sync was fine.
class WriteThenSync : FileOp {
 public:
  WriteThenSync(File* file, uint64_t at, MutableBytes bytes)
      : FileOp(Kind::kWriteThenSync, at, bytes, &Complete), file_(file) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    file_->Submit(this);
  }
  bool await_resume() const {
    return result == static_cast<int64_t>(buffer.size()) && sync_result == 0;
  }

 private:
  static void Complete(FileOp* op) { static_cast<WriteThenSync*>(op)->waiter_.resume(); }
  File* file_;
  std::coroutine_handle<> waiter_;
};

Task<std::unique_ptr<File>> ZeroFilled(Disk* disk, std::string path) {
  OpenFlags flags;
  flags.write = flags.create = flags.direct = true;
  OpenResult opened = co_await disk->Open(path, flags);
  NEXUS_CHECK(opened.error == 0);
  AlignedBuffer zeros(1 << 20);
  for (uint64_t at = 0; at < kFileBytes; at += zeros.size()) {
    Status written = co_await WriteAll(opened.file.get(), at, zeros.span());
    NEXUS_CHECK(written.ok());
  }
  Status synced = co_await SyncFile(opened.file.get());
  NEXUS_CHECK(synced.ok());
  co_return std::move(opened.file);
}

enum class How { kLinked, kWaited };

Task<Samples> DurableOverwrites(Environment* environment, File* file, MutableBytes bytes, How how) {
  Samples samples;
  uint64_t places = kFileBytes / bytes.size();
  for (int round = 0; round < kWarmUpRounds + kRounds; round++) {
    uint64_t at = static_cast<uint64_t>(round) % places * bytes.size();
    int64_t before = environment->MonotonicNanos();
    if (how == How::kLinked) {
      bool durable = co_await WriteThenSync(file, at, bytes);
      NEXUS_CHECK(durable);
    } else {
      int64_t written = co_await Write(file, at, bytes);
      int64_t synced = co_await Sync(file);
      NEXUS_CHECK(written == static_cast<int64_t>(bytes.size()) && synced == 0);
    }
    if (round >= kWarmUpRounds) samples.push_back(environment->MonotonicNanos() - before);
  }
  co_return samples;
}

void MeasureDurableWrites(RealEnvironment* environment, const std::string& folder) {
  std::string path = folder + "/seam_bench.data";
  std::unique_ptr<File> file = environment->BlockOn(ZeroFilled(environment->disk(), path));
  fmt::print("file system of {}: {}\n", folder, file->direct() ? "direct I/O" : "no direct I/O");
  AlignedBuffer buffer(64 << 10);
  auto measure = [&](uint64_t bytes, How how, const std::string& what) {
    MutableBytes part = buffer.span().first(bytes);
    Report(fmt::format("{:2} KiB overwrite, {}", bytes >> 10, what),
           environment->BlockOn(DurableOverwrites(environment, file.get(), part, how)));
  };
  for (uint64_t bytes : {uint64_t{4} << 10, uint64_t{64} << 10}) {
    measure(bytes, How::kLinked, "linked fdatasync");
    environment->RunOnLoop([&] { environment->disk()->RegisterBuffer(buffer.span()); });
    measure(bytes, How::kLinked, "linked fdatasync, registered buffer");
    environment->RunOnLoop([&] { environment->disk()->UnregisterBuffer(buffer.span()); });
    measure(bytes, How::kWaited, "write, wait, fdatasync");
  }
  file.reset();
  unlink(path.c_str());
}

struct StampNode : RunNode {
  StampNode() : RunNode(&Run) {}
  static void Run(RunNode* node) {
    static_cast<StampNode*>(node)->ran_at_ns.store(RealMonotonicNanos());
  }
  std::atomic<int64_t> ran_at_ns = 0;
};

void MeasurePosts(RealEnvironment* environment) {
  Samples samples;
  for (int round = 0; round < kRounds; round++) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));  // the loop falls asleep
    StampNode node;
    int64_t before = RealMonotonicNanos();
    environment->executor()->Post(&node);
    while (node.ran_at_ns.load() == 0) std::this_thread::yield();
    samples.push_back(node.ran_at_ns.load() - before);
  }
  Report("post to a sleeping loop until it runs", samples);
  samples.clear();
  for (int round = 0; round < kRounds; round++) {
    int64_t before = RealMonotonicNanos();
    environment->RunOnLoop([] {});
    samples.push_back(RealMonotonicNanos() - before);
  }
  Report("RunOnLoop, there and back", samples);
}

Task<Samples> Offloads(Executor* executor) {
  Samples samples;
  for (int round = 0; round < kRounds; round++) {
    int64_t before = RealMonotonicNanos();
    co_await executor->Run(Lane::kWorker, [] {});
    samples.push_back(RealMonotonicNanos() - before);
  }
  co_return samples;
}

Task<Samples> Yields(Executor* executor) {
  constexpr int kInARow = 1000;
  Samples samples;
  for (int round = 0; round < kRounds / 10; round++) {
    int64_t before = RealMonotonicNanos();
    for (int i = 0; i < kInARow; i++) co_await executor->Yield();
    samples.push_back((RealMonotonicNanos() - before) / kInARow);
  }
  co_return samples;
}

Task<Samples> CachedReads(Disk* disk, std::string path, MutableBytes into) {
  std::unique_ptr<File> file = std::move((co_await disk->Open(path, OpenFlags())).file);
  Samples samples;
  for (int round = 0; round < kRounds; round++) {
    int64_t before = RealMonotonicNanos();
    int64_t read = co_await Read(file.get(), 0, into);
    NEXUS_CHECK(read > 0);
    samples.push_back(RealMonotonicNanos() - before);
  }
  co_return samples;
}

void MeasureReads(RealEnvironment* environment) {
  std::string itself = "/proc/self/exe";
  AlignedBuffer buffer(4 << 10);
  Report("4 KiB cached read through the loop",
         environment->BlockOn(CachedReads(environment->disk(), itself, buffer.span())));
  StatusOr<std::unique_ptr<File>> file = OpenFileBlocking(environment->disk(), itself);
  NEXUS_CHECK(file.ok());
  Samples samples;
  for (int round = 0; round < kRounds; round++) {
    int64_t before = RealMonotonicNanos();
    NEXUS_CHECK((*file)->ReadBlocking(0, buffer.span()) > 0);
    samples.push_back(RealMonotonicNanos() - before);
  }
  Report("4 KiB cached read, blocking", samples);
}

int Main(int argc, char** argv) {
  StatusOr<std::unique_ptr<RealEnvironment>> environment = RealEnvironment::Start({});
  if (!environment.ok()) {
    fmt::print(stderr, "{}\n", environment.status().ToString());
    return 1;
  }
  fmt::print("{:<58} {:>9} {:>9} {:>9}\n", "microseconds", "p50", "p99", "worst");
  MeasureDurableWrites(environment->get(), argc > 1 ? argv[1] : ".");
  MeasurePosts(environment->get());
  Executor* executor = (*environment)->executor();
  Report("offload to an idle worker, there and back", (*environment)->BlockOn(Offloads(executor)));
  Report("one turn of the loop (yield), mean of 1,000", (*environment)->BlockOn(Yields(executor)));
  MeasureReads(environment->get());
  return 0;
}

}  // namespace
}  // namespace nexus::io

int main(int argc, char** argv) { return nexus::io::Main(argc, argv); }
