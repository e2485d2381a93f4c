// What one tenant's storm of series does to another's appends, and what finding and deleting the
// storm costs.
//
//   tenant_bench DIR [--series N] [--seconds S]
//
// A writer appends a row of 100 known series, durably, one after the other: S seconds alone, then
// while another tenant makes N series as fast as it can, a sample each. Then the storm's
// cardinality is counted and the tenant deleted, and it is waited until its rows have left the
// catalog. Prints the quantiles of an append, alone and beside the storm, and the times of the
// rest.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
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
  uint64_t series = 1'000'000;
  uint64_t seconds = 5;
};

class Writer {
 public:
  explicit Writer(Database* db) : db_(db), ids_(NumberedSeries(db, "known", 100)) {}
  // Appends until `done`; the time that each took.
  template <typename Done>
  std::vector<double> Run(Done done) {
    std::vector<double> taken_ms;
    const std::vector<double> values(ids_.size(), 1.5);
    while (!done()) {
      WriteBatch batch;
      batch.AddRow(at_++ * 1'000'000, ids_, values);
      const int64_t begun = io::RealMonotonicNanos();
      NEXUS_CHECK(db_->Append(std::move(batch)).ok());
      taken_ms.push_back(MillisSince(begun));
    }
    return taken_ms;
  }

 private:
  Database* const db_;
  std::vector<SeriesId> ids_;
  int64_t at_ = 0;
};

void Storm(Database* db, uint64_t series) {
  constexpr uint64_t kAtOnce = 10'000;
  for (uint64_t first = 0; first < series; first += kAtOnce) {
    std::vector<Labels> labels;
    for (uint64_t i = first; i < std::min(series, first + kAtOnce); i++) {
      labels.push_back(*Labels::Make("storm", {{"host", fmt::format("{}", i % 1000)},
                                               {"pod", fmt::format("pod-{}", i)},
                                               {"job", "storm"}}));
    }
    auto ids = db->Series(labels, "storm");
    NEXUS_CHECK(ids.ok());
    WriteBatch batch;
    batch.AddRow(1, *ids, std::vector<double>(ids->size(), 1));
    AppendOptions options;
    options.tenant = "storm";
    NEXUS_CHECK(db->Append(std::move(batch), options).ok());
  }
}

// Until the file's pages in use have not shrunk for a second.
void WaitForPurge(Database* db) {
  uint64_t before = db->GetStats()->catalog_bytes;
  for (int still = 0; still < 10; still++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const uint64_t now = db->GetStats()->catalog_bytes;
    if (now < before) still = 0;
    before = now;
  }
}

void Run(const Arguments& arguments) {
  std::unique_ptr<Database> db = OpenAt(arguments.directory, Options());
  NEXUS_CHECK(db->CreateTenant("storm").ok());
  Writer writer(db.get());
  const int64_t end_ns =
      io::RealMonotonicNanos() + static_cast<int64_t>(arguments.seconds) * 1'000'000'000;
  PrintTimes("alone", writer.Run([&] { return io::RealMonotonicNanos() >= end_ns; }), "appends");
  std::atomic<bool> ended = false;
  int64_t begun = io::RealMonotonicNanos();
  std::thread storm([&] {
    Storm(db.get(), arguments.series);
    ended = true;
  });
  std::vector<double> beside = writer.Run([&] { return ended.load(); });
  storm.join();
  fmt::print("{} new series in {:.0f} ms\n", arguments.series, MillisSince(begun));
  PrintTimes("beside the storm", std::move(beside), "appends");
  begun = io::RealMonotonicNanos();
  const CardinalityReport report = *db->Cardinality("storm", 10);
  fmt::print("cardinality of {} series, {} label=value: {:.0f} ms\n", report.series, report.pairs,
             MillisSince(begun));
  const uint64_t bytes = db->GetStats()->catalog_bytes;
  begun = io::RealMonotonicNanos();
  NEXUS_CHECK(db->DeleteTenant("storm").ok());
  fmt::print("delete: {:.1f} ms", MillisSince(begun));
  WaitForPurge(db.get());
  fmt::print(", purged {:.1f} s later; catalog {} -> {} bytes\n", MillisSince(begun) * 1e-3 - 1,
             bytes, db->GetStats()->catalog_bytes);
  NEXUS_CHECK(db->Close().ok());
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures what a tenant's storm of series does to another's appends.");
  nexus::bench::Arguments arguments;
  app.add_option("DIR", arguments.directory, "scratch folder")->required();
  app.add_option("--series", arguments.series, "of the storm")->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "of appends before the storm")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  nexus::bench::Run(arguments);
  return 0;
}
