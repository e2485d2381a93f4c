// What LevelDB, RocksDB and LMDB share in the comparison: keys sort as series and times do, and a
// walk over sorted samples gives the answers that brute force gives.

#include "bench/peers/embedded/key_value.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace nexus::bench {
namespace {

using Samples = std::map<std::string, double, std::less<>>;

// The cursor of an engine that is a map.
class MapCursor {
 public:
  explicit MapCursor(const Samples& samples) : samples_(samples), at_(samples.end()) {}

  bool SeekFirst() {
    at_ = samples_.begin();
    return at_ != samples_.end();
  }
  bool Seek(std::string_view key) {
    at_ = samples_.lower_bound(key);
    return at_ != samples_.end();
  }
  bool SeekBack(std::string_view at_most) {
    at_ = samples_.upper_bound(at_most);
    if (at_ == samples_.begin()) return false;
    --at_;
    return true;
  }
  bool Next() { return ++at_ != samples_.end(); }
  std::string_view key() const { return at_->first; }
  std::string_view value() const { return ValueText(at_->second); }
  Status status() const { return OkStatus(); }

 private:
  const Samples& samples_;
  Samples::const_iterator at_;
};

WorkloadOptions Small(const std::string& name) {
  return {.name = name, .hosts = 13, .ticks = 700, .seed = 7, .directory = ""};
}

Samples SamplesOfAll(Workload* workload) {
  Samples samples;
  Row row;
  while (workload->Next(&row)) {
    EXPECT_TRUE(
        PutEach(std::span(&row, 1), workload->metrics().size(), [&](const Key& key, double value) {
          samples[std::string(key.text())] = value;
          return OkStatus();
        }).ok());
  }
  return samples;
}

void ExpectRightAnswers(const std::string& name, QuestionKind kind) {
  auto workload = OpenWorkload(Small(name));
  ASSERT_TRUE(workload.ok()) << workload.status();
  const Samples samples = SamplesOfAll(workload->get());
  const std::vector<Question> questions = QuestionsOf(**workload, kind, 40);
  auto again = OpenWorkload(Small(name));
  const std::vector<Answer> right = AnswersOf(again->get(), questions);
  for (size_t i = 0; i < questions.size(); i++) {
    MapCursor cursor(samples);
    const StatusOr<Answer> answer = AnswerByWalking(&cursor, **workload, questions[i]);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_TRUE(Agree(*answer, right[i]))
        << name << " " << NameOf(kind) << " " << i << ": " << answer->count << " of "
        << right[i].count << ", " << answer->sum << " instead of " << right[i].sum;
  }
}

TEST(KeyValue, KeysSortBySeriesThenTime) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::vector<int64_t> times = {kMin, -86'400'000, -256, -1, 0, 1, 255, 256, kMax};
  std::vector<std::string> keys;
  for (const uint64_t series :
       {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, ~uint64_t{0}}) {
    for (const int64_t time : times) {
      const Key key(series, time);
      EXPECT_EQ(SeriesOfKey(key.text()), series);
      EXPECT_EQ(TimestampOfKey(key.text()), time);
      keys.emplace_back(key.text());
    }
  }
  for (size_t i = 1; i < keys.size(); i++) EXPECT_LT(keys[i - 1], keys[i]) << i;
}

TEST(KeyValue, ValuesKeepTheirBits) {
  for (const double value : {0.0, -0.0, 1.0 / 3, std::numeric_limits<double>::denorm_min()}) {
    EXPECT_EQ(std::bit_cast<uint64_t>(ValueOfText(ValueText(value))),
              std::bit_cast<uint64_t>(value));
  }
}

TEST(KeyValue, WalksAnswerAsBruteForceDoes) {
  for (const QuestionKind kind :
       {QuestionKind::kLatest, QuestionKind::kRaw, QuestionKind::kMax, QuestionKind::kAverage}) {
    for (const char* name : {"cpu", "mixed", "churn", "tenants"}) ExpectRightAnswers(name, kind);
  }
}

TEST(KeyValue, LateSamplesAreFoundInTheirPlace) {
  for (const QuestionKind kind : {QuestionKind::kRaw, QuestionKind::kMax, QuestionKind::kAverage}) {
    ExpectRightAnswers("backfill", kind);
  }
}

TEST(KeyValue, TimesBefore1970AreAnswered) {
  auto workload = OpenWorkload(Small("cpu"));
  Samples samples;
  for (int64_t minute = -5; minute < 5; minute++) {
    samples[std::string(Key(10, minute * kMaxStepMs).text())] = static_cast<double>(minute);
  }
  samples[std::string(Key(9, 0).text())] = 1000;
  samples[std::string(Key(11, 0).text())] = 1000;
  MapCursor cursor(samples);
  Question question = {QuestionKind::kRaw, {1}, -5 * kMaxStepMs, -1};
  Answer answer = *AnswerByWalking(&cursor, **workload, question);
  EXPECT_EQ(answer.count, 5u);
  EXPECT_EQ(answer.sum, -15);
  question.kind = QuestionKind::kMax;
  EXPECT_EQ(AnswerByWalking(&cursor, **workload, question)->sum, -15);
  question.kind = QuestionKind::kLatest;
  EXPECT_EQ(AnswerByWalking(&cursor, **workload, question)->sum, -1);
  question = {QuestionKind::kLatest, {1}, 5 * kMaxStepMs, 9 * kMaxStepMs};
  EXPECT_EQ(AnswerByWalking(&cursor, **workload, question)->count, 0u) << "of no other series";
}

TEST(KeyValue, AScanCountsAndAddsEverySample) {
  auto workload = OpenWorkload(Small("mixed"));
  const Samples samples = SamplesOfAll(workload->get());
  double sum = 0;
  for (const auto& [key, value] : samples) sum += value;
  MapCursor cursor(samples);
  const StatusOr<Totals> totals = ScanByWalking(&cursor);
  EXPECT_EQ(totals->samples, samples.size());
  EXPECT_EQ(totals->sum, sum);
  const Samples none;
  MapCursor nothing(none);
  EXPECT_EQ(ScanByWalking(&nothing)->samples, 0u);
}

}  // namespace
}  // namespace nexus::bench
