// Tests of MemtableSource: what a memtable shows at a limit, cut at gaps in time.

#include "engine/memtable_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "engine/batch.h"
#include "engine/merge.h"
#include "tests/engine/fake_sources.h"

namespace nexus::engine {
namespace {

using testing::ElementsAre;

constexpr SeriesId kSeries{5};
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

std::vector<int64_t> Every(int64_t from, int64_t to, int64_t step) {
  std::vector<int64_t> ts;
  for (int64_t at = from; at < to; at += step) ts.push_back(at);
  return ts;
}

class MemtableSourceTest : public testing::Test {
 protected:
  void Append(const std::vector<int64_t>& ts, double value) {
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    encoder.AddSeries(kSeries, ts, std::vector<double>(ts.size(), value));
    StatusOr<BatchView> batch = BatchView::Parse(encoder.Finish());
    ASSERT_TRUE(batch.ok()) << batch.status();
    memtable_->Apply(*batch);
  }
  std::vector<ChunkRef> Chunks(uint32_t limit, TimeRange range = {}) {
    MemtableSource source(memtable_, limit);
    std::vector<ChunkRef> chunks;
    EXPECT_TRUE(source.NewReader()->Chunks({kSeries, {}}, range, &chunks).ok());
    return chunks;
  }

  std::shared_ptr<MemtablePool> pool_ = std::make_shared<MemtablePool>();
  std::shared_ptr<Memtable> memtable_ = std::make_shared<Memtable>(pool_);
};

TEST_F(MemtableSourceTest, ALateSampleIsAChunkOfItsOwn) {
  Append(Every(1'000'000, 1'001'000, 1), 1);
  Append({7}, 2);
  std::vector<ChunkRef> chunks = Chunks(memtable_->limit());
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].range, (TimeRange{7, 7}));
  EXPECT_EQ(chunks[1].range, (TimeRange{1'000'000, 1'000'999}));
  EXPECT_EQ(chunks[1].count, 1000u);
}

TEST_F(MemtableSourceTest, ShowsWhatTheLimitShowsAndNothingLater) {
  Append({1, 2, 3}, 1);
  uint32_t limit = memtable_->limit();
  Append({2, 4}, 2);
  MemtableSource source(memtable_, limit);
  std::unique_ptr<SourceReader> reader = source.NewReader();
  std::vector<ChunkRef> chunks;
  ASSERT_TRUE(reader->Chunks({kSeries, {}}, {}, &chunks).ok());
  ASSERT_EQ(chunks.size(), 1u);
  SampleBuffer buffer;
  SampleSpan span = *reader->Read(chunks[0], {2, 3}, &buffer);
  ASSERT_EQ(span.count, 2u);
  EXPECT_EQ(span.timestamps[0], 2);
  EXPECT_EQ(span.values[0], 1);
  EXPECT_GT(reader->held_bytes(), 0u);
  EXPECT_EQ((*reader->Latest({kSeries, {}}, {}))->timestamp, 3);
  EXPECT_EQ((*MemtableSource(memtable_, memtable_->limit()).NewReader()->Latest({kSeries, {}}, {}))
                ->timestamp,
            4);
  EXPECT_TRUE(Chunks(limit, {10, 20}).empty());
}

TEST_F(MemtableSourceTest, MergesWithOlderSources) {
  Append(Every(0, 100, 2), 2);
  FakeSource::Chunks older;
  older[kSeries] = {{Every(0, 100, 1), std::vector<double>(100, 1), true, false}};
  QueryGuard guard({}, nullptr);
  QueryStatistics statistics;
  SeriesReader reader({std::make_shared<FakeSource>(older),
                       std::make_shared<MemtableSource>(memtable_, memtable_->limit())},
                      {}, &guard, &statistics);
  ASSERT_TRUE(reader.Open({kSeries, {}}).ok());
  Piece piece;
  ASSERT_TRUE(*reader.Next(nullptr, &piece));
  ASSERT_EQ(piece.span.count, 100u);
  for (size_t i = 0; i < 100; i++) ASSERT_EQ(piece.span.values[i], i % 2 == 0 ? 2 : 1) << i;
}

TEST(CutAtGaps, RegularSamplesAreOnePart) {
  EXPECT_THAT(CutAtGaps({}), ElementsAre());
  EXPECT_THAT(CutAtGaps(std::vector<int64_t>{7}), ElementsAre(1));
  EXPECT_THAT(CutAtGaps(std::vector<int64_t>{kMin, kMax}), ElementsAre(2));
  EXPECT_THAT(CutAtGaps(Every(0, 100, 10)), ElementsAre(10));
  EXPECT_THAT(CutAtGaps(Every(0, 20'000, 1)), ElementsAre(8192, 16384, 20000));
}

TEST(CutAtGaps, AGapOfManyIntervalsEndsAPart) {
  EXPECT_THAT(CutAtGaps(std::vector<int64_t>{kMin, -2, -1, 0, 1, kMax}), ElementsAre(1, 5, 6));
  // An outage of nine intervals is a gap, one of eight is not.
  EXPECT_THAT(CutAtGaps(std::vector<int64_t>{0, 1, 2, 3, 12, 13, 14}), ElementsAre(4, 7));
  EXPECT_THAT(CutAtGaps(std::vector<int64_t>{0, 1, 2, 3, 11, 12, 13}), ElementsAre(7));
}

RC_GTEST_PROP(CutAtGaps, PartsAreFewAndCoverAll, (std::vector<int64_t> ts)) {
  std::sort(ts.begin(), ts.end());
  ts.erase(std::unique(ts.begin(), ts.end()), ts.end());
  std::vector<size_t> ends = CutAtGaps(ts);
  RC_ASSERT(ends.size() <= 64 + ts.size() / 8192);
  size_t begin = 0;
  for (size_t end : ends) {
    RC_ASSERT(begin < end);
    begin = end;
  }
  RC_ASSERT(begin == ts.size());
}

}  // namespace
}  // namespace nexus::engine
