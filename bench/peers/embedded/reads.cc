// embedded settle, ask, truth, scan and restart: what is asked of data that is there.

#include <algorithm>
#include <vector>

#include "bench/peers/embedded/commands.h"
#include "bench/peers/embedded/rows.h"

namespace nexus::bench {
namespace {

constexpr size_t kWarmingQuestions = 10;

StatusOr<std::vector<Question>> QuestionsFor(const Workload& workload, const AskOptions& options) {
  NEXUS_ASSIGN_OR_RETURN(const QuestionKind kind, QuestionKindOf(options.kind));
  return QuestionsOf(workload, kind, options.count);
}

std::span<const Answer> Told(const std::vector<Answer>& answers, const AskOptions& options) {
  return std::span(answers).first(std::min<size_t>(options.answers, answers.size()));
}

// What the first rows of a workload, up to so many samples, answer.
Answer AnswerOfFirst(Workload* workload, const Question& question, uint64_t samples) {
  // As AnswersOf would, of one series' latest.
  Answer answer;
  int64_t newest_ms = INT64_MIN;
  Row row;
  for (uint64_t seen = 0; seen < samples && workload->Next(&row); seen += row.values.size()) {
    if (row.source != question.sources[0] || row.metrics.empty() || row.metrics[0] != 0) continue;
    if (row.timestamp_ms < newest_ms) continue;
    newest_ms = row.timestamp_ms;
    answer = {1, row.values[0]};
  }
  return answer;
}

// Opens the closed store again and compacts it.
Status AddCompaction(Session* session, JsonLine* line) {
  NEXUS_RETURN_IF_ERROR(session->store->Open(session->options));
  Stopwatch compacting;
  compacting.Resume();
  NEXUS_ASSIGN_OR_RETURN(const bool compacts, session->store->Compact());
  compacting.Pause();
  NEXUS_RETURN_IF_ERROR(session->store->Close());
  if (!compacts) {
    line->AddNull("compact_seconds").AddNull("bytes_compacted");
    return OkStatus();
  }
  NEXUS_ASSIGN_OR_RETURN(const uint64_t bytes, DiskBytes(session->options.directory));
  line->Add("compact_seconds", compacting.seconds()).Add("bytes_compacted", bytes);
  return OkStatus();
}

}  // namespace

StatusOr<JsonLine> Settle(const Place& place, bool compact) {
  NEXUS_ASSIGN_OR_RETURN(Session session, OpenSession(place, false));
  Store* store = session.store.get();
  JsonLine line = session.Begin(place);
  Stopwatch settling;
  settling.Resume();
  NEXUS_RETURN_IF_ERROR(store->Settle());
  settling.Pause();
  NEXUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> data_bytes, store->DataBytes());
  // Of a closed store: what it holds only while it runs is gone.
  NEXUS_RETURN_IF_ERROR(store->Close());
  NEXUS_ASSIGN_OR_RETURN(const uint64_t bytes, DiskBytes(place.directory));
  line.Add("open_seconds", session.open_seconds).Add("seconds", settling.seconds());
  line.Add("bytes", bytes);
  if (data_bytes.has_value()) {
    line.Add("bytes_data", *data_bytes);
  } else {
    line.AddNull("bytes_data");
  }
  if (compact) NEXUS_RETURN_IF_ERROR(AddCompaction(&session, &line));
  return line;
}

StatusOr<JsonLine> Ask(const Place& place, const AskOptions& options) {
  NEXUS_ASSIGN_OR_RETURN(Session session, OpenSession(place, false));
  NEXUS_ASSIGN_OR_RETURN(const std::vector<Question> questions,
                         QuestionsFor(*session.workload, options));
  const size_t warming = options.cold ? 0 : std::min(kWarmingQuestions, questions.size());
  for (size_t i = 0; i < warming; i++) {
    NEXUS_RETURN_IF_ERROR(session.store->Ask(questions[i]).status());
  }
  Latencies latencies;
  std::vector<Answer> answers;
  for (const Question& question : questions) {
    Stopwatch watch;
    watch.Resume();
    NEXUS_ASSIGN_OR_RETURN(answers.emplace_back(), session.store->Ask(question));
    latencies.Add(watch.seconds());
  }
  JsonLine line = session.Begin(place);
  line.Add("kind", options.kind).Add("count", uint64_t{questions.size()});
  for (const int percent : {50, 95, 99}) {
    line.Add(fmt::format("p{}_ms", percent), latencies.Percentile(percent) * 1e3);
  }
  line.AddAnswers("answers", Told(answers, options));
  NEXUS_RETURN_IF_ERROR(session.store->Close());
  return line;
}

StatusOr<JsonLine> Truth(const WorkloadOptions& workload, const AskOptions& options) {
  NEXUS_ASSIGN_OR_RETURN(const std::unique_ptr<Workload> rows, OpenWorkload(workload));
  NEXUS_ASSIGN_OR_RETURN(const std::vector<Question> questions, QuestionsFor(*rows, options));
  const std::vector<Answer> answers = AnswersOf(rows.get(), questions);
  JsonLine line;
  line.Add("kind", options.kind).Add("count", uint64_t{questions.size()});
  line.AddAnswers("answers", Told(answers, options));
  return line;
}

StatusOr<JsonLine> Scan(const Place& place) {
  NEXUS_ASSIGN_OR_RETURN(Session session, OpenSession(place, false));
  Totals totals;
  double seconds[2] = {};  // the first may read from the disk
  for (double& round : seconds) {
    Stopwatch watch;
    watch.Resume();
    NEXUS_ASSIGN_OR_RETURN(totals, session.store->Scan());
    round = watch.seconds();
  }
  JsonLine line = session.Begin(place);
  line.Add("samples", totals.samples).Add("sum", totals.sum);
  line.Add("first_seconds", seconds[0]).Add("seconds", seconds[1]);
  line.Add("samples_per_second", static_cast<double>(totals.samples) / seconds[1]);
  NEXUS_RETURN_IF_ERROR(session.store->Close());
  return line;
}

StatusOr<JsonLine> Restart(const Place& place, std::optional<uint64_t> expected_samples) {
  NEXUS_ASSIGN_OR_RETURN(Session session, OpenSession(place, false));
  const Question question = QuestionsOf(*session.workload, QuestionKind::kLatest, 1)[0];
  Stopwatch watch;
  watch.Resume();
  NEXUS_ASSIGN_OR_RETURN(const Answer answer, session.store->Ask(question));
  watch.Pause();
  JsonLine line = session.Begin(place);
  line.Add("seconds", session.open_seconds + watch.seconds());
  line.Add("open_seconds", session.open_seconds);
  line.AddAnswers("answer", std::span(&answer, 1));
  uint64_t samples = UINT64_MAX;  // all there are
  if (expected_samples.has_value()) {
    NEXUS_ASSIGN_OR_RETURN(const Totals totals, session.store->Scan());
    samples = totals.samples;
    line.Add("expected", *expected_samples).Add("recovered", samples);
  }
  // Batches are appended one after the other, so what is there is the beginning of the workload.
  const Answer right = AnswerOfFirst(session.workload.get(), question, samples);
  line.AddFlag("right", Agree(answer, right));
  NEXUS_RETURN_IF_ERROR(session.store->Close());
  return line;
}

}  // namespace nexus::bench
