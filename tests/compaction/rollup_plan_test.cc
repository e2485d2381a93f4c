// Tests of what PickRollup picks, on maps made by hand.

#include "compaction/rollup_plan.h"

#include <gtest/gtest.h>

#include <vector>

#include "compaction/rollup_bucket.h"

namespace nexus::compaction {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kResolution = 10 * kSecond;
constexpr int64_t kWindow = kRollupWindowBuckets * kResolution;  // 4 hours

WriteOrder At(uint64_t lsn) { return {0, {lsn}}; }

class RollupPlanTest : public ::testing::Test {
 protected:
  RollupPlanTest() {
    options_.resolutions_ns = {kResolution};
    options_.keep_from_ns = {INT64_MIN};
  }
  void AddLayer(int64_t first, int64_t last, uint64_t high, uint32_t level = 1) {
    map_.layers.push_back({{first, last}, level, At(high)});
  }
  void AddRollup(int64_t window, uint64_t high) {
    const TimeRange range = {window * kWindow, (window + 1) * kWindow - 1};
    map_.rollups.push_back({range, kResolution, At(high), false});
  }
  std::optional<RollupPick> Pick() { return PickRollup(map_, options_); }

  RollupMap map_;
  RollupOptions options_;
};

TEST_F(RollupPlanTest, APartOfAWindowIsMadeOnceItIsLongEnough) {
  AddLayer(0, kWindow / 16, 10);
  EXPECT_FALSE(Pick().has_value()) << "too little, and more may come";
  AddLayer(kWindow / 16 + 1, kWindow / 8, 20);
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->window, (TimeRange{0, kWindow - 1}));
  EXPECT_EQ(pick->layers, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(pick->high, At(20));
  EXPECT_EQ(pick->stale.first, 0);
  EXPECT_EQ(pick->stale.last, BucketLast(kWindow / 8, kResolution)) << "whole buckets";
}

TEST_F(RollupPlanTest, ADayIsLongEnoughForAnyResolution) {
  constexpr int64_t kHour = 3'600 * kSecond;
  options_.resolutions_ns = {kHour};
  AddLayer(0, 23 * kHour - 1, 10);
  EXPECT_FALSE(Pick().has_value()) << "a window is 60 days";
  AddLayer(23 * kHour, 24 * kHour - 1, 20);
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->stale, (TimeRange{0, kRollupStretchMaxNs - 1}));
}

TEST_F(RollupPlanTest, AWindowThatIsOverIsMadeHoweverLittleItHas) {
  AddLayer(5, 6, 10);
  EXPECT_FALSE(Pick().has_value());
  AddLayer(kWindow, kWindow + 1, 20, 0);
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->window.first, 0);
}

TEST_F(RollupPlanTest, WhatIsKnownIsNotMadeAgain) {
  AddLayer(0, kWindow - 1, 10);
  ASSERT_TRUE(Pick().has_value());
  AddRollup(0, 10);
  EXPECT_FALSE(Pick().has_value());
  // A merge of known layers keeps their order; one with late data has a later one.
  map_.layers[0].level = 2;
  EXPECT_FALSE(Pick().has_value());
  map_.layers[0].high = At(11);
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->rollups, std::vector<uint32_t>{0}) << "the run that it replaces";
}

TEST_F(RollupPlanTest, OnlyWhatIsNewIsStale) {
  AddLayer(0, kWindow / 2, 10);
  AddRollup(0, 10);
  AddLayer(kWindow / 2 + 1, kWindow - 1, 20);
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->stale.first, BucketStart(kWindow / 2 + 1, kResolution));
  EXPECT_EQ(pick->stale.last, kWindow - 1);
}

TEST_F(RollupPlanTest, OlderLayersOfLevel0AreTakenAlong) {
  AddLayer(0, kWindow - 1, 20);
  AddLayer(7, 9, 15, 0);
  AddLayer(7, 9, 30, 0);
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->high, At(20)) << "flushes are not waited for";
  EXPECT_EQ(pick->layers, (std::vector<uint32_t>{0, 1}))
      << "what ends before must be known, whatever its level";
}

TEST_F(RollupPlanTest, AMemtableThatBeganBeforeIsWaitedFor) {
  AddLayer(0, kWindow - 1, 20);
  map_.memtables.push_back({{5, 5}, {At(15), At(25)}});
  EXPECT_FALSE(Pick().has_value()) << "its layer would count as known";
  map_.memtables[0].order = {At(20), MapMemtable::kOrderEnd};
  EXPECT_TRUE(Pick().has_value());
  map_.memtables[0] = {{kWindow, kWindow}, {At(15), At(25)}};
  EXPECT_TRUE(Pick().has_value()) << "it has nothing in the window";
}

TEST_F(RollupPlanTest, ByHandFlushesAreEnough) {
  AddLayer(5, 6, 10, 0);
  EXPECT_FALSE(Pick().has_value());
  options_.everything = true;
  ASSERT_TRUE(Pick().has_value());
  options_.nothing_left[{kResolution, 0}] = At(10);
  EXPECT_FALSE(Pick().has_value()) << "nothing was left of it";
  AddLayer(5, 6, 11, 0);
  EXPECT_TRUE(Pick().has_value());
}

TEST_F(RollupPlanTest, WhatMayExpireSoonHurries) {
  AddLayer(5, 6, 10, 0);
  options_.hurry_before_ns = 6;
  EXPECT_TRUE(Pick().has_value());
  options_.hurry_before_ns = 0;
  EXPECT_FALSE(Pick().has_value());
}

TEST_F(RollupPlanTest, ABucketHurriesWhereItBeginsNotWhereItsSamplesDo) {
  // The second half of a bucket of which the first is made: frozen so, it would be wrong for ever.
  const int64_t bucket = 7 * kResolution;
  AddLayer(0, bucket + kResolution / 2 - 1, 10);
  AddRollup(0, 10);
  AddLayer(bucket + kResolution / 2, bucket + 2 * kResolution, 20, 0);
  options_.hurry_before_ns = bucket;
  EXPECT_FALSE(Pick().has_value());
  options_.hurry_before_ns = bucket + 1;
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->high, At(20));
  EXPECT_EQ(pick->stale.first, bucket) << "made anew as a whole";
}

TEST_F(RollupPlanTest, OnlyInAHurryLeavesTheRest) {
  AddLayer(0, 3 * kWindow, 10);
  AddRollup(1, 10);
  map_.rollups[0].has_deletes = true;
  options_.only_in_a_hurry = true;
  EXPECT_FALSE(Pick().has_value());
  options_.hurry_before_ns = 1;
  ASSERT_TRUE(Pick().has_value());
  EXPECT_EQ(Pick()->window.first, 0);
  AddRollup(0, 10);
  EXPECT_FALSE(Pick().has_value());
}

TEST_F(RollupPlanTest, ADeleteMakesItsWindowAnewThoughNoSampleIsLeft) {
  AddRollup(0, 10);
  EXPECT_FALSE(Pick().has_value());
  map_.rollups[0].has_deletes = true;
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->high, At(10));
  EXPECT_EQ(pick->stale, pick->window);
}

TEST_F(RollupPlanTest, BucketsAreKeptByTheirOwnRule) {
  AddLayer(0, kWindow - 1, 10);
  AddRollup(0, 10);
  AddRollup(1, 10);
  options_.keep_from_ns = {kWindow};
  EXPECT_EQ(ExpiredRollups(map_, options_), std::vector<uint32_t>{0});
  map_.rollups.erase(map_.rollups.begin());
  EXPECT_FALSE(Pick().has_value()) << "what is kept no more is not made again";
  options_.resolutions_ns.clear();
  options_.keep_from_ns.clear();
  EXPECT_EQ(ExpiredRollups(map_, options_), std::vector<uint32_t>{0}) << "nobody wants it";
}

TEST_F(RollupPlanTest, ARunGoesAsAWhole) {
  AddRollup(0, 10);
  map_.rollups.push_back(map_.rollups[0]);
  map_.rollups[0].range = {0, kWindow / 4};
  map_.rollups[1].range = {kWindow / 2, kWindow - 1};
  options_.keep_from_ns = {kWindow / 2};
  EXPECT_TRUE(ExpiredRollups(map_, options_).empty()) << "its files have different series";
  options_.keep_from_ns = {kWindow - 1};
  EXPECT_TRUE(ExpiredRollups(map_, options_).empty());
  options_.keep_from_ns = {kWindow};
  EXPECT_EQ(ExpiredRollups(map_, options_), (std::vector<uint32_t>{0, 1}));
}

TEST_F(RollupPlanTest, LayersThatAJobDoesNotReadDoNotHinderIt) {
  for (uint64_t i = 0; i < 200; ++i) AddLayer(0, kWindow / 2 - 1, 10 + i);
  AddRollup(0, 209);
  AddLayer(kWindow / 2, kWindow - 1, 300);
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->layers.size(), 201u) << "it will know them all";
  EXPECT_EQ(pick->stale.first, kWindow / 2);
}

TEST_F(RollupPlanTest, MoreLayersThanAJobTakesWait) {
  for (uint64_t i = 0; i < 65; ++i) AddLayer(0, kWindow - 1, 10 + i);
  EXPECT_FALSE(Pick().has_value());
  map_.layers.pop_back();
  EXPECT_TRUE(Pick().has_value());
}

TEST_F(RollupPlanTest, AWindowThatFailedLetsOthersGoFirst) {
  AddLayer(0, 2 * kWindow - 1, 10);
  ASSERT_EQ(Pick()->window.first, 0);
  options_.passed_over.insert(Pick()->name());
  const auto pick = Pick();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->window.first, kWindow);
  options_.passed_over.insert(pick->name());
  EXPECT_FALSE(Pick().has_value());
}

}  // namespace
}  // namespace nexus::compaction
