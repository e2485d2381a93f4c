// Running a query for a connection. See query_job.h.

#include "server/query_job.h"

#include <utility>

#include "base/labels.h"
#include "client/protocol/format.h"
#include "server/wire_function.h"

namespace nexus::server {
namespace {

// A frame is sent when it has so much; one more chunk still fits what a frame may hold.
constexpr size_t kPartBytes = protocol::kResultBytesMax / 2;

// What a query may take at most, whatever the client asks.
constexpr uint32_t kDeadlineMsMax = 600'000;
constexpr int64_t kNanosPerMilli = 1'000'000;

int64_t DeadlineMsOf(const Question& question) {
  const auto* query = std::get_if<protocol::Query>(&question.query);
  if (query == nullptr || query->deadline_ms == 0) return QueryLimits().deadline_ms;
  return std::min(query->deadline_ms, kDeadlineMsMax);
}

std::string CanonicalOf(const SeriesChunk& chunk) {
  std::string canonical(chunk.metric);
  canonical += '\xFF';
  for (const Label& label : *chunk.labels) {
    canonical.append(label.name).append(1, '\xFE').append(label.value).append(1, '\xFF');
  }
  return canonical;
}

}  // namespace

class QueryJob::Alarm : public io::Timer {
 public:
  explicit Alarm(QueryJob* job)
      : Timer(&Ring), job_(job), executor_(job->service_->environment()->executor()) {
    executor_->StartTimer(this, job->deadline_ns_);
  }
  ~Alarm() {
    if (armed) executor_->CancelTimer(this);
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

 private:
  static void Ring(io::RunNode* node) { static_cast<Alarm*>(node)->job_->wake_.Pulse(); }
  QueryJob* const job_;
  io::Executor* const executor_;
};

QueryJob::QueryJob(Service* service, Question question, Listener listener, uint32_t credit)
    : service_(service),
      question_(std::move(question)),
      listener_(std::move(listener)),
      deadline_ms_(DeadlineMsOf(question_)),
      deadline_ns_(service->environment()->MonotonicNanos() + deadline_ms_ * kNanosPerMilli),
      credit_(credit) {}

io::Task<void> QueryJob::Run(std::shared_ptr<QueryJob> job) {
  io::Executor* executor = job->service_->environment()->executor();
  bool last = false;
  while (!last && !job->dropped_) {
    QueryJob* self = job.get();
    auto next = [self] { return self->NextPart(); };
    FairTurns* turns = job->service_->queries();
    co_await turns->Begin(job->question_.tenant);
    StatusOr<Part> part = co_await executor->Run(io::Lane::kQuery, next);
    turns->End();
    if (!part.ok()) {
      if (!job->dropped_) job->listener_.on_end(part.status());
      co_return;
    }
    last = part->last;
    if (part->body.empty()) continue;
    Status waited = co_await job->WaitForRoom();
    if (!waited.ok()) {
      // Layers and memtables are let go before anybody is told.
      job->cursor_.reset();
      job->strings_ = {};
      if (!job->dropped_) job->listener_.on_end(waited);
      co_return;
    }
    if (job->dropped_) co_return;
    job->credit_--;
    job->listener_.on_part(part->body,
                           !std::holds_alternative<protocol::Query>(job->question_.query));
  }
  if (!job->dropped_) job->listener_.on_end(job->end_);
}

Status QueryJob::LateStatus() const {
  return DeadlineExceeded(
      "query passed its deadline of {} ms while nobody read its answer; read it faster, or ask for "
      "a longer deadline",
      deadline_ms_);
}

io::Task<Status> QueryJob::WaitForRoom() {
  io::Environment* const environment = service_->environment();
  while (!cancel_.load(std::memory_order_relaxed)) {
    if (credit_ > 0 && listener_.has_room()) co_return OkStatus();
    if (credit_ == 0 && credit_ends_) {
      Stop();
    } else if (environment->MonotonicNanos() >= deadline_ns_) {
      co_return LateStatus();
    } else {
      Alarm alarm(this);
      co_await wake_.Wait();
    }
  }
  // Its end is told by the next part.
  credit_ = std::max<uint64_t>(credit_, 1);
  co_return OkStatus();
}

StatusOr<QueryJob::Part> QueryJob::NextPart() {
  if (!std::exchange(open_, true)) NEXUS_RETURN_IF_ERROR(Open());
  return cursor_ != nullptr ? NextSamples() : NextStrings();
}

Status QueryJob::Open() {
  SelectQuery asked;
  asked.tenant = question_.tenant;
  asked.branch = question_.branch;
  if (const auto* query = std::get_if<protocol::Query>(&question_.query)) {
    asked.as_of = query->as_of;
  }
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, service_->core()->View(asked));
  if (const auto* labels = std::get_if<protocol::LabelsQuery>(&question_.query)) {
    StatusOr<std::vector<std::string>> found =
        labels->label.empty()
            ? engine::LabelNames(view.index.get(), labels->selector)
            : engine::LabelValues(view.index.get(), labels->label, labels->selector);
    NEXUS_RETURN_IF_ERROR(found.status());
    strings_ = *std::move(found);
    return OkStatus();
  }
  if (const auto* series = std::get_if<protocol::SeriesQuery>(&question_.query)) {
    NEXUS_ASSIGN_OR_RETURN(std::vector<Labels> found,
                           engine::SeriesLabels(view.index.get(), series->selector, series->limit));
    for (const Labels& one : found) strings_.push_back(one.Canonical());
    return OkStatus();
  }
  const auto& query = std::get<protocol::Query>(question_.query);
  AggregateQuery aggregate;
  SelectQuery& select = aggregate.select;
  select.selector = query.selector;
  select.range = query.range;
  select.tenant = question_.tenant;
  select.branch = question_.branch;
  select.limits.deadline_ms = deadline_ms_;
  select.limits.cancel = &cancel_;
  StatusOr<std::unique_ptr<Cursor>> cursor;
  switch (query.kind) {
    case protocol::QueryKind::kSelect:
      cursor = engine::MakeSelectCursor(std::move(view), select);
      break;
    case protocol::QueryKind::kLatest:
      cursor = engine::MakeLatestCursor(std::move(view), select);
      break;
    case protocol::QueryKind::kAggregate:
      aggregate.function = EngineFunction(query.function);
      aggregate.percentile = query.percentile;
      aggregate.step_ns = query.step_ns;
      aggregate.grouped = query.grouped;
      aggregate.by = query.by;
      cursor = engine::MakeAggregateCursor(std::move(view), aggregate);
      break;
  }
  NEXUS_RETURN_IF_ERROR(cursor.status());
  cursor_ = *std::move(cursor);
  return OkStatus();
}

StatusOr<QueryJob::Part> QueryJob::NextSamples() {
  Part part;
  SeriesChunk chunk;
  while (part.body.size() < kPartBytes) {
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor_->Next(&chunk));
    if (!more) {
      const QueryStatistics& statistics = cursor_->statistics();
      end_ = {statistics.series,         statistics.samples,
              statistics.chunks_decoded, statistics.chunks_by_statistics,
              statistics.layers,         statistics.memtables,
              statistics.rollup_layers,  statistics.rollup_buckets};
      part.last = true;
      break;
    }
    protocol::ResultPart piece;
    std::string labels;
    if (chunk.series_index != last_series_) labels = CanonicalOf(chunk);
    last_series_ = chunk.series_index;
    piece.series_index = chunk.series_index;
    piece.labels = labels;
    piece.timestamps = std::as_bytes(chunk.timestamps);
    piece.values = std::as_bytes(chunk.values);
    protocol::AppendPart(piece, &part.body);
  }
  return part;
}

StatusOr<QueryJob::Part> QueryJob::NextStrings() {
  if (cancel_.load(std::memory_order_relaxed)) return Cancelled("query was cancelled");
  Part part;
  while (part.body.size() < kPartBytes && next_string_ < strings_.size()) {
    protocol::AppendString(strings_[next_string_++], &part.body);
  }
  part.last = next_string_ == strings_.size();
  end_.items = strings_.size();
  return part;
}

}  // namespace nexus::server
