// What small tenants beside one that writes much cost in files and in log, carried and flushed.
//
//   carry_bench DIR [--tenants N] [--rounds N]
//
// One tenant appends 64 MiB of log a round; N others get one sample each in every round. Twice in
// databases of their own: with carries, and with carry_bytes_max 0. The log is trimmed at 128 MiB.
// Prints how long the rounds took, the flushes, the layers and the log there are at the end, and
// what was carried.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
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

struct Arguments {
  std::string directory;
  int tenants = 2'000;
  int rounds = 12;
};

std::string SmallName(int tenant) { return fmt::format("small-{}", tenant); }

// Appended without waiting; Sync tells whether all went well.
void AppendTo(Database* db, WriteBatch batch, const std::string& tenant) {
  AppendOptions options;
  options.tenant = tenant;
  db->AppendAsync(std::move(batch), options,
                  [](const StatusOr<AppendOutcome>& outcome) { NEXUS_CHECK(outcome.ok()); });
}

class Load {
 public:
  Load(Database* db, int tenants) : db_(db), large_(NumberedSeries(db, "large", 1'000)) {
    for (int i = 0; i < tenants; i++) {
      NEXUS_CHECK(db->CreateTenant(SmallName(i)).ok());
      small_.push_back(*db->Series("small", {}, SmallName(i)));
    }
  }

  void Round() {
    constexpr int kRows = 64 << 20 >> 13;  // of 8 KiB
    std::vector<double> values(large_.size(), 1.5);
    for (int row = 0; row < kRows; row++) {
      values[static_cast<size_t>(row) % values.size()] += 0.25;
      WriteBatch batch;
      batch.AddRow(at_++ * 1'000'000, large_, values);
      AppendTo(db_, std::move(batch), "default");
    }
    for (size_t i = 0; i < small_.size(); i++) {
      WriteBatch batch;
      batch.Add(small_[i], at_ * 1'000'000, 2.5);
      AppendTo(db_, std::move(batch), SmallName(static_cast<int>(i)));
    }
    NEXUS_CHECK(db_->Sync().ok());
  }

 private:
  Database* const db_;
  std::vector<SeriesId> large_;
  std::vector<SeriesId> small_;
  int64_t at_ = 0;
};

void Run(const Arguments& arguments, const char* name, uint64_t carry_bytes_max) {
  Options options;
  options.log_bytes_max = 128 << 20;
  options.compaction = false;  // files are counted as they are made
  options.carry_bytes_max = carry_bytes_max;
  std::unique_ptr<Database> db = OpenAt(arguments.directory + "/" + name, options);
  Load load(db.get(), arguments.tenants);
  const int64_t begun = io::RealMonotonicNanos();
  for (int round = 0; round < arguments.rounds; round++) load.Round();
  const double seconds = MillisSince(begun) * 1e-3;
  const Stats stats = *db->GetStats();
  fmt::print(
      "{:<8} {:5} small tenants, {} rounds of 64 MiB: {:6.2f} s; {:6} flushes, {:6} layers, "
      "{:7.1f} MiB of layers; log {:6.1f} MiB; {} carries, {:.2f} MiB\n",
      name, arguments.tenants, arguments.rounds, seconds, stats.flushes, stats.layers,
      static_cast<double>(stats.layer_bytes) / (1 << 20),
      static_cast<double>(stats.wal_bytes) / (1 << 20), stats.carries,
      static_cast<double>(stats.carried_bytes) / (1 << 20));
  NEXUS_CHECK(db->Close().ok());
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures what small tenants beside a large one cost.");
  nexus::bench::Arguments arguments;
  app.add_option("DIR", arguments.directory, "scratch folder")->required();
  app.add_option("--tenants", arguments.tenants, "that write little")->capture_default_str();
  app.add_option("--rounds", arguments.rounds, "of 64 MiB of log")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  nexus::bench::Run(arguments, "carried", nexus::Options().carry_bytes_max);
  nexus::bench::Run(arguments, "flushed", 0);
  return 0;
}
