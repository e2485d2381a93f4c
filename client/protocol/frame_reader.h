// FrameReader: finds the frames in a stream of bytes that arrives in pieces.
//
//   reader.Next(&input, &frame)   takes bytes from the front of `input`:
//     kMore      all of `input` was taken; the next frame needs more of the stream
//     kFrame     a whole frame, both checksums good
//     kBigBody   the header of a batch of 16 KiB or more: say where its body shall go with
//                ReceiveInto() - then the transport may receive straight into wanted() and report
//                with Received() - or go on with Next(), which keeps it in the reader, or Skip() it
//     kRefused   a frame that cannot be used, for the reason in frame.status: unknown opcode or
//                critical flag, too long, body checksum wrong. It is passed over; the stream lives
// An error instead of a step means that framing is lost: the connection must end. It latches.
//
// Memory: at most one body, and never more than what has arrived of it, doubled. A frame that lies
// whole in `input` is not copied. Threading: one thread at a time.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_FRAME_READER_H_
#define NEXUS_CLIENT_PROTOCOL_FRAME_READER_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/status.h"
#include "client/protocol/format.h"
#include "client/protocol/frame.h"

namespace nexus::protocol {

struct Frame {
  FrameHeader header;
  // Valid until the next call on the reader; at any address, but for one given to ReceiveInto and
  // for one the reader kept: those are divisible by 8.
  Bytes body;
  Status status;  // of kRefused
};

class FrameReader {
 public:
  enum class Step : uint8_t { kMore, kFrame, kBigBody, kRefused };

  // Reads frames that `sender` sends. Until set_body_bytes_max, bodies above kHelloBytesMax are an
  // error instead of refused: a stranger is not read for megabytes.
  explicit FrameReader(Side sender) : sender_(sender) {}
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;

  // After HELLO: bodies up to `bytes`, and up to what their kind may have, are taken; longer ones
  // are refused and passed over without being kept.
  void set_body_bytes_max(uint32_t bytes) {
    body_bytes_max_ = bytes;
    greeted_ = true;
  }
  // Bodies of batches from this size on are announced as kBigBody; the default is never.
  void set_big_body_bytes(uint32_t bytes) { big_body_bytes_ = bytes; }

  // See above. Errors (latched): InvalidArgument - not a frame, a damaged header, other checksums
  // than the first frame's; FailedPrecondition - another version; ResourceExhausted - too long for
  // a first frame.
  StatusOr<Step> Next(Bytes* input, Frame* frame);

  // After kBigBody: the body goes to `buffer`, which outlives it and is at least as long. What has
  // arrived already is taken by Next().
  void ReceiveInto(MutableBytes buffer);
  // After kBigBody: the body is passed over, as if refused.
  void Skip();
  // The rest of the body that ReceiveInto gave a place: receive here and report with Received(), or
  // feed it through Next(). Empty if no such body is under way.
  MutableBytes wanted() const;
  // `bytes` of wanted() are filled. Next() then yields the frame when it is whole.
  void Received(size_t bytes);

  // Whether the stream may end here: between frames.
  bool at_boundary() const { return state_ == State::kHeader && held_ == 0; }
  // Checksums of the stream, once its first frame has come.
  std::optional<ChecksumKind> checksum_kind() const { return checksum_kind_; }
  // Bytes kept for the frame under way.
  uint64_t memory_bytes() const { return capacity_; }

 private:
  enum class State : uint8_t { kHeader, kAnnounced, kBody, kSkip, kFailed };

  StatusOr<Step> TakeHeader(Bytes header, Frame* frame);
  Step TakeBody(Bytes* input, Frame* frame);
  Step Deliver(Bytes body, Frame* frame);
  bool PassOver(Bytes* input);
  void Grow(size_t bytes);
  std::byte* held() { return reinterpret_cast<std::byte*>(words_.get()); }

  const Side sender_;
  uint32_t body_bytes_max_ = kHelloBytesMax;
  bool greeted_ = false;
  uint32_t big_body_bytes_ = UINT32_MAX;
  std::optional<ChecksumKind> checksum_kind_;

  State state_ = State::kHeader;
  Status failure_;
  FrameHeader header_;       // of the frame under way
  uint64_t skip_bytes_ = 0;  // still to be passed over
  // The part of a header that has arrived.
  HeaderBytes partial_ = {};
  size_t held_ = 0;  // bytes of partial_ in kHeader, of the body in kBody
  // The body: at the caller's place, or here. Words, so that it is 8-byte aligned.
  MutableBytes given_;
  std::unique_ptr<uint64_t[]> words_;
  size_t capacity_ = 0;  // bytes
};

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_FRAME_READER_H_
