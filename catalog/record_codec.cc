// Encoding and decoding of records. See record_codec.h.

#include "catalog/record_codec.h"

#include <array>

#include "base/check.h"

namespace nexus::catalog {
namespace {

Status CheckName(std::string_view what, std::string_view name) {
  if (name.empty()) return InvalidArgument("{} has an empty name", what);
  if (name.size() > kNameBytesMax) {
    return InvalidArgument("{} has a name of {} bytes; at most {} are allowed", what, name.size(),
                           kNameBytesMax);
  }
  return OkStatus();
}

void EncodeOrder(const WriteOrder& order, ByteWriter* out) {
  out->U32(order.timeline);
  out->U64(order.lsn.value);
}

WriteOrder DecodeOrder(ByteReader* in) {
  WriteOrder order;
  order.timeline = in->U32();
  order.lsn.value = in->U64();
  return order;
}

std::string DecodeName(ByteReader* in) {
  std::string name(in->LengthPrefixed(kNameBytesMax));
  if (name.empty()) in->Fail();
  return name;
}

}  // namespace

Status CheckRecord(const Setting& record) {
  NEXUS_RETURN_IF_ERROR(CheckName("a setting", record.name));
  if (record.value.size() > kSettingValueBytesMax) {
    return InvalidArgument("setting {} has a value of {} bytes; at most {} are allowed",
                           record.name, record.value.size(), kSettingValueBytesMax);
  }
  return OkStatus();
}

Status CheckRecord(const TenantRecord& record) {
  NEXUS_RETURN_IF_ERROR(CheckName("a tenant", record.name));
  if (record.settings.size() > kSettingsMax) {
    return InvalidArgument("tenant {} has {} settings; at most {} are allowed", record.name,
                           record.settings.size(), kSettingsMax);
  }
  for (const Setting& setting : record.settings) NEXUS_RETURN_IF_ERROR(CheckRecord(setting));
  return OkStatus();
}

Status CheckRecord(const BranchRecord& record) {
  NEXUS_RETURN_IF_ERROR(CheckName("a branch", record.name));
  if (record.inherited.size() > kInheritedMax) {
    return InvalidArgument(
        "branch {} holds unflushed samples of {} branches; at most {} are allowed", record.name,
        record.inherited.size(), kInheritedMax);
  }
  Lsn below = record.sealed;
  for (const BranchRecord::Inherited& from : record.inherited) {
    if (from.until <= below) {
      return InvalidArgument("branch {} inherits samples out of order", record.name);
    }
    below = from.until;
  }
  return OkStatus();
}

Status CheckRecord(const LayerRecord& record) {
  return CheckName("a layer file", record.file_name);
}

Status CheckRecord(const ProducerRecord& record) {
  size_t ranges = 0;
  for (const ProducerRecord::Rejected& rejected : record.rejected) ranges += rejected.ranges.size();
  if (ranges <= kRejectedRangesMax && record.rejected.size() <= kRejectedRangesMax)
    return OkStatus();
  return InvalidArgument("a producer has {} rejected ranges; at most {} are kept", ranges,
                         kRejectedRangesMax);
}

void Encode(const Setting& record, ByteWriter* out) {
  out->LengthPrefixed(record.name);
  out->LengthPrefixed(record.value);
}

void Decode(ByteReader* in, Setting* record) {
  record->name = DecodeName(in);
  record->value = std::string(in->LengthPrefixed(kSettingValueBytesMax));
}

void Encode(const TenantRecord& record, ByteWriter* out) {
  out->U32(record.id.value);
  out->U64(record.identity_seed);
  out->U32(record.next_branch);
  out->U64(record.deleted.value);
  out->LengthPrefixed(record.name);
  out->Varint(record.settings.size());
  for (const Setting& setting : record.settings) Encode(setting, out);
}

void Decode(ByteReader* in, TenantRecord* record) {
  record->id.value = in->U32();
  record->identity_seed = in->U64();
  record->next_branch = in->U32();
  record->deleted.value = in->U64();
  record->name = DecodeName(in);
  uint64_t settings = in->Varint();
  if (settings > kSettingsMax) in->Fail();
  record->settings.clear();
  for (uint64_t i = 0; i < settings && in->ok(); i++) Decode(in, &record->settings.emplace_back());
}

void Encode(const BranchRecord& record, ByteWriter* out) {
  out->U32(record.tenant.value);
  out->U32(record.id.value);
  out->U8(static_cast<uint8_t>(record.kind));
  out->U32(record.parent.value);
  out->U64(record.created.value);
  out->I64(record.created_wall_ns);
  out->U64(record.sealed.value);
  out->LengthPrefixed(record.name);
  out->Varint(record.inherited.size());
  for (const BranchRecord::Inherited& from : record.inherited) {
    out->U32(from.branch.value);
    out->U64(from.until.value);
  }
}

void Decode(ByteReader* in, BranchRecord* record) {
  record->tenant.value = in->U32();
  record->id.value = in->U32();
  uint8_t kind = in->U8();
  if (kind > static_cast<uint8_t>(BranchKind::kSnapshot)) in->Fail();
  record->kind = static_cast<BranchKind>(kind);
  record->parent.value = in->U32();
  record->created.value = in->U64();
  record->created_wall_ns = in->I64();
  record->sealed.value = in->U64();
  record->name = DecodeName(in);
  uint64_t inherited = in->Varint();
  if (inherited > kInheritedMax) in->Fail();
  record->inherited.clear();
  Lsn below = record->sealed;
  for (uint64_t i = 0; i < inherited && in->ok(); i++) {
    BranchId branch{in->U32()};
    Lsn until{in->U64()};
    if (until <= below) in->Fail();
    below = until;
    record->inherited.push_back({branch, until});
  }
}

void Encode(const LayerRecord& record, ByteWriter* out) {
  out->U32(record.tenant.value);
  out->U32(record.branch.value);
  out->U64(record.open_count);
  out->U64(record.sequence);
  out->U8(static_cast<uint8_t>(record.state));
  out->U32(record.level);
  out->I64(record.resolution_ns);
  out->I64(record.range.first);
  out->I64(record.range.last);
  EncodeOrder(record.low, out);
  EncodeOrder(record.high, out);
  out->U64(record.deletes_applied.value);
  out->U64(record.series);
  out->U64(record.samples);
  out->U64(record.file_bytes);
  out->U64(record.footer_hash);
  out->LengthPrefixed(record.file_name);
}

void Decode(ByteReader* in, LayerRecord* record) {
  record->tenant.value = in->U32();
  record->branch.value = in->U32();
  record->open_count = in->U64();
  record->sequence = in->U64();
  uint8_t state = in->U8();
  if (state > static_cast<uint8_t>(LayerState::kGarbage)) in->Fail();
  record->state = static_cast<LayerState>(state);
  record->level = in->U32();
  record->resolution_ns = in->I64();
  record->range.first = in->I64();
  record->range.last = in->I64();
  record->low = DecodeOrder(in);
  record->high = DecodeOrder(in);
  record->deletes_applied.value = in->U64();
  record->series = in->U64();
  record->samples = in->U64();
  record->file_bytes = in->U64();
  record->footer_hash = in->U64();
  record->file_name = DecodeName(in);
}

void Encode(const ProducerRecord& record, ByteWriter* out) {
  out->U32(record.tenant.value);
  out->U32(record.branch.value);
  out->U64(record.id.high);
  out->U64(record.id.low);
  out->U64(record.epoch);
  out->U64(record.last_sequence);
  out->U64(record.end.value);
  out->I64(record.active_wall_ns);
  out->Varint(record.rejected.size());
  for (const ProducerRecord::Rejected& rejected : record.rejected) {
    out->U64(rejected.sequence);
    out->Varint(rejected.ranges.size());
    for (const SampleRange& range : rejected.ranges) {
      out->U32(range.first);
      out->U32(range.count);
    }
  }
}

void Decode(ByteReader* in, ProducerRecord* record) {
  record->tenant.value = in->U32();
  record->branch.value = in->U32();
  record->id.high = in->U64();
  record->id.low = in->U64();
  record->epoch = in->U64();
  record->last_sequence = in->U64();
  record->end.value = in->U64();
  record->active_wall_ns = in->I64();
  uint64_t entries = in->Varint();
  if (entries > kRejectedRangesMax) in->Fail();
  record->rejected.clear();
  uint64_t ranges_left = kRejectedRangesMax;
  for (uint64_t i = 0; i < entries && in->ok(); i++) {
    ProducerRecord::Rejected& rejected = record->rejected.emplace_back();
    rejected.sequence = in->U64();
    uint64_t ranges = in->Varint();
    if (ranges > ranges_left) in->Fail();
    ranges_left -= ranges;
    for (uint64_t r = 0; r < ranges && in->ok(); r++) {
      uint32_t first = in->U32();
      rejected.ranges.push_back({first, in->U32()});
    }
  }
}

Status CheckRecord(const SeriesDefinition& record) {
  if (record.canonical.size() <= kCanonicalBytesMax && LooksCanonical(record.canonical)) {
    return OkStatus();
  }
  return InvalidArgument("the labels of series id {} of tenant {} are malformed", record.id.value,
                         record.tenant.value);
}

void Encode(const SeriesDefinition& record, ByteWriter* out) {
  out->U32(record.tenant.value);
  out->U64(record.id.value);
  out->LengthPrefixed(record.canonical);
}

void Decode(ByteReader* in, SeriesDefinition* record) {
  record->tenant.value = in->U32();
  record->id.value = in->U64();
  record->canonical = in->LengthPrefixed(kCanonicalBytesMax);
  if (record->id.value == 0 || !LooksCanonical(record->canonical)) in->Fail();
}

Status CheckRecord(const TombstoneRecord& record) {
  const size_t bytes = record.selector.size();
  if (bytes > 0 && bytes <= kTombstoneSelectorBytesMax && !record.range.empty()) return OkStatus();
  return InvalidArgument("a delete needs a selector of at most {} bytes and a range",
                         kTombstoneSelectorBytesMax);
}

void Encode(const TombstoneRecord& record, ByteWriter* out) {
  out->U32(record.tenant.value);
  out->U32(record.branch.value);
  EncodeOrder(record.order, out);
  out->I64(record.range.first);
  out->I64(record.range.last);
  out->LengthPrefixed(record.selector);
}

void Decode(ByteReader* in, TombstoneRecord* record) {
  record->tenant.value = in->U32();
  record->branch.value = in->U32();
  record->order = DecodeOrder(in);
  record->range.first = in->I64();
  record->range.last = in->I64();
  record->selector = std::string(in->LengthPrefixed(kTombstoneSelectorBytesMax));
  if (record->selector.empty() || record->range.empty()) in->Fail();
}

void Encode(const Meta& meta, ByteWriter* out) {
  out->Raw(kCatalogMagic);
  out->U32(kCatalogVersion);
  out->U32(0);
  out->U64(meta.features.incompatible);
  out->U64(meta.features.read_only);
  out->U64(meta.features.compatible);
  out->U64(meta.database.high);
  out->U64(meta.database.low);
  out->U64(meta.applied.value);
  out->U64(meta.open_count);
  out->U64(meta.next_series_id);
  out->Zeros(kMetaReservedBytes);
}

StatusOr<Meta> DecodeMeta(std::string_view payload) {
  ByteReader in(payload);
  if (in.TakeString(kCatalogMagic.size()) != kCatalogMagic) {
    return DataLoss("the meta record is not nexus's");
  }
  if (uint32_t version = in.U32(); version != kCatalogVersion) {
    return FailedPrecondition(
        "format version {} is not known to this nexus (it knows {}); use the release that wrote it",
        version, kCatalogVersion);
  }
  in.ExpectZeros(sizeof(uint32_t));
  Meta meta;
  meta.features.incompatible = in.U64();
  meta.features.read_only = in.U64();
  meta.features.compatible = in.U64();
  if (uint64_t unknown = meta.features.incompatible & ~kKnownIncompatibleFeatures; unknown != 0) {
    return FailedPrecondition("needs features {:#x} that this nexus does not have; use a newer one",
                              unknown);
  }
  meta.database.high = in.U64();
  meta.database.low = in.U64();
  meta.applied.value = in.U64();
  meta.open_count = in.U64();
  meta.next_series_id = in.U64();
  in.ExpectZeros(kMetaReservedBytes);
  if (!in.ok() || !in.done()) return DataLoss("the meta record is malformed");
  return meta;
}

void EncodeSeriesRow(const Hash128& identity, const std::vector<LabelSymbols>& labels,
                     ByteWriter* out) {
  out->U64(identity.high);
  out->U64(identity.low);
  // The hottest encoder of a commit: into local memory, then appended as one piece.
  constexpr size_t kVarintBytesMax = 5;
  std::array<char, (1 + 2 * (kLabelsMax + 1)) * kVarintBytesMax> symbols;
  NEXUS_CHECK(labels.size() <= kLabelsMax + 1);
  char* at = symbols.data();
  auto varint = [&at](uint32_t v) {
    for (; v >= 0x80; v >>= 7) *at++ = static_cast<char>(v | 0x80);
    *at++ = static_cast<char>(v);
  };
  varint(static_cast<uint32_t>(labels.size()));
  for (const LabelSymbols& label : labels) {
    varint(label.name);
    varint(label.value);
  }
  out->Raw(std::string_view(symbols.data(), static_cast<size_t>(at - symbols.data())));
}

bool DecodeSeriesIdentity(std::string_view payload, Hash128* identity) {
  ByteReader in(payload);
  identity->high = in.U64();
  identity->low = in.U64();
  return in.ok();
}

bool DecodeSeriesRow(std::string_view payload, Hash128* identity,
                     std::vector<LabelSymbols>* labels) {
  ByteReader in(payload);
  identity->high = in.U64();
  identity->low = in.U64();
  uint64_t count = in.Varint();
  labels->clear();
  if (count == 0 || count > kLabelsMax + 1) return false;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t name = in.Varint();
    uint64_t value = in.Varint();
    if (name > UINT32_MAX || value > UINT32_MAX) return false;
    labels->push_back({static_cast<Symbol>(name), static_cast<Symbol>(value)});
  }
  return in.ok() && in.done();
}

}  // namespace nexus::catalog
