// embedded ingest: a workload appended batch by batch.
//
// Rows are made in slices of four million samples before they are timed; an engine's own threads
// may go on working meanwhile, so that a slice is long against its making. The CPU time of the
// making is taken off, too. An engine that can take a batch before the one before it is committed
// (Store::pipelined) is given them so, but for the first batches, whose commits are timed one by
// one; each slice ends when all it has is committed.

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include "bench/peers/embedded/commands.h"
#include "bench/peers/embedded/rows.h"

namespace nexus::bench {
namespace {

constexpr uint64_t kSliceSamples = 4'000'000;
// Of a pipelined engine's first slice, one batch in so many is committed by itself: 200 of 4,000.
constexpr size_t kSingleOneIn = 20;
constexpr std::chrono::milliseconds kProgressPeriod(20);

// Tells how many samples are acknowledged, line by line, for a caller that will kill this process.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(const std::atomic<uint64_t>* acknowledged)
      : acknowledged_(acknowledged), thread_([this](std::stop_token stop) { Run(stop); }) {}

 private:
  void Run(const std::stop_token& stop) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stop.stop_requested()) {
      fmt::print("acknowledged {}\n", acknowledged_->load());
      std::fflush(stdout);
      wake_.wait_for(lock, stop, kProgressPeriod, [] { return false; });
    }
  }

  const std::atomic<uint64_t>* const acknowledged_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: it ends before what it uses
};

class Ingestion {
 public:
  Ingestion(Store* store, const IngestOptions& options, uint64_t batch_samples)
      : store_(store), options_(options), batch_samples_(batch_samples) {}

  Status Run(Workload* workload) {
    const double cpu = ProcessCpuSeconds();
    double making_cpu = 0;
    while (!over_) {
      const double before = ThreadCpuSeconds();
      const bool more = slice_.Fill(workload, kSliceSamples);
      const std::span<const Row> rows = slice_.rows();
      making_cpu += ThreadCpuSeconds() - before;
      if (!more) break;
      watch_.Resume();
      NEXUS_RETURN_IF_ERROR(AppendAll(rows));
      NEXUS_RETURN_IF_ERROR(store_->Wait());
      watch_.Pause();
    }
    cpu_seconds_ = ProcessCpuSeconds() - cpu - making_cpu;
    slice_.Release();
    return OkStatus();
  }

  const std::atomic<uint64_t>* acknowledged() const { return &acknowledged_; }
  bool cut() const { return over_; }

  void Tell(JsonLine* line) const {
    line->Add("samples", samples_).Add("seconds", watch_.seconds());
    line->Add("samples_per_second", static_cast<double>(samples_) / watch_.seconds());
    line->Add("cpu_seconds", cpu_seconds_);
    line->Add("commit_us_p50", commits_.Percentile(50) * 1e6);
    line->Add("commit_us_p99", commits_.Percentile(99) * 1e6);
    line->Add("commits_timed", uint64_t{commits_.count()});
  }
  uint64_t ticks() const { return ticks_; }

 private:
  Status AppendAll(std::span<const Row> rows) {
    const size_t batches = SamplesOf(rows) / batch_samples_ + 1;
    if (commits_.count() == 0) singles_ = batches / kSingleOneIn + 1;
    for (size_t first = 0; first < rows.size() && !over_;) {
      std::span<const Row> batch = BatchFrom(rows, first, batch_samples_);
      if (options_.limit_seconds > 0 && watch_.seconds() > options_.limit_seconds) {
        batch = UntilTick(batch);
      }
      first += batch.size();
      if (!batch.empty()) NEXUS_RETURN_IF_ERROR(AppendOne(batch));
    }
    return OkStatus();
  }

  // The part of a batch before the next tick, which is the last of all. The very first tick is
  // taken whole.
  std::span<const Row> UntilTick(std::span<const Row> batch) {
    for (size_t row = 0; row < batch.size(); row++) {
      if (batch[row].source != 0 || samples_ + row == 0) continue;
      over_ = true;
      return batch.first(row);
    }
    return batch;
  }

  Status AppendOne(std::span<const Row> batch) {
    for (const Row& row : batch) ticks_ += row.source == 0;
    samples_ += SamplesOf(batch);
    if (store_->pipelined() && !options_.synchronous && singles_ == 0) {
      return store_->Submit(batch, &acknowledged_);
    }
    Stopwatch commit;
    commit.Resume();
    NEXUS_RETURN_IF_ERROR(store_->Append(batch));
    commits_.Add(commit.seconds());
    acknowledged_ = samples_;
    if (singles_ > 0) singles_--;
    return OkStatus();
  }

  Store* const store_;
  const IngestOptions& options_;
  const uint64_t batch_samples_;
  Slice slice_;
  Stopwatch watch_;
  Latencies commits_;
  size_t singles_ = 0;  // batches still to be committed by themselves
  uint64_t samples_ = 0;
  uint64_t ticks_ = 0;
  double cpu_seconds_ = 0;
  bool over_ = false;
  std::atomic<uint64_t> acknowledged_ = 0;
};

}  // namespace

StatusOr<JsonLine> Ingest(const Place& place, const IngestOptions& options) {
  const bool has_ticks = HasTicks(place.workload);
  if (options.limit_seconds > 0 && !has_ticks) {
    return InvalidArgument(
        "--limit stops at the end of a tick, and {} has none that all sources share; use it with "
        "cpu, mixed or tenants",
        place.workload.name);
  }
  NEXUS_ASSIGN_OR_RETURN(Session session, OpenSession(place, true));
  Store* store = session.store.get();
  const uint64_t batch_samples =
      options.batch_samples > 0 ? options.batch_samples : store->batch_samples();
  Ingestion ingestion(store, options, batch_samples);
  {
    std::optional<ProgressPrinter> printer;
    if (options.progress) printer.emplace(ingestion.acknowledged());
    NEXUS_RETURN_IF_ERROR(ingestion.Run(session.workload.get()));
  }
  NEXUS_ASSIGN_OR_RETURN(const Resident resident, ReadResident());
  JsonLine line = session.Begin(place);
  line.AddFlag("pipelined", store->pipelined() && !options.synchronous);
  line.Add("batch_samples", batch_samples);
  ingestion.Tell(&line);
  if (has_ticks) line.Add("ticks", ingestion.ticks());
  line.AddFlag("complete", !ingestion.cut());
  line.Add("rss_bytes", resident.bytes).Add("rss_anonymous_bytes", resident.anonymous_bytes);
  NEXUS_RETURN_IF_ERROR(store->Close());
  return line;
}

}  // namespace nexus::bench
