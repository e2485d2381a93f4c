// Tests of SeriesReader: what it gives is the model's samples, and chunks that overlap nothing are
// neither merged nor decoded without need.

#include "engine/merge.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "tests/engine/fake_sources.h"
#include "tests/engine/random_samples.h"

namespace nexus::engine {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr SeriesId kSeries{7};

std::vector<std::shared_ptr<const SampleSource>> Shared(
    const std::vector<FakeSource::Chunks>& sources) {
  std::vector<std::shared_ptr<const SampleSource>> shared;
  for (const auto& chunks : sources) shared.push_back(std::make_shared<FakeSource>(chunks));
  return shared;
}

FakeChunk Chunk(std::vector<int64_t> ts, double value) {
  std::vector<double> values(ts.size(), value);
  return {std::move(ts), std::move(values), true, false};
}

std::vector<int64_t> Every(int64_t from, int64_t to, int64_t step) {
  std::vector<int64_t> ts;
  for (int64_t at = from; at < to; at += step) ts.push_back(at);
  return ts;
}

struct Read {
  std::vector<Sample> samples;
  std::vector<size_t> spans;
  uint64_t by_statistics = 0;
  QueryStatistics statistics;
};

StatusOr<Read> ReadAll(const std::vector<FakeSource::Chunks>& sources, TimeRange range,
                       const Buckets* buckets = nullptr, QueryLimits limits = {}) {
  Read read;
  QueryGuard guard(limits, nullptr);
  SeriesReader reader(Shared(sources), range, &guard, &read.statistics);
  NEXUS_RETURN_IF_ERROR(reader.Open({kSeries, {}}));
  for (;;) {
    Piece piece;
    NEXUS_ASSIGN_OR_RETURN(bool more, reader.Next(buckets, &piece));
    if (!more) return read;
    if (piece.chunk != nullptr) {
      read.by_statistics += piece.chunk->count;
      continue;
    }
    read.spans.push_back(piece.span.count);
    for (size_t i = 0; i < piece.span.count; i++) {
      read.samples.push_back({piece.span.timestamps[i], piece.span.values[i]});
    }
  }
}

void ExpectModel(const std::vector<FakeSource::Chunks>& sources, TimeRange range) {
  StatusOr<Read> read = ReadAll(sources, range);
  ASSERT_TRUE(read.ok()) << read.status();
  ModelSeries model = ModelOf(sources, kSeries, range);
  ASSERT_EQ(read->samples.size(), model.size());
  size_t i = 0;
  for (auto [ts, value] : model) {
    ASSERT_EQ(read->samples[i].timestamp, ts) << i;
    ASSERT_TRUE(SameBits(read->samples[i].value, value)) << i;
    i++;
  }
}

TEST(Merge, LaterInWriteOrderWins) {
  std::vector<FakeSource::Chunks> sources(3);
  sources[0][kSeries] = {Chunk({1, 2, 3, 4}, 0)};
  sources[1][kSeries] = {Chunk({2, 3}, 1)};
  sources[2][kSeries] = {Chunk({3, 5}, 2)};
  StatusOr<Read> read = ReadAll(sources, {});
  ASSERT_TRUE(read.ok());
  std::vector<double> values;
  for (Sample sample : read->samples) values.push_back(sample.value);
  EXPECT_EQ(values, (std::vector<double>{0, 1, 2, 0, 2}));
}

TEST(Merge, TheEndsOfTimeAreOrdinaryTimestamps) {
  std::vector<FakeSource::Chunks> sources(2);
  sources[0][kSeries] = {Chunk({kMin, 0, kMax}, 0)};
  sources[1][kSeries] = {Chunk({kMin}, 1), Chunk({kMin + 1, kMax - 1, kMax}, 2)};
  ExpectModel(sources, {});
  ExpectModel(sources, {kMin, kMin});
  ExpectModel(sources, {kMax, kMax});
  ExpectModel(sources, {kMin + 1, kMax - 1});
}

TEST(Merge, ChunksThatTouchInOneTimestampAreMerged) {
  std::vector<FakeSource::Chunks> sources(2);
  sources[0][kSeries] = {Chunk(Every(0, 1000, 1), 0), Chunk(Every(1000, 2000, 1), 0)};
  sources[1][kSeries] = {Chunk({999, 1000}, 1)};
  ExpectModel(sources, {});
}

TEST(Merge, WhatOverlapsNothingIsHandedOnWhole) {
  std::vector<FakeSource::Chunks> sources(2);
  sources[0][kSeries] = {Chunk(Every(0, 10, 1), 0), Chunk(Every(20, 30, 1), 0)};
  sources[1][kSeries] = {Chunk(Every(10, 20, 1), 1), Chunk(Every(30, 40, 1), 1)};
  StatusOr<Read> read = ReadAll(sources, {});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->spans, (std::vector<size_t>{10, 10, 10, 10}));
}

TEST(Merge, ALateSampleCutsAChunkIntoStretchesInPlace) {
  std::vector<FakeSource::Chunks> sources(2);
  sources[0][kSeries] = {Chunk(Every(0, 16000, 2), 0)};
  sources[1][kSeries] = {Chunk({8001}, 1)};
  StatusOr<Read> read = ReadAll(sources, {});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->spans, (std::vector<size_t>{4001, 1, 3999}));
  ExpectModel(sources, {});
}

TEST(Merge, StatisticsStandInOnlyForWhatOverlapsNothingAndFitsABucket) {
  std::vector<FakeSource::Chunks> sources(2);
  sources[0][kSeries] = {Chunk({0, 1, 2}, 0), Chunk({10, 11}, 0), Chunk({18, 22}, 0),
                         Chunk({30, 31, 32}, 0)};
  sources[1][kSeries] = {Chunk({11}, 1)};
  Buckets buckets{{0, 31}, 10};
  StatusOr<Read> read = ReadAll(sources, buckets.range, &buckets);
  ASSERT_TRUE(read.ok());
  // The first chunk. The second overlaps, the third straddles, the fourth reaches out of the range.
  EXPECT_EQ(read->by_statistics, 3u);
  EXPECT_EQ(read->samples.size(), 6u);
  EXPECT_EQ(read->statistics.chunks_by_statistics, 1u);
  EXPECT_EQ(read->statistics.chunks_decoded, 4u);
}

TEST(Merge, BuffersOfFinishedRunsAreUsedAgain) {
  // A long chunk over a thousand short ones: two buffers of 8192 and 10 samples, the merged samples
  // and the list of chunks are all the memory it takes.
  std::vector<FakeSource::Chunks> sources(2);
  sources[0][kSeries] = {Chunk(Every(0, 10'000, 1), 0)};
  for (int64_t at = 0; at < 10'000; at += 10) {
    sources[1][kSeries].push_back(Chunk(Every(at, at + 10, 1), 1));
  }
  QueryLimits limits;
  limits.memory_bytes = (10'000 + 8192 + 20) * 16 + 1001 * 120;
  StatusOr<Read> read = ReadAll(sources, {}, nullptr, limits);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->samples.size(), 10'000u);
}

TEST(Merge, MemoryOfOverlappingChunksIsBounded) {
  std::vector<FakeSource::Chunks> sources(50);
  for (auto& chunks : sources) chunks[kSeries] = {Chunk(Every(0, 1000, 1), 0)};
  QueryLimits limits;
  limits.memory_bytes = 40 * 16'000;
  Status status = ReadAll(sources, {}, nullptr, limits).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST(Merge, NothingIsNothing) {
  std::vector<FakeSource::Chunks> sources(2);
  EXPECT_TRUE(ReadAll(sources, {})->samples.empty());
  sources[0][kSeries] = {Chunk({1, 9}, 0)};
  sources[1][kSeries] = {Chunk({0, 8}, 0)};
  // Both chunks overlap the range with none of their samples.
  EXPECT_TRUE(ReadAll(sources, {2, 7})->samples.empty());
  EXPECT_TRUE(ReadAll({}, {})->samples.empty());
}

RC_GTEST_PROP(Merge, GivesTheSamplesOfTheModel, (uint64_t seed)) {
  RandomSamples random(seed);
  std::vector<FakeSource::Chunks> sources(1 + random.Below(6));
  for (auto& chunks : sources) {
    auto from = static_cast<int64_t>(random.Below(2000));
    // Few distinct times make many duplicates; long steps make sources that overlap in part.
    uint64_t step = random.OneIn(2) ? 3 : 50;
    size_t count = random.OneIn(4) ? random.Below(3000) : random.Below(60);
    std::vector<int64_t> ts = random.Timestamps(count, from, step);
    auto values = random.Numbers(ts.size(), RandomSamples::Values::kSpecial);
    auto cut = random.Cut(ts, values, 1 + random.Below(random.OneIn(2) ? 10 : 1000));
    if (!cut.empty()) chunks[kSeries] = std::move(cut);
  }
  TimeRange range;
  if (random.OneIn(2)) {
    range.first = static_cast<int64_t>(random.Below(3000));
    range.last = range.first + static_cast<int64_t>(random.Below(3000));
  }
  ModelSeries model = ModelOf(sources, kSeries, range);
  StatusOr<Read> read = ReadAll(sources, range);
  RC_ASSERT(read.ok());
  RC_ASSERT(read->samples.size() == model.size());
  size_t i = 0;
  for (auto [ts, value] : model) {
    RC_ASSERT(read->samples[i].timestamp == ts);
    RC_ASSERT(SameBits(read->samples[i].value, value));
    i++;
  }
  for (size_t span : read->spans) RC_ASSERT(span > 0u);
}

}  // namespace
}  // namespace nexus::engine
