// What a session is asked, and what it makes of replies. See session.h; session_send.cc sends.

#include "client/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "client/session_target.h"

namespace nexus::client {
namespace {

using protocol::Opcode;

// A server that has something to do for us and says nothing is asked for a sign of life, and given
// up when there is none: three signs missed.
constexpr int64_t kPingAfterNs = 10'000'000'000;
constexpr int64_t kSilenceNs = 30'000'000'000;

// What may answer a request but is not its end.
bool IsPart(Opcode request, Opcode reply) {
  if (request == Opcode::kQuery) return reply == Opcode::kResult;
  if (request == Opcode::kScrub || request == Opcode::kCompact || request == Opcode::kBackup) {
    return reply == Opcode::kProgress;
  }
  return (request == Opcode::kLabels || request == Opcode::kSeries) && reply == Opcode::kStrings;
}

Opcode FinalOf(Opcode request) {
  switch (request) {
    case Opcode::kHello:
      return Opcode::kWelcome;
    case Opcode::kWriteBatch:
      return Opcode::kWriteAck;
    case Opcode::kOpenProducer:
      return Opcode::kProducer;
    case Opcode::kQuery:
    case Opcode::kLabels:
    case Opcode::kSeries:
      return Opcode::kResultEnd;
    case Opcode::kStats:
      return Opcode::kStatsReply;
    case Opcode::kScrub:
      return Opcode::kScrubReply;
    case Opcode::kBackup:
      return Opcode::kBackupReply;
    case Opcode::kDelete:
      return Opcode::kCount;
    case Opcode::kRetention:
      return Opcode::kRetentionList;
    case Opcode::kRollups:
      return Opcode::kRollupList;
    case Opcode::kCardinality:
      return Opcode::kCardinalityReply;
    default:
      return Opcode::kDone;
  }
}

// Whether `reply` ends its request well: some requests list or change, as their bodies say.
bool IsFinal(Opcode request, Opcode reply) {
  if (request == Opcode::kBranches && reply == Opcode::kBranchList) return true;
  if (request == Opcode::kTenants && reply == Opcode::kTenantList) return true;
  return reply == FinalOf(request);
}

// Whether a greeting that was refused so would be refused again: for what the client is, not for
// what became of its bytes or how the server fares.
bool IsForGood(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return true;
    default:
      return false;
  }
}

Status Malformed(const Status& status) {
  return Unavailable("the server breaks the protocol: {}", FromAbsl(status.message()));
}

}  // namespace

Session::Session(Options options) : options_(std::move(options)), database_(options_.expected) {
  if (options_.books == nullptr) options_.books = std::make_shared<SeriesBooks>();
}
Session::~Session() = default;

uint32_t Session::Target(std::string_view tenant, std::string_view branch) {
  const auto [found, is_new] = target_numbers_.try_emplace(
      std::pair(std::string(tenant), std::string(branch)), static_cast<uint32_t>(targets_.size()));
  if (!is_new) return found->second;
  protocol::OpenTarget name{std::string(tenant), std::string(branch)};
  std::shared_ptr<SeriesBook> book = options_.books->Of(tenant);
  targets_.push_back(std::make_unique<TargetState>(
      std::move(name), std::move(book), options_.producer, options_.seed + targets_.size()));
  return found->second;
}

std::shared_ptr<SeriesBook> Session::Book(uint32_t target) const { return targets_[target]->book; }

void Session::Append(uint32_t target, std::unique_ptr<Write> write) {
  NEXUS_CHECK(write->batch->sample_count() > 0);
  WriteQueue& writes = targets_[target]->writes;
  if (!failure_.ok()) writes.Fail(failure_);
  writes.Add(std::move(write));
  Finish();
}

uint64_t Session::Ask(CallRequest request) {
  uint64_t number = next_call_++;
  auto asked = std::make_unique<Asked>();
  asked->number = number;
  asked->request = std::move(request);
  calls_.emplace(number, std::move(asked));
  waiting_.push_back(number);
  if (!failure_.ok()) EndCall(number, failure_);
  Finish();
  return number;
}

void Session::Grant(uint64_t call, uint32_t frames) {
  auto found = calls_.find(call);
  if (found == calls_.end() || found->second->request_id == 0) return;
  std::string body;
  protocol::Encode(protocol::Credit{found->second->request_id, frames}, &body);
  protocol::FrameHeader header = Header(Opcode::kCredit, 0);
  header.request_id = next_request_++;
  protocol::AppendFrame(header, AsBytes(body), &control_);
}

void Session::Cancel(uint64_t call) {
  EndCall(call, Cancelled("cancelled by the caller"));
  Finish();
}

// ---- The connection.

void Session::OnConnected() {
  connected_ = true;
  hello_sent_ = false;
  reader_.emplace(protocol::Side::kServer);
  registration_.emplace();
  heard_ns_ = now_ns_;
  pinged_ns_ = now_ns_;
}

void Session::OnOutputSent() {
  outputs_--;
  Finish();
}

void Session::OnDisconnected(const Status& why) {
  connected_ = false;
  welcome_.reset();
  reader_.reset();
  registration_.reset();
  under_way_.clear();
  control_.clear();
  next_wire_target_ = 1;
  outputs_ = 0;
  for (std::unique_ptr<TargetState>& target : targets_) {
    target->wire.reset();
    target->registered = 0;
    target->writes.OnDisconnected();
  }
  std::vector<uint64_t> again;
  std::vector<uint64_t> broken;
  for (auto& [number, asked] : calls_) {
    if (asked->request_id == 0) continue;
    asked->request_id = 0;
    (asked->answered ? broken : again).push_back(number);
  }
  waiting_.insert(waiting_.begin(), again.begin(), again.end());
  for (uint64_t number : broken) {
    EndCall(number,
            Unavailable("the connection was lost within the answer: {}", FromAbsl(why.message())));
  }
  Finish();
}

Status Session::OnReceive(Bytes bytes) {
  heard_ns_ = now_ns_;
  Status status;
  while (status.ok() && reader_.has_value()) {
    protocol::Frame frame;
    StatusOr<protocol::FrameReader::Step> step = reader_->Next(&bytes, &frame);
    if (!step.ok()) {
      status = Malformed(step.status());
    } else if (*step == protocol::FrameReader::Step::kMore) {
      break;
    } else if (*step == protocol::FrameReader::Step::kRefused) {
      status = Malformed(frame.status);
    } else {
      status = OnFrame(frame.header, frame.body);
    }
  }
  Finish();
  return status;
}

Status Session::OnFrame(const protocol::FrameHeader& header, Bytes body) {
  // An error that belongs to no request is about the connection.
  if (header.request_id == 0 && header.opcode == Opcode::kError) {
    return OnError({}, 0, body);
  }
  auto found = under_way_.find(header.request_id);
  if (found == under_way_.end()) {
    return Malformed(InvalidArgument("{}, which is not under way", Describe(header)));
  }
  const UnderWay under_way = found->second;
  if (IsPart(under_way.opcode, header.opcode)) {
    auto asked = calls_.find(under_way.call);
    if (asked == calls_.end()) return OkStatus();
    asked->second->answered = true;
    Status status = asked->second->request.call->OnReply(header.opcode, body);
    return status.ok() ? status : Malformed(status);
  }
  under_way_.erase(found);
  if (header.opcode == Opcode::kError) return OnError(under_way, header.request_id, body);
  if (!IsFinal(under_way.opcode, header.opcode)) {
    return Malformed(
        InvalidArgument("{} answers a {}", Describe(header), protocol::NameOf(under_way.opcode)));
  }
  return OnFinal(under_way, header, body);
}

// A reply that ends its request well.
Status Session::OnFinal(UnderWay under_way, const protocol::FrameHeader& header, Bytes body) {
  switch (header.opcode) {
    case Opcode::kWelcome:
      return OnWelcome(body);
    case Opcode::kWriteAck: {
      StatusOr<protocol::WriteAck> ack = protocol::DecodeWriteAck(body);
      if (!ack.ok()) return Malformed(ack.status());
      TargetState& target = *targets_[under_way.target];
      target.writes.OnAck(header.request_id, *std::move(ack), target.refusal);
      return OkStatus();
    }
    case Opcode::kProducer: {
      StatusOr<protocol::Producer> producer = protocol::DecodeProducer(body);
      if (!producer.ok()) return Malformed(producer.status());
      targets_[under_way.target]->writes.OnProducer(*producer);
      return OkStatus();
    }
    case Opcode::kResultEnd: {
      StatusOr<protocol::ResultEnd> end = protocol::DecodeResultEnd(body);
      if (!end.ok()) return Malformed(end.status());
      EndCall(under_way.call, OkStatus(), *end);
      return OkStatus();
    }
    case Opcode::kDone:
      EndCall(under_way.call, OkStatus());
      return OkStatus();
    default: {  // what only who asked can read
      auto asked = calls_.find(under_way.call);
      if (asked == calls_.end()) return OkStatus();
      Status status = asked->second->request.call->OnReply(header.opcode, body);
      if (!status.ok()) return Malformed(status);
      EndCall(under_way.call, OkStatus());
      return OkStatus();
    }
  }
}

Status Session::OnWelcome(Bytes body) {
  StatusOr<protocol::Welcome> welcome = protocol::DecodeWelcome(body);
  if (!welcome.ok()) return Malformed(welcome.status());
  Status refused;
  if (welcome->version != protocol::kVersion) {
    refused = FailedPrecondition("the server speaks version {} of the protocol, this client {}",
                                 welcome->version, protocol::kVersion);
  } else if (welcome->features.incompatible != 0 || welcome->features.read_compatible != 0) {
    refused = FailedPrecondition(
        "the server needs features of the protocol (words {:#x}, {:#x}) "
        "that this client lacks",
        welcome->features.incompatible, welcome->features.read_compatible);
  } else if (database_ != DatabaseId() && welcome->database != database_) {
    refused = FailedPrecondition("the server holds another database than expected");
  }
  if (!refused.ok()) {
    EndEverything(refused);
    return refused;
  }
  database_ = welcome->database;
  welcome_ = *std::move(welcome);
  reader_->set_body_bytes_max(protocol::kBodyBytesMax);
  return OkStatus();
}

Status Session::OnError(UnderWay under_way, uint64_t request_id, Bytes body) {
  StatusOr<protocol::ErrorReply> error = protocol::DecodeError(body);
  if (!error.ok()) return Malformed(error.status());
  Status status = protocol::ToStatus(*error);
  if (!welcome_.has_value()) {
    if (IsForGood(status)) EndEverything(status);
    return status;
  }
  if (request_id == 0 || error->error_class == protocol::ErrorClass::kFatal) {
    if (under_way.call != 0) EndCall(under_way.call, status);
    return Unavailable("the server ends the connection: {}", error->message);
  }
  if (under_way.call != 0) {
    EndCall(under_way.call, status);
    return OkStatus();
  }
  if (under_way.opcode == Opcode::kRegisterSeries && error->rejected.empty() &&
      error->error_class == protocol::ErrorClass::kRetry) {
    // None of its numbers are given, and what follows needs them: begin anew, later.
    return Unavailable("series could not be registered: {}", error->message);
  }
  OnTargetError(under_way, request_id, *error);
  return OkStatus();
}

void Session::OnTargetError(const UnderWay& under_way, uint64_t request_id,
                            const protocol::ErrorReply& error) {
  if (under_way.target >= targets_.size()) return;
  TargetState& target = *targets_[under_way.target];
  switch (under_way.opcode) {
    case Opcode::kWriteBatch:
      return target.writes.OnError(request_id, error, now_ns_);
    case Opcode::kOpenProducer:
      return target.writes.OnProducerError(error, now_ns_);
    case Opcode::kOpenTarget:
      // What named it is refused, too; what comes next tries again under a new number.
      target.wire.reset();
      target.registered = 0;
      return;
    case Opcode::kRegisterSeries:
      // Of a target that could not be opened: its batches say so.
      if (target.wire != under_way.wire_target) return;
      target.refusal = error.message;
      if (error.rejected.empty()) target.writes.Fail(protocol::ToStatus(error));
      return;
    default:
      return;
  }
}

// ---- Ends.

void Session::EndCall(uint64_t call, const Status& status, const protocol::ResultEnd& end) {
  auto found = calls_.find(call);
  if (found == calls_.end()) return;
  std::unique_ptr<Asked> asked = std::move(found->second);
  calls_.erase(found);
  bool server_works_on_it = asked->request_id != 0 && under_way_.contains(asked->request_id);
  if (server_works_on_it && !status.ok()) {
    std::string body;
    protocol::EncodeCancel(asked->request_id, &body);
    SendRequest(Opcode::kCancel, 0, body, &control_);
  }
  completions_.push_back(
      [target = std::move(asked->request.call), status, end] { target->OnEnd(status, end); });
}

void Session::EndEverything(const Status& status) {
  failure_ = status;
  for (std::unique_ptr<TargetState>& target : targets_) target->writes.Fail(status);
  std::vector<uint64_t> numbers;
  for (const auto& [number, asked] : calls_) numbers.push_back(number);
  for (uint64_t number : numbers) EndCall(number, status);
  waiting_.clear();
}

void Session::Shutdown(const Status& status) {
  EndEverything(status);
  Finish();
}

// The end of an event: what became ready is made so, and callbacks run.
void Session::Finish() {
  if (finishing_) return;
  finishing_ = true;
  while (true) {
    // By index: a callback may add targets.
    for (size_t i = 0; i < targets_.size(); i++) {
      targets_[i]->writes.Settle(outputs_ == 0);
      targets_[i]->writes.TakeCompletions(&completions_);
    }
    Completions run = std::exchange(completions_, {});
    if (run.empty()) break;
    for (std::function<void()>& completion : run) completion();
  }
  finishing_ = false;
}

Status Session::OnTime(int64_t now_ns) {
  now_ns_ = now_ns;
  for (std::unique_ptr<TargetState>& target : targets_) target->writes.Expire(now_ns);
  ExpireCalls();
  Finish();
  if (!connected_ || (welcome_.has_value() && under_way_.empty())) return OkStatus();
  if (now_ns - heard_ns_ > kSilenceNs) {
    return Unavailable("the server has not answered for {} s", kSilenceNs / 1'000'000'000);
  }
  if (welcome_.has_value() && now_ns - std::max(heard_ns_, pinged_ns_) > kPingAfterNs) {
    pinged_ns_ = now_ns;
    SendRequest(Opcode::kPing, 0, {}, &control_);
  }
  return OkStatus();
}

void Session::ExpireCalls() {
  std::vector<uint64_t> late;
  for (const auto& [number, asked] : calls_) {
    if (now_ns_ >= asked->request.deadline_ns) late.push_back(number);
  }
  for (uint64_t number : late) EndCall(number, DeadlineExceeded("no answer in time"));
}

bool Session::busy() const {
  return !calls_.empty() || std::any_of(targets_.begin(), targets_.end(),
                                        [](const auto& t) { return !t->writes.empty(); });
}

}  // namespace nexus::client
