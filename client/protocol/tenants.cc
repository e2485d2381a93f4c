// Encoding and decoding. See tenants.h.

#include "client/protocol/tenants.h"

#include "base/check.h"
#include "client/protocol/field_reader.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

constexpr uint8_t kMaskBits = (1u << kQuotaNames.size()) - 1;

TenantEntry ReadEntry(FieldReader* reader) {
  TenantEntry entry;
  entry.name = reader->Text("name", kTargetNameBytesMax);
  for (uint64_t& quota : entry.quotas) quota = reader->U64("quota");
  entry.series = reader->U64("series");
  entry.samples = reader->U64("samples");
  entry.layers = reader->U64("layers");
  entry.layer_bytes = reader->U64("bytes of layers");
  entry.memory_bytes = reader->U64("bytes in memory");
  entry.queries = reader->U64("queries");
  entry.refused = reader->U64("refused");
  entry.tombstones = reader->U64("tombstones");
  return entry;
}

}  // namespace

void Encode(const Tenants& tenants, std::string* out) {
  ByteWriter writer(out);
  uint8_t mask = 0;
  for (size_t i = 0; i < tenants.quotas.size(); i++) {
    if (tenants.quotas[i].has_value()) mask = static_cast<uint8_t>(mask | 1u << i);
  }
  writer.U8(static_cast<uint8_t>(tenants.action));
  writer.U8(mask);
  writer.LengthPrefixed(tenants.name);
  for (const std::optional<uint64_t>& quota : tenants.quotas) {
    if (quota.has_value()) writer.U64(*quota);
  }
}

StatusOr<Tenants> DecodeTenants(Bytes body) {
  FieldReader reader("TENANTS", body);
  Tenants tenants;
  tenants.action = static_cast<TenantAction>(reader.U8("action"));
  const bool lists = tenants.action == TenantAction::kList;
  const bool deletes = tenants.action == TenantAction::kDelete;
  if (tenants.action < TenantAction::kList || tenants.action > TenantAction::kSet) {
    reader.Fail("action", 0, "is unknown");
  }
  const uint8_t mask = reader.U8("quotas");
  if ((mask & ~kMaskBits) != 0) reader.Fail("quotas", 1, "has an unknown bit");
  tenants.name = reader.Text("name", kTargetNameBytesMax);
  if (lists && !tenants.name.empty()) reader.Fail("name", 2, "does not fit the action");
  if ((lists || deletes) && mask != 0) reader.Fail("quotas", 1, "does not fit the action");
  for (size_t i = 0; i < tenants.quotas.size(); i++) {
    if ((mask >> i & 1u) != 0) tenants.quotas[i] = reader.U64("quota");
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return tenants;
}

void Encode(std::span<const TenantEntry> entries, std::string* out) {
  NEXUS_CHECK(entries.size() <= kTenantEntriesMax);
  ByteWriter writer(out);
  writer.Varint(entries.size());
  for (const TenantEntry& entry : entries) {
    writer.LengthPrefixed(entry.name);
    for (uint64_t quota : entry.quotas) writer.U64(quota);
    writer.U64(entry.series);
    writer.U64(entry.samples);
    writer.U64(entry.layers);
    writer.U64(entry.layer_bytes);
    writer.U64(entry.memory_bytes);
    writer.U64(entry.queries);
    writer.U64(entry.refused);
    writer.U64(entry.tombstones);
  }
}

StatusOr<std::vector<TenantEntry>> DecodeTenantList(Bytes body) {
  FieldReader reader("TENANT_LIST", body);
  std::vector<TenantEntry> entries = reader.List("count", kTenantEntriesMax, ReadEntry);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return entries;
}

}  // namespace nexus::protocol
