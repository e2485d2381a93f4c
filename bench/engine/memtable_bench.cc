// What the memtable costs: applying, reading, flushing; and encoding batches. Times are per batch
// or call; items are samples, so `items_per_second` is samples a second.
//
//   bazel run --config=release //bench/engine:memtable_bench

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "base/check.h"
#include "engine/batch.h"
#include "engine/flush_cursor.h"
#include "engine/memtable.h"

namespace nexus::engine {
namespace {

// Memory of the tables before, so that page faults are not what is measured.
std::shared_ptr<MemtablePool> WarmPool() {
  static const auto pool = [] {
    auto made = std::make_shared<MemtablePool>();
    std::vector<std::byte*> chunks((256u << 20) / kArenaChunkBytes);
    for (std::byte*& chunk : chunks) {
      chunk = made->Take();
      std::fill(chunk, chunk + kArenaChunkBytes, std::byte{1});
    }
    for (std::byte* chunk : chunks) made->Give(chunk);
    return made;
  }();
  return pool;
}

constexpr size_t kBatchesARound = 10;
constexpr uint64_t kTableBytes = 192u << 20;

// Batches of one kind, as the log would hold them: taken in turn.
struct Batches {
  std::vector<std::unique_ptr<BatchEncoder>> encoders;
  std::vector<BatchView> views;
  uint64_t samples_each = 0;

  void Add(std::unique_ptr<BatchEncoder> encoder) {
    StatusOr<BatchView> view = BatchView::Parse(encoder->Finish());
    NEXUS_CHECK(view.ok());
    views.push_back(*view);
    samples_each = view->sample_count();
    encoders.push_back(std::move(encoder));
  }
};

std::unique_ptr<BatchEncoder> NewEncoder() {
  return std::make_unique<BatchEncoder>(TenantId{0}, BranchId{0});
}

std::vector<SeriesId> Consecutive(uint64_t first, uint64_t count) {
  std::vector<SeriesId> ids(count);
  for (uint64_t i = 0; i < count; i++) ids[i] = {first + i};
  return ids;
}

// `shapes` rows of `width` series each, a batch each.
Batches Rows(uint64_t shapes, uint64_t width, int64_t timestamp) {
  Batches batches;
  std::vector<double> values(width);
  std::iota(values.begin(), values.end(), 0.5);
  for (uint64_t s = 0; s < shapes; s++) {
    auto encoder = NewEncoder();
    encoder->AddRow(timestamp, Consecutive(1 + s * width, width), values);
    batches.Add(std::move(encoder));
  }
  return batches;
}

// Rows of `shapes` * `width` series at `rows` instants.
void FillRows(Memtable* memtable, uint64_t shapes, uint64_t width, uint64_t rows) {
  for (uint64_t r = 0; r < rows; r++) {
    Batches batches = Rows(shapes, width, static_cast<int64_t>(r) * 1'000'000'000);
    for (const BatchView& view : batches.views) memtable->Add(view);
  }
  memtable->Publish();
}

// Random series of `universe`, `count` of them in a batch.
Batches Loose(uint64_t universe, uint64_t count, uint64_t batches_made) {
  Batches batches;
  std::mt19937_64 random(1);
  for (uint64_t b = 0; b < batches_made; b++) {
    std::vector<SeriesSample> samples(count);
    for (size_t i = 0; i < count; i++) {
      samples[i] = {{1 + random() % universe},
                    static_cast<int64_t>(b * count + i) * 1'000'000,
                    static_cast<double>(i)};
    }
    auto encoder = NewEncoder();
    encoder->Add(samples);
    batches.Add(std::move(encoder));
  }
  return batches;
}

void ApplyInTurn(benchmark::State& state, const Batches& batches) {
  auto memtable = std::make_unique<Memtable>(WarmPool());
  size_t next = 0;
  for (auto _ : state) {
    memtable->Add(batches.views[next]);
    // As many batches as a commit round has when the log is the bottleneck.
    if (next % kBatchesARound == 0) memtable->Publish();
    if (++next == batches.views.size()) next = 0;
    if (memtable->bytes() < kTableBytes) continue;
    state.PauseTiming();
    memtable = std::make_unique<Memtable>(WarmPool(), MemtableOptions{}, memtable.get());
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(batches.samples_each));
  state.counters["bytes/sample"] =
      static_cast<double>(memtable->bytes()) / static_cast<double>(memtable->samples());
}

void BM_ApplyRows(benchmark::State& state) {
  ApplyInTurn(state, Rows(static_cast<uint64_t>(state.range(0)),
                          static_cast<uint64_t>(state.range(1)), 1'000'000'000));
}
BENCHMARK(BM_ApplyRows)
    ->ArgNames({"shapes", "width"})
    ->Args({10, 1000})
    ->Args({100, 10'000})
    ->Args({1000, 10})
    ->Args({1000, 100});

void BM_ApplyLoose(benchmark::State& state) {
  ApplyInTurn(state, Loose(static_cast<uint64_t>(state.range(0)), 1000, 100));
}
BENCHMARK(BM_ApplyLoose)->ArgName("series")->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

void BM_ApplySeries(benchmark::State& state) {
  Batches batches;
  std::vector<int64_t> timestamps(1000);
  std::vector<double> values(1000, 1.5);
  std::iota(timestamps.begin(), timestamps.end(), 0);
  for (uint64_t s = 1; s <= 100; s++) {
    auto encoder = NewEncoder();
    encoder->AddSeries(SeriesId{s}, timestamps, values);
    batches.Add(std::move(encoder));
  }
  ApplyInTurn(state, batches);
}
BENCHMARK(BM_ApplySeries);

void BM_ApplyRowsToFreshMemory(benchmark::State& state) {
  Batches batches = Rows(10, 1000, 1'000'000'000);
  for (auto _ : state) {
    state.PauseTiming();
    auto memtable = std::make_unique<Memtable>(std::make_shared<MemtablePool>());
    state.ResumeTiming();
    for (size_t i = 0; i < 4000; i++) memtable->Add(batches.views[i % 10]);
    state.PauseTiming();
    memtable.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * 4'000'000);
}
BENCHMARK(BM_ApplyRowsToFreshMemory);

void BM_ReadSeriesOfShape(benchmark::State& state) {
  auto rows = static_cast<uint64_t>(state.range(0));
  Memtable memtable(WarmPool());
  FillRows(&memtable, 8'000'000 / (rows * 1000), 1000, rows);
  std::vector<int64_t> timestamps;
  std::vector<double> values;
  std::mt19937_64 random(1);
  uint64_t series = 8'000'000 / (rows * 1000) * 1000;
  for (auto _ : state) {
    timestamps.clear();
    values.clear();
    memtable.Read(SeriesId{1 + random() % series}, {}, memtable.limit(), &timestamps, &values);
    benchmark::DoNotOptimize(values.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(rows));
}
BENCHMARK(BM_ReadSeriesOfShape)->ArgName("rows")->Arg(8)->Arg(80)->Arg(800);

void BM_LatestOfShape(benchmark::State& state) {
  Memtable memtable(WarmPool());
  auto series = static_cast<uint64_t>(state.range(0));
  FillRows(&memtable, series / 1000, 1000, 8'000'000 / series);
  std::mt19937_64 random(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(memtable.Latest(SeriesId{1 + random() % series}, memtable.limit()));
  }
}
BENCHMARK(BM_LatestOfShape)->ArgName("series")->Arg(10'000)->Arg(1'000'000);

void BM_LatestOfStaged(benchmark::State& state) {
  Memtable memtable(WarmPool());
  auto series = static_cast<uint64_t>(state.range(0));
  Batches batches = Loose(series, 1000, 4000);
  for (const BatchView& view : batches.views) memtable.Add(view);
  memtable.Publish();
  std::mt19937_64 random(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(memtable.Latest(SeriesId{1 + random() % series}, memtable.limit()));
  }
}
BENCHMARK(BM_LatestOfStaged)->ArgName("series")->Arg(10'000)->Arg(1'000'000);

// Streams the whole table and adds up the values, as cheaply as any use of them.
void FlushAll(benchmark::State& state, const Memtable& memtable,
              const std::vector<SeriesId>& order) {
  uint64_t samples = 0;
  for (auto _ : state) {
    FlushCursor cursor(&memtable, order);
    double sum = 0;
    samples = 0;
    for (FlushedSeries series; cursor.Next(&series);) {
      samples += series.values.size();
      sum += series.values.front() + series.values.back();
    }
    benchmark::DoNotOptimize(sum);
  }
  NEXUS_CHECK(samples > 0);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(samples));
}

// The order of labels: host by host as the shapes are, or metric by metric across all hosts.
void BM_FlushRows(benchmark::State& state) {
  auto shapes = static_cast<uint64_t>(state.range(0));
  auto width = static_cast<uint64_t>(state.range(1));
  bool across = state.range(2) != 0;
  auto warm = std::make_unique<Memtable>(WarmPool());
  FillRows(warm.get(), shapes, width, 2);
  Memtable memtable(WarmPool(), {}, state.range(3) != 0 ? nullptr : warm.get());
  warm.reset();
  FillRows(&memtable, shapes, width, 8'000'000 / (shapes * width));
  std::vector<SeriesId> order;
  for (uint64_t i = 0; i < shapes * width; i++) {
    order.push_back({1 + (across ? i % shapes * width + i / shapes : i)});
  }
  FlushAll(state, memtable, order);
}
BENCHMARK(BM_FlushRows)
    ->ArgNames({"shapes", "width", "across", "cold"})
    ->Args({10, 1000, 0, 0})
    ->Args({10, 1000, 0, 1})
    ->Args({10, 1000, 1, 0})
    ->Args({1000, 10, 0, 0})
    ->Args({1000, 10, 1, 0})
    ->Args({1000, 100, 0, 0})
    ->Args({1000, 100, 1, 0})
    ->Args({1000, 1000, 0, 0})
    ->Args({1000, 1000, 1, 0});

void BM_FlushStaged(benchmark::State& state) {
  Memtable memtable(WarmPool());
  auto series = static_cast<uint64_t>(state.range(0));
  Batches batches = Loose(series, 1000, 4000);
  for (const BatchView& view : batches.views) memtable.Add(view);
  memtable.Publish();
  std::vector<SeriesId> order = Consecutive(1, series);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  FlushAll(state, memtable, order);
}
BENCHMARK(BM_FlushStaged)->ArgName("series")->Arg(10'000)->Arg(1'000'000);

void BM_EncodeRows(benchmark::State& state) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<std::vector<SeriesId>> lists;
  for (uint64_t i = 0; i < 10; i++) lists.push_back(Consecutive(1 + i * 1000, 1000));
  std::vector<double> values(1000, 1.5);
  size_t next = 0;
  for (auto _ : state) {
    encoder.Reset(TenantId{0}, BranchId{0});
    encoder.AddRow(1, lists[next], values);
    if (state.range(0) == 0) next = (next + 1) % lists.size();
    if (state.range(0) == 1) encoder.AddRow(2, lists[next], values);
    benchmark::DoNotOptimize(encoder.Finish().data());
  }
  state.SetItemsProcessed(state.iterations() * (state.range(0) == 1 ? 2000 : 1000));
}
BENCHMARK(BM_EncodeRows)->ArgName("repeated")->Arg(0)->Arg(1);

void BM_EncodeSamples(benchmark::State& state) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesSample> samples;
  for (uint64_t i = 0; i < 1000; i++) {
    auto timestamp = static_cast<int64_t>(state.range(0) == 0 ? 0 : i) * 1'000'000;
    samples.push_back({{1 + i}, timestamp, 0.5});
  }
  for (auto _ : state) {
    encoder.Reset(TenantId{0}, BranchId{0});
    encoder.Add(samples);
    benchmark::DoNotOptimize(encoder.Finish().data());
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(BM_EncodeSamples)->ArgName("loose")->Arg(0)->Arg(1);

void BM_ParseBatch(benchmark::State& state) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<double> values(1000, 1.5);
  encoder.AddRow(1, Consecutive(1, 1000), values);
  Bytes body = encoder.Finish();
  for (auto _ : state) benchmark::DoNotOptimize(BatchView::Parse(body).ok());
}
BENCHMARK(BM_ParseBatch);

}  // namespace
}  // namespace nexus::engine
