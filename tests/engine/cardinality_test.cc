// Cardinality: the report is right for any series, whatever is committed, flushed or restarted.

#include "engine/cardinality.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using Pair = std::pair<std::string, std::string>;

class CardinalityTest : public SimDatabaseTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Open().ok());
    Model("metric", {{"name", "a"}});
  }

  void Model(const std::string& metric, const std::vector<Label>& labels) {
    metrics_[metric]++;
    series_counted_++;
    for (const Label& label : labels) {
      labels_[label.name]++;
      pairs_[{label.name, label.value}]++;
    }
  }
  void Make(const std::vector<std::pair<std::string, std::vector<Label>>>& series) {
    std::vector<std::string> canonicals;
    for (const auto& [metric, labels] : series) {
      canonicals.push_back(Labels::Make(metric, labels)->Canonical());
      Model(metric, labels);
    }
    auto ids = world_.RunTask(core_->interner()->Intern(TenantId{}, std::move(canonicals)));
    ASSERT_TRUE(ids.ok()) << ids.status();
    // Definitions enter the log before what follows them.
    ASSERT_TRUE(Append(next_++, 1).ok());
  }
  CardinalityReport Report(uint32_t top = 1000) {
    auto report = world_.RunTask(core_->Cardinality("default", top));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : CardinalityReport();
  }
  void ExpectRight() {
    const CardinalityReport report = Report();
    EXPECT_EQ(report.series, series_counted_);
    EXPECT_EQ(report.metrics, metrics_.size());
    EXPECT_EQ(report.labels, labels_.size());
    EXPECT_EQ(report.pairs, pairs_.size());
    std::map<std::string, uint64_t> metrics;
    std::map<std::string, uint64_t> labels;
    std::map<Pair, uint64_t> pairs;
    for (const CardinalityEntry& entry : report.top_metrics) metrics[entry.name] = entry.series;
    for (const CardinalityEntry& entry : report.top_labels) labels[entry.name] = entry.series;
    for (const CardinalityEntry& entry : report.top_pairs) {
      pairs[{entry.name, entry.value}] = entry.series;
    }
    EXPECT_EQ(metrics, metrics_);
    EXPECT_EQ(labels, labels_);
    EXPECT_EQ(pairs, pairs_);
    for (const auto* list : {&report.top_metrics, &report.top_labels, &report.top_pairs}) {
      EXPECT_TRUE(std::is_sorted(list->begin(), list->end(),
                                 [](const auto& a, const auto& b) { return a.series > b.series; }));
    }
  }

  std::map<std::string, uint64_t> metrics_;
  std::map<std::string, uint64_t> labels_;
  std::map<Pair, uint64_t> pairs_;
  uint64_t series_counted_ = 0;
  int64_t next_ = 0;
};

TEST_F(CardinalityTest, TheReportIsRightForAnySeries) {
  std::mt19937_64 random(7);
  std::set<std::string> made;
  for (int round = 0; round < 6; round++) {
    std::vector<std::pair<std::string, std::vector<Label>>> series;
    for (int i = 0; i < 400; i++) {
      std::vector<Label> labels;
      for (int label = 0; label < 4; label++) {
        if (random() % 3 == 0) continue;
        labels.push_back({"l" + std::to_string(label), "v" + std::to_string(random() % 40)});
      }
      const std::string metric = "m" + std::to_string(random() % 5);
      if (!made.insert(Labels::Make(metric, labels)->Canonical()).second) continue;
      series.emplace_back(metric, labels);
    }
    Make(series);
    if (round % 2 == 0) {
      ASSERT_TRUE(Flush().ok());
    }
    if (round == 3) {
      Die(sim::CrashKind::kPowerCut);
      ASSERT_TRUE(Open().ok());
    }
    ExpectRight();
  }
}

TEST_F(CardinalityTest, GrowthIsWhatCameSinceOpening) {
  Make({{"old", {{"host", "a"}}}, {"old", {{"host", "b"}}}, {"old", {{"host", "c"}}}});
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Report().grown, 0u);
  EXPECT_TRUE(Report().growing_metrics.empty());
  Make({{"old", {{"host", "d"}}}, {"fresh", {{"host", "a"}, {"job", "x"}}}});
  Make({{"fresh", {{"host", "b"}}}});
  const CardinalityReport report = Report();
  EXPECT_EQ(report.grown, 3u);
  EXPECT_EQ(report.growing_metrics,
            (std::vector<CardinalityEntry>{{"fresh", "", 2, 2}, {"old", "", 4, 1}}));
  EXPECT_EQ(report.growing_labels,
            (std::vector<CardinalityEntry>{{"host", "", 6, 3}, {"job", "", 1, 1}}));
  ASSERT_EQ(report.growing_pairs.size(), 4u);
  EXPECT_EQ(report.growing_pairs[0].grown, 1u);
}

TEST_F(CardinalityTest, TheListsAreAsLongAsAskedAndTheirTextsAreBounded) {
  std::vector<std::pair<std::string, std::vector<Label>>> series;
  for (int i = 0; i < 50; i++) {
    for (int k = 0; k <= i; k++) {
      series.push_back({"m" + std::to_string(i), {{"k", std::to_string(k)}}});
    }
  }
  series.push_back({std::string(1000, 'x'), {{"k", "0"}}});
  Make(series);
  const CardinalityReport report = Report(3);
  EXPECT_EQ(report.metrics, 52u);
  ASSERT_EQ(report.top_metrics.size(), 3u);
  EXPECT_EQ(report.top_metrics[0], (CardinalityEntry{"m49", "", 50, 50}));
  EXPECT_EQ(report.top_metrics[1].name, "m48");
  EXPECT_EQ(report.top_metrics[2].name, "m47");
  ASSERT_EQ(report.top_pairs.size(), 3u);
  EXPECT_EQ(report.top_pairs[0], (CardinalityEntry{"k", "0", 51, 51}));
  EXPECT_EQ(report.top_pairs[1].value, "1");
  uint64_t cut = 0;
  for (const CardinalityEntry& entry : Report(1000).top_metrics) {
    EXPECT_LE(entry.name.size(), kCardinalityTextBytesMax + 3);
    if (entry.name.ends_with("x...")) cut++;
  }
  EXPECT_EQ(cut, 1u);
}

TEST_F(CardinalityTest, OnlyTheTenantIsCounted) {
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("other")).ok());
  Make({{"mine", {{"a", "b"}}}});
  const auto other = world_.RunTask(core_->Cardinality("other", 10));
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(*other, CardinalityReport());
  ExpectRight();
  EXPECT_TRUE(absl::IsNotFound(world_.RunTask(core_->Cardinality("nobody", 10)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(world_.RunTask(core_->Cardinality("other", 0)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(world_.RunTask(core_->Cardinality("other", 1001)).status()));
}

}  // namespace
}  // namespace nexus::engine
