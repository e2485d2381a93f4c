// Questions, and answers by brute force. See questions.h.

#include "bench/peers/questions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace nexus::bench {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kMinuteMs = 60'000;
constexpr size_t kMaxSources = 8;

constexpr std::array<std::pair<QuestionKind, std::string_view>, 4> kNames = {{
    {QuestionKind::kLatest, "latest"},
    {QuestionKind::kRaw, "raw"},
    {QuestionKind::kMax, "max"},
    {QuestionKind::kAverage, "average"},
}};

// What a question has seen of one source in one bucket.
struct Seen {
  uint64_t count = 0;
  double sum = 0;
  double max = -std::numeric_limits<double>::infinity();
  int64_t last_ms = std::numeric_limits<int64_t>::min();
  double last = 0;
};

class Asked {
 public:
  Asked(const Question& question, size_t sources) : question_(question), asked_(sources) {
    for (size_t source : question.sources) asked_[source] = true;
    if (question.sources.empty()) asked_.assign(sources, true);
  }

  void See(size_t source, int64_t at, double value) {
    if (!asked_[source] || at < question_.from_ms || at > question_.to_ms) return;
    const int64_t bucket =
        question_.kind == QuestionKind::kMax ? (at - question_.from_ms) / kMaxStepMs : 0;
    Seen& seen = seen_[{source, bucket}];
    seen.count++;
    seen.sum += value;
    seen.max = std::max(seen.max, value);
    if (at < seen.last_ms) return;
    seen.last_ms = at;
    seen.last = value;
  }

  Answer Result() const {
    Answer answer;
    for (const auto& [place, seen] : seen_) {
      switch (question_.kind) {
        case QuestionKind::kLatest:
          answer.count++;
          answer.sum += seen.last;
          break;
        case QuestionKind::kRaw:
          answer.count += seen.count;
          answer.sum += seen.sum;
          break;
        case QuestionKind::kMax:
          answer.count++;
          answer.sum += seen.max;
          break;
        case QuestionKind::kAverage:
          answer.count++;
          answer.sum += seen.sum / static_cast<double>(seen.count);
          break;
      }
    }
    return answer;
  }

 private:
  const Question& question_;
  std::vector<bool> asked_;
  std::map<std::pair<size_t, int64_t>, Seen> seen_;
};

}  // namespace

std::string_view NameOf(QuestionKind kind) {
  return std::ranges::find(kNames, kind, &std::pair<QuestionKind, std::string_view>::first)->second;
}

StatusOr<QuestionKind> QuestionKindOf(std::string_view name) {
  for (const auto& [kind, known] : kNames) {
    if (known == name) return kind;
  }
  return InvalidArgument("there is no question '{}'; there are latest, raw, max and average", name);
}

std::vector<Question> QuestionsOf(const Workload& workload, QuestionKind kind, size_t count) {
  const int64_t begin = workload.first_ms();
  const int64_t minutes = (workload.last_ms() - begin) / kMinuteMs + 1;
  const size_t sources = workload.sources().size();
  std::vector<Question> questions;
  for (size_t i = 0; i < count; i++) {
    Question& question = questions.emplace_back();
    question.kind = kind;
    question.from_ms = begin;
    question.to_ms = begin + minutes * kMinuteMs - 1;
    // Primes: neighbours in the list are none in the data.
    const size_t first = i * 7919 % sources;
    const size_t wanted = kind == QuestionKind::kMax ? std::min(kMaxSources, sources) : 1;
    if (kind != QuestionKind::kAverage) {
      for (size_t s = 0; s < wanted; s++) question.sources.push_back((first + s * 7) % sources);
    }
    if (kind == QuestionKind::kRaw || kind == QuestionKind::kAverage) {
      const int64_t starts = std::max<int64_t>(1, minutes - kHourMs / kMinuteMs + 1);
      question.from_ms += static_cast<int64_t>(i) * 1009 % starts * kMinuteMs;
      question.to_ms = std::min(question.to_ms, question.from_ms + kHourMs - 1);
    }
    std::ranges::sort(question.sources);
    question.sources.erase(std::unique(question.sources.begin(), question.sources.end()),
                           question.sources.end());
  }
  return questions;
}

std::vector<Answer> AnswersOf(Workload* workload, std::span<const Question> questions) {
  std::vector<Asked> asked;
  asked.reserve(questions.size());
  for (const Question& question : questions)
    asked.emplace_back(question, workload->sources().size());
  Row row;
  while (workload->Next(&row)) {
    if (row.metrics.empty() || row.metrics.front() != 0) continue;
    for (Asked& one : asked) one.See(row.source, row.timestamp_ms, row.values.front());
  }
  std::vector<Answer> answers;
  for (const Asked& one : asked) answers.push_back(one.Result());
  return answers;
}

bool Agree(const Answer& one, const Answer& other) {
  constexpr double kTolerance = 1e-9;
  return one.count == other.count &&
         std::abs(one.sum - other.sum) <=
             kTolerance * std::max({1.0, std::abs(one.sum), std::abs(other.sum)});
}

}  // namespace nexus::bench
