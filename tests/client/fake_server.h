// A server of the protocol in memory: it keeps what it accepts, each number of a producer once and
// in order, and refuses what a test tells it to.
//
// Bytes go in and out by connection; a connection may be fed after its client is gone, as packets
// that were late.

#ifndef NEXUS_TESTS_CLIENT_FAKE_SERVER_H_
#define NEXUS_TESTS_CLIENT_FAKE_SERVER_H_

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/labels.h"
#include "base/status.h"
#include "batch/batch.h"
#include "client/protocol/frame_reader.h"
#include "client/protocol/handshake.h"
#include "client/protocol/query.h"
#include "client/protocol/registration.h"
#include "client/protocol/write.h"

namespace nexus::client {

// A sample that was accepted.
struct Kept {
  std::string tenant;
  std::string series;  // canonical
  int64_t timestamp = 0;
  double value = 0;
  bool operator==(const Kept&) const = default;
};

class FakeServer {
 public:
  class Connection {
   public:
    explicit Connection(FakeServer* server) : server_(server) {}
    // The client's bytes. False once framing is lost.
    bool Feed(Bytes bytes);
    // What the server says; the test takes it from the front.
    std::string replies;
    std::vector<protocol::Opcode> seen;  // requests, in order

   private:
    struct Target {
      protocol::OpenTarget name;
      std::vector<std::string> series;
      Status refused;
    };
    void Take(const protocol::FrameHeader& header, Bytes body);
    void Register(const protocol::FrameHeader& header, Bytes body);
    void Append(const protocol::FrameHeader& header, Bytes body);
    void Query(const protocol::FrameHeader& header);
    void SendResults(uint64_t request_id);
    template <typename Message>
    void Reply(const protocol::FrameHeader& header, protocol::Opcode opcode,
               const Message& message) {
      std::string body;
      Encode(message, &body);
      ReplyBody(header, opcode, body);
    }
    void ReplyBody(const protocol::FrameHeader& header, protocol::Opcode opcode,
                   std::string_view body);
    void Refuse(const protocol::FrameHeader& header, const protocol::ErrorReply& error) {
      Reply(header, protocol::Opcode::kError, error);
    }

    FakeServer* const server_;
    protocol::FrameReader reader_{protocol::Side::kClient};
    std::map<uint32_t, Target> targets_{{0, {}}};
    protocol::SymbolTable symbols_;
    struct Stream {
      protocol::FrameHeader header;
      int left = 0;
      uint32_t credit = 0;
    };
    std::map<uint64_t, Stream> streams_;
  };

  // Asked about each batch before it is judged; an error refuses it.
  std::function<std::optional<protocol::ErrorReply>(const batch::BatchView&)> refuse;
  // Asked after each batch that was taken: true answers that its outcome is unknown.
  std::function<bool()> lose_outcome;
  // Asked about each target.
  std::function<Status(const protocol::OpenTarget&)> refuse_target;
  protocol::Welcome welcome{0, {}, {7, 7}, {}, "fake"};
  int result_frames = 3;             // of each QUERY
  std::vector<std::string> strings;  // of each LABELS and SERIES

  std::vector<Kept> kept;
  int duplicates = 0;
  int epochs = 0;  // opened

  void ForgetProducers() { producers_.clear(); }
  // As a copy of the client would.
  void OpenNextEpochs() {
    for (auto& [id, producer] : producers_) producer.epoch++;
  }

 private:
  struct Producer {
    uint64_t epoch = 0;
    uint64_t last = 0;
  };
  std::map<std::pair<std::string, uint64_t>, Producer> producers_;
};

inline protocol::ErrorReply ErrorOf(const Status& status) { return protocol::ToErrorReply(status); }

inline bool FakeServer::Connection::Feed(Bytes bytes) {
  while (true) {
    protocol::Frame frame;
    auto step = reader_.Next(&bytes, &frame);
    if (!step.ok() || *step == protocol::FrameReader::Step::kRefused) return false;
    if (*step == protocol::FrameReader::Step::kMore) return true;
    Take(frame.header, frame.body);
  }
}

inline void FakeServer::Connection::ReplyBody(const protocol::FrameHeader& request,
                                              protocol::Opcode opcode, std::string_view body) {
  protocol::FrameHeader header;
  header.opcode = opcode;
  header.request_id = request.request_id;
  header.flags = request.flags & protocol::kFlagCrc32;
  protocol::AppendFrame(header, AsBytes(body), &replies);
}

inline void FakeServer::Connection::Take(const protocol::FrameHeader& header, Bytes body) {
  using protocol::Opcode;
  seen.push_back(header.opcode);
  switch (header.opcode) {
    case Opcode::kHello:
      reader_.set_body_bytes_max(protocol::kBodyBytesMax);
      return Reply(header, Opcode::kWelcome, server_->welcome);
    case Opcode::kOpenTarget: {
      Target& target = targets_[header.target];
      target.name = *protocol::DecodeOpenTarget(body);
      if (server_->refuse_target) target.refused = server_->refuse_target(target.name);
      if (!target.refused.ok()) return Refuse(header, ErrorOf(target.refused));
      return ReplyBody(header, Opcode::kDone, {});
    }
    case Opcode::kRegisterSeries:
      return Register(header, body);
    case Opcode::kWriteBatch:
      return Append(header, body);
    case Opcode::kOpenProducer: {
      protocol::OpenProducer open = *protocol::DecodeOpenProducer(body);
      Target& target = targets_.at(header.target);
      if (!target.refused.ok()) return Refuse(header, ErrorOf(target.refused));
      Producer& producer = server_->producers_[{target.name.tenant, open.producer_low}];
      if (open.epoch == 0) open.epoch = producer.epoch + 1;
      if (open.epoch < producer.epoch) {
        protocol::ErrorReply error = ErrorOf(FailedPrecondition("stale"));
        error.reason = protocol::ErrorReason::kStaleEpoch;
        return Refuse(header, error);
      }
      if (open.epoch > producer.epoch) server_->epochs++;
      producer.epoch = open.epoch;
      return Reply(header, Opcode::kProducer, protocol::Producer{producer.epoch, producer.last});
    }
    case Opcode::kQuery:
      return Query(header);
    case Opcode::kCredit: {
      protocol::Credit credit = *protocol::DecodeCredit(body);
      auto stream = streams_.find(credit.request_id);
      if (stream == streams_.end()) return;
      stream->second.credit += credit.frames;
      return SendResults(credit.request_id);
    }
    case Opcode::kCancel: {
      auto stream = streams_.find(*protocol::DecodeCancel(body));
      if (stream != streams_.end()) {
        Refuse(stream->second.header, ErrorOf(Cancelled("cancelled")));
        streams_.erase(stream);
      }
      return ReplyBody(header, Opcode::kDone, {});
    }
    case Opcode::kLabels:
    case Opcode::kSeries: {
      std::string reply_body;
      for (const std::string& text : server_->strings) protocol::AppendString(text, &reply_body);
      ReplyBody(header, Opcode::kStrings, reply_body);
      return Reply(header, Opcode::kResultEnd, protocol::ResultEnd{});
    }
    case Opcode::kStats: {
      std::string stats;
      protocol::Encode(std::vector<protocol::Stat>{{"series", uint64_t{3}}}, &stats);
      return ReplyBody(header, Opcode::kStatsReply, stats);
    }
    default:
      return ReplyBody(header, Opcode::kDone, {});
  }
}

inline void FakeServer::Connection::Register(const protocol::FrameHeader& header, Bytes body) {
  Target& target = targets_.at(header.target);
  if (!target.refused.ok()) return Refuse(header, ErrorOf(target.refused));
  auto reader = protocol::RegistrationReader::Open(
      body, static_cast<uint32_t>(target.series.size() + 1), &symbols_);
  NEXUS_CHECK(reader.ok());
  std::string canonical;
  while (*reader->Next(&canonical)) target.series.push_back(canonical);
  ReplyBody(header, protocol::Opcode::kDone, {});
}

inline void FakeServer::Connection::Append(const protocol::FrameHeader& header, Bytes body) {
  Target& target = targets_.at(header.target);
  if (!target.refused.ok()) return Refuse(header, ErrorOf(target.refused));
  std::vector<uint64_t> words(body.size() / 8 + 1);
  std::memcpy(words.data(), body.data(), body.size());
  auto batch = batch::BatchView::Parse(std::as_bytes(std::span(words)).first(body.size()));
  NEXUS_CHECK(batch.ok());
  if (server_->refuse) {
    if (auto error = server_->refuse(*batch)) return Refuse(header, *error);
  }
  protocol::WriteAck ack;
  ack.accepted = batch->sample_count();
  if (auto once = batch->exactly_once()) {
    Producer& producer = server_->producers_[{target.name.tenant, once->producer_low}];
    protocol::ErrorReply error = ErrorOf(FailedPrecondition("refused by number"));
    if (producer.epoch != once->epoch) {
      error.reason = producer.epoch < once->epoch ? protocol::ErrorReason::kUnknownProducer
                                                  : protocol::ErrorReason::kStaleEpoch;
      return Refuse(header, error);
    }
    if (once->sequence > producer.last + 1) {
      error.reason = protocol::ErrorReason::kSequenceGap;
      error.expected = producer.last + 1;
      return Refuse(header, error);
    }
    ack.duplicate = once->sequence <= producer.last;
    if (ack.duplicate) {
      server_->duplicates++;
      return Reply(header, protocol::Opcode::kWriteAck, ack);
    }
    producer.last = once->sequence;
  }
  batch::VisitAccepted(*batch, [&](const batch::SectionView& section, size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++) {
      server_->kept.push_back({target.name.tenant, target.series.at(section.ids[i].value - 1),
                               section.timestamps[i], section.values[i]});
    }
  });
  ack.end.value = server_->kept.size();
  if (server_->lose_outcome && server_->lose_outcome()) {
    return Refuse(header, ErrorOf(Unavailable("the log failed: the outcome is unknown")));
  }
  Reply(header, protocol::Opcode::kWriteAck, ack);
}

inline void FakeServer::Connection::Query(const protocol::FrameHeader& header) {
  streams_[header.request_id] = {header, server_->result_frames, protocol::kInitialCredit};
  SendResults(header.request_id);
}

inline void FakeServer::Connection::SendResults(uint64_t request_id) {
  Stream& stream = streams_.at(request_id);
  while (stream.left > 0 && stream.credit > 0) {
    std::vector<int64_t> timestamps = {stream.left};
    std::vector<double> values = {0.5};
    protocol::ResultPart part;
    part.labels = stream.left == server_->result_frames ? "up\xff" : "";
    part.timestamps = ColumnBytes(std::span(timestamps));
    part.values = ColumnBytes(std::span(values));
    std::string body;
    protocol::AppendPart(part, &body);
    ReplyBody(stream.header, protocol::Opcode::kResult, body);
    stream.left--;
    stream.credit--;
  }
  if (stream.left > 0) return;
  protocol::ResultEnd end;
  end.items = 1;
  Reply(stream.header, protocol::Opcode::kResultEnd, end);
  streams_.erase(request_id);
}

}  // namespace nexus::client

#endif  // NEXUS_TESTS_CLIENT_FAKE_SERVER_H_
