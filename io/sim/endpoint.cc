// What happens at one end of a simulated stream. See endpoint.h.

#include "io/sim/endpoint.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace nexus::sim {
namespace {

// A piece is at most this long, as a receive buffer of the real backends.
constexpr uint64_t kPieceBytesMax = 64 << 10;
constexpr uint64_t kPacketBytes = 1460;
constexpr uint64_t kTinyBytes = 8;

}  // namespace

Network::Endpoint::Endpoint(Network* network, Connection* connection, std::shared_ptr<Life> life)
    : network_(network), connection_(connection), life_(std::move(life)) {}

Network::Endpoint* Network::Endpoint::other() const {
  return this == &connection_->client ? &connection_->server : &connection_->client;
}

void Network::Endpoint::Kick() {
  if (!life_->alive || std::exchange(advance_.waits, true)) return;
  network_->scheduler_->Ready(&advance_, life_->owner);
}

void Network::Endpoint::RunAdvance(io::RunNode* node) {
  auto* step = static_cast<Step*>(node);
  step->waits = false;
  step->end->Advance();
}

void Network::Endpoint::RunArrive(io::RunNode* node) {
  auto* step = static_cast<Step*>(node);
  step->waits = false;
  step->end->Arrive();
}

void Network::Endpoint::Advance() {
  if (!closed_ && receive_.HandOver()) Kick();
  if (!closed_ && send_.error() != 0) send_.Fail(send_.error());
  if (!closed_) SendWhatFits();
  if (!closed_ && send_.finished() && send_.error() == 0) {
    other()->end_on_its_way_ = true;
    other()->ExpectArrival();
  }
  if (closed_ && !advance_.waits) {
    receive_.Cancel();
    send_.Cancel();
    network_->Sweep();
    return;
  }
  ExpectArrival();
}

void Network::Endpoint::SendWhatFits() {
  Endpoint* const to = other();
  while (!closed_ && !send_.empty() && send_.error() == 0) {
    const uint64_t waiting = to->inbox_.size() - to->inbox_at_;
    uint64_t room = network_->options_->network_window_bytes;
    room = room > waiting ? room - waiting : 0;
    std::array<Bytes, io::SendOp::kPiecesMax> pieces;
    const size_t count = send_.Next(pieces);
    if (count > 0 && room == 0) return;
    uint64_t sent = 0;
    for (size_t i = 0; i < count && sent < room; i++) {
      const Bytes fits = pieces[i].first(std::min<uint64_t>(pieces[i].size(), room - sent));
      // To an end that is closed already they go as far as its kernel, which answers by a reset; to
      // one that is silent, as far as the window, since nobody says that they were received. To one
      // that has been reset they go nowhere, since bytes before them are lost.
      if ((to->open() || silent_) && !to->reset_on_its_way_) to->inbox_ += AsString(fits);
      sent += fits.size();
    }
    if (!to->open() && count > 0 && !silent_) Reset();
    to->ExpectArrival();
    send_.Sent(sent);
  }
}

bool Network::Endpoint::SomethingArrives() const {
  if (!open() || silent_ || end_arrived_) return false;
  if (reset_on_its_way_) return true;
  if (!receive_.wants()) return false;
  return inbox_at_ < inbox_.size() || end_on_its_way_;
}

void Network::Endpoint::ExpectArrival() {
  if (!SomethingArrives() || std::exchange(arrive_.waits, true)) return;
  network_->scheduler_->At(network_->Later(), &arrive_, life_->owner);
}

uint64_t Network::Endpoint::ChoosePiece(uint64_t bytes) {
  bytes = std::min(bytes, kPieceBytesMax);
  ChoiceSource* const choices = network_->choices_;
  uint64_t bytes_max = bytes;
  switch (choices->Choose(kNetworkStream, 4)) {
    case 0:
      return bytes;
    case 1:
      break;
    case 2:
      bytes_max = std::min(bytes, kPacketBytes);
      break;
    default:
      bytes_max = std::min(bytes, kTinyBytes);
      break;
  }
  return bytes_max - choices->Choose(kNetworkStream, bytes_max);
}

void Network::Endpoint::Arrive() {
  if (!open() || silent_) return network_->Sweep();
  if (network_->faults_->Hits(Fault::kConnectionSilent)) {
    Silence();
    other()->Silence();
    return;
  }
  if (network_->faults_->Hits(Fault::kConnectionReset)) {
    Reset();
    other()->Reset();
  }
  if (receive_.wants() && inbox_at_ < inbox_.size()) {
    HandOverPiece();
  } else if (reset_on_its_way_ && inbox_at_ == inbox_.size()) {
    end_arrived_ = true;
    network_->trace_->Event(TraceTag::kNetwork, {connection_->number, 2}, "{} reset of #{}",
                            network_->scheduler_->now(), connection_->number);
    send_.Fail(-ECONNRESET);
    if (!closed_) receive_.Ended(-ECONNRESET);
  } else if (reset_on_its_way_) {
    // Whoever receives no more learns of it by sending.
    if (send_.error() == 0) send_.Fail(-ECONNRESET);
    return;
  } else if (receive_.wants() && end_on_its_way_) {
    end_arrived_ = true;
    receive_.Ended(0);
  }
  // The window has opened, and there may be more.
  other()->Kick();
  Kick();
}

void Network::Endpoint::HandOverPiece() {
  const uint64_t bytes = ChoosePiece(inbox_.size() - inbox_at_);
  network_->arrivals_++;
  network_->trace_->Event(TraceTag::kNetwork, {connection_->number, 1, bytes},
                          "{} arrival on #{}: {} bytes", network_->scheduler_->now(),
                          connection_->number, bytes);
  // In a place of its own: callbacks may have more put into the inbox.
  const std::string piece = inbox_.substr(inbox_at_, bytes);
  inbox_at_ += bytes;
  if (inbox_at_ * 2 >= inbox_.size()) inbox_.erase(0, std::exchange(inbox_at_, 0));
  receive_.Received(AsBytes(piece));
}

void Network::Endpoint::Reset() {
  if (!open() || reset_on_its_way_ || end_arrived_) return;
  reset_on_its_way_ = true;
  network_->resets_++;
  const uint64_t waiting = inbox_.size() - inbox_at_;
  inbox_.resize(inbox_.size() - network_->choices_->Choose(kNetworkStream, waiting + 1));
  ExpectArrival();
}

void Network::Endpoint::Close(bool reset) {
  // As TCP: bytes that nobody will read are answered by a reset.
  const bool unread = inbox_at_ < inbox_.size();
  const bool unsent = !send_.empty();
  closed_ = true;
  receive_.Close();
  send_.Close();
  if (!silent_) {
    if (reset || unread || unsent) {
      other()->Reset();
    } else {
      other()->end_on_its_way_ = true;
      other()->ExpectArrival();
    }
  }
  inbox_.clear();
  inbox_at_ = 0;
  Kick();
}

// ---- The handle.

Network::Endpoint* Network::StreamHandle::Live() const {
  NEXUS_CHECK(life_->alive);
  NEXUS_CHECK(end_ != nullptr);
  return end_;
}

void Network::StreamHandle::Start(io::StreamHandler* handler) {
  Live()->receive().Start(handler);
  end_->Kick();
}

void Network::StreamHandle::PauseReceive() { Live()->receive().Pause(); }

void Network::StreamHandle::ResumeReceive() {
  Live()->receive().Resume();
  end_->Kick();
}

void Network::StreamHandle::ReceiveInto(io::ReceiveOp* op) {
  Live()->receive().ReceiveInto(op);
  end_->Kick();
}

void Network::StreamHandle::Send(io::SendOp* op) {
  Live()->send().Send(op);
  end_->Kick();
}

void Network::StreamHandle::ShutdownSend() {
  Live()->send().Shutdown();
  end_->Kick();
}

void Network::StreamHandle::End(bool reset) {
  Endpoint* const end = std::exchange(end_, nullptr);
  if (end != nullptr && life_->alive) end->Close(reset);
}

}  // namespace nexus::sim
