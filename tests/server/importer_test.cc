// Importer: what is good is stored whatever else is rejected, in batches, each series once.

#include "server/importer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/engine/database_fixture.h"

namespace nexus::server {
namespace {

using ::testing::HasSubstr;

class ImporterTest : public DatabaseTest {
 protected:
  ImporterTest() {
    Open();
    sink_.emplace(db_.get(), "default", "main");
  }

  SeriesSlot Make(Importer* importer, const std::string& name) {
    StatusOr<Labels> labels = Labels::Make("metric", {{"name", name}});
    EXPECT_TRUE(labels.ok()) << labels.status();
    return importer->Make(KeyOf(name), *labels);
  }
  static Hash128 KeyOf(const std::string& name) { return XxHash128(AsBytes(name)); }

  std::optional<DatabaseSink> sink_;
};

// Takes all but the first sample of each batch.
class PickySink : public SampleSink {
 public:
  StatusOr<std::vector<SeriesId>> Series(std::span<const Labels> labels) override {
    return std::vector<SeriesId>(labels.size(), SeriesId{1});
  }
  void AppendAsync(std::span<const SeriesSample>, SinkCallback done) override {
    done(SinkOutcome{1, "it is the first"});
  }
};

TEST_F(ImporterTest, GoodSamplesAreKeptAndBadLinesCounted) {
  {
    Importer importer(&*sink_);
    SeriesSlot a = Make(&importer, "a");
    importer.Add(a, 1, 10);
    ASSERT_TRUE(importer.EndLine().ok());
    importer.Reject("x.lp:2: nonsense");
    SeriesSlot b = Make(&importer, "b");
    importer.Add(b, 1, 20);
    importer.Add(a, 2, 11);
    ASSERT_TRUE(importer.EndLine().ok());
    ASSERT_TRUE(importer.Finish().ok());
    EXPECT_EQ(importer.samples(), 3u);
    EXPECT_EQ(importer.series(), 2u);
    EXPECT_EQ(importer.rejected(), 1u);
    EXPECT_EQ(importer.rejections(), std::vector<std::string>{"x.lp:2: nonsense"});
  }
  Reopen();
  auto found = Read();
  EXPECT_EQ(found["a"], Bits({{1, 10}, {2, 11}}));
  EXPECT_EQ(found["b"], Bits({{1, 20}}));
}

TEST_F(ImporterTest, OnlyTheFirstRejectionsAreKeptButAllAreCounted) {
  Importer importer(&*sink_);
  for (int i = 0; i < 1000; i++) importer.Reject(std::to_string(i));
  EXPECT_EQ(importer.rejected(), 1000u);
  EXPECT_EQ(importer.rejections().size(), 10u);
  EXPECT_EQ(importer.rejections().front(), "0");
}

TEST_F(ImporterTest, ManyBatchesArriveWhole) {
  constexpr int kSamples = 120'001;  // more than two batches
  Importer importer(&*sink_);
  SeriesSlot even = Make(&importer, "even");
  SeriesSlot odd = Make(&importer, "odd");
  for (int i = 0; i < kSamples; i++) {
    importer.Add(i % 2 == 0 ? even : odd, i, i);
    ASSERT_TRUE(importer.EndLine().ok());
  }
  ASSERT_TRUE(importer.Finish().ok());
  auto found = Read();
  ASSERT_EQ(found["even"].size(), kSamples / 2 + 1u);
  ASSERT_EQ(found["odd"].size(), kSamples / 2 + 0u);
  EXPECT_EQ(found["odd"].back(), Bits({{kSamples - 2, kSamples - 2}}).front());
}

TEST_F(ImporterTest, LineIsInOneBatch) {
  constexpr int kSamples = 60'000;  // more than a batch
  Importer importer(&*sink_);
  SeriesSlot a = Make(&importer, "a");
  for (int i = 0; i < kSamples; i++) importer.Add(a, i, i);
  ASSERT_TRUE(importer.EndLine().ok());
  ASSERT_TRUE(importer.Finish().ok());
  EXPECT_EQ(GetStats().appended_batches, 1u);
  EXPECT_EQ(GetStats().appended_samples, uint64_t{kSamples});
}

TEST_F(ImporterTest, SeriesMadeIsFoundByItsKey) {
  Importer importer(&*sink_);
  EXPECT_EQ(importer.Find(KeyOf("a")), std::nullopt);
  SeriesSlot a = Make(&importer, "a");
  SeriesSlot b = Make(&importer, "b");
  EXPECT_EQ(importer.Find(KeyOf("a")), a);
  EXPECT_EQ(importer.Find(KeyOf("b")), b);
}

TEST_F(ImporterTest, FullCacheOfKeysStartsAnewAndNothingIsLost) {
  constexpr int kSeries = 10;
  Importer importer(&*sink_, {.cached_series_max = 4});
  int made = 0;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < kSeries; i++) {
      const std::string name = std::to_string(i);
      std::optional<SeriesSlot> slot = importer.Find(KeyOf(name));
      made += slot.has_value() ? 0 : 1;
      importer.Add(slot.has_value() ? *slot : Make(&importer, name), round, i);
      ASSERT_TRUE(importer.EndLine().ok());
    }
  }
  ASSERT_TRUE(importer.Finish().ok());
  EXPECT_GT(made, kSeries) << "keys were forgotten";
  EXPECT_EQ(importer.series(), uint64_t{kSeries}) << "but the series are the same";
  auto found = Read();
  ASSERT_EQ(found.size(), size_t{kSeries});
  for (int i = 0; i < kSeries; i++) {
    double value = i;
    EXPECT_EQ(found[std::to_string(i)], Bits({{0, value}, {1, value}, {2, value}})) << i;
  }
}

TEST_F(ImporterTest, UnknownTenantIsNamed) {
  DatabaseSink sink(db_.get(), "nobody", "main");
  Importer importer(&sink);
  importer.Add(Make(&importer, "a"), 1, 1);
  Status status = importer.Finish();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(FromAbsl(status.message())), HasSubstr("nobody"));
}

TEST_F(ImporterTest, UnknownBranchIsNamed) {
  DatabaseSink sink(db_.get(), "default", "elsewhere");
  Importer importer(&sink);
  importer.Add(Make(&importer, "a"), 1, 1);
  Status status = importer.Finish();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(FromAbsl(status.message())), HasSubstr("elsewhere"));
}

TEST_F(ImporterTest, WhatTheSinkRefusesIsCountedAndNotCalledImported) {
  PickySink sink;
  Importer importer(&sink);
  SeriesSlot a = Make(&importer, "a");
  for (int i = 0; i < 3; i++) importer.Add(a, i, i);
  ASSERT_TRUE(importer.Finish().ok());
  EXPECT_EQ(importer.samples(), 2u);
  EXPECT_EQ(importer.refused(), 1u);
  EXPECT_EQ(importer.refusal(), "it is the first");
}

}  // namespace
}  // namespace nexus::server
