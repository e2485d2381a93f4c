// What a look at the layer map costs: PickJobs over maps of up to 10,000 layers, the most an edit
// may name.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>

#include "compaction/policy.h"

namespace nexus::compaction {
namespace {

constexpr int64_t kHour = 3600 * kNanosPerSecond;
constexpr int64_t kBegin = int64_t{666} * 30 * 24 * kHour;
constexpr size_t kJobs = 2;  // as many as run at once on two cores

class MapMaker {
 public:
  LayerMap map;

  void Add(uint32_t level, int64_t from, int64_t width, int64_t age) {
    MapLayer layer;
    layer.key = {1, map.layers.size() + 1};
    layer.range = {from, from + width - 1};
    layer.level = level;
    layer.order = {{0, Lsn{lsn_}}, {0, Lsn{lsn_ + 1}}};
    lsn_++;
    layer.bytes = 1 << 20;
    layer.age_ns = age;
    map.layers.push_back(layer);
    map.now_ns = std::max(map.now_ns, layer.range.last);
  }

 private:
  uint64_t lsn_ = 1;
};

// Days that wait for nothing, and the flushes of today.
LayerMap AtRest(int64_t layers) {
  MapMaker maker;
  for (int64_t day = 0; day + 8 < layers; day++) {
    maker.Add(2, kBegin + day * 24 * kHour, 24 * kHour, 100 * 24 * kHour);
    maker.map.layers.back().bytes = uint64_t{1} << 30;
  }
  for (int64_t i = 0; i < 7; i++) {
    maker.Add(0, kBegin + (layers - 8) * 24 * kHour + i * kHour, kHour, (7 - i) * kHour);
  }
  return std::move(maker.map);
}

// Flushes of an hour each, never compacted.
LayerMap Backlog(int64_t layers) {
  MapMaker maker;
  for (int64_t i = 0; i < layers; i++) {
    maker.Add(0, kBegin + i * kHour + kHour / 2, kHour, (layers - i) * kHour);
  }
  return std::move(maker.map);
}

// The same, each with some samples of hours before.
LayerMap LateBacklog(int64_t layers) {
  MapMaker maker;
  for (int64_t i = 0; i < layers; i++) {
    maker.Add(0, kBegin + i * kHour - 8 * kHour, 9 * kHour, (layers - i) * kHour);
  }
  return std::move(maker.map);
}

// Every layer over the whole of a year.
LayerMap Stacked(int64_t layers) {
  MapMaker maker;
  for (int64_t i = 0; i < layers; i++) {
    maker.Add(0, kBegin + i, 365 * 24 * kHour, (layers - i) * kHour);
  }
  return std::move(maker.map);
}

// Layers of any time and width.
LayerMap Scattered(int64_t layers) {
  MapMaker maker;
  std::mt19937_64 random(1);
  for (int64_t i = 0; i < layers; i++) {
    auto width = static_cast<int64_t>(uint64_t{1} << (random() % 14)) * kHour / 4;
    auto from = static_cast<int64_t>(random() % (10'000 * 24)) * kHour;
    maker.Add(0, kBegin + from, width, static_cast<int64_t>(random() % 1'000) * kHour);
  }
  return std::move(maker.map);
}

template <LayerMap (*Make)(int64_t)>
void BM_PickJobs(benchmark::State& state) {
  LayerMap map = Make(state.range(0));
  PolicyOptions options;
  size_t jobs = 0;
  for (auto _ : state) {
    jobs = PickJobs(map, options, kJobs).size();
    benchmark::DoNotOptimize(jobs);
  }
  state.counters["jobs"] = static_cast<double>(jobs);
}
BENCHMARK(BM_PickJobs<AtRest>)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_PickJobs<Backlog>)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_PickJobs<LateBacklog>)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_PickJobs<Stacked>)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_PickJobs<Scattered>)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace nexus::compaction
