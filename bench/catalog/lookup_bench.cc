// Speed of the look-ups in memory: the identity of a series to its id, and sets of series against
// each other.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "catalog/identity_map.h"
#include "catalog/series_set.h"

namespace nexus::catalog {
namespace {

Hash128 IdentityOf(uint64_t i) {
  return XxHash128(Bytes(reinterpret_cast<const std::byte*>(&i), sizeof(i)), 42);
}

void FindIdentities(benchmark::State& state) {
  const auto count = static_cast<uint64_t>(state.range(0));
  IdentityMap map;
  std::vector<Hash128> identities;
  for (uint64_t i = 0; i < count; i++) {
    identities.push_back(IdentityOf(i));
    NEXUS_CHECK(map.Insert(TenantId{1}, identities.back(), SeriesId{i + 1}).ok());
  }
  // A batch in an order of its own.
  constexpr uint64_t kBatch = 1000;
  std::vector<Hash128> batch;
  for (uint64_t i = 0; i < kBatch; i++) batch.push_back(identities[i * 2654435761 % count]);
  std::vector<SeriesId> ids(kBatch);
  for (auto _ : state) {
    map.FindMany(TenantId{1}, batch, ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(FindIdentities)->ArgName("series")->Arg(10'000)->Arg(1'000'000);

SeriesSet Every(uint64_t step, uint64_t below) {
  std::vector<uint64_t> ids;
  for (uint64_t id = 1; id < below; id += step) ids.push_back(id);
  SeriesSet set;
  set.AddSorted(ids);
  return set;
}

// One metric of ten with one host of a thousand: the shape of most selectors.
void Intersect(benchmark::State& state) {
  const auto series = static_cast<uint64_t>(state.range(0));
  const SeriesSet metric = Every(10, series);
  const SeriesSet host = Every(1000, series);
  for (auto _ : state) {
    SeriesSet both = metric;
    both.IntersectWith(host);
    benchmark::DoNotOptimize(both.size());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * (metric.size() + host.size())));
}
BENCHMARK(Intersect)->ArgName("series")->Arg(10'000)->Arg(1'000'000);

}  // namespace
}  // namespace nexus::catalog
