// Encoding and decoding. See rollups.h.

#include "client/protocol/rollups.h"

#include "base/check.h"
#include "client/protocol/field_reader.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

void WriteRules(const std::vector<RollupRule>& rules, ByteWriter* writer) {
  NEXUS_CHECK(rules.size() <= kRollupRulesMax);
  writer->Varint(rules.size());
  for (const RollupRule& rule : rules) {
    writer->I64(rule.resolution_ns);
    writer->I64(rule.keep_ns);
  }
}

RollupRule ReadRule(FieldReader* reader) {
  RollupRule rule;
  rule.resolution_ns = reader->I64("resolution");
  rule.keep_ns = reader->I64("duration");
  return rule;
}

}  // namespace

void Encode(const Rollups& rollups, std::string* out) {
  ByteWriter writer(out);
  writer.U8(static_cast<uint8_t>(rollups.action));
  WriteRules(rollups.rules, &writer);
}

StatusOr<Rollups> DecodeRollups(Bytes body) {
  FieldReader reader("ROLLUPS", body);
  Rollups rollups;
  rollups.action = static_cast<RollupAction>(reader.U8("action"));
  if (rollups.action < RollupAction::kList || rollups.action > RollupAction::kSet) {
    reader.Fail("action", 0, "is unknown");
  }
  rollups.rules = reader.List("count", kRollupRulesMax, ReadRule);
  if (rollups.action != RollupAction::kSet && !rollups.rules.empty()) {
    reader.Fail("count", 1, "does not fit the action");
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return rollups;
}

void Encode(const RollupList& list, std::string* out) {
  ByteWriter writer(out);
  WriteRules(list.rules, &writer);
}

StatusOr<RollupList> DecodeRollupList(Bytes body) {
  FieldReader reader("ROLLUP_LIST", body);
  RollupList list;
  list.rules = reader.List("count", kRollupRulesMax, ReadRule);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return list;
}

}  // namespace nexus::protocol
