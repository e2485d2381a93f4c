// The engine's core in the simulated world, in the vocabulary of a test: open, append, read, crash,
// break.

#ifndef NEXUS_TESTS_ENGINE_SIM_FIXTURE_H_
#define NEXUS_TESTS_ENGINE_SIM_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "engine/core.h"
#include "io/sim/world.h"
#include "tests/engine/batch_request.h"
#include "tests/engine/expect_clean.h"

namespace nexus::engine {

inline constexpr char kSimFolder[] = "/db";

class SimDatabaseTest : public testing::Test {
 public:
  ~SimDatabaseTest() override { Die(sim::CrashKind::kProcessKill); }

 protected:
  explicit SimDatabaseTest(sim::Options world = {}, uint64_t seed = 1) : world_(seed, world) {
    options_.directory = kSimFolder;
    options_.memtable_bytes = 1 << 20;
    options_.log_segment_bytes = 64 << 10;
    options_.reserve_bytes = 0;
    options_.catalog_bytes_max = 64 << 20;
    options_.admission_timeout_ms = 1000;
  }

  CatalogHooks BootHooks() {
    world_.Boot();
    CatalogHooks hooks;
    hooks.directory = world_.ScratchDirectory();
    world_.lmdb().Restore(hooks.directory);
    hooks.after_commit = [this, folder = hooks.directory](Lsn) { world_.lmdb().OnCommit(folder); };
    hooks.after_sync = [this, folder = hooks.directory](Lsn) { world_.lmdb().OnSynced(folder); };
    return hooks;
  }

  Status Open() {
    CatalogHooks hooks = BootHooks();
    auto opened =
        world_.RunTask(DatabaseCore::Open(world_.environment(), options_, std::move(hooks)));
    if (!opened.ok()) {
      world_.Crash(sim::CrashKind::kProcessKill);
      return opened.status();
    }
    core_ = *std::move(opened);
    std::vector<std::string> labels = {Labels::Make("metric", {{"name", "a"}})->Canonical()};
    auto ids = world_.RunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
    if (!ids.ok()) return ids.status();
    series_ = ids->front();
    return OkStatus();
  }

  // Ends the incarnation; what it had not made durable may be gone.
  void Die(sim::CrashKind kind) {
    if (world_.alive()) world_.Crash(kind);
    core_.reset();
  }
  Status Close() {
    Status status = world_.RunTask(core_->Close());
    world_.RunOnLoop([this] { core_.reset(); });
    world_.Crash(sim::CrashKind::kProcessKill);
    return status;
  }

  // Hands over what its encoder holds. `batch` must outlive its release.
  void SubmitBatch(BatchRequest* batch) {
    batch->Finish();
    world_.RunOnLoop([&] { core_->committer()->Submit(batch); });
  }
  // The same, and waits until it is released.
  Status SendBatch(BatchRequest* batch) {
    SubmitBatch(batch);
    world_.RunUntil([&] { return batch->released(); });
    return batch->status();
  }
  // Appends the batch that `fill` makes with an encoder, and waits.
  template <typename Fill>
  Status AppendBatch(Fill fill) {
    BatchRequest batch;
    fill(&batch.encoder);
    batch.deadline_ns =
        world_.environment()->MonotonicNanos() + options_.admission_timeout_ms * 1'000'000;
    return SendBatch(&batch);
  }
  // `count` samples from `first` on, each with its timestamp as value.
  Status Append(int64_t first, int count) {
    std::vector<int64_t> timestamps;
    std::vector<double> values;
    for (int i = 0; i < count; i++) {
      timestamps.push_back(first + i);
      values.push_back(static_cast<double>(first + i));
    }
    return Append(timestamps, values);
  }
  // Any samples.
  Status Append(const std::vector<int64_t>& timestamps, const std::vector<double>& values) {
    return AppendBatch(
        [&](BatchEncoder* encoder) { encoder->AddSeries(series_, timestamps, values); });
  }
  Status Flush() { return world_.RunTask(core_->Flush()); }
  Status Compact() { return world_.RunTask(core_->Compact(nullptr)); }
  Stats GetStats() { return world_.RunTask(core_->LoopStats()); }
  void ExpectClean() { ExpectScrubFindsNothing(&world_, core_.get()); }

  // Samples read in [first, last]; an error is what the query gave. Values must be their
  // timestamps.
  StatusOr<size_t> Read(int64_t first = INT64_MIN, int64_t last = INT64_MAX) {
    NEXUS_ASSIGN_OR_RETURN(ReadView view, core_->View("default", "main"));
    SelectQuery query;
    query.selector = "metric";
    query.range = {first, last};
    NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor,
                           MakeSelectCursor(std::move(view), query));
    SeriesChunk chunk;
    size_t samples = 0;
    while (true) {
      NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
      if (!more) return samples;
      for (size_t i = 0; i < chunk.timestamps.size(); i++) {
        EXPECT_EQ(chunk.values[i], static_cast<double>(chunk.timestamps[i]))
            << "wrong data was returned";
      }
      samples += chunk.timestamps.size();
    }
  }

  // Paths of durable files that hold `part` in their name.
  std::vector<std::string> Files(std::string_view part) {
    std::vector<std::string> found;
    for (const std::string& path : world_.disk().DurableFiles()) {
      if (path.find(part) != std::string::npos) found.push_back(path);
    }
    return found;
  }

  sim::World world_;
  Options options_;
  std::unique_ptr<DatabaseCore> core_;
  SeriesId series_;
};

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_SIM_FIXTURE_H_
