// Frames to calls, results to frames. See binary_session.h.

#include "server/binary_session.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/labels.h"
#include "base/planted.h"
#include "server/stats_figures.h"
#include "wal/log.h"

namespace nexus::server {
namespace {

using protocol::ErrorReply;
using protocol::Frame;
using protocol::FrameReader;
using protocol::Opcode;

// Unanswered requests of one connection; beyond it the peer waits.
constexpr uint32_t kRequestsMax = 1024;
// What a refused client should wait before it tries again.
constexpr uint32_t kRetryAfterMs = 100;

std::string_view RequestName(Opcode opcode) { return protocol::NameOf(opcode); }

uint32_t RetryAfterOf(const Status& status) {
  constexpr uint64_t kMost = 60'000;
  return static_cast<uint32_t>(std::min(RetryAfterMs(status).value_or(kRetryAfterMs), kMost));
}

}  // namespace

// A batch on its way: from the receipt of its body until the log has it. Outlives the session if it
// must.
class BinarySession::BatchRequest : public engine::CommitRequest {
 public:
  BatchRequest(Service* service, BinarySession* session, const protocol::FrameHeader& head)
      : CommitRequest(Kind::kBatch, {}, &Done, &Release),
        header(head),
        service_(service),
        session_(session),
        ticket_(session->ticket_),
        begun_ns_(service->environment()->MonotonicNanos()) {
    buffer = service->bodies()->Take(std::max<size_t>(head.body_bytes, sizeof(uint64_t)));
    buffer.size = head.body_bytes;
  }

  // Makes room for the rejected ranges, if there are any.
  void TakeMapped(SeriesNumbers::Mapped mapped) {
    samples = mapped.samples;
    rejected_samples = mapped.rejected_samples;
    once = mapped.once;
    rejected = std::move(mapped.rejected);
    if (!rejected.empty()) {
      const size_t bytes = buffer.size + rejected.size() * sizeof(batch::RejectedRange);
      if (bytes > buffer.capacity) {
        BodyBuffer larger = service_->bodies()->Take(bytes);
        std::memcpy(larger.data(), buffer.data(), buffer.size);
        larger.size = buffer.size;
        service_->bodies()->Give(std::exchange(buffer, std::move(larger)));
      }
      buffer.size = AppendRejected(buffer.data(), buffer.size, rejected);
    }
    body = buffer.bytes();
  }
  void GiveBack() { service_->bodies()->Give(std::move(buffer)); }
  int64_t begun_ns() const { return begun_ns_; }
  // Of the first copy: those without a series, and those that are too old.
  uint64_t refused_samples() const {
    return rejected_samples + (expired == nullptr ? 0 : expired->samples);
  }

  const protocol::FrameHeader header;
  BodyBuffer buffer;
  uint32_t samples = 0;
  uint64_t rejected_samples = 0;
  std::vector<batch::RejectedRange> rejected;

 private:
  static void Done(CommitRequest* request, const Status& status) {
    auto* self = static_cast<BatchRequest*>(request);
    Metrics* metrics = self->service_->metrics();
    metrics->CountRequest("write_batch",
                          self->service_->environment()->MonotonicNanos() - self->begun_ns_);
    if (status.ok() && !self->duplicate) {
      metrics->samples_received += self->samples - self->refused_samples();
    }
    if (self->ticket_.alive()) self->session_->BatchDone(self, status);
  }
  static void Release(CommitRequest* request) {
    auto* self = static_cast<BatchRequest*>(request);
    if (self->ticket_.alive()) self->session_->BatchReleased(self->buffer.size);
    self->GiveBack();
    delete self;
  }

  Service* const service_;
  BinarySession* const session_;
  const Ticket ticket_;
  const int64_t begun_ns_;
};

BinarySession::BinarySession(Service* service, Transport* transport)
    : service_(service), transport_(transport), reader_(protocol::Side::kClient) {}

BinarySession::~BinarySession() {
  ticket_.Drop();
  for (auto& [id, job] : queries_) job->Drop();
  CancelLongRequests();
}

// ---- Input.

void BinarySession::OnBytes(Bytes bytes) {
  if (closing_) return;
  if (!paused_) return Process(bytes);
  waiting_.append(AsText(bytes));
}

bool BinarySession::MustWait() const {
  return registering_ || deleting_ || batch_bytes_ > kSessionBytesMax ||
         requests_ >= kRequestsMax || transport_->queued_bytes() > kOutputBytesMax;
}

void BinarySession::Process(Bytes input) {
  Frame frame;
  while (!closing_) {
    if (MustWait()) {
      waiting_.append(AsText(input));
      if (!std::exchange(paused_, true)) transport_->Pause();
      return;
    }
    StatusOr<FrameReader::Step> step = reader_.Next(&input, &frame);
    if (!step.ok()) return Fatal(step.status(), "framing");
    switch (*step) {
      case FrameReader::Step::kMore:
        if (receiving_ != nullptr && !reader_.wanted().empty()) {
          transport_->ReceiveInto(reader_.wanted());
        }
        return;
      case FrameReader::Step::kFrame:
        Handle(frame);
        break;
      case FrameReader::Step::kBigBody:
        receiving_ = std::make_unique<BatchRequest>(service_, this, frame.header);
        reader_.ReceiveInto(receiving_->buffer.bytes());
        break;
      case FrameReader::Step::kRefused:
        if (receiving_ != nullptr) std::exchange(receiving_, nullptr)->GiveBack();
        // What it was - series, a batch - is missing for what follows: the client begins anew.
        if (absl::IsDataLoss(frame.status)) return Fatal(frame.status, "body_checksum");
        service_->metrics()->CountParseError("frame_refused");
        SendError(frame.header.request_id, protocol::ToErrorReply(frame.status));
        break;
    }
  }
}

void BinarySession::OnReceived() {
  if (closing_) return;
  reader_.Received(reader_.wanted().size());
  Process({});
}

void BinarySession::Unblock() {
  if (closing_) return;
  if (paused_) {
    if (MustWait()) return;
    paused_ = false;
    transport_->Resume();
    // The reader may hold a whole frame even if nothing waits here.
    const std::string input = std::exchange(waiting_, {});
    Process(AsBytes(input));
  }
  CloseIfDone();
}

void BinarySession::OnWritable() {
  for (auto& [id, job] : queries_) job->Wake();
  Unblock();
}

void BinarySession::OnEnd() {
  ended_ = true;
  CancelLongRequests();
  for (auto& [id, job] : queries_) job->EndCredit();
  CloseIfDone();
}

void BinarySession::OnStopping() {
  ended_ = true;
  CancelLongRequests();
  CloseIfDone();
}

void BinarySession::CloseIfDone() {
  if (!ended_ || closing_ || requests_ > 0 || paused_) return;
  closing_ = true;
  transport_->CloseAfterWrites("the peer is done");
}

// ---- Frames.

void BinarySession::Handle(const Frame& frame) {
  const Opcode opcode = frame.header.opcode;
  if (!greeted_ && opcode != Opcode::kHello) {
    return Fatal(FailedPrecondition("the first frame is {}; it must be HELLO", RequestName(opcode)),
                 "no_hello");
  }
  if (service_->stopping() && opcode != Opcode::kCredit && opcode != Opcode::kCancel) {
    ErrorReply error =
        protocol::ToErrorReply(Unavailable("the server is shutting down; connect again later"));
    error.reason = protocol::ErrorReason::kShuttingDown;
    error.retry_after_ms = 1000;
    if (receiving_ != nullptr) std::exchange(receiving_, nullptr)->GiveBack();
    return SendError(frame.header.request_id, error);
  }
  switch (opcode) {
    case Opcode::kHello:
      return HandleHello(frame);
    case Opcode::kPing:
      return Reply(Opcode::kDone, frame.header.request_id, {});
    case Opcode::kOpenTarget:
      return HandleOpenTarget(frame);
    case Opcode::kRegisterSeries:
      return HandleRegister(frame);
    case Opcode::kWriteBatch:
      return HandleBatch(frame);
    case Opcode::kOpenProducer:
      return HandleOpenProducer(frame);
    case Opcode::kQuery:
    case Opcode::kLabels:
    case Opcode::kSeries:
      return HandleQuery(frame);
    case Opcode::kStats:
      BeginRequest();
      return service_->Spawn(GiveStats(this, service_, ticket_, frame.header.request_id));
    case Opcode::kFlush:
      BeginRequest();
      return service_->Spawn(Flush(this, service_, ticket_, frame.header.request_id));
    case Opcode::kScrub:
      return HandleScrub(frame);
    case Opcode::kCompact:
      return HandleCompact(frame);
    case Opcode::kBackup:
      return HandleBackup(frame);
    case Opcode::kDelete:
      return HandleDelete(frame);
    case Opcode::kBranches:
      return ServeTenant(frame, protocol::DecodeBranches(frame.body), Branches);
    case Opcode::kTenants:
      return HandleTenants(frame);
    case Opcode::kCardinality:
      return ServeTenant(frame, protocol::DecodeCardinality(frame.body), Cardinality);
    case Opcode::kRetention:
      return ServeTenant(frame, protocol::DecodeRetention(frame.body), Retention);
    case Opcode::kRollups:
      return ServeTenant(frame, protocol::DecodeRollups(frame.body), Rollups);
    case Opcode::kCancel:
      return HandleCancel(frame);
    case Opcode::kCredit:
      return HandleCredit(frame);
    default:
      return SendError(frame.header.request_id, protocol::ToErrorReply(Unimplemented(
                                                    "{} is no request", RequestName(opcode))));
  }
}

void BinarySession::HandleHello(const Frame& frame) {
  StatusOr<protocol::Hello> hello = protocol::DecodeHello(frame.body);
  if (!hello.ok()) return Fatal(hello.status(), "hello");
  const DatabaseId database = service_->core()->state()->database;
  if (hello->expected != DatabaseId{} && hello->expected != database) {
    return Fatal(
        FailedPrecondition(
            "this is database {:016x}{:016x}; the client expected {:016x}{:016x}: check the "
            "address",
            database.high, database.low, hello->expected.high, hello->expected.low),
        "wrong_database");
  }
  if (hello->features.incompatible != 0) {
    return Fatal(
        FailedPrecondition("the client needs features {:#x} that this server does not have; "
                           "use a newer server",
                           hello->features.incompatible),
        "features");
  }
  if (greeted_) {
    return SendError(frame.header.request_id,
                     protocol::ToErrorReply(FailedPrecondition("HELLO was sent before")));
  }
  greeted_ = true;
  reader_.set_body_bytes_max(protocol::kBodyBytesMax);
  reader_.set_big_body_bytes(protocol::kBigBodyBytes);
  targets_.try_emplace(0);
  StatusOr<Target*> main = FindTarget(&targets_[0]);
  protocol::Welcome welcome;
  welcome.database = database;
  welcome.limits.requests_max = kRequestsMax;
  welcome.server = fmt::format("nexus {}", Version());
  std::string body;
  protocol::Encode(welcome, &body);
  Reply(Opcode::kWelcome, frame.header.request_id, body);
}

// Looks up what the names stand for today: a branch that is made later needs a new target.
StatusOr<BinarySession::Target*> BinarySession::FindTarget(Target* target) {
  auto found = service_->core()->state()->published.Find(target->tenant, target->branch);
  target->status = found.status();
  if (!found.ok()) return found.status();
  target->tenant_id = found->tenant;
  target->branch_id = found->branch;
  target->identity_seed = found->identity_seed;
  target->read_only = found->kind == catalog::BranchKind::kSnapshot;
  return target;
}

void BinarySession::HandleOpenTarget(const Frame& frame) {
  StatusOr<protocol::OpenTarget> open = protocol::DecodeOpenTarget(frame.body);
  if (!open.ok()) return SendError(frame.header.request_id, protocol::ToErrorReply(open.status()));
  const uint32_t number = frame.header.target;
  if (number == 0 || targets_.contains(number) ||
      targets_.size() >= protocol::ConnectionLimits().targets_max) {
    return SendError(frame.header.request_id,
                     protocol::ToErrorReply(InvalidArgument(
                         "OPEN_TARGET: number {} is 0, taken, or one too many (at most {})", number,
                         protocol::ConnectionLimits().targets_max)));
  }
  Target& target = targets_[number];
  target.tenant = std::move(open->tenant);
  target.branch = std::move(open->branch);
  StatusOr<Target*> found = FindTarget(&target);
  if (!found.ok())
    return SendError(frame.header.request_id, protocol::ToErrorReply(found.status()));
  Reply(Opcode::kDone, frame.header.request_id, {});
}

StatusOr<BinarySession::Target*> BinarySession::TargetOf(uint32_t number) {
  auto found = targets_.find(number);
  if (found == targets_.end()) {
    return InvalidArgument("target {} was not opened on this connection", number);
  }
  Target* target = &found->second;
  NEXUS_RETURN_IF_ERROR(target->status);
  engine::DatabaseState* state = service_->core()->state();
  if (state->FindBranch(target->tenant_id, target->branch_id) != nullptr) return target;
  // Deleted since. Its name may have been given again; series are the tenant's.
  NEXUS_ASSIGN_OR_RETURN(auto again, state->published.Find(target->tenant, target->branch));
  if (again.tenant != target->tenant_id) {
    return FailedPrecondition("tenant \"{}\" is another one by now; open the target again",
                              target->tenant);
  }
  target->branch_id = again.branch;
  target->read_only = again.kind == catalog::BranchKind::kSnapshot;
  return target;
}

// ---- Series.

void BinarySession::HandleRegister(const Frame& frame) {
  const uint64_t id = frame.header.request_id;
  StatusOr<Target*> target = TargetOf(frame.header.target);
  if (!target.ok()) return Fatal(target.status(), "target");
  SeriesNumbers* numbers = &(*target)->series;
  auto reader = protocol::RegistrationReader::Open(frame.body, numbers->next(), &symbols_);
  if (!reader.ok()) return Fatal(reader.status(), "registration");
  if (uint64_t{numbers->next()} + reader->count() > protocol::ConnectionLimits().series_max) {
    return Fatal(ResourceExhausted("a connection may register at most {} series",
                                   protocol::ConnectionLimits().series_max),
                 "registration");
  }
  // Empty: not to be registered.
  std::vector<std::string> canonicals;
  std::string canonical;
  for (;;) {
    StatusOr<bool> more = reader->Next(&canonical);
    if (!more.ok()) return Fatal(more.status(), "registration");
    if (!*more) break;
    canonicals.push_back(Labels::FromCanonical(canonical).ok() ? canonical : std::string());
  }
  BeginRequest();
  registering_ = true;
  service_->Spawn(
      Register(this, service_, ticket_, id, (*target)->tenant_id, *target, std::move(canonicals)));
}

io::Task<void> BinarySession::Register(BinarySession* session, Service* service, Ticket ticket,
                                       uint64_t request_id, TenantId tenant, Target* target,
                                       std::vector<std::string> canonicals) {
  std::vector<std::string> good;
  for (const std::string& canonical : canonicals) {
    if (!canonical.empty()) good.push_back(canonical);
  }
  engine::Interner* interner = service->core()->interner();
  const uint64_t generation = service->core()->state()->series_generation;
  auto interned = co_await interner->InternWithinQuota(tenant, std::move(good));
  if (!ticket.alive()) co_return;
  target->series.LookedUpAt(generation);
  session->FinishRegister(request_id, target, canonicals, interned);
}

void BinarySession::FinishRegister(uint64_t request_id, Target* target,
                                   const std::vector<std::string>& canonicals,
                                   const StatusOr<engine::Interner::WithinQuota>& interned) {
  registering_ = false;
  if (!interned.ok()) {
    // The numbers were not given: batches that follow would mean other series.
    requests_--;
    return Fatal(interned.status(), "registration");
  }
  protocol::Ranges refused;
  size_t next = 0;
  for (const std::string& canonical : canonicals) {
    const SeriesId id = canonical.empty() ? SeriesId{} : interned->ids[next++];
    if (id.value == 0) refused.push_back({target->series.next(), 1});
    target->series.Add(id);
  }
  if (refused.empty()) {
    Finish(Opcode::kDone, request_id, {});
  } else {
    target->refused_series.Update(interned->refused);
    Status status = interned->refused;
    status.Update(
        InvalidArgument("{} series were not registered: labels must be valid UTF-8 within their "
                        "limits, names unique and not empty (docs/format/protocol.md)",
                        refused.size()));
    ErrorReply error = protocol::ToErrorReply(status);
    // The others are registered, and these numbers are used: it is not to be sent again.
    error.error_class = protocol::ErrorClass::kFix;
    error.rejected = std::move(refused);
    requests_--;
    SendError(request_id, error);
  }
  Unblock();
}

// ---- Batches.

void BinarySession::HandleBatch(const Frame& frame) {
  std::unique_ptr<BatchRequest> request = std::move(receiving_);
  if (request == nullptr) {
    request = std::make_unique<BatchRequest>(service_, this, frame.header);
    std::memcpy(request->buffer.data(), frame.body.data(), frame.body.size());
  }
  StatusOr<Target*> target = TargetOf(frame.header.target);
  Status status = target.status();
  if (status.ok() && (*target)->read_only) {
    const auto& published = service_->core()->state()->published;
    status = published.FindWritable((*target)->tenant, (*target)->branch).status();
  }
  if (status.ok()) {
    request->tenant = (*target)->tenant_id;
    request->branch = (*target)->branch_id;
    const engine::DatabaseState& state = *service_->core()->state();
    (*target)->series.Refresh(*state.tenants.at(request->tenant.value), state.series_generation);
    request->series_generation = state.series_generation;
    StatusOr<SeriesNumbers::Mapped> mapped =
        (*target)->series.MapInPlace(request->buffer.bytes(), request->tenant, request->branch);
    status = mapped.status();
    if (absl::IsUnavailable(status)) {
      // Numbers last as long as the connection; on the next one these series get others ids.
      request->GiveBack();
      return Fatal(status, "series_forgotten");
    }
    if (mapped.ok() && mapped->rejected_samples == mapped->samples) {
      status = (*target)->refused_series;
      status.Update(InvalidArgument("WRITE_BATCH: none of its {} samples is of a registered series",
                                    mapped->samples));
    }
    if (status.ok()) request->TakeMapped(*std::move(mapped));
    if (status.ok() && request->body.size() > wal::kRecordBytesMax) {
      status =
          InvalidArgument("WRITE_BATCH: {} bytes with its rejected ranges; at most {} are allowed",
                          request->body.size(), wal::kRecordBytesMax);
    }
  }
  if (!status.ok()) {
    request->GiveBack();
    service_->metrics()->CountParseError("batch");
    ErrorReply error = protocol::ToErrorReply(status);
    // The same again would be refused again: series get no id on this connection any more.
    error.error_class = protocol::ErrorClass::kFix;
    return SendError(frame.header.request_id, error);
  }
  request->buffered = (frame.header.flags & protocol::kFlagBuffered) != 0;
  if (NEXUS_PLANTED("server-acks-buffered")) request->buffered = true;
  request->deadline_ns = service_->AdmissionDeadline();
  BeginRequest();
  batch_bytes_ += request->buffer.size;
  service_->core()->committer()->Submit(request.release());
}

void BinarySession::BatchDone(BatchRequest* request, const Status& status) {
  if (!status.ok()) {
    requests_--;
    SendError(request->header.request_id, ErrorOf(*request, status));
    return;
  }
  protocol::WriteAck ack;
  ack.end = request->end;
  ack.duplicate = request->duplicate;
  ack.rejected = request->expired == nullptr ? request->rejected : request->expired->rejected;
  if (request->expired != nullptr) ack.reason = FromAbsl(request->expired->reason.message());
  uint64_t rejected = request->refused_samples();
  if (request->duplicate) {
    ack.rejected.clear();
    rejected = 0;
    engine::BranchState* branch =
        service_->core()->state()->FindBranch(request->tenant, request->branch);
    // None if it was deleted since.
    std::span<const catalog::SampleRange> ranges;
    if (branch != nullptr) ranges = branch->producers.RejectedOf(*request->once);
    for (const catalog::SampleRange& range : ranges) {
      ack.rejected.push_back({range.first, range.count});
      rejected += range.count;
    }
  }
  ack.accepted = static_cast<uint32_t>(request->samples - rejected);
  frame_.clear();
  protocol::Encode(ack, &frame_);
  Finish(Opcode::kWriteAck, request->header.request_id, frame_);
}

void BinarySession::BatchReleased(uint64_t bytes) {
  batch_bytes_ -= bytes;
  if (paused_ || ended_) Unblock();
}

ErrorReply BinarySession::ErrorOf(const BatchRequest& request, const Status& status) {
  ErrorReply error = protocol::ToErrorReply(status);
  if (error.error_class == protocol::ErrorClass::kRetry) {
    error.retry_after_ms = RetryAfterOf(status);
  }
  if (!request.once.has_value()) return error;
  if (std::optional<uint64_t> expected = ExpectedSequence(status)) {
    error.reason = protocol::ErrorReason::kSequenceGap;
    error.expected = *expected;
    return error;
  }
  engine::BranchState* branch =
      service_->core()->state()->FindBranch(request.tenant, request.branch);
  if (branch == nullptr || !absl::IsFailedPrecondition(status)) return error;
  const uint64_t newest = branch->producers.NewestEpoch(engine::ProducerOf(*request.once));
  if (newest == 0) {
    error.reason = protocol::ErrorReason::kUnknownProducer;
  } else if (request.once->epoch < newest) {
    error.reason = protocol::ErrorReason::kStaleEpoch;
    error.expected = newest;
  }
  return error;
}

void BinarySession::HandleOpenProducer(const Frame& frame) {
  const uint64_t id = frame.header.request_id;
  StatusOr<Target*> target = TargetOf(frame.header.target);
  if (!target.ok()) return SendError(id, protocol::ToErrorReply(target.status()));
  StatusOr<protocol::OpenProducer> open = protocol::DecodeOpenProducer(frame.body);
  if (!open.ok()) return SendError(id, protocol::ToErrorReply(open.status()));
  BeginRequest();
  service_->Spawn(
      OpenProducer(this, service_, ticket_, id, *open, (*target)->tenant, (*target)->branch));
}

io::Task<void> BinarySession::OpenProducer(BinarySession* session, Service* service, Ticket ticket,
                                           uint64_t request_id, protocol::OpenProducer open,
                                           std::string tenant, std::string branch) {
  const ProducerId producer{open.producer_high, open.producer_low};
  StatusOr<ProducerState> state = co_await service->core()->OpenProducer(
      producer, open.epoch, std::move(tenant), std::move(branch));
  if (!ticket.alive()) co_return;
  session->Answer(request_id, Opcode::kProducer, state, [](const ProducerState& known) {
    return protocol::Producer{known.epoch, known.last_sequence};
  });
}

// ---- Questions.

void BinarySession::HandleQuery(const Frame& frame) {
  const uint64_t id = frame.header.request_id;
  StatusOr<Target*> target = TargetOf(frame.header.target);
  if (!target.ok()) return SendError(id, protocol::ToErrorReply(target.status()));
  Question question{(*target)->tenant, (*target)->branch, {}};
  Status status;
  auto take = [&](auto decoded) {
    status = decoded.status();
    if (decoded.ok()) question.query = *std::move(decoded);
  };
  if (frame.header.opcode == Opcode::kQuery) take(protocol::DecodeQuery(frame.body));
  if (frame.header.opcode == Opcode::kLabels) take(protocol::DecodeLabels(frame.body));
  if (frame.header.opcode == Opcode::kSeries) take(protocol::DecodeSeries(frame.body));
  if (status.ok() && queries_.contains(id)) {
    status =
        InvalidArgument("request {} is still being answered; ids may be used again after that", id);
  }
  if (!status.ok()) return SendError(id, protocol::ToErrorReply(status));
  QueryJob::Listener listener;
  listener.on_part = [this, id](std::string_view body, bool strings) {
    Reply(strings ? Opcode::kStrings : Opcode::kResult, id, body);
  };
  listener.has_room = [this] { return transport_->queued_bytes() < kOutputBytesMax; };
  const int64_t begun_ns = service_->environment()->MonotonicNanos();
  listener.on_end = [this, id, begun_ns](const StatusOr<protocol::ResultEnd>& end) {
    service_->metrics()->CountRequest("query",
                                      service_->environment()->MonotonicNanos() - begun_ns);
    queries_.erase(id);
    Answer(id, Opcode::kResultEnd, end, std::identity());
  };
  BeginRequest();
  auto job = std::make_shared<QueryJob>(service_, std::move(question), std::move(listener),
                                        protocol::kInitialCredit);
  queries_.emplace(id, job);
  service_->Spawn(QueryJob::Run(std::move(job)));
}

void BinarySession::HandleCancel(const Frame& frame) {
  StatusOr<uint64_t> id = protocol::DecodeCancel(frame.body);
  if (!id.ok()) return SendError(frame.header.request_id, protocol::ToErrorReply(id.status()));
  // What has ended already needs no cancelling.
  if (auto found = queries_.find(*id); found != queries_.end()) found->second->Cancel();
  if (auto found = cancels_.find(*id); found != cancels_.end()) found->second->store(true);
  Reply(Opcode::kDone, frame.header.request_id, {});
}

void BinarySession::HandleCredit(const Frame& frame) {
  StatusOr<protocol::Credit> credit = protocol::DecodeCredit(frame.body);
  if (!credit.ok())
    return SendError(frame.header.request_id, protocol::ToErrorReply(credit.status()));
  if (auto found = queries_.find(credit->request_id); found != queries_.end()) {
    found->second->AddCredit(credit->frames);
  }
}

io::Task<void> BinarySession::GiveStats(BinarySession* session, Service* service, Ticket ticket,
                                        uint64_t request_id) {
  StatusOr<Stats> stats = co_await service->GetStats();
  if (!ticket.alive()) co_return;
  session->Answer(request_id, Opcode::kStatsReply, stats, StatsFigures);
}

io::Task<void> BinarySession::Flush(BinarySession* session, Service* service, Ticket ticket,
                                    uint64_t request_id) {
  Status status = co_await service->core()->Flush();
  if (ticket.alive()) session->AnswerDone(request_id, status);
}

// ---- Replies.

void BinarySession::Reply(Opcode opcode, uint64_t request_id, std::string_view body) {
  if (closing_) return;
  protocol::FrameHeader header;
  header.opcode = opcode;
  header.request_id = request_id;
  if (reader_.checksum_kind() == protocol::ChecksumKind::kCrc32)
    header.flags = protocol::kFlagCrc32;
  const protocol::HeaderBytes bytes = protocol::SealFrame(&header, AsBytes(body));
  transport_->Write(AsText(bytes));
  transport_->Write(body);
}

void BinarySession::Finish(Opcode opcode, uint64_t request_id, std::string_view body) {
  requests_--;
  Reply(opcode, request_id, body);
  if (paused_ || ended_) Unblock();
}

void BinarySession::FinishError(uint64_t request_id, const Status& status) {
  requests_--;
  ErrorReply error = protocol::ToErrorReply(status);
  if (error.error_class == protocol::ErrorClass::kRetry) error.retry_after_ms = kRetryAfterMs;
  SendError(request_id, error);
  if (paused_ || ended_) Unblock();
}

void BinarySession::SendError(uint64_t request_id, const ErrorReply& error) {
  if (Logger* logger = service_->logger(); logger != nullptr) {
    logger->Debug(
        "request refused",
        {{"request_id", request_id}, {"peer", transport_->peer()}, {"reason", error.message}});
  }
  std::string body;
  protocol::Encode(error, &body);
  Reply(Opcode::kError, request_id, body);
}

void BinarySession::Fatal(const Status& status, std::string_view reason) {
  service_->metrics()->CountParseError(reason);
  ErrorReply error = protocol::ToErrorReply(status);
  error.error_class = protocol::ErrorClass::kFatal;
  SendError(0, error);
  closing_ = true;
  transport_->CloseAfterWrites(FromAbsl(status.message()));
}

}  // namespace nexus::server
