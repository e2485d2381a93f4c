// Admission, log positions, acknowledgement. See committer.h.

#include "engine/committer.h"

#include <coroutine>
#include <cstring>
#include <span>
#include <utility>

#include "base/planted.h"
#include "engine/known_series.h"
#include "engine/quota.h"

namespace nexus::engine {
namespace {

// What a batch may take in the memtable for each byte of its record: the staging form holds 28
// bytes for a sample that the densest record holds in 12.
constexpr uint64_t kMemoryPerRecordByte = 2;

RecordKind RecordKindOf(CommitRequest::Kind kind) {
  switch (kind) {
    case CommitRequest::Kind::kEdit:
      return RecordKind::kEdit;
    case CommitRequest::Kind::kDefinitions:
      return RecordKind::kDefinitions;
    case CommitRequest::Kind::kCarry:
      return RecordKind::kCarry;
    default:
      return RecordKind::kBatch;
  }
}

// Definitions ahead of a record: nobody waits for them.
class DefinitionsRequest : public CommitRequest {
 public:
  explicit DefinitionsRequest(std::string encoded)
      : CommitRequest(
            Kind::kDefinitions, {}, [](CommitRequest*, const Status&) {}, &Delete),
        encoded_(std::move(encoded)) {
    body = AsBytes(encoded_);
  }

 private:
  static void Delete(CommitRequest* request) { delete static_cast<DefinitionsRequest*>(request); }
  std::string encoded_;
};

// A request that a coroutine waits for.
class AwaitedRequest : public CommitRequest {
 public:
  AwaitedRequest(Committer* committer, Kind what, std::string encoded)
      : CommitRequest(what, {}, &Done, &Release),
        committer_(committer),
        encoded_(std::move(encoded)) {
    body = AsBytes(encoded_);
  }
  // Its body comes later.
  AwaitedRequest(Committer* committer, DecidedEdit* edit)
      : CommitRequest(Kind::kEdit, {}, &Done, &Release), committer_(committer) {
    decided = edit;
  }
  Status Decide() {
    NEXUS_ASSIGN_OR_RETURN(encoded_, decided->Decide());
    body = AsBytes(encoded_);
    return OkStatus();
  }
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    committer_->Submit(this);
  }
  Status await_resume() const { return status_; }

 private:
  static void Done(CommitRequest* request, const Status& status) {
    static_cast<AwaitedRequest*>(request)->status_ = status;
  }
  static void Release(CommitRequest* request) {
    static_cast<AwaitedRequest*>(request)->waiter_.resume();
  }
  Committer* committer_;
  std::string encoded_;
  std::coroutine_handle<> waiter_;
  Status status_;
};

// Whether it does not wait for the batches that were submitted before it.
bool GoesAhead(const CommitRequest& request) {
  return request.kind == CommitRequest::Kind::kEdit && !request.in_turn;
}

void Conclude(CommitRequest* request, const Status& status) {
  request->done(request, status);
  request->release(request);
}

}  // namespace

void Committer::Queue::Push(CommitRequest* request) {
  request->next = nullptr;
  (tail_ == nullptr ? head_ : tail_->next) = request;
  tail_ = request;
}

bool Committer::Queue::HasAppendsTo(TenantId tenant, BranchId branch) const {
  for (const io::RunNode* node = head_; node != nullptr; node = node->next) {
    const auto* request = static_cast<const CommitRequest*>(node);
    const bool is_append = request->kind == CommitRequest::Kind::kBatch && !request->duplicate;
    if (is_append && request->tenant == tenant && request->branch == branch) return true;
  }
  return false;
}

CommitRequest* Committer::Queue::Pop() {
  CommitRequest* request = front();
  head_ = request->next;
  if (head_ == nullptr) tail_ = nullptr;
  request->next = nullptr;
  return request;
}

Committer::Committer(DatabaseState* state, Interner* interner, Applier* applier,
                     std::function<void()> on_applied)
    : state_(state),
      interner_(interner),
      applier_(applier),
      on_applied_(std::move(on_applied)),
      write_status_(FailedPrecondition("the database is still opening")),
      pump_(this, &RunPump),
      deadline_(this, &RunDeadline) {}

void Committer::Start(std::unique_ptr<wal::Log> log) {
  log_ = std::move(log);
  write_status_ = OkStatus();
}

void Committer::Refuse(Status reason) { write_status_ = std::move(reason); }

void Committer::LookAtSeries(CommitRequest* request) {
  if (request->series_generation != state_->series_generation && state_->series_generation != 1) {
    request->unknown_series = CheckSeriesKnown(*state_, request->body);
  }
  if (idle_ == nullptr) return;
  StatusOr<BatchView> batch = BatchView::Parse(request->body);
  if (batch.ok()) idle_->KeepNamedBy(*batch);
}

void Committer::Submit(CommitRequest* request) {
  request->expired = nullptr;
  request->age_judged = false;
  if (request->kind == CommitRequest::Kind::kBatch) LookAtSeries(request);
  const bool ahead = GoesAhead(*request) || (request->kind == CommitRequest::Kind::kEdit &&
                                             NEXUS_PLANTED("delete-overtakes-batches"));
  (ahead ? edits_ : batches_).Push(request);
  SchedulePump();
}

io::Task<Status> Committer::CommitEdit(std::string body) {
  AwaitedRequest request(this, CommitRequest::Kind::kEdit, std::move(body));
  co_return co_await request;
}

io::Task<Status> Committer::CommitDecided(DecidedEdit* edit) {
  AwaitedRequest request(this, edit);
  co_return co_await request;
}

bool Committer::HasAppendsTo(TenantId tenant, BranchId branch) const {
  return batches_.HasAppendsTo(tenant, branch) || in_flight_.HasAppendsTo(tenant, branch);
}

bool Committer::AppendAtOnce(CommitRequest* request) {
  const bool has_room = write_status_.ok() && log_->CanAppend(request->body.size());
  if (!has_room || !AppendToLog(request).ok()) return false;
  in_flight_.Push(request);
  in_flight_bytes_ += request->body.size();
  return true;
}

Committer::Unapplied Committer::InFlight() const {
  Unapplied unapplied;
  in_flight_.ForEach([&unapplied](const CommitRequest& request) {
    if (request.waits_only()) return;
    if (request.kind == CommitRequest::Kind::kEdit) unapplied.edits = true;
    if (request.kind != CommitRequest::Kind::kBatch) return;
    // As replay will read it.
    BatchHeader header;
    std::memcpy(&header, request.body.data(), sizeof(header));
    unapplied.branches.insert({header.tenant, header.branch});
  });
  return unapplied;
}

io::Task<Status> Committer::CommitInTurn(std::string body) {
  AwaitedRequest request(this, CommitRequest::Kind::kEdit, std::move(body));
  request.in_turn = true;
  request.deadline_ns =
      state_->environment->MonotonicNanos() + state_->options.admission_timeout_ms * 1'000'000;
  co_return co_await request;
}

io::Task<Status> Committer::Drain() {
  AwaitedRequest request(this, CommitRequest::Kind::kBarrier, {});
  co_return co_await request;
}

void Committer::SchedulePump() {
  if (std::exchange(pump_.scheduled, true)) return;
  state_->environment->executor()->Schedule(&pump_);
}

void Committer::RunPump(io::RunNode* node) {
  auto* pump = static_cast<PumpNode*>(node);
  pump->scheduled = false;
  pump->committer->Pump();
}

void Committer::RunDeadline(io::RunNode* node) {
  Committer* committer = static_cast<DeadlineTimer*>(node)->committer;
  committer->RefuseExpired();
  committer->Pump();
}

bool Committer::HasMemoryFor(const CommitRequest& request) const {
  return request.kind != CommitRequest::Kind::kBatch || HasMemoryFor(request.body.size());
}

bool Committer::HasMemoryFor(size_t body_bytes) const {
  if (state_->delta.full()) return false;
  uint64_t held = state_->memtable_bytes + in_flight_bytes_ * kMemoryPerRecordByte;
  // A batch larger than the whole budget is let in alone, or it would wait for ever.
  return held == 0 || held + body_bytes * kMemoryPerRecordByte <= state_->options.memtable_bytes;
}

// What does not fit now goes before the next record.
void Committer::AppendWantedDefinitions() {
  if (!std::exchange(definitions_wanted_, false)) return;
  while (write_status_.ok() && !interner_->undefined().empty() && !state_->delta.full()) {
    if (!log_->CanAppend(interner_->undefined_bytes()) || !AppendDefinitions().ok()) return;
  }
}

void Committer::Pump() {
  AppendWantedDefinitions();
  while (!edits_.empty() && AdmitFront(&edits_)) {
  }
  while (edits_.empty() && !batches_.empty() && AdmitFront(&batches_)) {
  }
  ArmDeadline();
}

bool Committer::AdmitFront(Queue* queue) {
  CommitRequest* request = queue->front();
  if (request->kind == CommitRequest::Kind::kBarrier) {
    queue->Pop();
    request->end = log_ == nullptr ? Lsn{} : log_->end();
    in_flight_.Push(request);
    FinishWaiting();
    return true;
  }
  if (AnswerOrRefuse(queue)) return true;
  Status status = write_status_;
  if (status.ok()) status = request->unknown_series;
  TenantState* bounded = BoundedTenantOf(*request);
  const int64_t now_ns = bounded == nullptr ? 0 : state_->environment->MonotonicNanos();
  if (status.ok() && bounded != nullptr) status = CheckAppendQuota(*state_, bounded, now_ns);
  if (status.ok() && !HasMemoryFor(*request)) return false;
  if (status.ok()) status = JudgeAge(request);
  while (status.ok() && !interner_->undefined().empty()) {
    if (!log_->CanAppend(interner_->undefined_bytes())) return false;
    status = AppendDefinitions();
    // An edit that goes ahead names no series that waits here, and on a full disk has room where
    // they have none: it may be what makes some.
    if (GoesAhead(*request) && absl::IsResourceExhausted(status)) {
      status = OkStatus();
      break;
    }
  }
  if (status.ok() && request->decided != nullptr) {
    status = static_cast<AwaitedRequest*>(request)->Decide();
  }
  if (status.ok() && !log_->CanAppend(request->record().size())) return false;
  if (status.ok()) status = AppendToLog(request);
  if (status.ok() && request->decided != nullptr) request->decided->Placed();
  queue->Pop();
  if (!status.ok()) {
    Conclude(request, status);
    return true;
  }
  if (bounded != nullptr) PayForAppend(bounded, request->body, now_ns);
  if (request->expired != nullptr) expired_samples_ += request->expired->samples;
  in_flight_.Push(request);
  if (NEXUS_PLANTED("visible-before-durable") && request->kind == CommitRequest::Kind::kBatch) {
    applier_->Apply(RecordKind::kBatch, request->begin, request->end, request->record())
        .IgnoreError();
  }
  if (request->kind == CommitRequest::Kind::kBatch) refused_for_memory_ = 0;
  in_flight_bytes_ += request->record().size();
  if (request->once.has_value()) ProducersOf(*request)->Admit(*request->once);
  if (request->buffered) request->done(request, OkStatus());
  return true;
}

Status Committer::JudgeAge(CommitRequest* request) {
  if (request->kind != CommitRequest::Kind::kBatch) return OkStatus();
  if (std::exchange(request->age_judged, true)) return OkStatus();
  const auto tenant = state_->tenants.find(request->tenant.value);
  if (tenant == state_->tenants.end()) return OkStatus();
  request->expired = FindExpired(*state_, *tenant->second, request->body);
  if (request->expired == nullptr) return OkStatus();
  const bool is_refused = request->expired->nothing_left && !request->once.has_value();
  if (!is_refused) return OkStatus();
  expired_samples_ += request->expired->samples;
  return request->expired->reason;
}

ProducerTable* Committer::ProducersOf(const CommitRequest& request) const {
  BranchState* branch = state_->FindBranch(request.tenant, request.branch);
  return branch == nullptr ? nullptr : &branch->producers;
}

TenantState* Committer::BoundedTenantOf(const CommitRequest& request) const {
  if (request.kind != CommitRequest::Kind::kBatch) return nullptr;
  auto found = state_->tenants.find(request.tenant.value);
  if (found == state_->tenants.end()) return nullptr;
  TenantState* tenant = found->second.get();
  const TenantQuotas& quotas = tenant->quotas;
  const bool bounded = quotas.samples_per_second != kNoQuota || quotas.bytes_max != kNoQuota;
  return bounded ? tenant : nullptr;
}

bool Committer::AnswerOrRefuse(Queue* queue) {
  CommitRequest* request = queue->front();
  if (!request->once.has_value()) return false;
  ProducerTable* producers = ProducersOf(*request);
  StatusOr<ProducerTable::Verdict> verdict =
      producers == nullptr ? NotFound("branch {} does not exist", request->branch.value)
                           : producers->Judge(*request->once);
  if (verdict.ok() && *verdict == ProducerTable::Verdict::kNew) return false;
  if (verdict.ok() && NEXUS_PLANTED("duplicate-applied")) return false;
  queue->Pop();
  request->duplicate = verdict.ok();
  Status status = verdict.status();
  if (verdict.ok() && *verdict == ProducerTable::Verdict::kInFlight &&
      !NEXUS_PLANTED("duplicate-acknowledged-early")) {
    if (write_status_.ok()) {
      in_flight_.Push(request);
      return true;
    }
    // The first copy was lost with the log, or not: reopening tells.
    status = write_status_;
  }
  AnswerDuplicate(request);
  Conclude(request, status);
  return true;
}

void Committer::AnswerDuplicate(CommitRequest* request) const {
  if (!request->duplicate) return;
  ProducerTable* producers = ProducersOf(*request);
  std::optional<ProducerTable::Known> known = producers->Find(ProducerOf(*request->once));
  if (known.has_value()) request->end = known->end;
}

Status Committer::AppendDefinitions() {
  std::span<const catalog::SeriesDefinition> definitions = interner_->undefined();
  auto request = std::make_unique<DefinitionsRequest>(EncodeDefinitions(definitions));
  Status appended = AppendToLog(request.get());
  if (appended.ok() || NEXUS_PLANTED("definitions-lost"))
    interner_->MarkDefined(definitions.size());
  NEXUS_RETURN_IF_ERROR(appended);
  in_flight_bytes_ += request->body.size();
  in_flight_.Push(request.release());
  return OkStatus();
}

Status Committer::AppendToLog(CommitRequest* request) {
  const auto urgency = GoesAhead(*request) ? wal::Urgency::kEdit : wal::Urgency::kBatch;
  auto kind = static_cast<wal::RecordKind>(RecordKindOf(request->kind));
  const Bytes record = request->record();
  NEXUS_ASSIGN_OR_RETURN(wal::AppendResult place,
                         log_->Append(kind, std::span(&record, 1), urgency));
  request->begin = place.begin;
  request->end = place.end;
  return OkStatus();
}

// Those that wait at the head of what is in flight have nothing before them any more.
void Committer::FinishWaiting() {
  while (!in_flight_.empty() && in_flight_.front()->waits_only()) {
    CommitRequest* waiting = in_flight_.Pop();
    AnswerDuplicate(waiting);
    Conclude(waiting, waiting->duplicate ? OkStatus() : write_status_);
  }
}

void Committer::OnDurable(Lsn durable) {
  FinishWaiting();
  while (!in_flight_.empty() && in_flight_.front()->end <= durable) {
    CommitRequest* request = in_flight_.Pop();
    in_flight_bytes_ -= request->record().size();
    Status status = applier_->Apply(RecordKindOf(request->kind), request->begin, request->end,
                                    request->record());
    if (!request->buffered) request->done(request, status);
    request->release(request);
    FinishWaiting();
  }
  on_applied_();
  Pump();
}

void Committer::OnFailed(Status reason) {
  write_status_ =
      Unavailable("the log failed: {}; nothing more is written, reads go on; reopen the database",
                  FromAbsl(reason.message()));
  Status unknown = NEXUS_PLANTED("log-failure-acknowledged")
                       ? OkStatus()
                       : Unavailable(
                             "outcome unknown, retry with the same sequence: the log failed ({}); "
                             "reopen the database "
                             "first",
                             FromAbsl(reason.message()));
  if (NEXUS_PLANTED("log-failure-told-as-refusal")) {
    unknown = ResourceExhausted("the log has no room");
  }
  while (!in_flight_.empty()) {
    CommitRequest* request = in_flight_.Pop();
    if (!request->buffered || request->duplicate) request->done(request, unknown);
    request->release(request);
  }
  in_flight_bytes_ = 0;
  SchedulePump();
}

void Committer::RefuseExpired() {
  int64_t now = state_->environment->MonotonicNanos();
  while (!batches_.empty()) {
    CommitRequest* request = batches_.front();
    if (request->deadline_ns == 0 || request->deadline_ns > now) return;
    batches_.Pop();
    if (!HasMemoryFor(*request)) {
      refused_for_memory_ = request->body.size();
      Conclude(request, NoMemory());
    } else {
      Conclude(request, ResourceExhausted("the log has no room: the disk is slow; retry later"));
    }
  }
}

Status Committer::NoMemory() const {
  const bool series = state_->delta.full();
  const Status& hindrance = series ? state_->commit_status : state_->flush_status;
  std::string why = series ? fmt::format("{} new series wait to be committed to the catalog",
                                         state_->delta.series())
                           : fmt::format("{} of {} bytes of samples wait to be flushed to layers",
                                         state_->memtable_bytes, state_->options.memtable_bytes);
  if (!hindrance.ok()) {
    return ResourceExhausted(
        "no memory for more: {}, which failed: {}; it is tried again each second", why,
        FromAbsl(hindrance.message()));
  }
  return ResourceExhausted("no memory for more: {}; retry later{}", why,
                           series ? "" : ", or raise memtable_bytes");
}

Status Committer::WriteState() const {
  if (!write_status_.ok()) return write_status_;
  if (log_ != nullptr && !log_->writable().ok()) return log_->writable();
  const bool hindered = !state_->flush_status.ok() || !state_->commit_status.ok();
  const bool refuses = refused_for_memory_ != 0 && !HasMemoryFor(refused_for_memory_);
  return refuses && hindered ? NoMemory() : OkStatus();
}

void Committer::ArmDeadline() {
  io::Executor* executor = state_->environment->executor();
  executor->CancelTimer(&deadline_);
  if (batches_.empty() || batches_.front()->deadline_ns == 0) return;
  executor->StartTimer(&deadline_, batches_.front()->deadline_ns);
}

io::Task<void> Committer::Stop() {
  // At least once: who waits may have been resumed within Pump or by the log, and destroys both.
  do {
    co_await state_->environment->executor()->Yield();
  } while (pump_.scheduled);
  state_->environment->executor()->CancelTimer(&deadline_);
}

}  // namespace nexus::engine
