// Tests of DeletedSource: queries see what a source would hold without the deleted samples, and
// chunks that no delete touches keep their statistics.

#include "engine/deleted_source.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/engine/fake_sources.h"
#include "tests/engine/random_samples.h"

namespace nexus::engine {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr uint64_t kSeries = 3;

std::map<SeriesId, std::string> SeriesNames() {
  std::map<SeriesId, std::string> names;
  for (uint64_t i = 1; i <= kSeries; i++) {
    names[SeriesId{i}] = Canonical("cpu", {{"host", std::to_string(i)}});
  }
  return names;
}

std::shared_ptr<const Tombstone> Delete(uint64_t lsn, std::string selector, TimeRange range) {
  catalog::TombstoneRecord record;
  record.order.lsn.value = lsn;
  record.selector = std::move(selector);
  record.range = range;
  auto made = Tombstone::Make(std::move(record));
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

// A source, its place in write order, and what each delete leaves of it.
struct Part {
  FakeSource::Chunks chunks;
  uint64_t high = 0;
};

ReadView ViewOf(const std::vector<Part>& parts, const std::shared_ptr<const Tombstones>& deletes) {
  ReadView view;
  view.index = std::make_unique<FakeIndex>(SeriesNames());
  for (const Part& part : parts) {
    view.sources.push_back(WithoutDeleted(std::make_shared<FakeSource>(part.chunks), deletes,
                                          {{0, Lsn{part.high}}, Lsn{}}));
  }
  return view;
}

// The same samples as sources that never held what is deleted, a chunk for each run that is left.
ReadView Expected(const std::vector<Part>& parts, const Tombstones& deletes) {
  const auto names = SeriesNames();
  std::vector<FakeSource::Chunks> left;
  for (const Part& part : parts) {
    FakeSource::Chunks& chunks = left.emplace_back();
    for (const auto& [series, list] : part.chunks) {
      for (const FakeChunk& chunk : list) {
        FakeChunk kept = {{}, {}, chunk.has_statistics, chunk.in_place};
        for (size_t i = 0; i < chunk.timestamps.size(); i++) {
          bool is_deleted = false;
          for (const auto& one : deletes) {
            is_deleted = is_deleted || (part.high <= one->order().lsn.value &&
                                        one->range().Contains(chunk.timestamps[i]) &&
                                        one->Covers(names.at(series)));
          }
          if (is_deleted) continue;
          kept.timestamps.push_back(chunk.timestamps[i]);
          kept.values.push_back(chunk.values[i]);
        }
        if (!kept.timestamps.empty()) chunks[series].push_back(std::move(kept));
      }
    }
  }
  return MakeView(names, left);
}

void ExpectSame(const Answer& got, const Answer& expected) {
  ASSERT_TRUE(got.status.ok()) << got.status;
  ASSERT_EQ(got.series.size(), expected.series.size());
  for (size_t i = 0; i < got.series.size(); i++) {
    ASSERT_EQ(got.series[i].labels, expected.series[i].labels);
    ASSERT_EQ(got.series[i].samples.size(), expected.series[i].samples.size());
    for (size_t k = 0; k < got.series[i].samples.size(); k++) {
      ASSERT_EQ(got.series[i].samples[k].timestamp, expected.series[i].samples[k].timestamp);
      ASSERT_TRUE(SameBits(got.series[i].samples[k].value, expected.series[i].samples[k].value));
    }
  }
}

RC_GTEST_PROP(DeletedSource, EveryQuerySeesWhatIsLeft, (uint64_t seed)) {
  RandomSamples random(seed);
  std::vector<Part> parts;
  for (uint64_t high = 10; high <= 40; high += 10) {
    Part& part = parts.emplace_back();
    part.high = high;
    for (uint64_t series = 1; series <= kSeries; series++) {
      if (random.OneIn(4)) continue;
      const auto ts = random.Timestamps(1 + random.Below(60), random.Around(100), 20);
      const auto values = random.Numbers(ts.size(), RandomSamples::Values::kCounter);
      part.chunks[SeriesId{series}] = random.Cut(ts, values, 20);
    }
  }
  auto deletes = std::make_shared<const Tombstones>();
  for (uint64_t i = random.Below(5); i > 0; i--) {
    TimeRange range = {random.Around(400), random.Around(800)};
    if (range.empty()) std::swap(range.first, range.last);
    if (random.OneIn(6)) range.first = kMin;
    if (random.OneIn(6)) range.last = kMax;
    const char* selectors[] = {"{}", "cpu{host=\"1\"}", "cpu{host=~\"[23]\"}", "mem"};
    deletes =
        WithTombstone(deletes, Delete(5 + random.Below(40), selectors[random.Below(4)], range));
  }
  SelectQuery query;
  query.selector = "cpu";
  if (random.OneIn(2)) query.range = {random.Around(400), kMax};
  auto compare = [&](auto&& open) {
    auto got = open(ViewOf(parts, deletes));
    auto expected = open(Expected(parts, *deletes));
    ASSERT_TRUE(got.ok() && expected.ok()) << got.status() << expected.status();
    ExpectSame(Drain(got->get()), Drain(expected->get()));
  };
  compare([&](ReadView view) { return MakeSelectCursor(std::move(view), query); });
  compare([&](ReadView view) { return MakeLatestCursor(std::move(view), query); });
  for (AggregateFunction function :
       {AggregateFunction::kCount, AggregateFunction::kMin, AggregateFunction::kMax,
        AggregateFunction::kFirst, AggregateFunction::kLast}) {
    AggregateQuery aggregate;
    aggregate.select = query;
    aggregate.function = function;
    aggregate.step_ns = static_cast<int64_t>(random.Below(200));
    compare([&](ReadView view) { return MakeAggregateCursor(std::move(view), aggregate); });
  }
  RC_ASSERT(!testing::Test::HasFailure());
}

// Ten chunks of ten samples, with statistics.
Part Regular() {
  Part part;
  part.high = 10;
  for (int64_t chunk = 0; chunk < 10; chunk++) {
    FakeChunk made = {{}, {}, true, false};
    for (int64_t i = 0; i < 10; i++) {
      made.timestamps.push_back(10 * chunk + i);
      made.values.push_back(1);
    }
    part.chunks[SeriesId{1}].push_back(std::move(made));
  }
  return part;
}

QueryStatistics CountOf(const Part& part, const std::shared_ptr<const Tombstones>& deletes,
                        double* count) {
  AggregateQuery query;
  query.select.selector = "cpu";
  query.function = AggregateFunction::kCount;
  auto cursor = MakeAggregateCursor(ViewOf({part}, deletes), query);
  EXPECT_TRUE(cursor.ok()) << cursor.status();
  const Answer answer = Drain(cursor->get());
  *count = answer.series.at(0).samples.at(0).value;
  return (*cursor)->statistics();
}

TEST(DeletedSource, OnlyTheChunksThatADeleteTouchesAreDecoded) {
  auto deletes = std::make_shared<const Tombstones>();
  deletes = WithTombstone(deletes, Delete(10, "cpu", {25, 34}));
  deletes = WithTombstone(deletes, Delete(11, "cpu{host=\"2\"}", {70, 79}));
  double count = 0;
  const QueryStatistics statistics = CountOf(Regular(), deletes, &count);
  EXPECT_EQ(count, 90);
  EXPECT_EQ(statistics.chunks_by_statistics, 8u);
  EXPECT_EQ(statistics.chunks_decoded, 2u);
  EXPECT_EQ(statistics.layers, 1u);
}

TEST(DeletedSource, AChunkThatIsDeletedWholeIsNotReadAtAll) {
  auto deletes = std::make_shared<const Tombstones>();
  deletes = WithTombstone(deletes, Delete(10, "cpu", {20, 49}));
  double count = 0;
  const QueryStatistics statistics = CountOf(Regular(), deletes, &count);
  EXPECT_EQ(count, 70);
  EXPECT_EQ(statistics.chunks_decoded, 0u);
}

TEST(DeletedSource, ASourceThatNoDeleteConcernsIsLeftAlone) {
  auto source = std::make_shared<FakeSource>(Regular().chunks);
  auto deletes = std::make_shared<const Tombstones>();
  EXPECT_EQ(WithoutDeleted(source, deletes, {{0, Lsn{10}}, Lsn{}}), source);
  deletes = WithTombstone(deletes, Delete(9, "cpu", {}));
  EXPECT_EQ(WithoutDeleted(source, deletes, {{0, Lsn{10}}, Lsn{}}), source);
  deletes = WithTombstone(deletes, Delete(10, "cpu", {}));
  EXPECT_NE(WithoutDeleted(source, deletes, {{0, Lsn{10}}, Lsn{}}), source);
  EXPECT_EQ(WithoutDeleted(source, deletes, {{0, Lsn{10}}, Lsn{11}}), source);
}

}  // namespace
}  // namespace nexus::engine
