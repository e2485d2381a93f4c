// Encoding and decoding of deletes. See delete.h.

#include "client/protocol/delete.h"

#include "client/protocol/field_reader.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

constexpr uint8_t kDryRun = 1u << 0;
constexpr uint8_t kEverywhere = 1u << 1;

}  // namespace

void Encode(const Delete& request, std::string* out) {
  ByteWriter writer(out);
  const unsigned flags = (request.dry_run ? kDryRun : 0u) | (request.everywhere ? kEverywhere : 0u);
  writer.U8(static_cast<uint8_t>(flags));
  writer.Zeros(3);
  writer.U32(request.deadline_ms);
  writer.I64(request.range.first);
  writer.I64(request.range.last);
  writer.LengthPrefixed(request.selector);
}

StatusOr<Delete> DecodeDelete(Bytes body) {
  FieldReader reader("DELETE", body);
  Delete request;
  const uint8_t flags = reader.U8("flags");
  if ((flags & ~(kDryRun | kEverywhere)) != 0) reader.Fail("flags", 0, "has an unknown bit");
  request.dry_run = (flags & kDryRun) != 0;
  request.everywhere = (flags & kEverywhere) != 0;
  reader.Zeros("reserved", 3);
  request.deadline_ms = reader.U32("deadline");
  request.range.first = reader.I64("first timestamp");
  request.range.last = reader.I64("last timestamp");
  request.selector = reader.Text("selector", kSelectorBytesMax);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return request;
}

void Encode(const Count& count, std::string* out) {
  ByteWriter writer(out);
  writer.U64(count.series);
  writer.U64(count.samples);
  writer.U64(count.series_with_samples);
  writer.U64(count.frozen_left);
}

StatusOr<Count> DecodeCount(Bytes body) {
  FieldReader reader("COUNT", body);
  Count count;
  count.series = reader.U64("series");
  count.samples = reader.U64("samples");
  count.series_with_samples = reader.U64("series with samples");
  count.frozen_left = reader.U64("frozen buckets left");
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return count;
}

}  // namespace nexus::protocol
