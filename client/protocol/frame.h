// Frames: writing them, and checking their headers.
//
// A frame's checksums are XXH3-64, or CRC-32 where kFlagCrc32 says so: the header's over its first
// 56 bytes, which hold the body's. Errors name the field and its offset.
// Threading: pure functions.
// Format: docs/format/protocol.md, format.h.

#ifndef NEXUS_CLIENT_PROTOCOL_FRAME_H_
#define NEXUS_CLIENT_PROTOCOL_FRAME_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "client/protocol/format.h"

namespace nexus::protocol {

enum class ChecksumKind : uint8_t { kXxh3, kCrc32 };

uint64_t Checksum(ChecksumKind kind, Bytes bytes);

// What a header says, as its user needs it.
struct FrameHeader {
  Opcode opcode = Opcode::kPing;
  uint32_t flags = 0;
  uint32_t target = 0;
  uint64_t request_id = 0;
  uint32_t body_bytes = 0;     // set by sealing
  uint64_t body_checksum = 0;  // set by sealing

  ChecksumKind checksum_kind() const {
    return (flags & kFlagCrc32) != 0 ? ChecksumKind::kCrc32 : ChecksumKind::kXxh3;
  }
};

using HeaderBytes = std::array<std::byte, kHeaderBytes>;

// Sets length and checksum of `header` for this body and returns the bytes to send before it. The
// body is sent from where it lies. REQUIRES: at most kBodyBytesMax bytes.
HeaderBytes SealFrame(FrameHeader* header, Bytes body);

// Appends header and body.
void AppendFrame(FrameHeader header, Bytes body, std::string* out);

// For bodies that are made where they are sent from: appends room for a header and returns its
// place; the body is then appended by the caller; FinishFrame fills in the header.
size_t BeginFrame(std::string* out);
void FinishFrame(FrameHeader header, size_t begin, std::string* out);

// Checks magic, version, header length, header checksum and reserved fields - whatever must hold
// for the length to be believed. REQUIRES: kHeaderBytes bytes.
// Errors: InvalidArgument (not a frame, or a damaged header), FailedPrecondition (a version that
// this program does not speak). After any of them the stream has no frames that could be found.
StatusOr<FrameHeader> DecodeHeader(Bytes bytes);

// What else must hold of a header in a stream of `side`'s frames: a known opcode, no unknown
// critical flag, a body within the limit of its kind. The frame can be passed over: the stream
// lives. Errors: Unimplemented (opcode, flag), ResourceExhausted (length).
Status CheckHeader(const FrameHeader& header, Side side);

// "WRITE_BATCH of request 17".
std::string Describe(const FrameHeader& header);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_FRAME_H_
