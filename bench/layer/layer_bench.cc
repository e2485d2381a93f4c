// Measures layer files: bytes a sample, and the speed of building, scanning and verifying them, on
// the reference data sets; then each metric's columns by themselves.
//
// usage: layer_bench [HOSTS=100] [ROUNDS=5]
//
// 12 hours at 10 s of HOSTS hosts with ten metrics each (bench/telemetry_gen.h), in memory. Speeds
// are of one thread, by its own CPU time and the best of ROUNDS, so that neighbours on the machine
// disturb little; the scan reads every page anew through verification and parsing, as from a warm
// page cache of the kernel.

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/telemetry_gen.h"
#include "layer/codec/bitpack.h"
#include "layer/codec/values.h"
#include "layer/format.h"
#include "layer/layer_builder.h"
#include "layer/layer_reader.h"
#include "layer/layer_verifier.h"
#include "tests/layer/memory_file.h"

namespace nexus::layer {
namespace {

constexpr int kTicks = 4320;

struct Series {
  uint64_t id = 0;
  size_t metric = 0;
  std::vector<int64_t> ts;
  std::vector<double> values;
};
using Data = std::map<std::string, Series>;

int64_t ThreadNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Nanoseconds of the quickest of some rounds.
template <typename Work>
double Best(int rounds, Work work) {
  int64_t best = std::numeric_limits<int64_t>::max();
  for (int i = 0; i < rounds; ++i) {
    const int64_t begin = ThreadNanos();
    work();
    best = std::min(best, ThreadNanos() - begin);
  }
  return static_cast<double>(best);
}

Data Generate(bench::DataSet set, size_t hosts) {
  bench::TelemetryGenerator generator(set, hosts);
  std::vector<Series> series(generator.series());
  for (int tick = 0; tick < kTicks; ++tick) {
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
    series[i].metric = i % bench::kMetricsPerHost;
    data[generator.LabelsOf(i).Canonical()] = std::move(series[i]);
  }
  return data;
}

std::string Build(const Data& data, uint32_t chunk) {
  BuilderOptions options;
  options.chunk_samples_max = chunk;
  LayerBuilder builder(LayerIdentity(), options);
  for (const auto& [labels, series] : data) {
    NEXUS_CHECK(builder.AddSeries(labels, {series.id}, series.ts, series.values).ok());
  }
  NEXUS_CHECK(builder.Finish().ok());
  return builder.TakeOutput();
}

std::shared_ptr<const LayerReader> Open(std::string bytes) {
  auto file = std::make_unique<testing::MemoryFile>(std::move(bytes));
  auto reader = LayerReader::Open(std::move(file), nullptr);
  NEXUS_CHECK(reader.ok());
  return *reader;
}

// Decodes every sample; returns how many there were.
uint64_t Scan(const LayerReader& reader) {
  ReadContext context;
  std::vector<ChunkInfo> chunks;
  std::vector<int64_t> ts(kChunkSamplesMax);
  std::vector<double> values(kChunkSamplesMax);
  uint64_t samples = 0;
  for (uint32_t series = 0; series < reader.summary().series; ++series) {
    chunks.clear();
    NEXUS_CHECK(reader.Chunks(series, TimeRange(), &context, &chunks).ok());
    for (const ChunkInfo& chunk : chunks) {
      samples += *reader.ReadChunk(chunk, TimeRange(), &context, ts, values);
    }
  }
  return samples;
}

void MeasureLayer(const char* name, const Data& data, uint32_t chunk, int rounds) {
  std::string bytes;
  const double build = Best(rounds, [&] { bytes = Build(data, chunk); });
  const auto file_bytes = static_cast<double>(bytes.size());
  const auto reader = Open(std::move(bytes));
  const auto samples = static_cast<double>(reader->summary().samples);
  const double scan =
      Best(rounds, [&] { NEXUS_CHECK(Scan(*reader) == reader->summary().samples); });
  const double verify = Best(1, [&] { NEXUS_CHECK(VerifyLayer(reader)->ToStatus().ok()); });
  double by_kind[kPageKinds + 1] = {};
  for (uint32_t i = 0; i < reader->page_count(); ++i) {
    by_kind[reader->page(i).kind] += reader->page(i).bytes;
  }
  const auto series = static_cast<double>(data.size());
  fmt::print(
      "{:<6} {:>5} {:>9.4f} {:>9.4f} {:>9.4f} {:>9.2f} {:>9.2f} {:>8.1f} {:>8.1f} {:>8.1f}\n", name,
      chunk, file_bytes / samples, by_kind[1] / samples, by_kind[2] / samples, by_kind[3] / series,
      by_kind[4] / series, samples * 1e3 / build, samples * 1e3 / scan, samples * 1e3 / verify);
}

// One metric's value columns, without pages.
struct MetricCost {
  double samples = 0;
  double bytes = 0;
  double encode_ns = 0;
  double decode_ns = 0;
  std::map<std::string, int> codecs;
};

void MeasureColumn(std::span<const double> column, ValueEncoder* encoder, int rounds,
                   MetricCost* cost) {
  std::string stream;
  ValueRun run;
  cost->encode_ns += Best(rounds, [&] {
    stream.clear();
    run = encoder->Plan(column);
    encoder->Encode(run, &stream);
  });
  const size_t bytes = stream.size();
  stream.append(kReadSlackBytes, '\0');
  std::vector<uint64_t> x(column.size());
  std::vector<double> values(column.size());
  cost->decode_ns += Best(rounds, [&] {
    NEXUS_CHECK(
        DecodeValues(run, AsBytes(stream).first(bytes), column.size(), x.data(), values.data()));
  });
  cost->samples += static_cast<double>(column.size());
  cost->bytes += static_cast<double>(bytes);
  const auto codec = static_cast<uint8_t>(run.integers.parameters.codec);
  ++cost->codecs[fmt::format("{}{} {}", run.form == ValueForm::kDecimal ? "m/1e" : "bits>>",
                             run.exponent, FindIntegerCodec(codec)->name())];
}

void MeasureMetrics(bench::DataSet set, const Data& data, int rounds) {
  const bench::TelemetryGenerator names(set, 1);
  std::map<size_t, MetricCost> costs;
  const auto encoder = std::make_unique<ValueEncoder>();
  for (const auto& [labels, series] : data) {
    MeasureColumn(series.values, encoder.get(), rounds, &costs[series.metric]);
  }
  for (const auto& [metric, cost] : costs) {
    std::string codecs;
    for (const auto& [codec, times] : cost.codecs) {
      codecs += fmt::format("  {} x {}", times, codec);
    }
    fmt::print("{:<17} {:>7.3f} {:>8.1f} {:>8.1f} {}\n", names.MetricName(metric),
               8 * cost.bytes / cost.samples, cost.samples * 1e3 / cost.encode_ns,
               cost.samples * 1e3 / cost.decode_ns, codecs);
  }
}

void Run(size_t hosts, int rounds) {
  const std::pair<const char*, bench::DataSet> sets[] = {{"cpu", bench::DataSet::kCpu},
                                                         {"mixed", bench::DataSet::kMixed}};
  fmt::print("layers of {} hosts; speeds in million samples a second of one core\n\n", hosts);
  fmt::print("{:<6} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}\n", "data", "chunk",
             "B/sample", "values", "times", "labels/s", "ids/s", "build", "scan", "verify");
  for (const auto& [name, set] : sets) {
    const Data data = Generate(set, hosts);
    for (uint32_t chunk : {120U, 720U, 8192U}) MeasureLayer(name, data, chunk, rounds);
  }
  for (const auto& [name, set] : sets) {
    fmt::print("\n{:<17} {:>7} {:>8} {:>8}   codecs of {} columns\n", name, "bits", "encode",
               "decode", std::min<size_t>(hosts, 20));
    MeasureMetrics(set, Generate(set, std::min<size_t>(hosts, 20)), rounds);
  }
}

}  // namespace
}  // namespace nexus::layer

int main(int argc, char** argv) {
  const int hosts = argc > 1 ? std::atoi(argv[1]) : 100;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  if (hosts < 1 || rounds < 1) {
    fmt::print(stderr, "usage: layer_bench [HOSTS=100] [ROUNDS=5]\n");
    return 2;
  }
  nexus::layer::Run(static_cast<size_t>(hosts), rounds);
  return 0;
}
