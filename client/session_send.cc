// What a session sends, and when. See session.h.

#include <algorithm>
#include <utility>

#include "client/session.h"
#include "client/session_target.h"

namespace nexus::client {
namespace {

using protocol::Opcode;

// Frames gathered into one output: enough for one system call to carry much, little enough to
// copy.
constexpr size_t kOutputBytes = 64 << 10;

}  // namespace

protocol::FrameHeader Session::Header(Opcode opcode, uint32_t wire_target) {
  protocol::FrameHeader header;
  header.opcode = opcode;
  header.target = wire_target;
  if (options_.checksums == protocol::ChecksumKind::kCrc32) header.flags = protocol::kFlagCrc32;
  return header;
}

// Appends a request that will be answered; returns its id.
uint64_t Session::SendRequest(Opcode opcode, uint32_t target, std::string_view body,
                              std::string* out, uint64_t call) {
  uint32_t wire = target < targets_.size() ? targets_[target]->wire.value_or(0) : 0;
  protocol::FrameHeader header = Header(opcode, wire);
  header.request_id = next_request_++;
  protocol::AppendFrame(header, AsBytes(body), out);
  if (under_way_.empty()) heard_ns_ = now_ns_;
  under_way_.emplace(header.request_id, UnderWay{opcode, target, wire, call});
  return header.request_id;
}

// A quarter of what the server takes is left for control.
bool Session::RoomForRequest() const {
  return under_way_.size() < std::max(1u, welcome_->limits.requests_max / 4 * 3);
}

std::optional<Output> Session::TakeOutput() {
  if (!connected_) return std::nullopt;
  Output output;
  if (!hello_sent_) {
    SendHello(&output.head);
    hello_sent_ = true;
  } else if (welcome_.has_value()) {
    output.head = std::exchange(control_, {});
    SendCalls(&output.head);
    SendWrites(&output);
  }
  Finish();
  if (output.head.empty()) return std::nullopt;
  outputs_++;
  return output;
}

void Session::SendHello(std::string* out) {
  protocol::Hello hello;
  hello.expected = database_;
  hello.client = options_.name.substr(0, protocol::kClientNameBytesMax);
  std::string body;
  protocol::Encode(hello, &body);
  SendRequest(Opcode::kHello, 0, body, out);
}

// Makes the target's number known to the server. ResourceExhausted if it takes no more of them on
// one connection: number 0 is one.
Status Session::SendTarget(uint32_t target, std::string* out) {
  TargetState& state = *targets_[target];
  if (state.wire.has_value()) return OkStatus();
  if (state.is_default()) {
    state.wire = 0;
    return OkStatus();
  }
  const uint32_t targets_max = welcome_->limits.targets_max;
  if (next_wire_target_ >= targets_max) {
    return ResourceExhausted(
        "tenant {}, branch {}: the server lets one connection speak for {} tenants and branches, "
        "and this "
        "client does already; use another client for more",
        state.name.tenant, state.name.branch, targets_max);
  }
  state.wire = next_wire_target_++;
  std::string body;
  protocol::Encode(state.name, &body);
  SendRequest(Opcode::kOpenTarget, target, body, out);
  return OkStatus();
}

// Registers series up to number `last`, as many as fit one frame.
void Session::SendSeries(uint32_t target, uint64_t last, std::string* out) {
  TargetState& state = *targets_[target];
  registration_->Begin(static_cast<uint32_t>(state.registered + 1));
  while (state.registered < last &&
         registration_->Add(state.book->Canonical(state.registered + 1))) {
    state.registered++;
  }
  std::string body;
  registration_->Finish(&body);
  SendRequest(Opcode::kRegisterSeries, target, body, out);
}

void Session::SendCalls(std::string* out) {
  while (!waiting_.empty() && RoomForRequest() && out->size() < kOutputBytes) {
    uint64_t number = waiting_.front();
    waiting_.pop_front();
    auto found = calls_.find(number);
    // Ended meanwhile.
    if (found == calls_.end()) continue;
    Asked& asked = *found->second;
    if (asked.request.target < targets_.size()) {
      if (Status status = SendTarget(asked.request.target, out); !status.ok()) {
        EndCall(number, status);
        continue;
      }
    }
    asked.request_id =
        SendRequest(asked.request.opcode, asked.request.target, asked.request.body, out, number);
  }
}

void Session::SendWrites(Output* output) {
  for (uint32_t i = 0; i < targets_.size(); i++) {
    WriteQueue& writes = targets_[i]->writes;
    if (writes.wants_producer(now_ns_) && RoomForRequest()) {
      if (Status status = SendTarget(i, &output->head); !status.ok()) {
        writes.Fail(status);
        continue;
      }
      std::string body;
      protocol::Encode(writes.ProducerRequested(), &body);
      SendRequest(Opcode::kOpenProducer, i, body, &output->head);
    }
    while (const Write* write = writes.Next(now_ns_)) {
      if (!RoomForRequest() || output->head.size() >= kOutputBytes) return;
      if (!SendWrite(i, *write, output)) return;
    }
  }
}

// False if the output is full.
bool Session::SendWrite(uint32_t target, const Write& write, Output* output) {
  TargetState& state = *targets_[target];
  if (write.batch->bytes() > welcome_->limits.batch_bytes_max && write.request_id == 0) {
    state.writes.Refuse(InvalidArgument("a batch of {} bytes; the server takes at most {}",
                                        write.batch->bytes(), welcome_->limits.batch_bytes_max));
    return true;
  }
  if (Status status = SendTarget(target, &output->head); !status.ok()) {
    state.writes.Fail(status);
    return true;
  }
  if (state.registered < write.last_series) {
    SendSeries(target, write.last_series, &output->head);
    if (state.registered < write.last_series) return false;
  }
  protocol::FrameHeader header = Header(Opcode::kWriteBatch, *state.wire);
  if (write.buffered) header.flags |= protocol::kFlagBuffered;
  header.request_id = next_request_++;
  std::shared_ptr<batch::BatchEncoder> batch = write.batch;
  state.writes.Sent(header.request_id);
  Bytes body = batch->Finish();
  if (under_way_.empty()) heard_ns_ = now_ns_;
  under_way_.emplace(header.request_id, UnderWay{Opcode::kWriteBatch, target, *state.wire, 0});
  if (body.size() < protocol::kBigBodyBytes) {
    protocol::AppendFrame(header, body, &output->head);
    return true;
  }
  output->head += AsString(protocol::SealFrame(&header, body));
  output->batch = std::move(batch);
  output->body = body;
  return false;
}

}  // namespace nexus::client
