// Rules and clock of retention by themselves: first match wins, what is refused, how they are
// stored; the clock never goes back and takes no step that is too large.

#include "engine/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/labels.h"

namespace nexus::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kDay = int64_t{86'400} * 1'000'000'000;

std::string Canonical(const std::string& job) {
  return Labels::Make("metric", {{"job", job}})->Canonical();
}

std::shared_ptr<const RetentionRules> Rules(std::vector<RetentionRule> rules) {
  auto made = RetentionRules::Make(std::move(rules));
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

std::string Refusal(std::vector<RetentionRule> rules) {
  const Status status = RetentionRules::Make(std::move(rules)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(RetentionTest, TheFirstRuleThatChoosesASeriesDecides) {
  const auto rules =
      Rules({{"{job=\"dev\"}", 7 * kDay}, {"{job=~\"d.*\"}", 30 * kDay}, {"{job!=\"x\"}", kDay}});
  EXPECT_EQ(rules->RuleOf(Canonical("dev")), 0u);
  EXPECT_EQ(rules->RuleOf(Canonical("db")), 1u);
  EXPECT_EQ(rules->RuleOf(Canonical("web")), 2u);
  EXPECT_EQ(rules->RuleOf(Canonical("x")), rules->size()) << "none: it is kept for ever";
  EXPECT_THAT(rules->CutsAt(100 * kDay), ElementsAre(93 * kDay, 70 * kDay, 99 * kDay, kKeepAll));
  EXPECT_EQ(rules->shortest_ns(), kDay);
}

TEST(RetentionTest, CutsBeforeAllTimeKeepEverything) {
  const auto rules = Rules({{"{}", std::numeric_limits<int64_t>::max()}});
  EXPECT_THAT(rules->CutsAt(-2 * kDay), ElementsAre(kKeepAll, kKeepAll));
  EXPECT_TRUE(rules->one_for_all());
  EXPECT_FALSE(Rules({{"{job=\"a\"}", kDay}})->one_for_all());
}

TEST(RetentionTest, WhatMakesNoSenseIsRefusedByName) {
  EXPECT_THAT(Refusal({{"{job=", kDay}}), HasSubstr("{job="));
  EXPECT_THAT(Refusal({{"", kDay}}), HasSubstr("without a selector"));
  EXPECT_THAT(Refusal({{"{}", 0}}), HasSubstr("greater than 0"));
  EXPECT_THAT(Refusal({{"{}", -kDay}}), HasSubstr("greater than 0"));
  EXPECT_THAT(Refusal({{"up", kDay}, {"{__name__=\"up\"}", 2 * kDay}}), HasSubstr("two retention"));
  EXPECT_THAT(Refusal({{"{}", kDay}, {"up", kDay}}), HasSubstr("could never decide"));
  EXPECT_THAT(Refusal(std::vector<RetentionRule>(kRetentionRulesMax + 1, {"up", kDay})),
              HasSubstr("65 retention rules"));
  const std::string name(kRetentionSelectorBytesMax + 1, 'a');
  EXPECT_THAT(Refusal({{name, kDay}}), HasSubstr("4001 bytes"));
}

TEST(RetentionTest, SettingsGiveTheRulesBackInTheirOrder) {
  std::vector<RetentionRule> rules;
  for (size_t i = 0; i < kRetentionRulesMax; i++) {
    rules.push_back({"metric_" + std::to_string(kRetentionRulesMax - i), static_cast<int64_t>(i)});
  }
  std::vector<catalog::Setting> settings = {{"quota.series", "7"}};
  RulesToSettings(rules, &settings);
  EXPECT_EQ(*RulesFromSettings(settings), rules);
  RulesToSettings({{"{} and more", 5}}, &settings);
  EXPECT_THAT(*RulesFromSettings(settings), ElementsAre(RetentionRule{"{} and more", 5}));
  EXPECT_EQ(settings.front().value, "7") << "others' settings stay";
  EXPECT_EQ(settings.size(), 2u);
  settings.back().value = "soon {}";
  EXPECT_TRUE(absl::IsDataLoss(RulesFromSettings(settings).status()));
}

TEST(RetentionTest, TheClockIsStoredAmongTheSettings) {
  EXPECT_EQ(*ClockFromSettings({}), std::nullopt);
  EXPECT_EQ(*ClockFromSettings({{"a", "1"}, ClockToSetting(-3 * kDay)}), -3 * kDay);
  EXPECT_TRUE(absl::IsDataLoss(ClockFromSettings({{"retention.clock", "1d"}}).status()));
}

TEST(RetentionClockTest, ItNeverGoesBack) {
  RetentionClock clock;
  EXPECT_EQ(clock.applied_ns(), std::nullopt);
  clock.Apply(100, 0);
  clock.Apply(50, 10);
  EXPECT_EQ(clock.applied_ns(), 100);
  EXPECT_EQ(clock.Now(10), 110);
  clock.TakeWall(5, 10);
  EXPECT_EQ(clock.Now(10), 110) << "a wall clock that is behind";
  clock.Apply(90, 10);
  EXPECT_EQ(clock.Now(10), 110) << "a record that comes late";
  EXPECT_EQ(clock.Now(10 + kDay), 110 + kDay) << "it runs with the monotonic clock";
}

TEST(RetentionClockTest, OpeningTakesTheWallClockOfAtMostSevenDaysAhead) {
  for (int64_t ahead : {int64_t{1}, kDay, 7 * kDay}) {
    RetentionClock clock;
    clock.Apply(0, 0);
    clock.TakeWall(ahead, 0);
    EXPECT_EQ(clock.Now(0), ahead);
    EXPECT_EQ(clock.applied_ns(), 0) << "until an edit says so nothing is judged by it";
    EXPECT_EQ(clock.Waits(ahead, 0), 0);
  }
  RetentionClock clock;
  clock.Apply(0, 0);
  clock.TakeWall(7 * kDay + 1, 0);
  EXPECT_EQ(clock.Now(0), 0);
  EXPECT_EQ(clock.Now(5), 5) << "it goes on from where it stands";
  EXPECT_EQ(clock.Waits(7 * kDay + 1, 0), 7 * kDay + 1);
  EXPECT_EQ(clock.Waits(7 * kDay + 1, 1), 0) << "it has come near enough meanwhile";
  clock.Apply(30 * kDay, 5);
  EXPECT_EQ(clock.Now(5), 30 * kDay) << "somebody has accepted it";
}

TEST(RetentionClockTest, TheEndsOfTimeDoNotWrap) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  RetentionClock clock;
  clock.Apply(kMax - 5, 0);
  EXPECT_EQ(clock.Now(kDay), kMax);
  clock.TakeWall(kMax, kDay);
  EXPECT_EQ(clock.Now(2 * kDay), kMax);
  RetentionClock low;
  low.Apply(std::numeric_limits<int64_t>::min(), 0);
  low.TakeWall(kMax, 0);
  EXPECT_EQ(low.Now(0), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(low.Waits(kMax, 0), kMax);
}

}  // namespace
}  // namespace nexus::engine
