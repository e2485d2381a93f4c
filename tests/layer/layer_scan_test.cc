// Scans give what the reader gives, chunk by chunk, and what they copy is what was there.

#include "layer/layer_scan.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/layer/generators.h"
#include "tests/layer/layer_fixture.h"

namespace nexus::layer {
namespace {

using testing::Build;
using testing::CanonicalOf;
using testing::ExpectSame;
using testing::LayerData;
using testing::Mixer;
using testing::Open;
using testing::ReadAll;
using testing::SeriesData;
using testing::TestIdentity;

constexpr uint64_t kWholePages = ~uint64_t{0};

LayerData SomeData(int hosts, size_t samples) {
  Mixer mix{7};
  LayerData data;
  for (int host = 0; host < hosts; ++host) {
    const auto ts =
        testing::TimestampsOfShape(host % testing::kTimestampShapes, samples, mix.Next());
    for (int metric = 0; metric < testing::kValueShapes; ++metric) {
      data[CanonicalOf("metric" + std::to_string(metric), "host" + std::to_string(host))] = {
          1 + mix.Next() % 1'000'000'000'000, ts,
          testing::ColumnOfShape(metric, samples, mix.Next())};
    }
  }
  return data;
}

std::shared_ptr<const LayerReader> Layer(const LayerData& data, uint32_t chunk, uint32_t page) {
  BuilderOptions options;
  options.chunk_samples_max = chunk;
  options.page_bytes = page;
  auto reader = Open(Build(data, options).bytes);
  EXPECT_TRUE(reader.ok()) << reader.status();
  return *reader;
}

// Decodes all that is left of the scan, from the chunk `skipped` of each series on.
LayerData Decode(LayerScan* scan, size_t skipped = 0) {
  LayerData data;
  std::vector<uint64_t> scratch(kChunkSamplesMax);
  for (;;) {
    const auto more = scan->NextSeries();
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.value_or(false)) return data;
    SeriesData& series = data[std::string(scan->labels())];
    series.id = scan->id().value;
    for (size_t chunk = 0;; ++chunk) {
      const auto found = scan->NextChunk();
      EXPECT_TRUE(found.ok()) << found.status();
      if (!found.value_or(false)) break;
      if (chunk < skipped) continue;
      const size_t at = series.ts.size();
      series.ts.resize(at + scan->chunk().count);
      series.values.resize(at + scan->chunk().count);
      EXPECT_TRUE(scan->ReadTimestamps(series.ts.data() + at).ok());
      EXPECT_TRUE(scan->ReadValues(series.values.data() + at, scratch.data()).ok());
      EXPECT_EQ(series.ts[at], scan->chunk().range.first);
      EXPECT_EQ(series.ts.back(), scan->chunk().range.last);
    }
  }
}

TEST(LayerScan, GivesWhatTheLayerHolds) {
  const LayerData data = SomeData(9, 100);
  for (uint32_t chunk : {1U, 7U, 100U}) {
    LayerScan scan(Layer(data, chunk, 300), kWholePages);
    ExpectSame(Decode(&scan), data);
    scan.Release();
    scan.Restart();
    ExpectSame(Decode(&scan), data);
  }
}

TEST(LayerScan, GivesTheSameWhateverPartOfTheLabelsIsHeld) {
  LayerData data = SomeData(20, 3);
  data[CanonicalOf("metric3", std::string(3000, 'x'))] = {5, {1}, {2}};
  for (uint32_t page : {256U, 65536U}) {
    const auto layer = Layer(data, 8, page);
    for (uint64_t label_bytes : {0U, 100U, 1000U, 5000U}) {
      LayerScan scan(layer, label_bytes);
      ExpectSame(Decode(&scan), data);
    }
  }
}

TEST(LayerScan, ChunksThatAreNotVisitedArePassedBy) {
  const LayerData data = SomeData(5, 200);
  const auto layer = Layer(data, 10, 400);
  // Visits of each series only some chunks: every third series whole, others up to the second.
  LayerScan scan(layer, kWholePages);
  size_t number = 0;
  std::vector<int64_t> ts(10);
  for (;; ++number) {
    auto more = scan.NextSeries();
    ASSERT_TRUE(more.ok());
    if (!*more) break;
    const SeriesData& wanted = data.at(std::string(scan.labels()));
    const size_t visits = number % 3 == 0 ? 20 : number % 3;
    for (size_t i = 0; i < visits; ++i) {
      auto found = scan.NextChunk();
      ASSERT_TRUE(found.ok() && *found);
      ASSERT_TRUE(scan.ReadTimestamps(ts.data()).ok());
      ASSERT_EQ(ts.front(), wanted.ts[i * 10]);
    }
  }
  EXPECT_EQ(number, data.size());
}

// A layer of the chunks of `from`, copied.
std::shared_ptr<const LayerReader> CopyAll(const std::shared_ptr<const LayerReader>& from) {
  LayerScan scan(from, kWholePages);
  LayerIdentity identity = TestIdentity();
  ++identity.sequence;
  LayerBuilder builder(identity);
  while (*scan.NextSeries()) {
    EXPECT_TRUE(builder.BeginSeries(scan.labels(), scan.id()).ok());
    while (*scan.NextChunk()) {
      const Status status = scan.CopyChunk(&builder);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  auto finished = builder.Finish();
  EXPECT_TRUE(finished.ok()) << finished.status();
  auto reader = Open(builder.TakeOutput());
  EXPECT_TRUE(VerifyLayer(*reader)->ToStatus().ok()) << VerifyLayer(*reader)->ToStatus();
  EXPECT_EQ((*reader)->summary(), *finished);
  return *reader;
}

TEST(LayerScan, CopiedChunksAreTheSameToTheBit) {
  const LayerData data = SomeData(9, 300);
  for (uint32_t chunk : {1U, 50U, 300U}) {
    const auto layer = Layer(data, chunk, 1000);
    const auto copy = CopyAll(layer);
    ExpectSame(*ReadAll(copy), data);
    EXPECT_EQ(copy->summary().chunks, layer->summary().chunks);
    EXPECT_EQ(copy->summary().samples, layer->summary().samples);
    EXPECT_EQ(copy->summary().range, layer->summary().range);
  }
}

TEST(LayerScan, CopyingMakesThePagesThatBuildingMakes) {
  // Same chunks, same pages, same sharing of timestamps.
  const auto layer = Layer(SomeData(9, 300), 100, 65536);
  const auto copy = CopyAll(layer);
  ASSERT_EQ(copy->page_count(), layer->page_count());
  for (uint32_t i = 0; i < layer->page_count(); ++i) {
    EXPECT_EQ(copy->page(i).kind, layer->page(i).kind);
    EXPECT_EQ(copy->page(i).bytes, layer->page(i).bytes);
    EXPECT_EQ(copy->page(i).items, layer->page(i).items);
  }
}

TEST(LayerBuilder, ChunksMayBeGivenCopiedAndCollected) {
  const auto ts = testing::TimestampsOfShape(3, 100, 1);
  const auto values = testing::ColumnOfShape(0, 100, 2);
  const std::string labels = CanonicalOf("m", "h");
  const auto middle =
      Layer({{labels,
              {1, {ts.begin() + 40, ts.begin() + 70}, {values.begin() + 40, values.begin() + 70}}}},
            8192, 65536);
  LayerBuilder builder(TestIdentity());
  const std::span<const int64_t> all(ts);
  const std::span<const double> all_values(values);
  ASSERT_TRUE(builder.BeginSeries(labels, {1}).ok());
  ASSERT_TRUE(builder.AddSamples(all.first(10), all_values.first(10)).ok());
  ASSERT_TRUE(builder.AddChunk(all.subspan(10, 20), all_values.subspan(10, 20)).ok());
  ASSERT_TRUE(builder.AddSamples(all.subspan(30, 10), all_values.subspan(30, 10)).ok());
  LayerScan scan(middle, kWholePages);
  ASSERT_TRUE(*scan.NextSeries());
  ASSERT_TRUE(*scan.NextChunk());
  ASSERT_TRUE(scan.CopyChunk(&builder).ok());
  ASSERT_TRUE(builder.AddSamples(all.subspan(70), all_values.subspan(70)).ok());
  auto summary = builder.Finish();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->chunks, 5U);
  auto reader = Open(builder.TakeOutput());
  ExpectSame(*ReadAll(*reader), {{labels, {1, ts, values}}});
}

TEST(LayerBuilder, ChunksOutOfOrderAreRefused) {
  const std::string labels = CanonicalOf("m", "h");
  const auto layer = Layer({{labels, {1, {10, 20}, {1, 2}}}}, 8192, 65536);
  for (int64_t last : {10, 15, 20, 25}) {
    LayerBuilder builder(TestIdentity());
    ASSERT_TRUE(builder.BeginSeries(labels, {1}).ok());
    const std::vector<int64_t> ts = {5, last};
    const std::vector<double> values = {1, 2};
    ASSERT_TRUE(builder.AddChunk(ts, values).ok());
    EXPECT_TRUE(absl::IsInvalidArgument(builder.AddChunk(ts, values)));
    LayerBuilder other(TestIdentity());
    LayerScan scan(layer, kWholePages);
    ASSERT_TRUE(*scan.NextSeries() && *scan.NextChunk());
    EXPECT_TRUE(absl::IsInvalidArgument(scan.CopyChunk(&other))) << "no series was begun";
    LayerBuilder third(TestIdentity());
    ASSERT_TRUE(third.BeginSeries(labels, {1}).ok());
    ASSERT_TRUE(third.AddChunk(ts, values).ok());
    EXPECT_TRUE(absl::IsInvalidArgument(scan.CopyChunk(&third)));
  }
}

}  // namespace
}  // namespace nexus::layer
