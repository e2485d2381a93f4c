// Speed of the compactor's merge: samples of inputs a second of one core, from layers in memory to
// the bytes of layers; and of reading an output back.
//
// The data is the `mixed` set of bench/telemetry_gen.h, ten hosts. Inputs are made of it so that
// their chunks overlap nothing (each layer the next stretch of time), overlap all (layer by layer
// the next sample), or in part (one layer of eight has late samples of all the time).

#include <benchmark/benchmark.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bench/telemetry_gen.h"
#include "compaction/layer_merge.h"
#include "compaction/run_merge.h"
#include "compaction/verify_output.h"
#include "layer/layer_builder.h"
#include "tests/layer/memory_file.h"

namespace nexus::compaction {
namespace {

constexpr size_t kHosts = 10;

struct Series {
  uint64_t id = 0;
  std::vector<int64_t> ts;
  std::vector<double> values;
};
using Data = std::map<std::string, Series>;

// `ticks` scrapes of all hosts. Values from telemetry, timestamps without the jitter that would
// make each series' column one of its own at each merge.
Data Generate(int ticks) {
  bench::TelemetryGenerator generator(bench::DataSet::kMixed, kHosts);
  std::vector<Series> series(generator.series());
  for (int tick = 0; tick < ticks; ++tick) {
    if (tick > 0) generator.NextTick();
    for (size_t i = 0; i < series.size(); ++i) {
      if (!generator.present(i)) continue;
      const int64_t ms = generator.timestamp_ms(i / bench::kMetricsPerHost);
      series[i].ts.push_back(ms * 1'000'000);
      series[i].values.push_back(generator.value(i));
    }
  }
  Data data;
  for (size_t i = 0; i < series.size(); ++i) {
    series[i].id = i + 1;
    data[generator.LabelsOf(i).Canonical()] = std::move(series[i]);
  }
  return data;
}

std::shared_ptr<const layer::LayerReader> LayerOf(const Data& data, uint64_t sequence) {
  layer::LayerIdentity identity;
  identity.sequence = sequence;
  layer::LayerBuilder builder(identity);
  for (const auto& [labels, series] : data) {
    NEXUS_CHECK(builder.AddSeries(labels, {series.id}, series.ts, series.values).ok());
  }
  NEXUS_CHECK(builder.Finish().ok());
  auto file = std::make_unique<layer::testing::MemoryFile>(builder.TakeOutput());
  auto reader = layer::LayerReader::Open(std::move(file), nullptr);
  NEXUS_CHECK(reader.ok());
  return *std::move(reader);
}

// Sample `index` of `count` goes to the layer that `layer_of` gives.
template <typename LayerNumber>
MergeJob Split(const Data& data, uint32_t layers, LayerNumber layer_of) {
  std::vector<Data> parts(layers);
  for (const auto& [labels, series] : data) {
    for (size_t i = 0; i < series.ts.size(); ++i) {
      Series& part = parts[layer_of(i, series.ts.size())][labels];
      part.id = series.id;
      part.ts.push_back(series.ts[i]);
      part.values.push_back(series.values[i]);
    }
  }
  MergeJob job;
  for (const Data& part : parts) {
    job.inputs.push_back({LayerOf(part, job.inputs.size() + 1), nullptr});
  }
  return job;
}

size_t Stretch(size_t index, size_t count, size_t layers) { return index * layers / count; }

void Run(benchmark::State& state, const MergeJob& job) {
  uint64_t samples = 0;
  MergeProgress progress;
  for (auto _ : state) {
    auto merge = LayerMerge::Create(job);
    NEXUS_CHECK(merge.ok());
    for (bool done = false; !done;) {
      auto step = (*merge)->Step({1, 1000});
      NEXUS_CHECK(step.ok());
      benchmark::DoNotOptimize(step->bytes.data());
      done = step->done;
    }
    progress = (*merge)->progress();
    samples += progress.samples_total;
  }
  state.SetItemsProcessed(static_cast<int64_t>(samples));
  state.counters["B/sample"] =
      static_cast<double>(progress.bytes_written) / static_cast<double>(progress.samples_written);
  state.counters["copied"] = static_cast<double>(progress.chunks_copied);
  state.counters["decoded"] = static_cast<double>(progress.chunks_decoded);
}

// Chunks of 8,192 samples, each layer behind the one before.
void BM_OverlapNothing(benchmark::State& state) {
  const auto layers = static_cast<uint32_t>(state.range(0));
  const Data data = Generate(static_cast<int>(8192 * layers));
  Run(state, Split(data, layers,
                   [&](size_t index, size_t count) { return Stretch(index, count, layers); }));
}
BENCHMARK(BM_OverlapNothing)->Arg(2)->Arg(8)->Unit(benchmark::kMillisecond);

// Two hours a layer, to be one day: chunks too small to be copied.
void BM_SmallChunks(benchmark::State& state) {
  const Data data = Generate(8640);
  Run(state,
      Split(data, 12, [&](size_t index, size_t count) { return Stretch(index, count, 12); }));
}
BENCHMARK(BM_SmallChunks)->Unit(benchmark::kMillisecond);

void BM_OverlapAll(benchmark::State& state) {
  const auto layers = static_cast<uint32_t>(state.range(0));
  const Data data = Generate(65'536);
  Run(state, Split(data, layers, [&](size_t index, size_t) { return index % layers; }));
}
BENCHMARK(BM_OverlapAll)->Arg(2)->Arg(8)->Arg(32)->Arg(64)->Unit(benchmark::kMillisecond);

// One sample of sixteen in every second stretch comes late.
void BM_OverlapInPart(benchmark::State& state) {
  const Data data = Generate(65'536);
  Run(state, Split(data, 8, [&](size_t index, size_t count) {
        const size_t stretch = Stretch(index, count, 7);
        return stretch % 2 == 0 && index % 16 == 7 ? size_t{7} : stretch;
      }));
}
BENCHMARK(BM_OverlapInPart)->Unit(benchmark::kMillisecond);

// The same samples twice, as from two collectors of which one is switched off later.
void BM_SameTwice(benchmark::State& state) {
  const Data data = Generate(65'536);
  MergeJob job = Split(data, 1, [](size_t, size_t) { return size_t{0}; });
  job.inputs.push_back(job.inputs.front());
  Run(state, job);
}
BENCHMARK(BM_SameTwice)->Unit(benchmark::kMillisecond);

void BM_Verify(benchmark::State& state) {
  const Data data = Generate(65'536);
  const MergeJob job = Split(data, 1, [](size_t, size_t) { return size_t{0}; });
  const layer::LayerSummary summary = job.inputs.front().layer->summary();
  for (auto _ : state) NEXUS_CHECK(VerifyOutput(job.inputs.front().layer, summary).ok());
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(summary.samples));
}
BENCHMARK(BM_Verify)->Unit(benchmark::kMillisecond);

// The join alone, of runs that interleave without order.
void BM_JoinRuns(benchmark::State& state) {
  const auto runs = static_cast<size_t>(state.range(0));
  constexpr size_t kSamples = 16'384;
  std::vector<std::vector<int64_t>> ts(runs);
  uint64_t random = 1;
  for (size_t i = 0; i < kSamples; ++i) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    ts[(random >> 33) % runs].push_back(static_cast<int64_t>(i));
  }
  const std::vector<double> values(kSamples, 1.5);
  std::vector<SampleRun> columns;
  for (const auto& run : ts) columns.push_back({run.data(), values.data(), run.size()});
  std::vector<int64_t> joined_ts(kSamples);
  std::vector<double> joined_values(kSamples);
  RunMerger merger;
  for (auto _ : state) {
    benchmark::DoNotOptimize(merger.Merge(columns, joined_ts.data(), joined_values.data()));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kSamples));
}
BENCHMARK(BM_JoinRuns)->Arg(2)->Arg(8)->Arg(32);

}  // namespace
}  // namespace nexus::compaction
