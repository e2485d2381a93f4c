// The questions that nexus and its peers are asked in a comparison, and the right answers.
//
// All are about the workload's first metric. An answer is reduced to a count and a sum, which two
// systems must agree on: a fast wrong answer fails the run. Threading: values.

#ifndef NEXUS_BENCH_PEERS_QUESTIONS_H_
#define NEXUS_BENCH_PEERS_QUESTIONS_H_

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bench/workload.h"

namespace nexus::bench {

enum class QuestionKind : uint8_t {
  kLatest,   // the last sample of one series
  kRaw,      // all samples of one series in an hour
  kMax,      // of eight series, the maximum of each minute, over all time
  kAverage,  // of every source, the average of an hour
};

inline constexpr int64_t kMaxStepMs = 60'000;

// Names in results: latest, raw, max, average.
std::string_view NameOf(QuestionKind kind);
StatusOr<QuestionKind> QuestionKindOf(std::string_view name);

struct Question {
  QuestionKind kind = QuestionKind::kLatest;
  std::vector<size_t> sources;  // empty: every one
  // Closed, both whole minutes after first_ms but for the last millisecond: [begin, end - 1 ms].
  int64_t from_ms = 0;
  int64_t to_ms = 0;
};

struct Answer {
  uint64_t count = 0;  // of values: samples, minutes that have any, or sources
  double sum = 0;      // of these values
};

// `count` questions of a kind, spread over sources and time; the same ones for a workload's size.
std::vector<Question> QuestionsOf(const Workload& workload, QuestionKind kind, size_t count);

// By brute force, in one pass over a fresh stream of the workload.
std::vector<Answer> AnswersOf(Workload* workload, std::span<const Question> questions);

// The same but for the order of additions: counts equal, sums within one part in 10^9.
bool Agree(const Answer& one, const Answer& other);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_QUESTIONS_H_
