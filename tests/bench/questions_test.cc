// The right answers of the comparison, on data so small that they are seen.

#include "bench/peers/questions.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace nexus::bench {
namespace {

// Two sources, a sample each ten seconds for two hours: the number of the tick, and a thousand
// more.
class Counting : public Workload {
 public:
  std::string_view measurement() const override { return "m"; }
  std::span<const std::string_view> metrics() const override { return kMetrics; }
  std::span<const Source> sources() const override { return sources_; }
  int64_t first_ms() const override { return 0; }
  int64_t last_ms() const override { return 719 * 10'000; }
  bool Next(Row* row) override {
    if (next_ == 1440) return false;
    const size_t tick = next_ / 2;
    value_ = static_cast<double>(tick + next_ % 2 * 1000);
    *row = {next_ % 2, static_cast<int64_t>(tick) * 10'000, kFirst, std::span(&value_, 1)};
    next_++;
    return true;
  }

 private:
  static constexpr std::array<std::string_view, 1> kMetrics = {"value"};
  static constexpr std::array<uint8_t, 1> kFirst = {0};
  const std::vector<Source> sources_ = std::vector<Source>(2);
  size_t next_ = 0;
  double value_ = 0;
};

Answer AnswerOf(const Question& question) {
  Counting workload;
  return AnswersOf(&workload, std::span(&question, 1))[0];
}

TEST(Questions, AreAnsweredByBruteForce) {
  constexpr int64_t kHour = 3'600'000;
  const Answer latest = AnswerOf({QuestionKind::kLatest, {1}, 0, 2 * kHour - 1});
  EXPECT_EQ(latest.count, 1u);
  EXPECT_EQ(latest.sum, 1719);
  const Answer raw = AnswerOf({QuestionKind::kRaw, {0}, kHour, 2 * kHour - 1});
  EXPECT_EQ(raw.count, 360u);
  EXPECT_EQ(raw.sum, (360 + 719) * 180);
  const Answer max = AnswerOf({QuestionKind::kMax, {0, 1}, 0, 2 * kHour - 1});
  EXPECT_EQ(max.count, 240u);
  // Of each minute the sixth tick, in two series.
  EXPECT_EQ(max.sum, 2 * (5 + 719) * 60 + 120 * 1000);
  const Answer average = AnswerOf({QuestionKind::kAverage, {}, 0, kHour - 1});
  EXPECT_EQ(average.count, 2u);
  EXPECT_EQ(average.sum, 179.5 + 1179.5);
}

TEST(Questions, TheLatestIsTheNewestAlsoWhereLateRowsComeLast) {
  const WorkloadOptions late = {
      .name = "backfill", .hosts = 5, .ticks = 60, .seed = 42, .directory = ""};
  WorkloadOptions in_order = late;
  in_order.name = "cpu";
  auto rows = OpenWorkload(late);
  auto same_rows = OpenWorkload(in_order);
  const int64_t first = (*rows)->first_ms();
  const Question question = {QuestionKind::kLatest, {0}, first, (*rows)->last_ms()};
  const Question in_order_question = {
      QuestionKind::kLatest, {0}, (*same_rows)->first_ms(), (*same_rows)->last_ms()};
  EXPECT_EQ(AnswersOf(rows->get(), std::span(&question, 1))[0].sum,
            AnswersOf(same_rows->get(), std::span(&in_order_question, 1))[0].sum);
}

TEST(Questions, AreSpreadAndStayWithinTheWorkload) {
  Counting workload;
  const std::vector<Question> questions = QuestionsOf(workload, QuestionKind::kRaw, 100);
  std::set<int64_t> beginnings;
  for (const Question& question : questions) {
    EXPECT_EQ(question.sources.size(), 1u);
    EXPECT_EQ(question.to_ms - question.from_ms, 3'599'999);
    EXPECT_LE(question.to_ms, 7'199'999);
    beginnings.insert(question.from_ms);
  }
  EXPECT_GT(beginnings.size(), 30u);
  EXPECT_TRUE(QuestionsOf(workload, QuestionKind::kAverage, 1)[0].sources.empty());
  EXPECT_EQ(QuestionsOf(workload, QuestionKind::kMax, 1)[0].sources.size(), 2u);
}

TEST(Questions, AnswersAgreeButForTheOrderOfAdditions) {
  EXPECT_TRUE(Agree({3, 1e9}, {3, 1e9 + 0.1}));
  EXPECT_FALSE(Agree({3, 1e9}, {3, 1e9 + 10}));
  EXPECT_FALSE(Agree({3, 1}, {4, 1}));
}

}  // namespace
}  // namespace nexus::bench
