// embedded latency and embedded series: writes beside those of a workload. embedded tenants: what
// must be there before one.
//
// The writes go to sources that no workload has, a day behind its last row: questions are not
// changed by them, scans are.

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "bench/peers/embedded/commands.h"
#include "bench/peers/embedded/rows.h"
#include "engine/nexus.h"

namespace nexus::bench {
namespace {

constexpr size_t kLatencySamples = 10;
// Behind those that `latency` writes to: at most one for each of its samples.
constexpr size_t kFirstOfSeries = kLatencySamples;

size_t SourcesFor(const Workload& workload, uint64_t samples) {
  const size_t metrics = workload.metrics().size();
  return (samples + metrics - 1) / metrics;
}

}  // namespace

StatusOr<JsonLine> MeasureLatency(const Place& place, uint64_t count) {
  NEXUS_ASSIGN_OR_RETURN(Session session, OpenSession(place, true));
  const size_t sources = SourcesFor(*session.workload, kLatencySamples);
  Latencies commits;
  // The first is not timed: it makes the series.
  for (uint64_t i = 0; i <= count; i++) {
    Slice slice = AddedRows(*session.workload, 0, sources, static_cast<int64_t>(i));
    const std::span<const Row> rows = slice.rows();
    Stopwatch watch;
    watch.Resume();
    NEXUS_RETURN_IF_ERROR(session.store->Append(rows));
    if (i > 0) commits.Add(watch.seconds());
  }
  JsonLine line = session.Begin(place);
  line.Add("count", count).Add("samples_each", uint64_t{kLatencySamples});
  line.Add("p50_ms", commits.Percentile(50) * 1e3).Add("p99_ms", commits.Percentile(99) * 1e3);
  NEXUS_RETURN_IF_ERROR(session.store->Close());
  return line;
}

StatusOr<JsonLine> MakeSeries(const Place& place, uint64_t count) {
  NEXUS_ASSIGN_OR_RETURN(Session session, OpenSession(place, true));
  Store* store = session.store.get();
  const size_t sources = SourcesFor(*session.workload, count);
  const size_t step = SourcesFor(*session.workload, store->batch_samples());
  std::atomic<uint64_t> acknowledged = 0;
  Stopwatch watch;
  for (size_t first = 0; first < sources; first += step) {
    Slice slice =
        AddedRows(*session.workload, kFirstOfSeries + first, std::min(step, sources - first), 0);
    const std::span<const Row> rows = slice.rows();
    watch.Resume();
    NEXUS_RETURN_IF_ERROR(store->Submit(rows, &acknowledged));
    watch.Pause();
  }
  watch.Resume();
  NEXUS_RETURN_IF_ERROR(store->Wait());
  watch.Pause();
  NEXUS_ASSIGN_OR_RETURN(const Resident resident, ReadResident());
  JsonLine line = session.Begin(place);
  line.Add("series", acknowledged.load()).Add("seconds", watch.seconds());
  line.Add("series_per_second", static_cast<double>(acknowledged) / watch.seconds());
  line.Add("rss_bytes", resident.bytes).Add("rss_anonymous_bytes", resident.anonymous_bytes);
  NEXUS_RETURN_IF_ERROR(store->Close());
  return line;
}

StatusOr<JsonLine> MakeTenants(const Place& place) {
  NEXUS_ASSIGN_OR_RETURN(const auto workload, OpenWorkload(place.workload));
  std::set<std::string> tenants;
  for (const Source& source : workload->sources()) tenants.insert(source.tenant);
  Options options;
  options.directory = place.directory;
  NEXUS_ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::Open(options));
  for (const std::string& known : db->Tenants()) tenants.erase(known);
  for (const std::string& tenant : tenants) NEXUS_RETURN_IF_ERROR(db->CreateTenant(tenant));
  NEXUS_RETURN_IF_ERROR(db->Close());
  JsonLine line;
  line.Add("tenants_made", uint64_t{tenants.size()});
  return line;
}

}  // namespace nexus::bench
