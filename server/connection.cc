// Between stream and session. See connection.h.

#include "server/connection.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace nexus::server {
namespace {

constexpr std::string_view kMethods[] = {"GET",    "HEAD",    "POST",  "PUT",
                                         "DELETE", "OPTIONS", "PATCH", "TRACE"};

// Whether one is a prefix of the other.
bool MayBecome(std::string_view first, std::string_view whole) {
  const size_t common = std::min(first.size(), whole.size());
  return first.substr(0, common) == whole.substr(0, common);
}

}  // namespace

Protocol Recognise(std::string_view first) {
  if (first.empty()) return Protocol::kUndecided;
  bool undecided = false;
  auto is = [&](std::string_view whole) {
    if (!MayBecome(first, whole)) return false;
    undecided = undecided || first.size() < whole.size();
    return first.size() >= whole.size();
  };
  if (is("\x16\x03")) return Protocol::kTls;
  if (is("NXP1")) return Protocol::kBinary;
  for (std::string_view method : kMethods) {
    if (is(std::string(method) + " /")) return Protocol::kHttp;
  }
  if (first[0] == '{' || first[0] == '[') return Protocol::kJson;
  return undecided ? Protocol::kUndecided : Protocol::kText;
}

Connection::Connection(Service* service, std::unique_ptr<io::Stream> stream,
                       const SessionFactory* factory, OnGone on_gone)
    : service_(service),
      factory_(factory),
      on_gone_(std::move(on_gone)),
      stream_(std::move(stream)),
      peer_(stream_->peer()),
      send_(this, &SendDone),
      turn_(this, &EndOfTurn) {
  Touch();
  service_->metrics()->connections_active++;
  service_->metrics()->connections_total++;
}

Connection::~Connection() { service_->metrics()->connections_active--; }

void Connection::Touch() { active_ns_ = service_->environment()->MonotonicNanos(); }

// ---- Input.

void Connection::OnReceive(Bytes bytes) {
  Touch();
  service_->metrics()->bytes_received += bytes.size();
  if (closing_) return;
  if (session_ != nullptr) return session_->OnBytes(bytes);
  Decide(AsText(bytes), false);
}

void Connection::Decide(std::string_view bytes, bool ended) {
  first_.append(bytes);
  Protocol protocol = Recognise(first_);
  if (protocol == Protocol::kUndecided) {
    if (!ended) return;
    protocol = Protocol::kText;
  }
  session_ = (*factory_)(protocol, this);
  if (session_ == nullptr) return;  // the factory has answered and closed
  const std::string first = std::exchange(first_, {});
  session_->OnBytes(AsBytes(first));
}

void Connection::OnReceiveEnd(int error) {
  if (error != 0) return End(fmt::format("the connection broke: {}", strerror(-error)), true);
  peer_ended_ = true;
  if (lingering_since_ns_.has_value()) return End(why_, false);
  if (closing_) return;
  if (session_ == nullptr && !first_.empty()) Decide({}, true);
  if (session_ == nullptr) return CloseAfterWrites("the peer asked nothing");
  session_->OnEnd();
}

void Connection::ReceiveInto(MutableBytes buffer) {
  if (ended_) return;
  NEXUS_CHECK(receive_ == nullptr);
  receive_ = std::make_unique<ReceiveNode>(this, buffer, &ReceiveDone);
  stream_->ReceiveInto(receive_.get());
}

void Connection::ReceiveDone(io::ReceiveOp* op) {
  Connection* self = static_cast<ReceiveNode*>(op)->connection;
  const size_t wanted = op->buffer.size();
  const bool whole = op->result == static_cast<int64_t>(wanted);
  self->receive_.reset();
  if (self->ended_) return self->FinishIfQuiet();
  self->Touch();
  if (!whole) return;  // OnReceiveEnd follows
  self->service_->metrics()->bytes_received += wanted;
  if (!self->closing_) self->session_->OnReceived();
}

void Connection::Pause() {
  if (!ended_) stream_->PauseReceive();
}
void Connection::Resume() {
  if (!ended_) stream_->ResumeReceive();
}

// ---- Output.

void Connection::Write(std::string_view bytes) {
  if (ended_ || bytes.empty()) return;
  gathering_.append(bytes);
  if (queued_bytes() > kOutputBytesMax) was_full_ = true;
  ScheduleTurn();
}

void Connection::ScheduleTurn() {
  if (std::exchange(turn_.scheduled, true)) return;
  service_->environment()->executor()->Schedule(&turn_);
}

void Connection::EndOfTurn(io::RunNode* node) {
  auto* turn = static_cast<TurnNode*>(node);
  turn->scheduled = false;
  Connection* self = turn->connection;
  if (self->ended_) return self->FinishIfQuiet();
  self->SendGathered();
}

void Connection::SendGathered() {
  if (send_in_flight_) return;
  if (gathering_.empty()) {
    if (closing_) Linger();
    return;
  }
  sending_.swap(gathering_);
  gathering_.clear();
  send_.Clear();
  send_.Add(AsBytes(sending_));
  send_in_flight_ = true;
  stream_->Send(&send_);
}

void Connection::SendDone(io::SendOp* op) {
  Connection* self = static_cast<SendNode*>(op)->connection;
  self->send_in_flight_ = false;
  if (self->ended_) return self->FinishIfQuiet();
  if (op->result < 0) {
    return self->End(fmt::format("sending failed: {}", strerror(static_cast<int>(-op->result))),
                     true);
  }
  self->Touch();
  self->service_->metrics()->bytes_sent += self->sending_.size();
  self->sending_.clear();
  self->SendGathered();
  if (self->ended_ || self->closing_) return;
  if (self->was_full_ && self->queued_bytes() < kOutputBytesMax / 2) {
    self->was_full_ = false;
    if (self->session_ != nullptr) self->session_->OnWritable();
  }
}

// ---- Ends.

void Connection::CloseAfterWrites(std::string_view why) {
  if (closing_ || ended_) return;
  closing_ = true;
  why_ = why;
  ScheduleTurn();
}

// Closing with bytes of the peer unread would reset the connection, and the peer might lose what
// was said last: it is read to its end, for a while (Server::Sweep).
void Connection::Linger() {
  if (peer_ended_ || service_->stopping()) return End(why_, false);
  if (lingering_since_ns_.has_value()) return;
  lingering_since_ns_ = service_->environment()->MonotonicNanos();
  stream_->ShutdownSend();
  stream_->ResumeReceive();
}

void Connection::Stop() {
  if (lingering_since_ns_.has_value()) return End(why_, false);
  if (session_ != nullptr) return session_->OnStopping();
  CloseAfterWrites("the server is stopping");
}

void Connection::Abort(std::string_view why) { End(why, true); }

void Connection::End(std::string_view why, bool abort) {
  if (std::exchange(ended_, true)) return;
  why_ = why;
  if (abort) {
    stream_->Abort();
  } else {
    stream_->Close();
  }
  ScheduleTurn();
}

// Operations in flight use this object's memory, and the session's.
void Connection::FinishIfQuiet() {
  if (send_in_flight_ || receive_ != nullptr || turn_.scheduled || told_) return;
  told_ = true;
  // It destroys this connection.
  const OnGone gone = on_gone_;
  gone(this, why_);
}

}  // namespace nexus::server
