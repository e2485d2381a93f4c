// Encoding and decoding. See retention.h.

#include "client/protocol/retention.h"

#include "base/check.h"
#include "client/protocol/field_reader.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

constexpr uint8_t kClockRuns = 1;
constexpr uint8_t kClockWaits = 2;

void WriteRules(const std::vector<RetentionRule>& rules, ByteWriter* writer) {
  NEXUS_CHECK(rules.size() <= kRetentionRulesMax);
  writer->Varint(rules.size());
  for (const RetentionRule& rule : rules) {
    writer->I64(rule.duration_ns);
    writer->LengthPrefixed(rule.selector);
  }
}

RetentionRule ReadRule(FieldReader* reader) {
  RetentionRule rule;
  rule.duration_ns = reader->I64("duration");
  rule.selector = reader->Text("selector", kRetentionSelectorBytesMax);
  return rule;
}

}  // namespace

void Encode(const Retention& retention, std::string* out) {
  ByteWriter writer(out);
  writer.U8(static_cast<uint8_t>(retention.action));
  WriteRules(retention.rules, &writer);
}

StatusOr<Retention> DecodeRetention(Bytes body) {
  FieldReader reader("RETENTION", body);
  Retention retention;
  retention.action = static_cast<RetentionAction>(reader.U8("action"));
  if (retention.action < RetentionAction::kList ||
      retention.action > RetentionAction::kAcceptClock) {
    reader.Fail("action", 0, "is unknown");
  }
  retention.rules = reader.List("count", kRetentionRulesMax, ReadRule);
  if (retention.action != RetentionAction::kSet && !retention.rules.empty()) {
    reader.Fail("count", 1, "does not fit the action");
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return retention;
}

void Encode(const RetentionList& list, std::string* out) {
  ByteWriter writer(out);
  writer.U8(static_cast<uint8_t>((list.clock_runs ? kClockRuns : 0) |
                                 (list.clock_waits ? kClockWaits : 0)));
  writer.I64(list.clock_ns);
  writer.I64(list.wall_ns);
  writer.I64(list.head_window_ns);
  WriteRules(list.rules, &writer);
}

StatusOr<RetentionList> DecodeRetentionList(Bytes body) {
  FieldReader reader("RETENTION_LIST", body);
  RetentionList list;
  const uint8_t flags = reader.U8("flags");
  if ((flags & ~(kClockRuns | kClockWaits)) != 0) reader.Fail("flags", 0, "are unknown");
  list.clock_runs = (flags & kClockRuns) != 0;
  list.clock_waits = (flags & kClockWaits) != 0;
  list.clock_ns = reader.I64("clock");
  list.wall_ns = reader.I64("wall clock");
  list.head_window_ns = reader.I64("head window");
  list.rules = reader.List("count", kRetentionRulesMax, ReadRule);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return list;
}

}  // namespace nexus::protocol
