// The catalog delta: views, segments, bounds; and its union with LMDB (LabelIndex).

#include "catalog/delta.h"

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "catalog/label_index.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

std::vector<uint64_t> PostingsOf(const DeltaView& view, std::string_view name,
                                 std::string_view value, TenantId tenant = kTenant) {
  SeriesSet set;
  for (const auto& segment : view) segment->AddPostings(tenant, name, value, &set);
  return Ids(set);
}

SeriesDefinition Host(uint64_t id, TenantId tenant = kTenant) {
  return Series(id, "cpu", {{"host", "h" + std::to_string(id)}, {"dc", "x"}}, tenant);
}

TEST(CatalogDeltaTest, ViewHasWhatWasAddedBeforeAndNothingAfter) {
  CatalogDelta delta;
  EXPECT_TRUE(delta.View()->empty());
  delta.Add(Host(1));
  auto before = delta.View();
  EXPECT_EQ(delta.View(), before) << "the same view while nothing changes";
  delta.Add(Host(2));
  auto after = delta.View();
  EXPECT_EQ(PostingsOf(*before, "dc", "x"), std::vector<uint64_t>{1});
  EXPECT_EQ(PostingsOf(*after, "dc", "x"), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(PostingsOf(*after, "host", "h2"), std::vector<uint64_t>{2});
  EXPECT_EQ(PostingsOf(*after, "__name__", "cpu"), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(PostingsOf(*after, "host", "x"), std::vector<uint64_t>{});
}

TEST(CatalogDeltaTest, ManySmallAdditionsStayFewSegments) {
  CatalogDelta delta;
  for (uint64_t id = 1; id <= 1'000; id++) {
    delta.Add(Host(id));
    EXPECT_LE(delta.View()->size(), 10u);
  }
  EXPECT_EQ(PostingsOf(*delta.View(), "dc", "x").size(), 1'000u);
}

TEST(CatalogDeltaTest, CommittedSegmentsGoAndLaterOnesStay) {
  CatalogDelta delta;
  delta.Add(Host(1));
  auto old = delta.View();
  auto cut = delta.Cut();
  delta.Add(Host(2));
  EXPECT_EQ(PostingsOf(*delta.View(), "dc", "x"), (std::vector<uint64_t>{1, 2}))
      << "what is being committed is still needed";
  delta.Committed(cut);
  EXPECT_EQ(PostingsOf(*delta.View(), "dc", "x"), std::vector<uint64_t>{2});
  EXPECT_EQ(PostingsOf(*old, "dc", "x"), std::vector<uint64_t>{1});
  EXPECT_EQ(delta.series(), 1u);
  delta.Committed(delta.Cut());
  EXPECT_EQ(delta.series(), 0u);
  EXPECT_EQ(delta.bytes(), 0u);
}

TEST(CatalogDeltaTest, CutAfterAFailedCommitGivesEverythingAgain) {
  CatalogDelta delta;
  delta.Add(Host(1));
  auto first = delta.Cut();
  delta.Add(Host(2));
  auto second = delta.Cut();
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[0], first[0]);
  delta.Committed(second);
  EXPECT_TRUE(delta.View()->empty());
}

TEST(CatalogDeltaTest, RepeatedDefinitionsAreOneSeriesAndTheCountsReturnToZero) {
  CatalogDelta delta;
  for (int i = 0; i < 10; i++) {
    delta.Add(Host(5));
    (void)delta.View();
  }
  EXPECT_EQ(PostingsOf(*delta.View(), "dc", "x"), std::vector<uint64_t>{5});
  delta.Committed(delta.Cut());
  EXPECT_EQ(delta.series(), 0u);
  EXPECT_EQ(delta.bytes(), 0u);
}

TEST(CatalogDeltaTest, IsFullAtItsBounds) {
  CatalogDelta::Options options;
  options.series_max = 3;
  CatalogDelta few(options);
  for (uint64_t id = 1; id <= 3; id++) {
    EXPECT_FALSE(few.full());
    few.Add(Host(id));
  }
  EXPECT_TRUE(few.full());
  options.series_max = 1'000;
  options.bytes_max = 10'000;
  CatalogDelta small(options);
  small.Add(Series(1, "cpu", {{"long", std::string(10'000, 'v')}}));
  EXPECT_TRUE(small.full());
  small.Committed(small.Cut());
  EXPECT_FALSE(small.full());
}

TEST(CatalogDeltaTest, AnyNumberOfThreadsMayBuildTheIndex) {
  CatalogDelta delta;
  for (uint64_t id = 1; id <= 500; id++) delta.Add(Host(id));
  auto view = delta.View();
  auto read = [&] {
    for (uint64_t id = 1; id <= 500; id++) {
      EXPECT_EQ(PostingsOf(*view, "host", "h" + std::to_string(id)), std::vector<uint64_t>{id});
    }
  };
  std::thread one(read);
  std::thread two(read);
  for (uint64_t id = 501; id <= 1'000; id++) {
    delta.Add(Host(id));
    (void)delta.View();
  }
  one.join();
  two.join();
}

TEST(DeltaSegmentTest, AnswersForEachTenantByItself) {
  auto segment = DeltaSegment::Make({Host(3, TenantId{2}), Host(1), Host(2, TenantId{2})}, 9);
  SeriesSet all;
  segment->AddAllSeries(TenantId{2}, &all);
  EXPECT_EQ(Ids(all), (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(segment->Find(TenantId{2}, SeriesId{1}), nullptr);
  ASSERT_NE(segment->Find(kTenant, SeriesId{1}), nullptr);
  EXPECT_EQ(segment->Find(kTenant, SeriesId{1})->canonical, Host(1).canonical);
  std::vector<std::string> values;
  auto take = [&](std::string_view value) {
    values.emplace_back(value);
    return true;
  };
  segment->VisitLabelValues(TenantId{2}, "host", take);
  EXPECT_EQ(values, (std::vector<std::string>{"h2", "h3"}));
  values.clear();
  segment->VisitLabelValues(TenantId{1}, "host", take);
  EXPECT_TRUE(values.empty());
}

// ---- LMDB and delta as one.

class LabelIndexTest : public CatalogTest {
 protected:
  LabelIndex Index() {
    auto view = delta_.View();  // before the reader begins
    return LabelIndex(Read(), view);
  }
  CatalogDelta delta_;
};

TEST_F(LabelIndexTest, AnswersAreTheUnionOfBoth) {
  Create();
  Define({Host(1), Host(2)});
  delta_.Add(Host(2));
  delta_.Add(Host(3));
  LabelIndex index = Index();
  EXPECT_EQ(Ids(*index.Postings(kTenant, "dc", "x")), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(Ids(*index.AllSeries(kTenant)), (std::vector<uint64_t>{1, 2, 3}));
  auto not_two = [](std::string_view value) { return value != "h2"; };
  EXPECT_EQ(Ids(*index.PostingsWhere(kTenant, "host", not_two)), (std::vector<uint64_t>{1, 3}));
  for (uint64_t id = 1; id <= 3; id++) {
    EXPECT_EQ(*index.Canonical(kTenant, SeriesId{id}), Host(id).canonical);
  }
  EXPECT_EQ(index.Canonical(kTenant, SeriesId{4}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*index.LabelNames(kTenant), (std::vector<std::string>{"__name__", "dc", "host"}));
  EXPECT_EQ(*index.LabelValues(kTenant, "host", "", 10),
            (std::vector<std::string>{"h1", "h2", "h3"}));
}

TEST_F(LabelIndexTest, ValuesAreFilteredByPrefixAndBounded) {
  Create();
  Define({Host(1), Host(11), Host(2)});
  delta_.Add(Host(12));
  delta_.Add(Host(3));
  EXPECT_EQ(*Index().LabelValues(kTenant, "host", "h1", 3),
            (std::vector<std::string>{"h1", "h11", "h12"}));
  EXPECT_EQ(Index().LabelValues(kTenant, "host", "h1", 2).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Index().LabelValues(kTenant, "host", "", 5)->size(), 5u);
}

TEST_F(LabelIndexTest, WorksWithoutADelta) {
  Create();
  Define({Host(1)});
  LabelIndex index(Read(), nullptr);
  EXPECT_EQ(Ids(*index.Postings(kTenant, "host", "h1")), std::vector<uint64_t>{1});
}

TEST_F(LabelIndexTest, SeriesAreFoundAtEveryMomentOfACommit) {
  Create();
  std::mt19937_64 random(99);
  uint64_t next = 1;
  auto expect_all = [&] {
    std::vector<uint64_t> expected(next - 1);
    for (uint64_t i = 0; i < expected.size(); i++) expected[i] = i + 1;
    EXPECT_EQ(Ids(*Index().Postings(kTenant, "dc", "x")), expected);
  };
  for (int round = 0; round < 20; round++) {
    for (uint64_t i = random() % 20; i > 0; i--) delta_.Add(Host(next++));
    expect_all();
    Update update;
    update.segments = delta_.Cut();
    if (random() % 2 == 0) delta_.Add(Host(next++));
    expect_all();
    if (random() % 4 == 0) continue;  // a commit that failed
    Commit(update);
    expect_all();
    delta_.Committed(update.segments);
    expect_all();
  }
  EXPECT_LT(delta_.series(), next - 1) << "something was committed";
}

}  // namespace
}  // namespace nexus::catalog
