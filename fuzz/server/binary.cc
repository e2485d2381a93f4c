// Fuzzes sessions of the wire protocol: every request gets one final reply, whatever the frames,
// their order and how the bytes are cut, and what is said back is frames that a client can read.
//
// The first byte is the size of pieces (0: everything at once); the rest is a HELLO's flags and
// then frames, each as
//   opcode | how | request id | target | length of the body, two bytes | body
// where `how` has bits for the frame's flags and for damage (kCrc32 and on). So the fuzzer needs no
// checksum; fuzz/client/frames.cc has the framing itself. The conversation is held twice: to its
// end, and broken off behind the last byte.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "client/protocol/branches.h"
#include "client/protocol/cardinality.h"
#include "client/protocol/frame.h"
#include "client/protocol/frame_reader.h"
#include "client/protocol/handshake.h"
#include "client/protocol/progress.h"
#include "client/protocol/query.h"
#include "client/protocol/registration.h"
#include "client/protocol/retention.h"
#include "client/protocol/scrub.h"
#include "client/protocol/tenants.h"
#include "client/protocol/write.h"
#include "fuzz/server/session_world.h"
#include "server/binary_session.h"

namespace nexus::server {
namespace {

using protocol::Frame;
using protocol::FrameHeader;
using protocol::FrameReader;
using protocol::Opcode;
using protocol::Side;

// Bits of `how`.
constexpr uint8_t kCrc32 = 1 << 0;
constexpr uint8_t kBuffered = 1 << 1;
constexpr uint8_t kDamagedBody = 1 << 2;
constexpr uint8_t kDamagedHeader = 1 << 3;
constexpr uint8_t kCriticalFlag = 1 << 4;
constexpr uint8_t kIgnorableFlag = 1 << 5;
constexpr uint8_t kBigBody = 1 << 6;  // zeros behind it, up to what is received into a buffer
constexpr uint8_t kCut = 1 << 7;      // the stream ends within it

FrameHeader HeaderOf(uint8_t opcode, uint8_t how) {
  FrameHeader header;
  header.opcode = static_cast<Opcode>(opcode);
  if ((how & kCrc32) != 0) header.flags |= protocol::kFlagCrc32;
  if ((how & kBuffered) != 0) header.flags |= protocol::kFlagBuffered;
  if ((how & kCriticalFlag) != 0) header.flags |= 1u << 9;
  if ((how & kIgnorableFlag) != 0) header.flags |= 1u << 20;
  return header;
}

std::string HelloFrame(uint8_t how) {
  protocol::Hello hello;
  hello.client = "fuzz";
  std::string body, frame;
  protocol::Encode(hello, &body);
  protocol::AppendFrame(HeaderOf(static_cast<uint8_t>(Opcode::kHello), how & kCrc32), AsBytes(body),
                        &frame);
  return frame;
}

std::string StreamOf(ByteReader in) {
  std::string stream = HelloFrame(in.U8());
  while (!in.done()) {
    const uint8_t opcode = in.U8();
    const uint8_t how = in.U8();
    FrameHeader header = HeaderOf(opcode, how);
    header.request_id = in.U8();
    header.target = in.U8();
    const size_t bytes = in.U16();
    std::string body(in.TakeString(std::min(bytes, in.remaining())));
    if ((how & kBigBody) != 0) body.resize(body.size() + protocol::kBigBodyBytes);
    const size_t begin = stream.size();
    protocol::AppendFrame(header, AsBytes(body), &stream);
    if ((how & kDamagedBody) != 0 && !body.empty()) stream.back() ^= 1;
    if ((how & kDamagedHeader) != 0) stream[begin + 20] ^= 1;
    if ((how & kCut) != 0) {
      stream.resize(stream.size() - std::min<size_t>(stream.size() - begin, 1 + bytes / 2));
      break;
    }
  }
  return stream;
}

// How often each request id is to be answered at last, if the connection lives on.
std::map<uint64_t, uint64_t> RequestsIn(std::string_view stream) {
  FrameReader reader(Side::kClient);
  std::map<uint64_t, uint64_t> requests;
  Bytes input = AsBytes(stream);
  while (true) {
    Frame frame;
    const StatusOr<FrameReader::Step> step = reader.Next(&input, &frame);
    if (!step.ok() || *step == FrameReader::Step::kMore) return requests;
    // What cannot be read is refused; what can be is taken in silence.
    const bool silent = *step == FrameReader::Step::kFrame &&
                        frame.header.opcode == Opcode::kCredit &&
                        protocol::DecodeCredit(frame.body).ok();
    if (!silent) requests[frame.header.request_id]++;
    if (*step == FrameReader::Step::kFrame && frame.header.opcode == Opcode::kHello) {
      reader.set_body_bytes_max(protocol::kBodyBytesMax);
    }
  }
}

template <typename Message>
void CheckReads(const StatusOr<Message>& message) {
  NEXUS_CHECK(message.ok());
}

void CheckParts(const Frame& frame) {
  protocol::ResultReader results(frame.body);
  protocol::StringsReader strings(frame.body);
  protocol::ResultPart part;
  std::string_view text;
  bool more = true;
  while (more) {
    const StatusOr<bool> next =
        frame.header.opcode == Opcode::kResult ? results.Next(&part) : strings.Next(&text);
    NEXUS_CHECK(next.ok());
    more = *next;
  }
}

// What of the reply's kind a client makes of it. True if it is a request's last.
bool ReadReply(const Frame& frame) {
  switch (frame.header.opcode) {
    case Opcode::kResult:
    case Opcode::kStrings:
      CheckParts(frame);
      return false;
    case Opcode::kProgress:
      CheckReads(protocol::DecodeProgress(frame.body));
      return false;
    case Opcode::kWelcome:
      CheckReads(protocol::DecodeWelcome(frame.body));
      return true;
    case Opcode::kWriteAck:
      CheckReads(protocol::DecodeWriteAck(frame.body));
      return true;
    case Opcode::kProducer:
      CheckReads(protocol::DecodeProducer(frame.body));
      return true;
    case Opcode::kResultEnd:
      CheckReads(protocol::DecodeResultEnd(frame.body));
      return true;
    case Opcode::kStatsReply:
      CheckReads(protocol::DecodeStats(frame.body));
      return true;
    case Opcode::kBranchList:
      CheckReads(protocol::DecodeBranchList(frame.body));
      return true;
    case Opcode::kTenantList:
      CheckReads(protocol::DecodeTenantList(frame.body));
      return true;
    case Opcode::kCardinalityReply:
      CheckReads(protocol::DecodeCardinalityReply(frame.body));
      return true;
    case Opcode::kRetentionList:
      CheckReads(protocol::DecodeRetentionList(frame.body));
      return true;
    case Opcode::kScrubReply:
      CheckReads(protocol::DecodeScrubReply(frame.body));
      return true;
    case Opcode::kError:
      CheckReads(protocol::DecodeError(frame.body));
      return true;
    default:
      NEXUS_CHECK(frame.header.opcode == Opcode::kDone);
      return true;
  }
}

bool IsFatal(const Frame& frame) {
  return frame.header.opcode == Opcode::kError && frame.header.request_id == 0 &&
         protocol::DecodeError(frame.body)->error_class == protocol::ErrorClass::kFatal;
}

void CheckReplies(std::map<uint64_t, uint64_t> requests, std::string_view output) {
  FrameReader reader(Side::kServer);
  reader.set_body_bytes_max(protocol::kBodyBytesMax);
  Bytes input = AsBytes(output);
  while (!reader.at_boundary() || !input.empty()) {
    Frame frame;
    const StatusOr<FrameReader::Step> step = reader.Next(&input, &frame);
    NEXUS_CHECK(step.ok() && *step == FrameReader::Step::kFrame);
    if (!ReadReply(frame)) continue;
    // Nothing comes behind the connection's own error.
    if (input.empty() && IsFatal(frame)) return;
    NEXUS_CHECK(requests[frame.header.request_id]-- > 0);
  }
  for (const auto& [id, unanswered] : requests) NEXUS_CHECK(unanswered == 0);
}

}  // namespace
}  // namespace nexus::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  using nexus::server::BinarySession;
  const std::string stream =
      nexus::server::StreamOf(nexus::ByteReader(std::as_bytes(std::span(data + 1, size - 1))));
  const size_t piece = data[0] == 0 ? stream.size() : data[0];
  nexus::server::SessionWorld* world = nexus::server::WorldOfInput();
  nexus::server::CheckReplies(nexus::server::RequestsIn(stream),
                              world->Converse<BinarySession>(stream, piece));
  world->Abandon<BinarySession>(stream, piece);
  return 0;
}
