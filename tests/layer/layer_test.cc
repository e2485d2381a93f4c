// Layers whole: what was built is what is read, in every shape and at every edge.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "layer/format.h"
#include "tests/layer/generators.h"
#include "tests/layer/layer_fixture.h"

namespace nexus::layer {
namespace {

using testing::BitsOf;
using testing::Build;
using testing::Built;
using testing::CanonicalOf;
using testing::ExpectSame;
using testing::LayerData;
using testing::Mixer;
using testing::Open;
using testing::ReadAll;
using testing::ReadSeries;
using testing::SeriesData;
using testing::TestIdentity;

constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
constexpr int64_t kLast = std::numeric_limits<int64_t>::max();

// Hosts with a few metrics each, all metrics of a host on the host's timestamps.
LayerData Scrapes(int hosts, size_t samples, uint64_t seed) {
  Mixer mix{seed};
  LayerData data;
  for (int host = 0; host < hosts; ++host) {
    const auto ts = testing::TimestampsOfShape(host % testing::kTimestampShapes, samples, seed);
    for (int metric = 0; metric < testing::kValueShapes; ++metric) {
      SeriesData series;
      series.id = 1 + mix.Next() % 1'000'000'000'000;
      series.ts = ts;
      series.values = testing::ColumnOfShape(metric, samples, mix.Next());
      data[CanonicalOf("metric" + std::to_string(metric), "host" + std::to_string(host))] = series;
    }
  }
  return data;
}

// Everything that can be asked of a layer gives what was put in.
void ExpectRoundTrip(const LayerData& data, const BuilderOptions& options = {}) {
  const Built built = Build(data, options);
  ASSERT_EQ(built.bytes.size(), built.summary.file_bytes);
  auto reader = Open(built.bytes);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->summary(), built.summary);
  auto got = ReadAll(*reader);
  ASSERT_TRUE(got.ok()) << got.status();
  ExpectSame(*got, data);
  auto report = VerifyLayer(*reader);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->ToStatus().ok()) << report->ToStatus();
  EXPECT_EQ(report->samples, built.summary.samples);
  EXPECT_EQ(report->chunks, built.summary.chunks);
}

RC_GTEST_PROP(Layer, AnySeriesComeBack, ()) {
  LayerData data;
  const int count = *rc::gen::inRange(1, 12);
  for (int i = 0; i < count; ++i) {
    SeriesData series;
    series.id = static_cast<uint64_t>(i) * 3 + 1;
    series.ts = *testing::Timestamps(700);
    series.values = testing::ColumnOfShape(*rc::gen::inRange(0, testing::kValueShapes),
                                           series.ts.size(), *rc::gen::arbitrary<uint64_t>());
    const std::string host = *rc::gen::string<std::string>();
    const auto labels = Labels::Make("m", {{"host", IsValidUtf8(host) ? host : std::string()}});
    data[labels.ok() ? labels->Canonical() : CanonicalOf("n", std::to_string(i))] = series;
  }
  BuilderOptions options;
  options.chunk_samples_max = *rc::gen::inRange(1U, 800U);
  options.page_bytes = *rc::gen::inRange(256U, 65536U);
  ExpectRoundTrip(data, options);
}

TEST(Layer, ScrapesOfManyHostsComeBack) { ExpectRoundTrip(Scrapes(20, 200, 1)); }

TEST(Layer, LongSeriesBecomeChunksOfTheLimit) {
  LayerData data = Scrapes(1, 20'000, 2);
  const Built built = Build(data);
  EXPECT_EQ(built.summary.chunks, data.size() * 3);
  ExpectRoundTrip(data);
}

TEST(Layer, OneSampleIsALayer) {
  LayerData data;
  data[CanonicalOf("m", "h")] = {1, {kFirst}, {-0.0}};
  ExpectRoundTrip(data);
  data.begin()->second.ts = {kLast};
  ExpectRoundTrip(data);
  EXPECT_LT(Build(data).bytes.size(), 700U);
}

TEST(Layer, BothEndsOfTimeInOneSeriesComeBack) {
  LayerData data;
  data[CanonicalOf("m", "h")] = {1, {kFirst, -1, 0, 1, kLast}, {1, 2, 3, 4, 5}};
  ExpectRoundTrip(data);
  const Built built = Build(data);
  EXPECT_EQ(built.summary.range, (TimeRange{kFirst, kLast}));
}

TEST(Layer, ChunksOfOneSampleEachComeBack) {
  BuilderOptions options;
  options.chunk_samples_max = 1;
  options.page_bytes = 256;
  ExpectRoundTrip(Scrapes(2, 50, 3), options);
}

TEST(Layer, RawDoublesLargerThanAPageComeBack) {
  LayerData data;
  SeriesData series{5, testing::TimestampsOfShape(3, 8192, 4), testing::ColumnOfShape(0, 8192, 4)};
  data[CanonicalOf("m", "h")] = series;
  ExpectRoundTrip(data);
}

TEST(Layer, LongLabelsComeBack) {
  LayerData data;
  Mixer mix{5};
  for (uint64_t i = 1; i <= 60; ++i) {
    std::string value(15'000, 'x');
    for (char& c : value) c = static_cast<char>('a' + mix.Below(26));
    data[CanonicalOf("m", value)] = {i, {1, 2}, {3, 4}};
  }
  ExpectRoundTrip(data);
}

TEST(Layer, SamplesMayComeInAnyPieces) {
  const LayerData data = Scrapes(2, 1000, 6);
  BuilderOptions options;
  options.chunk_samples_max = 300;
  const Built whole = Build(data, options);
  for (size_t piece : {1UL, 7UL, 299UL, 300UL, 301UL, 1000UL}) {
    LayerBuilder builder(TestIdentity(), options);
    std::string bytes;
    for (const auto& [labels, series] : data) {
      ASSERT_TRUE(builder.BeginSeries(labels, {series.id}).ok());
      for (size_t at = 0; at < series.ts.size(); at += piece) {
        const size_t n = std::min(piece, series.ts.size() - at);
        ASSERT_TRUE(builder
                        .AddSamples(std::span(series.ts).subspan(at, n),
                                    std::span(series.values).subspan(at, n))
                        .ok());
      }
    }
    ASSERT_TRUE(builder.Finish().ok());
    bytes = builder.TakeOutput();
    EXPECT_EQ(bytes, whole.bytes) << "in pieces of " << piece;
  }
}

TEST(Layer, SeriesScrapedTogetherShareTheirTimestamps) {
  LayerData data;
  const auto ts = testing::TimestampsOfShape(3, 2000, 8);
  for (uint64_t i = 1; i <= 50; ++i) {
    data[CanonicalOf("m", std::to_string(i))] = {i, ts, testing::ColumnOfShape(1, 2000, i)};
  }
  const Built shared = Build(data);
  uint64_t columns = 0;
  auto reader = Open(shared.bytes);
  ASSERT_TRUE(reader.ok());
  for (uint32_t i = 0; i < (*reader)->page_count(); ++i) {
    const auto page = (*reader)->page(i);
    if (page.kind == static_cast<uint8_t>(PageKind::kTimestamps)) columns += page.items;
  }
  EXPECT_EQ(columns, 1U);
  for (auto& [labels, series] : data) series.ts.back() += static_cast<int64_t>(series.id);
  const Built apart = Build(data);
  EXPECT_GT(apart.bytes.size(), shared.bytes.size() + 49 * 2000 * 3);
}

TEST(Layer, SteadyTimestampsCostNothingASample) {
  LayerData data;
  data[CanonicalOf("m", "h")] = {1, testing::TimestampsOfShape(0, 8000, 1),
                                 std::vector<double>(8000, 1.0)};
  EXPECT_LT(Build(data).bytes.size(), 700U);
}

TEST(Layer, LabelsOfManyHostsCostLittle) {
  LayerData data;
  for (uint64_t i = 0; i < 3000; ++i) {
    const auto labels = Labels::Make("metric" + std::to_string(i / 1000),
                                     {{"arch", i % 2 == 0 ? "x64" : "x86"},
                                      {"hostname", "host_" + std::to_string(i % 1000)},
                                      {"rack", std::to_string(i * 7919 % 1000 * 31 % 100)},
                                      {"service", std::to_string(i * 104729 % 1000 * 17 % 20)}});
    data[labels->Canonical()] = {i + 1, {1}, {1.0}};
  }
  auto reader = Open(Build(data).bytes);
  ASSERT_TRUE(reader.ok());
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < (*reader)->page_count(); ++i) {
    const auto page = (*reader)->page(i);
    if (page.kind == static_cast<uint8_t>(PageKind::kSeries)) bytes += page.bytes;
    if (page.kind == static_cast<uint8_t>(PageKind::kIds)) bytes += page.bytes;
  }
  EXPECT_LE(bytes / data.size(), 24U);
}

class LayerQueryTest : public ::testing::Test {
 protected:
  LayerQueryTest() {
    BuilderOptions options;
    options.chunk_samples_max = 100;
    options.page_bytes = 4096;
    built_ = Build(data_, options);
    reader_ = *Open(built_.bytes, &cache_);
  }
  LayerData data_ = Scrapes(8, 450, 9);
  PageCache cache_{1 << 20};
  Built built_;
  std::shared_ptr<const LayerReader> reader_;
  ReadContext context_;
};

TEST_F(LayerQueryTest, IdsThatAreNotThereAreNotFound) {
  for (uint64_t id : {uint64_t{1}, ~uint64_t{0}, uint64_t{123456789}}) {
    auto found = reader_->FindSeries({id}, &context_);
    ASSERT_TRUE(found.ok());
    EXPECT_FALSE(found->has_value());
  }
}

TEST_F(LayerQueryTest, RangesGiveExactlyTheSamplesWithinThem) {
  Mixer mix{10};
  for (const auto& [labels, series] : data_) {
    for (int i = 0; i < 20; ++i) {
      size_t a = mix.Below(series.ts.size());
      size_t b = mix.Below(series.ts.size());
      if (a > b) std::swap(a, b);
      // On a sample, or one off where that is possible.
      TimeRange range{series.ts[a], series.ts[b]};
      if (mix.Below(3) == 0 && range.first > kFirst) --range.first;
      if (mix.Below(3) == 0 && range.last > kFirst) --range.last;
      SeriesData wanted;
      for (size_t j = 0; j < series.ts.size(); ++j) {
        if (!range.Contains(series.ts[j])) continue;
        wanted.ts.push_back(series.ts[j]);
        wanted.values.push_back(series.values[j]);
      }
      auto got = ReadSeries(*reader_, {series.id}, range, &context_);
      ASSERT_TRUE(got.ok()) << got.status();
      ASSERT_EQ(got->ts, wanted.ts);
      ASSERT_EQ(BitsOf(got->values), BitsOf(wanted.values));
    }
  }
}

TEST_F(LayerQueryTest, ChunksTellTheirRangeCountAndStatistics) {
  for (const auto& [labels, series] : data_) {
    std::vector<ChunkInfo> chunks;
    const auto place = reader_->FindSeries({series.id}, &context_);
    ASSERT_TRUE(reader_->Chunks(**place, TimeRange(), &context_, &chunks).ok());
    ASSERT_EQ(chunks.size(), 5U);
    size_t at = 0;
    for (const ChunkInfo& chunk : chunks) {
      EXPECT_EQ(chunk.range.first, series.ts[at]);
      EXPECT_EQ(chunk.range.last, series.ts[at + chunk.count - 1]);
      EXPECT_TRUE(SameBits(chunk.statistics,
                           ComputeStatistics(std::span(series.values).subspan(at, chunk.count))));
      at += chunk.count;
    }
    EXPECT_EQ(at, series.ts.size());
  }
}

TEST_F(LayerQueryTest, ACursorMayStartAnywhere) {
  const auto count = static_cast<uint32_t>(data_.size());
  for (uint32_t first : {0U, 1U, count / 2, count - 1, count}) {
    SeriesCursor cursor(reader_, first);
    auto wanted = std::next(data_.begin(), first);
    for (; cursor.Next(); ++wanted) {
      ASSERT_EQ(cursor.labels(), wanted->first);
      ASSERT_EQ(cursor.id().value, wanted->second.id);
    }
    EXPECT_TRUE(cursor.status().ok());
    EXPECT_EQ(wanted, data_.end());
  }
}

TEST_F(LayerQueryTest, ThePageCacheOfAnySizeChangesNothing) {
  for (uint64_t bytes : {0ULL, 20'000ULL, 100'000ULL, 10'000'000ULL}) {
    PageCache cache(bytes);
    auto reader = Open(built_.bytes, &cache);
    ASSERT_TRUE(reader.ok());
    for (int round = 0; round < 2; ++round) {
      auto got = ReadAll(*reader);
      ASSERT_TRUE(got.ok());
      ExpectSame(*got, data_);
    }
    EXPECT_LE(cache.counters().bytes, bytes);
    reader->reset();
    EXPECT_EQ(cache.counters().pages, 0U);
  }
}

TEST_F(LayerQueryTest, OneContextServesManyLayers) {
  LayerData other = Scrapes(3, 100, 11);
  auto second = Open(Build(other).bytes, &cache_);
  ASSERT_TRUE(second.ok());
  for (const auto& [labels, series] : data_) {
    EXPECT_TRUE(ReadSeries(*reader_, {series.id}, TimeRange(), &context_).ok());
    const SeriesData& wanted = other.begin()->second;
    auto got = ReadSeries(**second, {wanted.id}, TimeRange(), &context_);
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(BitsOf(got->values), BitsOf(wanted.values));
  }
}

// ---- The builder refuses what is out of order.

class LayerBuilderTest : public ::testing::Test {
 protected:
  LayerBuilder builder_{TestIdentity()};
  const std::string a_ = CanonicalOf("a", "h");
  const std::string b_ = CanonicalOf("b", "h");
  const std::vector<int64_t> ts_ = {1, 2};
  const std::vector<double> values_ = {1, 2};
};

TEST_F(LayerBuilderTest, RefusesSeriesOutOfOrderAndStaysRefusing) {
  ASSERT_TRUE(builder_.AddSeries(b_, {1}, ts_, values_).ok());
  EXPECT_EQ(builder_.AddSeries(a_, {2}, ts_, values_).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(builder_.AddSeries(CanonicalOf("c", "h"), {3}, ts_, values_).ok());
  EXPECT_FALSE(builder_.Finish().ok());
}

TEST_F(LayerBuilderTest, RefusesTheSameSeriesTwice) {
  ASSERT_TRUE(builder_.AddSeries(a_, {1}, ts_, values_).ok());
  EXPECT_FALSE(builder_.AddSeries(a_, {2}, ts_, values_).ok());
}

TEST_F(LayerBuilderTest, RefusesTheSameIdTwice) {
  ASSERT_TRUE(builder_.AddSeries(a_, {1}, ts_, values_).ok());
  ASSERT_TRUE(builder_.AddSeries(b_, {1}, ts_, values_).ok());
  EXPECT_EQ(builder_.Finish().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LayerBuilderTest, RefusesTimestampsThatDoNotAscend) {
  const std::vector<int64_t> equal = {2, 2};
  EXPECT_FALSE(builder_.AddSeries(a_, {1}, equal, values_).ok());
  LayerBuilder across(TestIdentity());
  ASSERT_TRUE(across.BeginSeries(a_, {1}).ok());
  ASSERT_TRUE(across.AddSamples(ts_, values_).ok());
  EXPECT_FALSE(across.AddSamples(ts_, values_).ok());
}

TEST_F(LayerBuilderTest, RefusesASeriesWithoutSamplesAndSamplesWithoutASeries) {
  EXPECT_FALSE(builder_.AddSamples(ts_, values_).ok());
  LayerBuilder empty(TestIdentity());
  ASSERT_TRUE(empty.BeginSeries(a_, {1}).ok());
  EXPECT_FALSE(empty.BeginSeries(b_, {2}).ok());
}

TEST_F(LayerBuilderTest, RefusesLabelsThatAreNotCanonicalAndIdZero) {
  EXPECT_FALSE(builder_.AddSeries("not canonical", {1}, ts_, values_).ok());
  LayerBuilder zero(TestIdentity());
  EXPECT_FALSE(zero.AddSeries(a_, {0}, ts_, values_).ok());
}

TEST_F(LayerBuilderTest, RefusesToWriteALayerOfNothing) {
  EXPECT_EQ(builder_.Finish().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(LayerBuilderTest, IsDeterministicAndNamesItsInputs) {
  const LayerData data = Scrapes(3, 300, 12);
  BuilderOptions options;
  options.inputs = {{1, 2}, {1, 3}, {5, ~uint64_t{0}}};
  const Built first = Build(data, options);
  EXPECT_EQ(first.bytes, Build(data, options).bytes);
  auto reader = Open(first.bytes);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->summary().inputs, options.inputs);
}

// ---- Names

TEST(LayerName, SortsByTimeAndComesBack) {
  std::vector<std::string> names;
  for (int64_t first : {kFirst, int64_t{-5}, int64_t{0}, int64_t{7}, kLast}) {
    const TimeRange range{first, kLast};
    const std::string name = LayerFileName(TestIdentity(), range);
    names.push_back(name);
    auto parsed = ParseLayerFileName(name);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->range, range);
    EXPECT_EQ(parsed->level, TestIdentity().level);
    EXPECT_EQ(parsed->key, TestIdentity().key());
  }
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(names[2],
            "8000000000000000-ffffffffffffffff-01-0000000000000009-000000000000002a.layer");
}

TEST(LayerName, RefusesWhatItWouldNotWrite) {
  const std::string name = LayerFileName(TestIdentity(), {1, 2});
  EXPECT_FALSE(ParseLayerFileName("").ok());
  EXPECT_FALSE(ParseLayerFileName(name + "x").ok());
  EXPECT_FALSE(ParseLayerFileName(name + ".tmp").ok());
  EXPECT_FALSE(ParseLayerFileName(LayerFileName(TestIdentity(), {2, 1})).ok());
  for (size_t i = 0; i < name.size(); ++i) {
    std::string broken = name;
    broken[i] = 'X';
    EXPECT_FALSE(ParseLayerFileName(broken).ok()) << broken;
  }
}

}  // namespace
}  // namespace nexus::layer
