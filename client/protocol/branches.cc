// Encoding and decoding. See branches.h.

#include "client/protocol/branches.h"

#include "base/check.h"
#include "client/protocol/field_reader.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

BranchKind ReadKind(FieldReader* reader) {
  const size_t at = reader->position();
  const auto kind = static_cast<BranchKind>(reader->U8("kind"));
  if (kind > BranchKind::kSnapshot) reader->Fail("kind", at, "is unknown");
  return kind;
}

BranchEntry ReadEntry(FieldReader* reader) {
  BranchEntry entry;
  entry.name = reader->Text("name", kTargetNameBytesMax);
  entry.kind = ReadKind(reader);
  entry.parent = reader->Text("parent", kTargetNameBytesMax);
  entry.created_ns = reader->I64("creation time");
  entry.created.value = reader->U64("creation LSN");
  entry.layers = reader->U64("layers");
  entry.layer_bytes = reader->U64("bytes");
  entry.own_bytes = reader->U64("own bytes");
  return entry;
}

}  // namespace

void Encode(const Branches& branches, std::string* out) {
  ByteWriter writer(out);
  writer.U8(static_cast<uint8_t>(branches.action));
  writer.U8(static_cast<uint8_t>(branches.kind));
  writer.LengthPrefixed(branches.name);
  writer.LengthPrefixed(branches.from);
}

StatusOr<Branches> DecodeBranches(Bytes body) {
  FieldReader reader("BRANCHES", body);
  Branches branches;
  branches.action = static_cast<BranchAction>(reader.U8("action"));
  if (branches.action < BranchAction::kList || branches.action > BranchAction::kDelete) {
    reader.Fail("action", 0, "is unknown");
  }
  branches.kind = ReadKind(&reader);
  branches.name = reader.Text("name", kTargetNameBytesMax);
  branches.from = reader.Text("parent", kTargetNameBytesMax);
  const bool lists = branches.action == BranchAction::kList;
  if (lists && (branches.kind != BranchKind::kBranch || !branches.name.empty())) {
    reader.Fail("name", 1, "does not fit the action");
  }
  if (branches.action != BranchAction::kCreate && !branches.from.empty()) {
    reader.Fail("parent", 2, "does not fit the action");
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return branches;
}

void Encode(std::span<const BranchEntry> entries, std::string* out) {
  NEXUS_CHECK(entries.size() <= kBranchEntriesMax);
  ByteWriter writer(out);
  writer.Varint(entries.size());
  for (const BranchEntry& entry : entries) {
    writer.LengthPrefixed(entry.name);
    writer.U8(static_cast<uint8_t>(entry.kind));
    writer.LengthPrefixed(entry.parent);
    writer.I64(entry.created_ns);
    writer.U64(entry.created.value);
    writer.U64(entry.layers);
    writer.U64(entry.layer_bytes);
    writer.U64(entry.own_bytes);
  }
}

StatusOr<std::vector<BranchEntry>> DecodeBranchList(Bytes body) {
  FieldReader reader("BRANCH_LIST", body);
  std::vector<BranchEntry> entries = reader.List("count", kBranchEntriesMax, ReadEntry);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return entries;
}

}  // namespace nexus::protocol
