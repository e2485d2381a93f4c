// Benchmark of the catalog: new series a second, bytes a series, look-ups, time to open.
//
//   bazel run --config=release //bench/catalog:catalog_bench [-- SERIES]       (default 1,000,000)
//
// Series are the generator's: ten metrics of each host, ten tags a host and the metric name, so
// eleven labels. "unique" gives each series a label value of its own. The folder is made under
// $TMPDIR and removed. Nothing is asserted; numbers are for docs/benchmarks.md.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/telemetry_gen.h"
#include "catalog/catalog.h"
#include "catalog/delta.h"
#include "catalog/identity_map.h"

namespace nexus::catalog {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint64_t kSeed = 42;

// CPU time of the process, user and system: what a busy machine does not distort.
double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void Require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

std::vector<SeriesDefinition> MakeSeries(uint64_t count, bool unique) {
  const bench::TelemetryGenerator generator(bench::DataSet::kCpu,
                                            count / bench::kMetricsPerHost + 1);
  std::vector<SeriesDefinition> series;
  series.reserve(count);
  for (uint64_t i = 0; i < count; i++) {
    Labels labels = generator.LabelsOf(i);
    if (unique) {
      std::vector<Label> changed = labels.labels();
      changed.back().value = "unique-value-" + std::to_string(i);
      labels = *Labels::Make(labels.metric(), std::move(changed));
    }
    series.push_back({TenantId{0}, SeriesId{i + 1}, labels.Canonical()});
  }
  return series;
}

std::unique_ptr<Catalog> OpenIn(const std::string& folder, OpenMode mode) {
  CatalogOptions options;
  options.directory = folder;
  options.mode = mode;
  options.database = DatabaseId{1, 2};
  auto catalog = Catalog::Open(options);
  Require(catalog.status());
  return std::move(*catalog);
}

struct Folder {
  explicit Folder(const char* name)
      : path(std::filesystem::temp_directory_path() /
             (std::string("nexus_catalog_bench_") + name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  const std::filesystem::path path;
};

void Storm(const char* name, const std::vector<SeriesDefinition>& series, uint64_t batch,
           const std::string& folder) {
  auto catalog = OpenIn(folder, OpenMode::kCreate);
  Update update;
  update.applied = Lsn{1};
  update.tenants = {{TenantId{0}, "default", kSeed, {}}};
  Require(catalog->Commit(update));
  update.tenants.clear();
  std::vector<double> times;
  double total = 0;
  double cpu = 0;
  for (size_t begin = 0; begin < series.size(); begin += batch) {
    size_t end = std::min<size_t>(begin + batch, series.size());
    update.series.assign(series.begin() + static_cast<ptrdiff_t>(begin),
                         series.begin() + static_cast<ptrdiff_t>(end));
    update.applied.value++;
    auto start = Clock::now();
    const double cpu_start = CpuSeconds();
    Require(catalog->Commit(update));
    cpu += CpuSeconds() - cpu_start;
    times.push_back(SecondsSince(start));
    total += times.back();
  }
  Require(catalog->Sync());
  auto reader = catalog->BeginRead();
  Require(reader.status());
  auto stats = reader->Stats();
  Require(stats.status());
  const size_t tenth = std::max<size_t>(times.size() / 10, 1);
  auto mean = [&](size_t from) {
    double sum = 0;
    for (size_t i = from; i < from + tenth; i++) sum += times[i];
    return sum / static_cast<double>(tenth) * 1e3;
  };
  const double first = mean(0);
  const double last = mean(times.size() - tenth);
  std::sort(times.begin(), times.end());
  std::printf("%-18s %7lu %9.0f %7.2f %8.2f %8.2f %8.2f %8.2f %7.1f %7.1f\n", name, batch,
              static_cast<double>(series.size()) / total / 1e3,
              cpu / static_cast<double>(series.size()) * 1e6, times[times.size() / 2] * 1e3,
              times.back() * 1e3, first, last,
              static_cast<double>(stats->bytes_in_use) / static_cast<double>(series.size()),
              static_cast<double>(stats->bytes_in_file) / static_cast<double>(series.size()));
  std::fflush(stdout);
}

void PrintRate(const char* what, uint64_t count, double seconds) {
  std::printf("%-44s %10.1f k/s %10.1f ns each\n", what, static_cast<double>(count) / seconds / 1e3,
              seconds / static_cast<double>(count) * 1e9);
  std::fflush(stdout);
}

// A fixed permutation of 0..count-1, for random access.
uint64_t Scatter(uint64_t i, uint64_t count) { return i * 2654435761 % count; }

void Lookups(const std::vector<SeriesDefinition>& series, const std::string& folder) {
  auto start = Clock::now();
  auto catalog = OpenIn(folder, OpenMode::kOpen);
  std::printf("\nopen: %.2f ms\n", SecondsSince(start) * 1e3);
  IdentityMap map;
  start = Clock::now();
  Require(LoadIdentities(*catalog, &map));
  PrintRate("load identities into the map", map.size(), SecondsSince(start));
  std::printf("identity map: %.1f bytes a series\n",
              static_cast<double>(map.memory_bytes()) / static_cast<double>(map.size()));

  constexpr uint64_t kLookups = 200'000;
  auto reader = catalog->BeginRead();
  Require(reader.status());
  start = Clock::now();
  for (uint64_t i = 0; i < kLookups; i++) {
    const SeriesDefinition& s = series[Scatter(i, series.size())];
    auto canonical = reader->Canonical(s.tenant, s.id);
    NEXUS_CHECK(canonical.ok() && *canonical == s.canonical);
  }
  PrintRate("labels of a random series", kLookups, SecondsSince(start));

  start = Clock::now();
  uint64_t found = 0;
  constexpr uint64_t kHosts = 20'000;
  for (uint64_t i = 0; i < kHosts; i++) {
    SeriesSet set;
    uint64_t host = Scatter(i, series.size() / bench::kMetricsPerHost);
    Require(reader->AddPostings(TenantId{0}, "hostname", "host_" + std::to_string(host), &set));
    found += set.size();
  }
  NEXUS_CHECK(found == kHosts * bench::kMetricsPerHost);
  PrintRate("postings of a random host", kHosts, SecondsSince(start));

  SeriesSet metric;
  start = Clock::now();
  Require(reader->AddPostings(TenantId{0}, "__name__", "usage_user", &metric));
  PrintRate("postings of a metric, per id", metric.size(), SecondsSince(start));

  uint64_t values = 0;
  start = Clock::now();
  Require(reader->VisitLabelValues(TenantId{0}, "hostname", [&](std::string_view) {
    values++;
    return true;
  }));
  PrintRate("values of hostname", values, SecondsSince(start));

  std::vector<Hash128> identities;
  for (uint64_t i = 0; i < series.size(); i++) {
    identities.push_back(SeriesIdentity(kSeed, series[Scatter(i, series.size())].canonical));
  }
  start = Clock::now();
  for (const Hash128& identity : identities)
    NEXUS_CHECK(map.Find(TenantId{0}, identity).value != 0);
  PrintRate("identity map: find", identities.size(), SecondsSince(start));
  std::vector<SeriesId> ids(identities.size());
  start = Clock::now();
  map.FindMany(TenantId{0}, identities, ids);
  PrintRate("identity map: find many", identities.size(), SecondsSince(start));
  IdentityMap fresh;
  start = Clock::now();
  for (uint64_t i = 0; i < identities.size(); i++) {
    Require(fresh.Insert(TenantId{0}, identities[i], SeriesId{i + 1}).status());
  }
  PrintRate("identity map: insert", identities.size(), SecondsSince(start));
}

void Delta(std::vector<SeriesDefinition> series) {
  const uint64_t count = std::min<uint64_t>(series.size(), 100'000);
  series.resize(count);
  CatalogDelta delta;
  auto start = Clock::now();
  for (uint64_t i = 0; i < count; i++) {
    delta.Add(std::move(series[i]));
    if (i % 100 == 99) (void)delta.View();
  }
  PrintRate("delta: add, a view every 100", count, SecondsSince(start));
  std::printf("delta: %zu segments, %.0f bytes a series by its own count\n", delta.View()->size(),
              static_cast<double>(delta.bytes()) / static_cast<double>(count));
  start = Clock::now();
  SeriesSet set;
  for (const auto& segment : *delta.View()) {
    segment->AddPostings(TenantId{0}, "__name__", "usage_user", &set);
  }
  PrintRate("delta: first query builds the index", count, SecondsSince(start));
}

int Run(uint64_t count) {
  std::printf("%lu series of 11 labels\n", count);
  std::printf("%-18s %7s %9s %7s %8s %8s %8s %8s %7s %7s\n", "new series", "batch", "k/s", "cpu us",
              "p50 ms", "max ms", "first10%", "last10%", "B used", "B file");
  std::vector<SeriesDefinition> series = MakeSeries(count, /*unique=*/false);
  Folder kept("kept");
  Storm("host by host", series, 10'000, kept.path);
  for (uint64_t batch : {uint64_t{1'000}, uint64_t{100'000}}) {
    Folder folder("storm");
    Storm("host by host", series, batch, folder.path);
  }
  {
    Folder folder("unique");
    Storm("unique label each", MakeSeries(count, /*unique=*/true), 10'000, folder.path);
  }
  Lookups(series, kept.path);
  Delta(std::move(series));
  return 0;
}

}  // namespace
}  // namespace nexus::catalog

int main(int argc, char** argv) {
  uint64_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  return nexus::catalog::Run(std::max<uint64_t>(count, 1'000));
}
