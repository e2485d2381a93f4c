// How long it takes to make and delete branches and snapshots over a large database.
//
//   branch_bench DIR [--layers N] [--samples-per-layer N] [--rounds N]
//
// Fills DIR with N layers (compaction is off), leaves samples in memory, then makes a snapshot and
// a branch of it and deletes both, in turn, while a writer appends. Prints the quantiles of both
// calls and what the layers take before and after. Goal: p99 of making one at most 5 ms.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/embedded.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr uint64_t kSeries = 1000;
constexpr int64_t kStepNs = 10'000'000'000;

struct Arguments {
  std::string directory;
  uint64_t layers = 1000;
  uint64_t samples = 100'000;  // of a layer
  uint64_t rounds = 300;
};

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    auto number = [&] { return std::strtoull(i + 1 < argc ? argv[++i] : "0", nullptr, 10); };
    if (word == "--layers") {
      arguments.layers = number();
    } else if (word == "--samples-per-layer") {
      arguments.samples = number();
    } else if (word == "--rounds") {
      arguments.rounds = number();
    } else {
      arguments.directory = word;
    }
  }
  NEXUS_CHECK(!arguments.directory.empty());
  return arguments;
}

class Writer {
 public:
  explicit Writer(Database* db) : db_(db) {
    for (uint64_t i = 0; i < kSeries; i++) {
      StatusOr<SeriesId> id = db->Series("bench", {{"i", fmt::format("{}", i)}});
      NEXUS_CHECK(id.ok());
      ids_.push_back(*id);
    }
  }
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
  taken_ms->push_back(static_cast<double>(io::RealMonotonicNanos() - begun) * 1e-6);
  if (!status.ok()) fmt::print(stderr, "{}\n", FromAbsl(status.message()));
  NEXUS_CHECK(status.ok());
}

void Print(const char* name, std::vector<double> taken_ms) {
  std::sort(taken_ms.begin(), taken_ms.end());
  auto quantile = [&](double q) {
    return taken_ms[static_cast<size_t>(q * static_cast<double>(taken_ms.size() - 1))];
  };
  fmt::print("{:<16} p50 {:7.3f} ms  p99 {:7.3f} ms  max {:7.3f} ms  ({} calls)\n", name,
             quantile(0.5), quantile(0.99), taken_ms.back(), taken_ms.size());
}

void Run(const Arguments& arguments) {
  Options options;
  options.compaction = false;
  std::unique_ptr<Database> db = OpenAt(arguments.directory, options);
  Writer writer(db.get());
  for (uint64_t layer = 0; layer < arguments.layers; layer++) {
    writer.Append(arguments.samples);
    NEXUS_CHECK(db->Flush().ok());
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
  Print("snapshot create", std::move(snapshot));
  Print("branch create", std::move(branch));
  Print("delete", std::move(deleted));
  const Stats after = *db->GetStats();
  fmt::print("layers {} -> {}, layer bytes {} -> {}, catalog bytes {} -> {}\n", before.layers,
             after.layers, before.layer_bytes, after.layer_bytes, before.catalog_bytes,
             after.catalog_bytes);
  NEXUS_CHECK(db->Close().ok());
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  nexus::bench::Run(nexus::bench::Parse(argc, argv));
  return 0;
}
