// The memtable against a model: what is written last is read, at every version, bit for bit.

#include "engine/memtable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "base/check.h"
#include "engine/batch.h"
#include "tests/engine/memtable_model.h"

namespace nexus::engine {
namespace {

TEST(Memtable, AnEmptyOneHoldsNothing) {
  Table table;
  EXPECT_TRUE(table.memtable.empty());
  EXPECT_TRUE(table.memtable.range().empty());
  EXPECT_TRUE(table.Read(1).empty());
  EXPECT_FALSE(table.memtable.Latest(SeriesId{1}, table.memtable.limit()).has_value());
  std::vector<SeriesId> ids;
  table.memtable.AppendSeriesIds(&ids);
  EXPECT_TRUE(ids.empty());
  EXPECT_EQ(table.pool->bytes_held(), 0u);
}

TEST(Memtable, RowsThatRepeatTakeAboutEightBytesASample) {
  Table table;
  std::vector<uint64_t> series = Consecutive(1, 500);
  for (int64_t t = 0; t < 1000; t++) table.Row(t, series, 0.5);
  EXPECT_EQ(table.memtable.samples(), 500'000u);
  EXPECT_LT(table.memtable.bytes(), 500'000 * 9);
  Samples samples = table.Read(500);
  ASSERT_EQ(samples.size(), 1000u);
  EXPECT_EQ(samples[999], (std::pair<int64_t, uint64_t>{999, Bits(499.5)}));
}

TEST(Memtable, RowsWiderThanAShapeKeepEveryColumn) {
  Table table;
  std::vector<uint64_t> series = Consecutive(1, 3 * kShapeWidthMax + 2);
  for (int64_t t = 0; t < 20; t++) table.Row(t, series, static_cast<double>(t));
  for (uint64_t id : series) {
    Samples samples = table.Read(id);
    ASSERT_EQ(samples.size(), 20u);
    EXPECT_EQ(samples[7], (std::pair<int64_t, uint64_t>{7, Bits(static_cast<double>(6 + id))}));
  }
}

TEST(Memtable, WhatRepeatedInThePredecessorIsAShapeAtOnce) {
  constexpr uint64_t kSeries =
      16'384;  // a staged row of them takes 256 KiB more than one of a shape
  std::vector<uint64_t> series = Consecutive(1, kSeries);
  Table first;
  for (int64_t t = 0; t < 3; t++) first.Row(t, series, 0.5);
  Table cold;
  Table warm(4096, &first.memtable);
  for (int64_t t = 3; t < 5; t++) {
    cold.Row(t, series, 0.5);
    warm.Row(t, series, 0.5);
  }
  EXPECT_LT(warm.memtable.bytes() + kSeries * 14, cold.memtable.bytes());
  EXPECT_EQ(warm.Read(kSeries), cold.Read(kSeries));
}

TEST(Memtable, TheLaterWriteWinsAcrossPlaces) {
  Table table;
  std::vector<uint64_t> series = Consecutive(1, 10);
  std::vector<int64_t> timestamps = {0, 1, 2, 3, 4, 5, 6, 7};
  std::vector<double> values(8, 300);
  table.Row(5, series, 100);
  table.Row(5, series, 200);
  EXPECT_EQ(table.Read(1), (Samples{{5, Bits(200)}}));
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  encoder.AddSeries(SeriesId{1}, timestamps, values);
  table.Apply(&encoder);
  EXPECT_EQ(table.Read(1, {5, 5}, table.memtable.limit()), (Samples{{5, Bits(300)}}));
  table.One(1, 5, 400);
  EXPECT_EQ(table.Read(1, {5, 5}, table.memtable.limit()), (Samples{{5, Bits(400)}}));
  table.Row(5, series, 500);
  EXPECT_EQ(table.Read(1, {5, 5}, table.memtable.limit()), (Samples{{5, Bits(500)}}));
}

TEST(Memtable, TheLaterSampleOfOneBatchWins) {
  Table table;
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> twice = {{1}, {2}, {3}, {1}, {2}};
  for (int64_t t = 0; t < 3; t++) {
    encoder.AddRow(t, twice, std::vector<double>{10, 20, 30, 11, 21});
  }
  encoder.Add(std::vector<SeriesSample>{{{9}, 0, 1}, {{9}, 0, 2}, {{9}, -1, 3}});
  table.Apply(&encoder);
  EXPECT_EQ(table.Read(1), (Samples{{0, Bits(11)}, {1, Bits(11)}, {2, Bits(11)}}));
  EXPECT_EQ(table.Read(9), (Samples{{-1, Bits(3)}, {0, Bits(2)}}));
  uint32_t limit = table.memtable.limit();
  EXPECT_EQ(Bits(table.memtable.Latest(SeriesId{1}, limit)->value), Bits(11));
  EXPECT_EQ(Bits(table.memtable.Latest(SeriesId{9}, limit)->value), Bits(2));
}

TEST(Memtable, ValuesKeepTheirBits) {
  const std::vector<uint64_t> patterns = {0,
                                          0x8000000000000000,
                                          0x7ff0000000000000,
                                          0xfff0000000000000,
                                          0x7ff8000000000000,
                                          0x7ff0000000000001,
                                          0xfffdeadbeefcafe0,
                                          1,
                                          0xffffffffffffffff};
  Table table;
  std::vector<SeriesId> ids;
  std::vector<double> values;
  std::vector<int64_t> timestamps;
  std::vector<SeriesSample> loose;
  for (size_t i = 0; i < patterns.size(); i++) {
    ids.push_back({i + 1});
    values.push_back(std::bit_cast<double>(patterns[i]));
    timestamps.push_back(static_cast<int64_t>(i));
    loose.push_back({{200 + i}, static_cast<int64_t>(i % 3), values[i]});
  }
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  for (int64_t t = 0; t < 3; t++) encoder.AddRow(t, ids, values);
  encoder.AddSeries(SeriesId{100}, timestamps, values);
  encoder.Add(loose);
  table.Apply(&encoder);
  uint32_t limit = table.memtable.limit();
  for (size_t i = 0; i < patterns.size(); i++) {
    Samples row = table.Read(i + 1);
    ASSERT_EQ(row.size(), 3u);
    for (const auto& [ts, bits] : row) EXPECT_EQ(bits, patterns[i]);
    EXPECT_EQ(table.Read(100)[i].second, patterns[i]);
    EXPECT_EQ(table.Read(200 + i)[0].second, patterns[i]);
    EXPECT_EQ(Bits(table.memtable.Latest(SeriesId{i + 1}, limit)->value), patterns[i]);
  }
}

TEST(Memtable, MemoryGoesFromOneToTheNext) {
  auto pool = std::make_shared<MemtablePool>();
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> ids;
  std::vector<double> values(300, 1.5);
  for (uint64_t i = 1; i <= 300; i++) ids.push_back({i});
  for (int64_t t = 0; t < 2000; t++) encoder.AddRow(t, ids, values);
  StatusOr<BatchView> batch = BatchView::Parse(encoder.Finish());
  ASSERT_TRUE(batch.ok());
  uint64_t held = 0;
  for (int round = 0; round < 3; round++) {
    Memtable memtable(pool);
    memtable.Apply(*batch);
    EXPECT_GE(memtable.bytes(), pool->bytes_in_use());
    if (round == 0) held = pool->bytes_held();
    EXPECT_EQ(pool->bytes_held(), held);
  }
  EXPECT_GT(held, 300u * 2000 * 8);
  EXPECT_EQ(pool->bytes_in_use(), 0u);
}

TEST(Memtable, SeriesFarApartAreFound) {
  Table table;
  std::vector<uint64_t> ids;
  for (uint64_t i = 0; i < 300; i++) ids.push_back(i * i * 1'000'003 + 1);
  ids.push_back(kLastTimestamp);
  ids.push_back(std::numeric_limits<uint64_t>::max());
  for (uint64_t id : ids) table.One(id, 7, static_cast<double>(id % 1000));
  std::vector<SeriesId> present;
  table.memtable.AppendSeriesIds(&present);
  ASSERT_EQ(present.size(), ids.size());
  for (size_t i = 0; i < ids.size(); i++) {
    EXPECT_EQ(present[i].value, ids[i]);
    EXPECT_EQ(table.Read(ids[i]), (Samples{{7, Bits(static_cast<double>(ids[i] % 1000))}}));
  }
}

// ---- Against a model.

void CompareWithModel(const Table& table, const Model& model, uint32_t batches, TimeRange range,
                      const ModelDeletes& deletes = {}) {
  uint32_t limit = table.limits[batches];
  for (const auto& [series, samples] : model) {
    Samples expected = Expected(model, series, range, batches, deletes);
    ASSERT_EQ(table.Read(series, range, limit), expected)
        << "series " << series << ", " << batches << " batches";
    std::optional<Sample> latest = table.memtable.Latest(
        SeriesId{series}, limit, range, table.memtable.DeletedRowsOf(LabelsOf(series), limit));
    ASSERT_EQ(latest.has_value(), !expected.empty());
    if (!latest.has_value()) continue;
    ASSERT_EQ(latest->timestamp, expected.back().first);
    ASSERT_EQ(Bits(latest->value), expected.back().second);
  }
}

TEST(Memtable, EveryVersionIsWhatTheModelSays) {
  for (uint64_t seed = 0; seed < 40; seed++) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    Table table(seed % 5 == 0 ? 2 : 4096);
    Model model;
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    const auto batches = static_cast<uint32_t>(2 + generator.Below(30));
    for (uint32_t k = 0; k < batches; k++) {
      generator.Batch(k, &encoder, &model);
      table.Apply(&encoder);
    }
    CompareWithModel(table, model, batches, {});
    for (int i = 0; i < 4; i++) {
      auto version = static_cast<uint32_t>(generator.Below(batches + 1));
      int64_t a = generator.Timestamp();
      int64_t b = generator.Timestamp();
      CompareWithModel(table, model, version, {std::min(a, b), std::max(a, b)});
    }
    std::vector<SeriesId> present;
    table.memtable.AppendSeriesIds(&present);
    ASSERT_EQ(present.size(), model.size());
    size_t i = 0;
    for (const auto& [series, samples] : model) ASSERT_EQ(present[i++].value, series);
  }
}

TEST(Memtable, EveryVersionIsWhatTheModelSaysWithDeletesAmongTheBatches) {
  uint64_t deletes_made = 0;
  for (uint64_t seed = 2000; seed < 2060; seed++) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    Table table(seed % 5 == 0 ? 2 : 4096);
    Model model;
    ModelDeletes deletes;
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    const auto batches = static_cast<uint32_t>(2 + generator.Below(30));
    for (uint32_t k = 0; k < batches; k++) {
      if (generator.Below(4) == 0) {
        deletes.push_back(generator.Delete(k));
        table.Delete(deletes.back().selector, deletes.back().range);
      } else {
        generator.Batch(k, &encoder, &model);
        table.Apply(&encoder);
      }
    }
    deletes_made += deletes.size();
    CompareWithModel(table, model, batches, {}, deletes);
    for (int i = 0; i < 4; i++) {
      auto version = static_cast<uint32_t>(generator.Below(batches + 1));
      int64_t a = generator.Timestamp();
      int64_t b = generator.Timestamp();
      CompareWithModel(table, model, version, {std::min(a, b), std::max(a, b)}, deletes);
    }
  }
  EXPECT_GT(deletes_made, 100u);
}

TEST(Memtable, ADeleteTakesWhatCameBeforeItAndNothingThatComesLater) {
  Table table;
  const std::vector<uint64_t> series = Consecutive(1, 10);
  for (int64_t t = 0; t < 6; t++) table.Row(t, series, static_cast<double>(10 * t));
  const uint32_t before = table.memtable.limit();
  EXPECT_FALSE(table.memtable.HasDeletes(before));
  table.Delete("s{n=\"3\"}", {2, 4});
  EXPECT_TRUE(table.memtable.HasDeletes(table.memtable.limit()));
  EXPECT_EQ(table.Read(3), (Samples{{0, Bits(2)}, {1, Bits(12)}, {5, Bits(52)}}));
  EXPECT_EQ(table.Read(4).size(), 6u);
  // Written again at a deleted place: late, and as a row.
  table.One(3, 3, 77);
  table.Row(4, series, 1000);
  EXPECT_EQ(table.Read(3),
            (Samples{{0, Bits(2)}, {1, Bits(12)}, {3, Bits(77)}, {4, Bits(1002)}, {5, Bits(52)}}));
  EXPECT_EQ(table.Read(3, {}, before).size(), 6u) << "an older version changed";
}

TEST(Memtable, TheLatestSampleIsOneThatIsNotDeleted) {
  Table table;
  for (int64_t t = 0; t < 6; t++) table.Row(t, Consecutive(1, 10), static_cast<double>(t));
  table.One(2, 100, 0.5);
  table.Delete("{}", {4, 200});
  const uint32_t limit = table.memtable.limit();
  auto latest = [&](uint64_t series) {
    return table.memtable.Latest(SeriesId{series}, limit, {},
                                 table.memtable.DeletedRowsOf(LabelsOf(series), limit));
  };
  EXPECT_EQ(latest(2)->timestamp, 3);
  EXPECT_EQ(latest(7)->timestamp, 3);
  table.Delete("s{n=\"7\"}", {});
  EXPECT_FALSE(table.memtable
                   .Latest(SeriesId{7}, table.memtable.limit(), {},
                           table.memtable.DeletedRowsOf(LabelsOf(7), table.memtable.limit()))
                   .has_value());
}

TEST(Memtable, RangeAndSamplesCoverWhatWasAccepted) {
  for (uint64_t seed = 1000; seed < 1020; seed++) {
    Generator generator(seed);
    Table table;
    Model model;
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    for (uint32_t k = 0; k < 5; k++) {
      generator.Batch(k, &encoder, &model);
      table.Apply(&encoder);
    }
    TimeRange range = {kLastTimestamp, kFirstTimestamp};
    uint64_t samples = 0;
    for (const auto& [series, timestamps] : model) {
      range.first = std::min(range.first, timestamps.begin()->first);
      range.last = std::max(range.last, timestamps.rbegin()->first);
      for (const auto& [timestamp, writes] : timestamps) samples += writes.size();
    }
    EXPECT_EQ(table.memtable.range(), range);
    EXPECT_EQ(table.memtable.samples(), samples);
  }
}

// ---- Readers beside the writer.

// Batch k: a row, loose samples and a series at the times 10k .. 10k + 9, values known from k.
void FillBatch(int64_t k, BatchEncoder* encoder) {
  std::vector<SeriesId> ids;
  std::vector<double> values;
  for (uint64_t id = 1; id <= 20; id++) {
    ids.push_back({id});
    values.push_back(static_cast<double>(k));
  }
  encoder->AddRow(10 * k, ids, values);
  std::vector<SeriesSample> loose;
  for (uint64_t id = 15; id <= 30; id += 3) loose.push_back({{id}, 10 * k + 1, 0.5});
  // A new series with every batch, so that the table grows under the readers.
  loose.push_back({{1000 + 100 * static_cast<uint64_t>(k)}, 10 * k, 0.25});
  encoder->Add(loose);
  std::vector<int64_t> timestamps;
  std::vector<double> run;
  for (int64_t t = 2; t < 10; t++) {
    timestamps.push_back(10 * k + t);
    run.push_back(static_cast<double>(k + t));
  }
  encoder->AddSeries(SeriesId{18}, timestamps, run);
}

// Series 18 is in all three: ten samples a batch.
bool SeesExactly(const Memtable& memtable, uint32_t limit, int64_t batches) {
  std::vector<int64_t> timestamps;
  std::vector<double> values;
  memtable.Read(SeriesId{18}, {}, limit, &timestamps, &values);
  if (timestamps.size() != static_cast<size_t>(10 * batches)) return false;
  for (size_t i = 0; i < timestamps.size(); i++) {
    auto t = static_cast<int64_t>(i);
    double expected = t % 10 == 0   ? static_cast<double>(t / 10)
                      : t % 10 == 1 ? 0.5
                                    : static_cast<double>(t / 10 + t % 10);
    if (timestamps[i] != t || Bits(values[i]) != Bits(expected)) return false;
  }
  std::optional<Sample> latest = memtable.Latest(SeriesId{18}, limit);
  if (latest.has_value() != (batches > 0)) return false;
  return !latest.has_value() || latest->timestamp == 10 * batches - 1;
}

TEST(MemtableConcurrency, ReadersSeeWholeBatchesWhileTheWriterAdds) {
  constexpr int64_t kBatches = 600;
  auto pool = std::make_shared<MemtablePool>();
  Memtable memtable(pool);
  std::vector<std::atomic<uint32_t>> limits(kBatches + 1);
  std::atomic<int64_t> applied{0};
  std::atomic<int> failures{0};
  std::atomic<int64_t> checks{0};
  auto reader = [&](int lag) {
    while (applied.load(std::memory_order_acquire) < kBatches) {
      int64_t batches = std::max<int64_t>(0, applied.load(std::memory_order_acquire) - lag);
      uint32_t limit = limits[static_cast<size_t>(batches)].load(std::memory_order_relaxed);
      if (!SeesExactly(memtable, limit, batches)) failures++;
      if (memtable.Latest(SeriesId{1000 + 100 * static_cast<uint64_t>(batches)}, limit)) failures++;
      std::vector<SeriesId> ids;
      memtable.AppendSeriesIds(&ids);
      if (ids.size() < static_cast<size_t>(batches)) failures++;
      checks++;
    }
  };
  std::thread near(reader, 0);
  std::thread far(reader, 100);
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  for (int64_t k = 0; k < kBatches; k++) {
    FillBatch(k, &encoder);
    StatusOr<BatchView> batch = BatchView::Parse(encoder.Finish());
    NEXUS_CHECK(batch.ok());
    memtable.Apply(*batch);
    limits[static_cast<size_t>(k) + 1].store(memtable.limit(), std::memory_order_relaxed);
    applied.store(k + 1, std::memory_order_release);
    encoder.Reset(TenantId{0}, BranchId{0});
    if (k % 16 == 0) std::this_thread::yield();
  }
  near.join();
  far.join();
  EXPECT_EQ(failures.load(), 0);
  EXPECT_GT(checks.load(), 0);
  EXPECT_TRUE(SeesExactly(memtable, memtable.limit(), kBatches));
}

TEST(MemtableConcurrency, ALimitReadBesideTheWriterCutsBetweenBatches) {
  constexpr int64_t kBatches = 600;
  auto pool = std::make_shared<MemtablePool>();
  Memtable memtable(pool);
  std::atomic<bool> done{false};
  std::atomic<int> failures{0};
  std::thread reader([&] {
    while (!done.load(std::memory_order_acquire)) {
      uint32_t limit = memtable.limit();
      std::optional<Sample> latest = memtable.Latest(SeriesId{18}, limit);
      int64_t batches = latest.has_value() ? latest->timestamp / 10 + 1 : 0;
      if (!SeesExactly(memtable, limit, batches)) failures++;
    }
  });
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  for (int64_t k = 0; k < kBatches; k++) {
    FillBatch(k, &encoder);
    StatusOr<BatchView> batch = BatchView::Parse(encoder.Finish());
    NEXUS_CHECK(batch.ok());
    memtable.Apply(*batch);
    encoder.Reset(TenantId{0}, BranchId{0});
    if (k % 16 == 0) std::this_thread::yield();
  }
  done.store(true, std::memory_order_release);
  reader.join();
  EXPECT_EQ(failures.load(), 0);
}

}  // namespace
}  // namespace nexus::engine
