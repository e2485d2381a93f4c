// Encoding and decoding. See progress.h.

#include "client/protocol/progress.h"

#include "client/protocol/field_reader.h"

namespace nexus::protocol {

void Encode(const Progress& progress, std::string* out) {
  const std::string_view activity = progress.activity;
  ByteWriter writer(out);
  writer.LengthPrefixed(activity.substr(0, kActivityBytesMax));
  writer.U64(progress.done);
  writer.U64(progress.total);
}

StatusOr<Progress> DecodeProgress(Bytes body) {
  FieldReader reader("PROGRESS", body);
  Progress progress;
  progress.activity = std::string(reader.Text("activity", kActivityBytesMax));
  progress.done = reader.U64("done");
  progress.total = reader.U64("total");
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return progress;
}

void Encode(CompactAction action, std::string* out) {
  ByteWriter(out).U8(static_cast<uint8_t>(action));
}

StatusOr<CompactAction> DecodeCompact(Bytes body) {
  FieldReader reader("COMPACT", body);
  const auto action = static_cast<CompactAction>(reader.U8("action"));
  if (action < CompactAction::kEverything || action > CompactAction::kResume) {
    reader.Fail("action", 0, "is unknown");
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return action;
}

}  // namespace nexus::protocol
