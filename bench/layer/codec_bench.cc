// Speed and size of each integer codec on data of its own kind, and of value columns on each metric
// of the generator.
//
// items_per_second is samples; bits is what a sample takes.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/telemetry_gen.h"
#include "layer/codec/bitpack.h"
#include "layer/codec/integer_codec.h"
#include "layer/codec/values.h"

namespace nexus::layer {
namespace {

constexpr size_t kSamples = 1440;

// A run that the codec is made for.
std::vector<uint64_t> RunFor(IntegerCodecId codec) {
  std::vector<uint64_t> x(kSamples);
  uint64_t random = 42, sum = 0;
  for (size_t i = 0; i < kSamples; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    switch (codec) {
      case IntegerCodecId::kConstant:
        x[i] = 7;
        break;
      case IntegerCodecId::kFrameOfReference:
        x[i] = 1'000'000 + (random >> 54);
        break;
      case IntegerCodecId::kDelta:
        x[i] = sum += random >> 56;
        break;
      case IntegerCodecId::kDeltaOfDelta:
        x[i] = i * i * 3 + (random >> 62);
        break;
      case IntegerCodecId::kLinear:
        x[i] = i * 10'000 + (random >> 60);
        break;
      case IntegerCodecId::kRaw:
        x[i] = random;
        break;
    }
  }
  return x;
}

struct Encoded {
  explicit Encoded(const IntegerCodec& codec) : x(RunFor(codec.id())) {
    NEXUS_CHECK(codec.Plan(x, scratch.get(), &plan));
    codec.Encode(x, plan.parameters, scratch.get(), &stream);
    bytes = stream.size();
    stream.append(kReadSlackBytes, '\0');
  }
  std::vector<uint64_t> x;
  std::unique_ptr<IntegerScratch> scratch = std::make_unique<IntegerScratch>();
  IntegerPlan plan;
  std::string stream;
  size_t bytes = 0;
};

void Report(benchmark::State& state, size_t bytes) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kSamples));
  state.counters["bits"] = static_cast<double>(bytes) * 8 / kSamples;
}

void EncodeIntegers(benchmark::State& state) {
  const IntegerCodec& codec = *FindIntegerCodec(static_cast<uint8_t>(state.range(0)));
  Encoded encoded(codec);
  std::string out;
  for (auto _ : state) {
    out.clear();
    NEXUS_CHECK(codec.Plan(encoded.x, encoded.scratch.get(), &encoded.plan));
    codec.Encode(encoded.x, encoded.plan.parameters, encoded.scratch.get(), &out);
  }
  Report(state, encoded.bytes);
  state.SetLabel(std::string(codec.name()));
}
BENCHMARK(EncodeIntegers)->ArgName("codec")->DenseRange(0, kIntegerCodecs - 1);

void DecodeIntegers(benchmark::State& state) {
  const IntegerCodec& codec = *FindIntegerCodec(static_cast<uint8_t>(state.range(0)));
  const Encoded encoded(codec);
  std::vector<uint64_t> x(kSamples);
  for (auto _ : state) {
    NEXUS_CHECK(codec.Decode(encoded.plan.parameters, AsBytes(encoded.stream).first(encoded.bytes),
                             kSamples, x.data()));
    benchmark::DoNotOptimize(x.data());
  }
  Report(state, encoded.bytes);
  state.SetLabel(std::string(codec.name()));
}
BENCHMARK(DecodeIntegers)->ArgName("codec")->DenseRange(0, kIntegerCodecs - 1);

// A metric of the set `mixed`; of one that is often absent, what there is of it, over and over.
std::vector<double> ColumnOf(size_t metric) {
  bench::TelemetryGenerator generator(bench::DataSet::kMixed, 1);
  std::vector<double> column;
  while (column.size() < kSamples) {
    if (generator.present(metric)) column.push_back(generator.value(metric));
    generator.NextTick();
  }
  return column;
}

std::string NameOf(int64_t metric) {
  return std::string(
      bench::TelemetryGenerator(bench::DataSet::kMixed, 1).MetricName(static_cast<size_t>(metric)));
}

void EncodeValues(benchmark::State& state) {
  const std::vector<double> column = ColumnOf(static_cast<size_t>(state.range(0)));
  const auto encoder = std::make_unique<ValueEncoder>();
  std::string stream;
  for (auto _ : state) {
    stream.clear();
    encoder->Encode(encoder->Plan(column), &stream);
  }
  Report(state, stream.size());
  state.SetLabel(NameOf(state.range(0)));
}
BENCHMARK(EncodeValues)->ArgName("metric")->DenseRange(0, bench::kMetricsPerHost - 1);

void DecodeValueColumn(benchmark::State& state) {
  const std::vector<double> column = ColumnOf(static_cast<size_t>(state.range(0)));
  const auto encoder = std::make_unique<ValueEncoder>();
  std::string stream;
  const ValueRun run = encoder->Plan(column);
  encoder->Encode(run, &stream);
  const size_t bytes = stream.size();
  stream.append(kReadSlackBytes, '\0');
  std::vector<uint64_t> x(kSamples);
  std::vector<double> values(kSamples);
  for (auto _ : state) {
    NEXUS_CHECK(DecodeValues(run, AsBytes(stream).first(bytes), kSamples, x.data(), values.data()));
    benchmark::DoNotOptimize(values.data());
  }
  Report(state, bytes);
  state.SetLabel(NameOf(state.range(0)));
}
BENCHMARK(DecodeValueColumn)->ArgName("metric")->DenseRange(0, bench::kMetricsPerHost - 1);

}  // namespace
}  // namespace nexus::layer
