// What retention decides about the layers of a branch, on situations made by hand and at random:
// nothing young is dropped, an older write never comes to light, and every layer is dealt with once
// it is worth it.

#include "engine/retention_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "engine/retention.h"

namespace nexus::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

RuleContents Exactly(uint64_t samples, TimeRange range) { return {samples, range, true}; }

// With one rule, and series that none chooses.
RetentionLayer Layer(uint64_t low, uint64_t high, TimeRange range, RuleContents ruled,
                     RuleContents kept = {}) {
  RetentionLayer layer;
  layer.low = {0, Lsn{low}};
  layer.high = {0, Lsn{high}};
  layer.range = range;
  layer.samples = ruled.samples + kept.samples;
  RetentionContents contents;
  contents.rules = {ruled, kept};
  layer.contents = std::make_shared<const RetentionContents>(std::move(contents));
  return layer;
}
RetentionLayer Layer(uint64_t low, uint64_t high, TimeRange range) {
  return Layer(low, high, range, Exactly(100, range));
}

RetentionSituation Situation(std::vector<RetentionLayer> layers, int64_t cut) {
  RetentionSituation situation;
  situation.layers = std::move(layers);
  situation.cuts = {cut, kKeepAll};
  return situation;
}

TEST(RetentionPlanTest, OnlyLayersWhollyBelowTheCutAreDropped) {
  const auto situation = Situation(
      {Layer(0, 1, {0, 98}), Layer(1, 2, {0, 99}), Layer(2, 3, {0, 100}), Layer(3, 4, {100, 200})},
      100);
  const RetentionPlan plan = PlanRetention(situation);
  EXPECT_THAT(plan.drop, ElementsAre(0, 1)) << "a sample at the cut is not older than it";
  EXPECT_THAT(plan.survey, IsEmpty());
  EXPECT_THAT(plan.rewrite, ElementsAre(0, 0, 1, 0)) << "of the third all but one is expired";
}

TEST(RetentionPlanTest, SeriesThatNoRuleChoosesKeepTheirLayer) {
  const auto situation =
      Situation({Layer(0, 1, {0, 50}, Exactly(90, {0, 50}), {10, {0, 50}, false})}, 100);
  const RetentionPlan plan = PlanRetention(situation);
  EXPECT_THAT(plan.drop, IsEmpty());
  EXPECT_THAT(plan.rewrite, ElementsAre(1)) << "all of the rule's samples are expired";
}

TEST(RetentionPlanTest, WritingAgainWaitsForHalfOfTheSamples) {
  for (int64_t cut : {1, 20, 49, 50, 51, 99}) {
    const auto situation = Situation({Layer(0, 1, {0, 100})}, cut);
    EXPECT_EQ(PlanRetention(situation).rewrite[0], cut >= 50 ? 1 : 0) << cut;
    RetentionSituation asked = situation;
    asked.eager_cuts = {cut, kKeepAll};
    EXPECT_EQ(PlanRetention(asked).rewrite[0], 1) << "by hand it does not wait";
    asked.eager_cuts = {0, kKeepAll};
    EXPECT_EQ(PlanRetention(asked).rewrite[0], cut >= 50 ? 1 : 0)
        << "what expired since it was asked for is not waited for";
  }
}

TEST(RetentionPlanTest, WhatIsNotKnownIsAskedForFirst) {
  auto situation = Situation({Layer(0, 1, {0, 50}), Layer(1, 2, {100, 150})}, 100);
  situation.layers[0].contents = nullptr;
  situation.layers[1].contents = nullptr;
  RetentionPlan plan = PlanRetention(situation);
  EXPECT_THAT(plan.survey, ElementsAre(0)) << "nothing in the second can be expired";
  EXPECT_THAT(plan.drop, IsEmpty());
  // Bounds do not tell of a rule how old its samples are.
  RetentionContents bounds;
  bounds.rules = {{100, {0, 50}, false}, {}};
  situation.layers[0].contents = std::make_shared<const RetentionContents>(bounds);
  EXPECT_THAT(PlanRetention(situation).survey, ElementsAre(0));
  EXPECT_THAT(PlanRetention(situation).drop, IsEmpty());
}

TEST(RetentionPlanTest, ALayerWaitsForOlderWritesOfItsPlaces) {
  // The older layer reaches beyond the cut, so it is not dropped; were the newer one, what it
  // replaced there would show again.
  auto situation = Situation({Layer(0, 1, {40, 1000}), Layer(1, 2, {0, 50})}, 100);
  RetentionPlan plan = PlanRetention(situation);
  EXPECT_THAT(plan.drop, IsEmpty());
  EXPECT_THAT(plan.rewrite, ElementsAre(1, 0)) << "the older one is written again for its sake";
  // Then it holds nothing expired any more.
  situation.layers[0] = Layer(0, 1, {40, 1000}, Exactly(90, {100, 1000}), {10, {40, 1000}, false});
  plan = PlanRetention(situation);
  EXPECT_THAT(plan.drop, ElementsAre(1));
}

TEST(RetentionPlanTest, AMemtableWithOlderWritesIsWaitedFor) {
  auto situation = Situation({Layer(5, 9, {0, 50})}, 100);
  situation.memtables = {{{40, 60}, {0, Lsn{3}}}};
  EXPECT_THAT(PlanRetention(situation).drop, IsEmpty());
  situation.memtables = {{{40, 60}, {0, Lsn{9}}}};
  EXPECT_THAT(PlanRetention(situation).drop, ElementsAre(0)) << "it is newer";
  situation.memtables = {{{60, 90}, {0, Lsn{3}}}};
  EXPECT_THAT(PlanRetention(situation).drop, ElementsAre(0)) << "it is elsewhere";
}

TEST(RetentionPlanTest, AJobDropsWhatNoOlderLayerHasBesideIt) {
  const auto situation =
      Situation({Layer(0, 1, {40, 1000}), Layer(1, 2, {0, 150}), Layer(2, 3, {300, 400})}, 100);
  EXPECT_THAT(CutsForJob(situation, {0, 1, 0}), ElementsAre(kKeepAll, kKeepAll));
  EXPECT_THAT(CutsForJob(situation, {1, 1, 0}), ElementsAre(100, kKeepAll));
  EXPECT_THAT(CutsForJob(situation, {1, 0, 0}), ElementsAre(100, kKeepAll));
  EXPECT_THAT(CutsForJob(situation, {0, 0, 1}), ElementsAre(100, kKeepAll));
}

TEST(RetentionPlanTest, OldLayersWithNothingExpiredDoNotHideNewerOnes) {
  // What a long rule keeps, and one of which everything is expired behind 2,000 of them.
  RetentionSituation situation = Situation({}, 100);
  for (uint64_t i = 0; i < 2'000; i++) {
    situation.layers.push_back(Layer(i, i + 1, {0, 50}, Exactly(0, {}), {10, {0, 50}, false}));
  }
  situation.layers.push_back(Layer(2'000, 2'001, {60, 90}));
  EXPECT_THAT(PlanRetention(situation).drop, ElementsAre(2'000));
  situation.layers.back().contents = nullptr;
  EXPECT_THAT(PlanRetention(situation).survey, ElementsAre(2'000));
}

// ---- At random, against what queries would show.

// Samples by their place: of two of a place the one with the higher order shows.
using Shown = std::map<std::pair<int, int64_t>, uint64_t>;

struct ModelLayer {
  uint64_t order = 0;
  std::set<std::pair<int, int64_t>> places;  // rule, time
};

struct Model {
  std::vector<ModelLayer> layers;  // in write order
  std::vector<int64_t> cuts;

  Shown Show() const {
    Shown shown;
    for (const ModelLayer& layer : layers) {
      for (const auto& place : layer.places) shown[place] = layer.order;
    }
    return shown;
  }
  bool IsExpired(const std::pair<int, int64_t>& place) const {
    return place.second < cuts[static_cast<size_t>(place.first)];
  }
  RetentionSituation Situation() const {
    RetentionSituation situation;
    situation.cuts = cuts;
    situation.eager_cuts = cuts;
    for (const ModelLayer& layer : layers) {
      RetentionLayer& one = situation.layers.emplace_back();
      one.low = {0, Lsn{layer.order}};
      one.high = {0, Lsn{layer.order + 1}};
      one.samples = layer.places.size();
      one.range = {INT64_MAX, INT64_MIN};
      RetentionContents contents;
      contents.rules.resize(cuts.size());
      for (const auto& [rule, time] : layer.places) {
        RuleContents& of_rule = contents.rules[static_cast<size_t>(rule)];
        of_rule.samples++;
        of_rule.is_exact = true;
        for (TimeRange* range : {&one.range, &of_rule.range}) {
          range->first = std::min(range->first, time);
          range->last = std::max(range->last, time);
        }
      }
      one.contents = std::make_shared<const RetentionContents>(std::move(contents));
    }
    return situation;
  }
};

// After each step young samples show as before, and expired ones as before or not at all.
void ExpectNothingComesToLight(const Model& model, const Shown& before) {
  const Shown now = model.Show();
  for (const auto& [place, order] : before) {
    const auto found = now.find(place);
    if (found != now.end()) {
      EXPECT_EQ(found->second, order)
          << "an older write of rule " << place.first << " at " << place.second;
    } else {
      EXPECT_TRUE(model.IsExpired(place)) << "rule " << place.first << " at " << place.second;
    }
  }
}

void RunToRest(Model* model) {
  const Shown before = model->Show();
  for (int steps = 0;; steps++) {
    ASSERT_LT(steps, 100) << "it does not come to rest";
    const RetentionSituation situation = model->Situation();
    const RetentionPlan plan = PlanRetention(situation);
    ASSERT_THAT(plan.survey, IsEmpty());
    if (!plan.drop.empty()) {
      for (auto at = plan.drop.rbegin(); at != plan.drop.rend(); ++at) {
        model->layers.erase(model->layers.begin() + static_cast<ptrdiff_t>(*at));
      }
      ExpectNothingComesToLight(*model, before);
      continue;
    }
    const auto wanted = std::find(plan.rewrite.begin(), plan.rewrite.end(), 1);
    if (wanted == plan.rewrite.end()) break;
    const auto chosen = static_cast<size_t>(wanted - plan.rewrite.begin());
    std::vector<char> is_input(model->layers.size(), 0);
    is_input[chosen] = 1;
    const std::vector<int64_t> cuts = CutsForJob(situation, is_input);
    ModelLayer& layer = model->layers[chosen];
    const size_t held = layer.places.size();
    std::erase_if(layer.places, [&](const auto& place) {
      return place.second < cuts[static_cast<size_t>(place.first)];
    });
    ASSERT_LT(layer.places.size(), held) << "a job that does nothing";
    if (layer.places.empty()) {
      model->layers.erase(model->layers.begin() + static_cast<ptrdiff_t>(chosen));
    }
    ExpectNothingComesToLight(*model, before);
  }
  for (const auto& [place, order] : model->Show()) {
    EXPECT_FALSE(model->IsExpired(place)) << "rule " << place.first << " at " << place.second;
  }
}

TEST(RetentionPlanTest, RandomBranchesComeToRestWithoutExpiredSamples) {
  for (uint32_t seed = 0; seed < 500 && !testing::Test::HasFailure(); seed++) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
    Model model;
    model.cuts = {below(60), below(60), kKeepAll};
    const int layers = 1 + below(8);
    for (int i = 0; i < layers; i++) {
      ModelLayer& layer = model.layers.emplace_back();
      layer.order = static_cast<uint64_t>(i);
      const int begin = below(60);
      const int samples = 1 + below(20);
      for (int s = 0; s < samples; s++) layer.places.insert({below(3), begin + below(30)});
    }
    RunToRest(&model);
  }
}

}  // namespace
}  // namespace nexus::engine
