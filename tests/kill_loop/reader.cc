// A reader's questions. See reader.h.

#include "tests/kill_loop/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "tests/kill_loop/patient.h"
#include "tests/kill_loop/workload.h"

namespace nexus::kill_loop {
namespace {

// An answer that takes longer counts as interrupted, so that no slow machine fails a run.
constexpr int64_t kAnswerMs = 60'000;

client::Scope Patient() {
  client::Scope scope;
  scope.timeout_ms = kAnswerMs;
  return scope;
}

}  // namespace

bool Reader::Connect(const std::string& address) {
  client_ = ConnectPatiently(address, "reader", judge_);
  return client_ != nullptr;
}

bool Reader::Interrupted(const Status& status, const std::string& what) {
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
    judge_->Interrupted();
    return true;
  }
  judge_->Fail(fmt::format("{}: {}", what, status.ToString()));
  return false;
}

std::optional<uint64_t> Reader::Check(const std::string& selector, const Oracle::Query& query) {
  const Judge::Start start = judge_->Begin();
  client::SelectQuery select;
  select.selector = selector;
  select.range = {query.first, query.last};
  select.scope = Patient();
  auto cursor = client_->Select(select);
  if (!cursor.ok()) {
    Interrupted(cursor.status(), selector);
    return std::nullopt;
  }
  std::vector<Observed> observed;
  client::SeriesChunk chunk;
  while (true) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    if (!more.ok()) {
      Interrupted(more.status(), selector);
      return std::nullopt;
    }
    if (!*more) break;
    const std::optional<uint32_t> series = SeriesOf(*chunk.labels);
    if (!series.has_value() || chunk.metric != kMetric) {
      judge_->Fail(fmt::format("{} gave a series that nobody wrote: {}", selector, chunk.metric));
      return std::nullopt;
    }
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      observed.push_back(
          {{*series, chunk.timestamps[i]}, std::bit_cast<uint64_t>(chunk.values[i])});
    }
  }
  if (!judge_->Check(start, query, observed)) return std::nullopt;
  return observed.size();
}

std::optional<uint64_t> Reader::CheckWriter(uint32_t writer, const TimeRange& range) {
  const uint32_t first = writer * kWriterStride;
  return Check(SelectorOfWriter(writer),
               {first, first + kWriterStride - 1, range.first, range.last});
}

std::optional<uint64_t> Reader::CheckSeries(uint32_t series, const TimeRange& range) {
  return Check(SelectorOfSeries(series), {series, series, range.first, range.last});
}

bool Reader::CheckSeriesList() {
  const Judge::Start start = judge_->Begin(/*with_series=*/true);
  StatusOr<std::vector<Labels>> listed = client_->SeriesLabels(kMetric, 1'000'000, Patient());
  if (!listed.ok()) return Interrupted(listed.status(), "the list of series");
  std::set<uint32_t> numbers;
  for (const Labels& labels : *listed) {
    const std::optional<uint32_t> series = SeriesOf(labels.labels());
    if (!series.has_value()) {
      judge_->Fail(fmt::format("a series is listed that nobody wrote: {}", labels.Canonical()));
      return false;
    }
    numbers.insert(*series);
  }
  return judge_->CheckSeries(start, numbers);
}

void Reader::Scrub() {
  StatusOr<protocol::ScrubReply> reply = client_->Scrub({}, Patient());
  if (!reply.ok()) {
    Interrupted(reply.status(), "scrub");
  } else if (reply->finding_count > 0) {
    judge_->Fail(fmt::format("a scrub of the serving database found {}: {}: {}",
                             reply->finding_count, reply->findings[0].file,
                             reply->findings[0].what));
  }
}

void Reader::Flush() {
  Status flushed = client_->Flush(Patient());
  if (!flushed.ok()) Interrupted(flushed, "flush");
}

std::optional<uint64_t> Reader::Figure(const std::string& name) {
  auto stats = client_->GetStats(Patient());
  if (!stats.ok()) {
    Interrupted(stats.status(), "stats");
    return std::nullopt;
  }
  for (const protocol::Stat& stat : *stats) {
    if (stat.name != name) continue;
    if (const auto* value = std::get_if<uint64_t>(&stat.value)) return *value;
  }
  judge_->Fail(fmt::format("the server has no figure {}", name));
  return std::nullopt;
}

Problem CheckWhole(Reader* reader, Judge* judge, ServerUnderTest* server, uint32_t writers,
                   std::optional<uint64_t> others) {
  // Buffered batches become visible.
  reader->Flush();
  uint64_t found = 0;
  for (uint32_t i = 0; i < writers; i++) {
    const std::optional<uint64_t> samples = reader->CheckWriter(i, TimeRange{});
    if (judge->failed()) return judge->failure();
    if (!samples.has_value()) return "the server does not answer, and nobody killed it";
    found += *samples;
  }
  if (!reader->CheckSeriesList()) return judge->failure();
  const uint64_t stored = reader->Figure("samples").value_or(0);
  if (others.has_value() && stored != found + *others) {
    return fmt::format(
        "a batch counts twice: {} samples are stored ({} in layers), and {} are found", stored,
        reader->Figure("layer_samples").value_or(0), found + *others);
  }
  if (judge->failed()) return judge->failure();
  if (Problem problem = server->Stop()) return problem;
  return server->Scrub();
}

ReaderThread::ReaderThread(std::string address, uint32_t writers, uint64_t seed, Judge* judge)
    : address_(std::move(address)),
      writers_(writers),
      judge_(judge),
      random_(seed),
      thread_(&ReaderThread::Run, this) {}

void ReaderThread::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void ReaderThread::Run() {
  Reader reader(judge_);
  if (!reader.Connect(address_)) return;
  while (!stop_ && !judge_->failed()) {
    AskOne(&reader);
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % 5000));
  }
}

void ReaderThread::AskOne(Reader* reader) {
  const uint64_t choice = random_() % 100;
  const auto writer = static_cast<uint32_t>(random_() % writers_);
  const auto from = static_cast<int64_t>(random_() % kTimestamps);
  const TimeRange some = {from, from + static_cast<int64_t>(random_() % kTimestamps)};
  if (choice < 55) {
    const auto series = static_cast<uint32_t>(random_() % kWriterSeries);
    reader->CheckSeries(writer * kWriterStride + series, choice < 25 ? TimeRange{} : some);
  } else if (choice < 80) {
    reader->CheckWriter(writer, some);
  } else if (choice < 86) {
    reader->CheckWriter(writer, TimeRange{});
  } else if (choice < 94) {
    reader->CheckSeriesList();
  } else if (choice < 98) {
    reader->Flush();
  } else {
    reader->Scrub();
  }
}

}  // namespace nexus::kill_loop
