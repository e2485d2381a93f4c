// Answers to batches, producers, errors. See write.h.

#include "client/protocol/write.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "client/protocol/field_reader.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

constexpr uint32_t kAckDuplicate = 1u << 0;
constexpr uint32_t kAckReason = 1u << 1;
constexpr uint64_t kOrdinalMax = std::numeric_limits<uint32_t>::max();

// Each as its distance from the end of the one before, and its length.
void Append(const Ranges& ranges, ByteWriter* out) {
  out->Varint(ranges.size());
  uint64_t end = 0;
  for (const batch::RejectedRange& range : ranges) {
    NEXUS_CHECK(range.first >= end && range.count > 0);
    out->Varint(range.first - end);
    out->Varint(range.count);
    end = uint64_t{range.first} + range.count;
  }
}

Ranges ReadRanges(FieldReader* reader) {
  // A range takes two bytes at least.
  uint64_t count = reader->Varint("count of rejected ranges", reader->remaining() / 2);
  Ranges ranges;
  ranges.reserve(count);
  uint64_t end = 0;
  for (uint64_t i = 0; i < count && reader->ok(); i++) {
    size_t at = reader->position();
    uint64_t first = end + reader->Varint("rejected range", kOrdinalMax);
    uint64_t length = reader->Varint("rejected range", kOrdinalMax);
    end = first + length;
    if (length == 0) reader->Fail("rejected range", at, "is empty");
    if (end > kOrdinalMax) reader->Fail("rejected range", at, "ends beyond 2^32");
    ranges.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(length)});
  }
  return ranges;
}

}  // namespace

void Encode(const WriteAck& ack, std::string* out) {
  ByteWriter writer(out);
  writer.U64(ack.end.value);
  writer.U32(ack.accepted);
  writer.U32((ack.duplicate ? kAckDuplicate : 0) | (ack.reason.empty() ? 0 : kAckReason));
  Append(ack.rejected, &writer);
  if (!ack.reason.empty()) {
    writer.LengthPrefixed(std::string_view(ack.reason).substr(0, kMessageBytesMax));
  }
}

StatusOr<WriteAck> DecodeWriteAck(Bytes body) {
  FieldReader reader("WRITE_ACK", body);
  WriteAck ack;
  ack.end.value = reader.U64("log position");
  ack.accepted = reader.U32("accepted samples");
  uint32_t flags = reader.U32("flags");
  if ((flags & ~(kAckDuplicate | kAckReason)) != 0) {
    reader.Fail("flags", 12, "has an unknown bit");
  }
  ack.duplicate = (flags & kAckDuplicate) != 0;
  ack.rejected = ReadRanges(&reader);
  if ((flags & kAckReason) != 0) {
    const size_t at = reader.position();
    ack.reason = reader.Text("reason", kMessageBytesMax);
    if (ack.reason.empty()) reader.Fail("reason", at, "is empty");
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return ack;
}

void Encode(const OpenProducer& open, std::string* out) {
  ByteWriter writer(out);
  writer.U64(open.producer_high);
  writer.U64(open.producer_low);
  writer.U64(open.epoch);
}

StatusOr<OpenProducer> DecodeOpenProducer(Bytes body) {
  FieldReader reader("OPEN_PRODUCER", body);
  OpenProducer open;
  open.producer_high = reader.U64("producer");
  open.producer_low = reader.U64("producer");
  open.epoch = reader.U64("epoch");
  if ((open.producer_high | open.producer_low) == 0) reader.Fail("producer", 0, "is zero");
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return open;
}

void Encode(const Producer& producer, std::string* out) {
  ByteWriter writer(out);
  writer.U64(producer.epoch);
  writer.U64(producer.last_sequence);
}

StatusOr<Producer> DecodeProducer(Bytes body) {
  FieldReader reader("PRODUCER", body);
  Producer producer;
  producer.epoch = reader.U64("epoch");
  producer.last_sequence = reader.U64("last sequence");
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return producer;
}

ErrorClass ClassOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
      return ErrorClass::kRetry;
    default:
      return ErrorClass::kFix;
  }
}

ErrorReply ToErrorReply(const Status& status) {
  NEXUS_CHECK(!status.ok());
  ErrorReply error;
  error.code = status.code();
  error.error_class = ClassOf(error.code);
  std::string_view message = FromAbsl(status.message());
  size_t size = std::min(message.size(), kMessageBytesMax);
  // Not within a character.
  while (size > 0 && size < message.size() && (message[size] & 0xC0) == 0x80) size--;
  error.message = message.substr(0, size);
  return error;
}

Status ToStatus(const ErrorReply& error) { return Status(error.code, ToAbsl(error.message)); }

void Encode(const ErrorReply& error, std::string* out) {
  ByteWriter writer(out);
  writer.U8(static_cast<uint8_t>(error.code));
  writer.U8(static_cast<uint8_t>(error.error_class));
  writer.U8(static_cast<uint8_t>(error.reason));
  writer.U8(0);
  writer.U32(error.retry_after_ms);
  writer.U64(error.expected);
  writer.LengthPrefixed(error.message);
  Append(error.rejected, &writer);
}

StatusOr<ErrorReply> DecodeError(Bytes body) {
  FieldReader reader("ERROR", body);
  ErrorReply error;
  uint8_t code = reader.U8("code");
  // absl::StatusCode: 1 (Cancelled) to 16 (Unauthenticated).
  if (code == 0 || code > 16) reader.Fail("code", 0, fmt::format("is {}, not 1 to 16", code));
  error.code = static_cast<absl::StatusCode>(code);
  uint8_t error_class = reader.U8("class");
  if (error_class < 1 || error_class > 3) {
    reader.Fail("class", 1, fmt::format("is {}, not 1 to 3", error_class));
  }
  error.error_class = static_cast<ErrorClass>(error_class);
  uint8_t reason = reader.U8("reason");
  // A later server may know more reasons; what they have in common is code and class.
  error.reason = reason <= static_cast<uint8_t>(ErrorReason::kShuttingDown)
                     ? static_cast<ErrorReason>(reason)
                     : ErrorReason::kNone;
  reader.Zeros("reserved", 1);
  error.retry_after_ms = reader.U32("retry-after");
  error.expected = reader.U64("expected");
  error.message = reader.Text("message", kMessageBytesMax);
  error.rejected = ReadRanges(&reader);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return error;
}

void EncodeCancel(uint64_t request_id, std::string* out) { ByteWriter(out).U64(request_id); }

StatusOr<uint64_t> DecodeCancel(Bytes body) {
  FieldReader reader("CANCEL", body);
  uint64_t request_id = reader.U64("request id");
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return request_id;
}

}  // namespace nexus::protocol
