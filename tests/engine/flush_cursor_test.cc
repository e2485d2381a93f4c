// The flush cursor gives what reading gives, in any order, and says which timestamps are shared.

#include "engine/flush_cursor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "tests/engine/memtable_model.h"

namespace nexus::engine {
namespace {

struct Flushed {
  Samples samples;
  uint32_t timestamp_column = 0;
  const int64_t* timestamps = nullptr;
};

std::map<uint64_t, Flushed> Flush(const Memtable& memtable, const std::vector<SeriesId>& order,
                                  const FlushCursorOptions& options = {}) {
  std::map<uint64_t, Flushed> all;
  FlushCursor cursor(&memtable, order, options);
  for (FlushedSeries series; cursor.Next(&series);) {
    EXPECT_EQ(series.timestamps.size(), series.values.size());
    Flushed& flushed = all[series.series.value];
    EXPECT_TRUE(flushed.samples.empty());
    for (size_t i = 0; i < series.values.size(); i++) {
      flushed.samples.push_back({series.timestamps[i], Bits(series.values[i])});
    }
    flushed.timestamp_column = series.timestamp_column;
    flushed.timestamps = series.timestamps.data();
  }
  return all;
}

std::vector<SeriesId> Present(const Memtable& memtable) {
  std::vector<SeriesId> ids;
  memtable.AppendSeriesIds(&ids);
  return ids;
}

TEST(FlushCursor, GivesWhatReadingGivesInAnyOrder) {
  const std::vector<uint64_t> tile_budgets = {32 << 20, 0, 1000, 5000};
  for (uint64_t seed = 0; seed < 40; seed++) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    Table table(seed % 5 == 0 ? 2 : 4096);
    Model model;
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    const auto batches = static_cast<uint32_t>(2 + generator.Below(40));
    for (uint32_t k = 0; k < batches; k++) {
      generator.Batch(k, &encoder, &model);
      table.Apply(&encoder);
    }
    std::vector<SeriesId> order = Present(table.memtable);
    order.push_back(SeriesId{123'456'789});  // not there: skipped
    std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
    FlushCursorOptions options;
    options.tile_bytes_max = tile_budgets[seed % tile_budgets.size()];
    std::map<uint64_t, Flushed> flushed = Flush(table.memtable, order, options);
    ASSERT_EQ(flushed.size(), model.size());
    std::map<uint32_t, std::vector<int64_t>> columns;
    for (const auto& [series, got] : flushed) {
      ASSERT_EQ(got.samples, Expected(model, series, {}, batches)) << "series " << series;
      if (got.timestamp_column == FlushedSeries::kOwnTimestamps) continue;
      std::vector<int64_t> timestamps;
      for (const auto& [timestamp, bits] : got.samples) timestamps.push_back(timestamp);
      auto [at, is_new] = columns.emplace(got.timestamp_column, timestamps);
      ASSERT_EQ(at->second, timestamps) << "column " << got.timestamp_column;
    }
  }
}

TEST(FlushCursor, WhatIsDeletedIsNotFlushed) {
  uint64_t gone = 0;
  for (uint64_t seed = 3000; seed < 3040; seed++) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    Table table(seed % 5 == 0 ? 2 : 4096);
    Model model;
    ModelDeletes deletes;
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    const auto batches = static_cast<uint32_t>(2 + generator.Below(40));
    for (uint32_t k = 0; k < batches; k++) {
      if (generator.Below(5) == 0) {
        deletes.push_back(generator.Delete(k));
        table.Delete(deletes.back().selector, deletes.back().range);
      } else {
        generator.Batch(k, &encoder, &model);
        table.Apply(&encoder);
      }
    }
    std::vector<SeriesId> order = Present(table.memtable);
    std::vector<std::string> labels;
    for (SeriesId id : order) labels.push_back(LabelsOf(id.value));
    FlushCursorOptions options;
    options.labels = [&labels](size_t i) { return std::string_view(labels[i]); };
    std::map<uint64_t, Flushed> flushed = Flush(table.memtable, order, options);
    for (const auto& [series, samples] : model) {
      const Samples expected = Expected(model, series, {}, batches, deletes);
      ASSERT_EQ(flushed.contains(series), !expected.empty()) << "series " << series;
      gone += samples.size() - expected.size();
      if (expected.empty()) continue;
      ASSERT_EQ(flushed[series].samples, expected) << "series " << series;
    }
  }
  EXPECT_GT(gone, 1000u);
}

TEST(FlushCursor, SeriesThatADeleteDoesNotTouchGoOnSharing) {
  Table table;
  std::vector<uint64_t> series = Consecutive(1, 100);
  for (int64_t t = 0; t < 50; t++) table.Row(t, series, 0.5);
  table.Delete("s{n=\"5\"}", {10, 20});
  table.Delete("{}", {1000, 2000});
  std::vector<SeriesId> order = Present(table.memtable);
  std::vector<std::string> labels;
  for (SeriesId id : order) labels.push_back(LabelsOf(id.value));
  FlushCursorOptions options;
  options.labels = [&labels](size_t i) { return std::string_view(labels[i]); };
  auto flushed = Flush(table.memtable, order, options);
  EXPECT_EQ(flushed[5].samples.size(), 39u);
  EXPECT_EQ(flushed[5].timestamp_column, FlushedSeries::kOwnTimestamps);
  for (const auto& [id, got] : flushed) {
    if (id == 5) continue;
    EXPECT_EQ(got.timestamps, flushed[1].timestamps) << id;
  }
}

TEST(FlushCursor, SeriesOfAShapeShareOneColumnOfTimestamps) {
  Table first;
  std::vector<uint64_t> series = Consecutive(1, 100);
  for (int64_t t = 0; t < 2; t++) first.Row(t, series, 0.5);
  Table table(4096, &first.memtable);
  for (int64_t t = 2; t < 50; t++) table.Row(t, series, 0.5);
  auto flushed = Flush(table.memtable, Present(table.memtable));
  ASSERT_EQ(flushed.size(), 100u);
  EXPECT_NE(flushed[1].timestamp_column, FlushedSeries::kOwnTimestamps);
  for (const auto& [id, got] : flushed) {
    EXPECT_EQ(got.timestamp_column, flushed[1].timestamp_column);
    EXPECT_EQ(got.timestamps, flushed[1].timestamps);
  }
}

TEST(FlushCursor, AFirstRowInStagingDoesNotEndTheSharing) {
  Table table;
  std::vector<uint64_t> series = Consecutive(1, 100);
  for (int64_t t = 0; t < 50; t++) table.Row(t, series, 0.5);
  auto flushed = Flush(table.memtable, Present(table.memtable));
  for (const auto& [id, got] : flushed) {
    ASSERT_EQ(got.samples.size(), 50u);
    EXPECT_EQ(got.timestamp_column, flushed[1].timestamp_column);
    EXPECT_EQ(got.timestamps, flushed[1].timestamps);
  }
  EXPECT_NE(flushed[1].timestamp_column, FlushedSeries::kOwnTimestamps);
}

TEST(FlushCursor, StripsOfOneRowShareTheirTimestamps) {
  Table table;
  std::vector<uint64_t> series = Consecutive(1, 3 * kShapeWidthMax);
  for (int64_t t = 0; t < 10; t++) table.Row(t, series, 0.5);
  auto flushed = Flush(table.memtable, Present(table.memtable));
  ASSERT_EQ(flushed.size(), series.size());
  EXPECT_NE(flushed[1].timestamp_column, FlushedSeries::kOwnTimestamps);
  for (const auto& [id, got] : flushed) {
    EXPECT_EQ(got.timestamp_column, flushed[1].timestamp_column);
  }
}

TEST(FlushCursor, ShapesWithOtherTimestampsHaveOtherColumns) {
  Table table;
  for (int64_t t = 0; t < 10; t++) {
    table.Row(t, Consecutive(1, 10), 0.5);
    table.Row(t + (t == 9), Consecutive(11, 10), 0.5);
  }
  auto flushed = Flush(table.memtable, Present(table.memtable));
  EXPECT_EQ(flushed[1].timestamp_column, flushed[10].timestamp_column);
  EXPECT_NE(flushed[1].timestamp_column, flushed[11].timestamp_column);
}

TEST(FlushCursor, RowsOutOfOrderAreSortedAndStillShared) {
  Table table;
  std::vector<uint64_t> series = Consecutive(1, 20);
  Table first;
  for (int64_t t = 0; t < 2; t++) first.Row(t, series, 0);
  Table shuffled(4096, &first.memtable);
  for (int64_t t : {5, 3, 9, 3, 7, 5, 1}) shuffled.Row(t, series, static_cast<double>(100 * t));
  shuffled.Row(3, series, 1000);
  auto flushed = Flush(shuffled.memtable, Present(shuffled.memtable));
  EXPECT_EQ(
      flushed[2].samples,
      (Samples{{1, Bits(101)}, {3, Bits(1001)}, {5, Bits(501)}, {7, Bits(701)}, {9, Bits(901)}}));
  EXPECT_NE(flushed[1].timestamp_column, FlushedSeries::kOwnTimestamps);
  EXPECT_EQ(flushed[20].timestamps, flushed[1].timestamps);
}

TEST(FlushCursor, AnImportedRunIsGivenWhereItLies) {
  Table table;
  std::vector<int64_t> timestamps;
  std::vector<double> values;
  for (int64_t t = 0; t < 100; t++) {
    timestamps.push_back(t * t);
    values.push_back(static_cast<double>(t));
  }
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  encoder.AddSeries(SeriesId{5}, timestamps, values);
  table.Apply(&encoder);
  std::vector<SeriesId> order = {{5}};
  FlushCursor cursor(&table.memtable, order);
  FlushedSeries series;
  ASSERT_TRUE(cursor.Next(&series));
  EXPECT_EQ(series.timestamp_column, FlushedSeries::kOwnTimestamps);
  EXPECT_EQ(series.timestamps.back(), 99 * 99);
  EXPECT_EQ(reinterpret_cast<const std::byte*>(series.values.data()),
            reinterpret_cast<const std::byte*>(series.timestamps.data() + 100));
  EXPECT_FALSE(cursor.Next(&series));
}

}  // namespace
}  // namespace nexus::engine
