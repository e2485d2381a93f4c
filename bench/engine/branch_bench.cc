// How long it takes to make and delete branches and snapshots over a large database.
//
//   branch_bench DIR [--layers N] [--samples-per-layer N] [--rounds N]
//
// Fills DIR with N layers (compaction is off), leaves samples in memory, then makes a snapshot and
// a branch of it and deletes both, in turn, with appends between. The default is 100 M samples in
// 1,000 layers. Prints the quantiles of the calls, and, with nothing in memory, the files and bytes
// of the layers folder before and after a snapshot and a branch. What is in memory when one is made
// is sealed, and goes to one layer that all share. Goals: p99 of making one at most 5 ms; not a
// byte in the layers folder - if there is, the bench fails.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bench/embedded.h"
#include "bench/readings.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr uint64_t kSeries = 1000;
constexpr int64_t kStepNs = 10'000'000'000;

struct Arguments {
  std::string directory;
  uint64_t layers = 1'000;
  uint64_t samples = 100'000;  // of a layer
  uint64_t rounds = 300;
};

class Writer {
 public:
  explicit Writer(Database* db) : db_(db), ids_(NumberedSeries(db, "bench", kSeries)) {}
  void Append(uint64_t samples) {
    std::vector<double> values(kSeries);
    for (uint64_t row = 0; row < samples / kSeries; row++) {
      for (double& value : values) value = static_cast<double>(state_++ % 1000) / 8;
      WriteBatch batch;
      batch.AddRow(at_ += kStepNs, ids_, values);
      db_->AppendAsync(std::move(batch), {},
                       [](const StatusOr<AppendOutcome>& outcome) { NEXUS_CHECK(outcome.ok()); });
    }
    NEXUS_CHECK(db_->Sync().ok());
  }

 private:
  Database* const db_;
  std::vector<SeriesId> ids_;
  int64_t at_ = 0;
  uint64_t state_ = 1;
};

template <typename Call>
void Time(std::vector<double>* taken_ms, Call call) {
  const int64_t begun = io::RealMonotonicNanos();
  const Status status = call();
  taken_ms->push_back(MillisSince(begun));
  if (!status.ok()) fmt::print(stderr, "{}\n", FromAbsl(status.message()));
  NEXUS_CHECK(status.ok());
}

// What is in the folder of the layers' files, by the file system.
struct LayerFiles {
  uint64_t count = 0;
  uint64_t bytes = 0;

  bool operator==(const LayerFiles&) const = default;
};

LayerFiles FilesIn(const std::string& directory) {
  LayerFiles files;
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/layers")) {
    files.count++;
    files.bytes += entry.file_size();
  }
  return files;
}

// With nothing in memory, a snapshot and a branch of it take nothing but the catalog's bytes. False
// if they took more.
bool CheckRoom(Database* db, const std::string& directory) {
  NEXUS_CHECK(db->Flush().ok());
  const LayerFiles before = FilesIn(directory);
  const uint64_t catalog_before = db->GetStats()->catalog_bytes;
  NEXUS_CHECK(db->CreateBranch("room-snap", BranchKind::kSnapshot).ok());
  NEXUS_CHECK(db->CreateBranch("room-copy", BranchKind::kBranch, "room-snap").ok());
  const LayerFiles beside = FilesIn(directory);
  fmt::print(
      "layers folder: {} files of {} bytes before a snapshot and a branch, {} of {} after; "
      "catalog {} -> {} bytes\n",
      before.count, before.bytes, beside.count, beside.bytes, catalog_before,
      db->GetStats()->catalog_bytes);
  NEXUS_CHECK(db->DeleteBranch("room-copy", BranchKind::kBranch).ok());
  NEXUS_CHECK(db->DeleteBranch("room-snap", BranchKind::kSnapshot).ok());
  return beside == before;
}

bool Run(const Arguments& arguments) {
  PrintMachineAndBuild();
  fmt::print("command   branch_bench DIR --layers {} --samples-per-layer {} --rounds {}\n",
             arguments.layers, arguments.samples, arguments.rounds);
  Options options;
  options.compaction = false;
  options.flush_interval_ms = 0;  // layers are made here only
  std::unique_ptr<Database> db = OpenAt(arguments.directory, options);
  Writer writer(db.get());
  for (uint64_t layer = 0; layer < arguments.layers; layer++) {
    writer.Append(arguments.samples);
    NEXUS_CHECK(db->Flush().ok());
  }
  if (!CheckRoom(db.get(), arguments.directory)) {
    fmt::print(stderr, "FAILED: a snapshot or a branch wrote to the layers folder\n");
    return false;
  }
  writer.Append(1'000'000);
  const Stats before = *db->GetStats();
  fmt::print("{} samples in {} layers of {} bytes, {} in memory\n", before.layer_samples,
             before.layers, before.layer_bytes, before.memtable_samples);
  std::vector<double> snapshot;
  std::vector<double> branch;
  std::vector<double> deleted;
  for (uint64_t round = 0; round < arguments.rounds; round++) {
    const std::string snap = fmt::format("snap-{}", round);
    const std::string copy = fmt::format("copy-{}", round);
    writer.Append(kSeries);
    Time(&snapshot, [&] { return db->CreateBranch(snap, BranchKind::kSnapshot); });
    Time(&branch, [&] { return db->CreateBranch(copy, BranchKind::kBranch, snap); });
    Time(&deleted, [&] { return db->DeleteBranch(snap, BranchKind::kSnapshot); });
    Time(&deleted, [&] { return db->DeleteBranch(copy, BranchKind::kBranch); });
  }
  PrintTimes("snapshot create", std::move(snapshot), "calls; p99 is to be at most 5 ms");
  PrintTimes("branch create", std::move(branch), "calls; p99 is to be at most 5 ms");
  PrintTimes("delete", std::move(deleted), "calls");
  const Stats after = *db->GetStats();
  fmt::print(
      "layers {} -> {} by {} flushes, which the samples in memory went to; {} -> {} bytes of "
      "layers, of them {} flushed\n",
      before.layers, after.layers, after.flushes - before.flushes, before.layer_bytes,
      after.layer_bytes, after.flushed_bytes - before.flushed_bytes);
  NEXUS_CHECK(db->Close().ok());
  return true;
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures making and deleting branches and snapshots.");
  nexus::bench::Arguments arguments;
  app.add_option("DIR", arguments.directory, "scratch folder")->required();
  app.add_option("--layers", arguments.layers, "that the database has")->capture_default_str();
  app.add_option("--samples-per-layer", arguments.samples, "of a layer")->capture_default_str();
  app.add_option("--rounds", arguments.rounds, "of creating and deleting")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return nexus::bench::Run(arguments) ? 0 : 1;
}
