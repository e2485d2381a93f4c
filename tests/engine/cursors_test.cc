// Tests of the select and latest cursors and of label look-ups: content, order, chunk sizes,
// limits, damage.

#include "engine/cursors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "tests/engine/fake_sources.h"
#include "tests/engine/random_samples.h"

namespace nexus::engine {
namespace {

using testing::ElementsAre;

FakeChunk Chunk(int64_t from, int64_t count, double value, bool in_place = false) {
  FakeChunk chunk{{}, {}, true, in_place};
  for (int64_t i = 0; i < count; i++) {
    chunk.timestamps.push_back(from + i);
    chunk.values.push_back(value);
  }
  return chunk;
}

SelectQuery Query(std::string selector, TimeRange range = {}) {
  SelectQuery query;
  query.selector = std::move(selector);
  query.range = range;
  return query;
}

class CursorsTest : public testing::Test {
 protected:
  CursorsTest() {
    canonical_[SeriesId{3}] = Canonical("cpu", {{"host", "a"}});
    canonical_[SeriesId{2}] = Canonical("cpu", {{"host", "b"}, {"dc", "eu"}});
    canonical_[SeriesId{1}] = Canonical("mem", {});
    sources_.resize(2);
  }
  ReadView View() const { return MakeView(canonical_, sources_); }
  Answer Select(const SelectQuery& query) const {
    StatusOr<std::unique_ptr<Cursor>> cursor = MakeSelectCursor(View(), query);
    if (cursor.ok()) return Drain(cursor->get());
    Answer answer;
    answer.status = cursor.status();
    return answer;
  }

  std::map<SeriesId, std::string> canonical_;
  std::vector<FakeSource::Chunks> sources_;
};

TEST_F(CursorsTest, SeriesComeInLabelOrderAndEmptyOnesDoNotCome) {
  sources_[0][SeriesId{1}] = {Chunk(0, 3, 1)};
  sources_[1][SeriesId{3}] = {Chunk(5, 2, 3)};
  Answer answer = Select(Query("{}"));
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  ASSERT_EQ(answer.series.size(), 2u);
  EXPECT_EQ(answer.series[0].labels, "cpu{host=a,}");
  EXPECT_EQ(answer.series[1].labels, "mem{}");
  EXPECT_EQ(answer.series[1].samples.size(), 3u);
  EXPECT_TRUE(Select(Query("disk")).series.empty());
}

TEST_F(CursorsTest, ChunksHoldAtMost8192Samples) {
  sources_[0][SeriesId{1}] = {Chunk(0, 20'000, 1)};
  auto cursor = *MakeSelectCursor(View(), Query("mem"));
  SeriesChunk chunk;
  std::vector<size_t> sizes;
  while (*cursor->Next(&chunk)) sizes.push_back(chunk.timestamps.size());
  EXPECT_THAT(sizes, ElementsAre(8192, 8192, 3616));
  EXPECT_EQ(cursor->statistics().samples, 20'000u);
  EXPECT_EQ(cursor->statistics().series, 1u);
  EXPECT_EQ(cursor->statistics().layers, 1u);
}

TEST_F(CursorsTest, SmallChunksAreCollected) {
  for (int64_t at = 0; at < 10'000; at += 10) sources_[0][SeriesId{1}].push_back(Chunk(at, 10, 1));
  Answer answer = Select(Query("mem"));
  EXPECT_EQ(answer.series[0].samples.size(), 10'000u);
  EXPECT_EQ(answer.chunks, 2u);
}

TEST_F(CursorsTest, WhatTheSourceShowsInPlaceIsNotCopied) {
  sources_[0][SeriesId{1}] = {Chunk(0, 5000, 1, /*in_place=*/true)};
  auto source = std::make_shared<FakeSource>(sources_[0]);
  ReadView view = View();
  view.sources = {source};
  ChunkRef ref;
  {
    std::vector<ChunkRef> refs;
    ASSERT_TRUE(source->NewReader()->Chunks({SeriesId{1}, {}}, {}, &refs).ok());
    ref = refs[0];
  }
  SampleBuffer none;
  SampleSpan in_place = *source->NewReader()->Read(ref, {}, &none);
  auto cursor = *MakeSelectCursor(std::move(view), Query("mem"));
  SeriesChunk chunk;
  ASSERT_TRUE(*cursor->Next(&chunk));
  EXPECT_EQ(chunk.values.data(), in_place.values);
}

TEST_F(CursorsTest, LatestTakesTheNewestInTimeThenInWriteOrder) {
  sources_[0][SeriesId{1}] = {Chunk(0, 10, 1), Chunk(20, 10, 1)};
  sources_[1][SeriesId{1}] = {Chunk(5, 5, 2)};
  sources_[0][SeriesId{3}] = {Chunk(0, 10, 1)};
  sources_[1][SeriesId{3}] = {Chunk(9, 1, 2)};
  auto latest = [this](TimeRange range) {
    Answer answer = Drain(MakeLatestCursor(View(), Query("{}", range))->get());
    EXPECT_TRUE(answer.status.ok());
    std::vector<std::pair<int64_t, double>> rows;
    for (const auto& series : answer.series) {
      EXPECT_EQ(series.samples.size(), 1u);
      rows.emplace_back(series.samples[0].timestamp, series.samples[0].value);
    }
    return rows;
  };
  EXPECT_THAT(latest({}), ElementsAre(std::pair(9, 2.0), std::pair(29, 1.0)));
  EXPECT_THAT(latest({0, 19}), ElementsAre(std::pair(9, 2.0), std::pair(9, 2.0)));
  EXPECT_THAT(latest({10, 15}), ElementsAre());
  EXPECT_EQ((*LatestSample(View().sources, {SeriesId{1}, {}}, {0, 22}))->timestamp, 22);
  EXPECT_FALSE(LatestSample(View().sources, {SeriesId{2}, {}})->has_value());
}

TEST_F(CursorsTest, LatestFindsALateFlushedSampleOneTickNewer) {
  sources_[0][SeriesId{1}] = {Chunk(0, 11, 1)};
  sources_[1][SeriesId{1}] = {Chunk(0, 10, 2)};
  EXPECT_EQ((*LatestSample(View().sources, {SeriesId{1}, {}}))->timestamp, 10);
}

TEST_F(CursorsTest, DamageEndsTheCursorForGood) {
  sources_[0][SeriesId{1}] = {Chunk(0, 5000, 1)};
  sources_[0][SeriesId{3}] = {Chunk(0, 5000, 1)};
  auto source = std::make_shared<FakeSource>(sources_[0]);
  ReadView view = View();
  view.sources = {source};
  auto cursor = *MakeSelectCursor(std::move(view), Query("{}"));
  SeriesChunk chunk;
  EXPECT_TRUE(*cursor->Next(&chunk));
  source->Damage();
  EXPECT_EQ(cursor->Next(&chunk).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(cursor->Next(&chunk).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CursorsTest, CancellationAndDeadlineStopBetweenChunks) {
  sources_[0][SeriesId{1}] = {Chunk(0, 5000, 1), Chunk(5000, 5000, 1), Chunk(10'000, 5000, 1)};
  std::atomic<bool> cancel = false;
  int64_t now = 1'000'000'000;
  SelectQuery query = Query("mem");
  query.limits.cancel = &cancel;
  query.limits.deadline_ms = 10;
  ReadView view = View();
  view.monotonic_nanos = [&now] { return now; };
  auto cursor = *MakeSelectCursor(view.index ? std::move(view) : ReadView(), query);
  SeriesChunk chunk;
  EXPECT_TRUE(*cursor->Next(&chunk));
  cancel = true;
  EXPECT_EQ(cursor->Next(&chunk).status().code(), absl::StatusCode::kCancelled);

  cancel = false;
  view = View();
  view.monotonic_nanos = [&now] { return now; };
  cursor = *MakeSelectCursor(std::move(view), query);
  now += 9'999'999;
  EXPECT_TRUE(*cursor->Next(&chunk));
  now += 1;
  EXPECT_EQ(cursor->Next(&chunk).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(CursorsTest, BadQueriesAreRefusedAtOnce) {
  EXPECT_EQ(Select(Query("cpu{")).status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Select(Query("cpu", {1, 0})).status.code(), absl::StatusCode::kInvalidArgument);
  SelectQuery query = Query("{}");
  query.limits.series_max = 2;
  EXPECT_EQ(Select(query).status.code(), absl::StatusCode::kResourceExhausted);
  query.limits.series_max = 3;
  query.limits.memory_bytes = 10;
  EXPECT_EQ(Select(query).status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CursorsTest, LabelsAreLookedUp) {
  FakeIndex index(canonical_);
  EXPECT_THAT(*LabelNames(&index, ""), ElementsAre("__name__", "dc", "host"));
  EXPECT_THAT(*LabelNames(&index, "mem"), ElementsAre("__name__"));
  EXPECT_THAT(*LabelValues(&index, "host", " "), ElementsAre("a", "b"));
  EXPECT_THAT(*LabelValues(&index, "host", R"({dc="eu"})"), ElementsAre("b"));
  EXPECT_THAT(*LabelValues(&index, "__name__", R"({host!="a"})"), ElementsAre("cpu", "mem"));
  StatusOr<std::vector<Labels>> labels = SeriesLabels(&index, "cpu", 2);
  ASSERT_TRUE(labels.ok());
  ASSERT_EQ(labels->size(), 2u);
  EXPECT_EQ((*labels)[0].ToString(), R"(cpu{dc="eu",host="b"})");
  EXPECT_EQ((*labels)[1].ToString(), R"(cpu{host="a"})");
  EXPECT_EQ(SeriesLabels(&index, "", 2).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(LabelNames(&index, "{").status().code(), absl::StatusCode::kInvalidArgument);
}

RC_GTEST_PROP(Cursors, SelectAndLatestAgreeWithTheModel, (uint64_t seed)) {
  RandomSamples random(seed);
  std::map<SeriesId, std::string> canonical;
  std::vector<FakeSource::Chunks> sources(1 + random.Below(4));
  for (uint64_t i = 1; i <= 4; i++) {
    canonical[SeriesId{i}] = Canonical("m", {{"i", std::to_string(9 - i)}});
    for (auto& chunks : sources) {
      auto from = static_cast<int64_t>(random.Below(3000));
      size_t count = random.OneIn(3) ? random.Below(12'000) : random.Below(50);
      auto ts = random.Timestamps(count, from, random.OneIn(2) ? 1 : 9);
      if (ts.empty()) continue;
      auto values = random.Numbers(ts.size(), RandomSamples::Values::kSpecial);
      chunks[SeriesId{i}] = random.Cut(ts, values, 1 + random.Below(random.OneIn(3) ? 9 : 9000));
    }
  }
  TimeRange range;
  if (random.OneIn(2)) {
    range.first = static_cast<int64_t>(random.Below(9000));
    range.last = range.first + static_cast<int64_t>(random.Below(9000));
  }
  Answer all = Drain(MakeSelectCursor(MakeView(canonical, sources), Query("m", range))->get());
  Answer latest = Drain(MakeLatestCursor(MakeView(canonical, sources), Query("m", range))->get());
  RC_ASSERT(all.status.ok());
  RC_ASSERT(latest.status.ok());
  size_t at = 0;
  for (uint64_t i = 4; i >= 1; i--) {  // label order
    ModelSeries model = ModelOf(sources, SeriesId{i}, range);
    if (model.empty()) continue;
    const std::vector<Sample>& samples = all.series[at].samples;
    RC_ASSERT(samples.size() == model.size());
    auto row = samples.begin();
    for (auto [ts, value] : model) {
      RC_ASSERT(row->timestamp == ts);
      RC_ASSERT(SameBits(row->value, value));
      ++row;
    }
    RC_ASSERT(latest.series[at].samples[0].timestamp == samples.back().timestamp);
    RC_ASSERT(SameBits(latest.series[at].samples[0].value, samples.back().value));
    at++;
  }
  RC_ASSERT(at == all.series.size());
  RC_ASSERT(at == latest.series.size());
}

}  // namespace
}  // namespace nexus::engine
