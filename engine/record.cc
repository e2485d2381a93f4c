// Encoding and decoding of definition and edit records. See record.h.

#include "engine/record.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/labels.h"

namespace nexus::engine {
namespace {

Status Malformed(std::string_view record, size_t at, std::string_view what) {
  return DataLoss("{} record: {} at byte {} of its body", record, what, at);
}

// ---- Parts of edits.

void WriteName(ByteWriter* out, std::string_view name) {
  NEXUS_CHECK(name.size() <= catalog::kNameBytesMax);
  out->LengthPrefixed(name);
}
std::string ReadName(ByteReader* in) {
  return std::string(in->LengthPrefixed(catalog::kNameBytesMax));
}

void WriteOrderTo(ByteWriter* out, WriteOrder order) {
  out->U32(order.timeline);
  out->U64(order.lsn.value);
}
WriteOrder ReadOrder(ByteReader* in) {
  uint32_t timeline = in->U32();
  return {timeline, Lsn{in->U64()}};
}

constexpr size_t kLayerKeyBytes = 4 + 4 + 8 + 8;

void WriteKey(ByteWriter* out, const catalog::LayerKey& key) {
  out->U32(key.tenant.value);
  out->U32(key.branch.value);
  out->U64(key.open_count);
  out->U64(key.sequence);
}
catalog::LayerKey ReadKey(ByteReader* in) {
  catalog::LayerKey key;
  key.tenant.value = in->U32();
  key.branch.value = in->U32();
  key.open_count = in->U64();
  key.sequence = in->U64();
  return key;
}

constexpr size_t kLayerBytesMin = kLayerKeyBytes + 1 + 8 + 8 + 4 + 8 + 12 + 12 + 8 + 4 * 8;

void WriteLayer(ByteWriter* out, const catalog::LayerRecord& layer) {
  WriteKey(out, layer.key());
  WriteName(out, layer.file_name);
  out->I64(layer.range.first);
  out->I64(layer.range.last);
  out->U32(layer.level);
  out->I64(layer.resolution_ns);
  WriteOrderTo(out, layer.low);
  WriteOrderTo(out, layer.high);
  out->U64(layer.deletes_applied.value);
  out->U64(layer.series);
  out->U64(layer.samples);
  out->U64(layer.file_bytes);
  out->U64(layer.footer_hash);
}
catalog::LayerRecord ReadLayer(ByteReader* in) {
  catalog::LayerKey key = ReadKey(in);
  catalog::LayerRecord layer;
  layer.tenant = key.tenant;
  layer.branch = key.branch;
  layer.open_count = key.open_count;
  layer.sequence = key.sequence;
  layer.file_name = ReadName(in);
  layer.range.first = in->I64();
  layer.range.last = in->I64();
  layer.level = in->U32();
  layer.resolution_ns = in->I64();
  layer.low = ReadOrder(in);
  layer.high = ReadOrder(in);
  layer.deletes_applied.value = in->U64();
  layer.series = in->U64();
  layer.samples = in->U64();
  layer.file_bytes = in->U64();
  layer.footer_hash = in->U64();
  return layer;
}

// A count of items of at least `item_bytes` each: fails if there are not that many bytes.
size_t ReadCount(ByteReader* in, size_t item_bytes) {
  uint32_t count = in->U32();
  if (count <= in->remaining() / item_bytes) return count;
  in->Fail();
  return 0;
}

void WriteKeys(ByteWriter* out, std::span<const catalog::LayerKey> keys) {
  NEXUS_CHECK(keys.size() <= std::numeric_limits<uint32_t>::max());
  out->U32(static_cast<uint32_t>(keys.size()));
  for (const catalog::LayerKey& key : keys) WriteKey(out, key);
}
std::vector<catalog::LayerKey> ReadKeys(ByteReader* in) {
  std::vector<catalog::LayerKey> keys(ReadCount(in, kLayerKeyBytes));
  for (catalog::LayerKey& key : keys) key = ReadKey(in);
  return keys;
}

// ---- Edits: a kind, a body, both ways.

EditKind KindOf(const PublishLayers&) { return EditKind::kPublishLayers; }
EditKind KindOf(const CreateTenant&) { return EditKind::kCreateTenant; }
EditKind KindOf(const CreateBranch&) { return EditKind::kCreateBranch; }
EditKind KindOf(const GarbageRemoved&) { return EditKind::kGarbageRemoved; }
EditKind KindOf(const OpenProducer&) { return EditKind::kOpenProducer; }
EditKind KindOf(const ForgetProducers&) { return EditKind::kForgetProducers; }
EditKind KindOf(const DeleteSamples&) { return EditKind::kDeleteSamples; }
EditKind KindOf(const TombstonesForgotten&) { return EditKind::kTombstonesForgotten; }
EditKind KindOf(const DeleteBranch&) { return EditKind::kDeleteBranch; }
EditKind KindOf(const SetTenant&) { return EditKind::kSetTenant; }
EditKind KindOf(const DeleteTenant&) { return EditKind::kDeleteTenant; }
EditKind KindOf(const SetRetention&) { return EditKind::kSetRetention; }
EditKind KindOf(const AcceptClock&) { return EditKind::kAcceptClock; }
EditKind KindOf(const ForgetSeries&) { return EditKind::kForgetSeries; }

void WriteBody(ByteWriter* out, const PublishLayers& edit) {
  NEXUS_CHECK(edit.layers.size() <= kPublishedLayersMax);
  NEXUS_CHECK(edit.retired.size() <= kPublishedLayersMax);
  out->U32(edit.tenant.value);
  out->U32(edit.branch.value);
  out->U64(edit.sealed.value);
  out->U32(static_cast<uint32_t>(edit.layers.size()));
  for (const catalog::LayerRecord& layer : edit.layers) WriteLayer(out, layer);
  WriteKeys(out, edit.retired);
}
Edit ReadPublishLayers(ByteReader* in) {
  PublishLayers edit;
  edit.tenant.value = in->U32();
  edit.branch.value = in->U32();
  edit.sealed.value = in->U64();
  edit.layers.resize(ReadCount(in, kLayerBytesMin));
  for (catalog::LayerRecord& layer : edit.layers) layer = ReadLayer(in);
  edit.retired = ReadKeys(in);
  if (edit.layers.size() > kPublishedLayersMax || edit.retired.size() > kPublishedLayersMax) {
    in->Fail();
  }
  return edit;
}

void WriteBody(ByteWriter* out, const CreateTenant& edit) {
  out->U32(edit.id.value);
  out->U64(edit.identity_seed);
  WriteName(out, edit.name);
}
Edit ReadCreateTenant(ByteReader* in) {
  CreateTenant edit;
  edit.id.value = in->U32();
  edit.identity_seed = in->U64();
  edit.name = ReadName(in);
  return edit;
}

// A setting takes at least the lengths of its name and value.
constexpr size_t kSettingBytesMin = 1 + 1;

void WriteBody(ByteWriter* out, const SetTenant& edit) {
  NEXUS_CHECK(edit.settings.size() <= catalog::kSettingsMax);
  out->U32(edit.id.value);
  out->U32(static_cast<uint32_t>(edit.settings.size()));
  for (const catalog::Setting& setting : edit.settings) {
    NEXUS_CHECK(!setting.name.empty());
    NEXUS_CHECK(setting.value.size() <= catalog::kSettingValueBytesMax);
    WriteName(out, setting.name);
    out->LengthPrefixed(setting.value);
  }
}
Edit ReadSetTenant(ByteReader* in) {
  SetTenant edit;
  edit.id.value = in->U32();
  edit.settings.resize(ReadCount(in, kSettingBytesMin));
  for (catalog::Setting& setting : edit.settings) {
    setting.name = ReadName(in);
    setting.value = in->LengthPrefixed(catalog::kSettingValueBytesMax);
    if (setting.name.empty()) in->Fail();
  }
  if (edit.settings.size() > catalog::kSettingsMax) in->Fail();
  return edit;
}

void WriteBody(ByteWriter* out, const DeleteTenant& edit) { out->U32(edit.id.value); }
Edit ReadDeleteTenant(ByteReader* in) { return DeleteTenant{TenantId{in->U32()}}; }

void WriteBody(ByteWriter* out, const CreateBranch& edit) {
  out->U32(edit.tenant.value);
  out->U32(edit.id.value);
  out->U32(edit.parent.value);
  out->U8(static_cast<uint8_t>(edit.kind));
  out->I64(edit.wall_ns);
  WriteName(out, edit.name);
}
Edit ReadCreateBranch(ByteReader* in) {
  CreateBranch edit;
  edit.tenant.value = in->U32();
  edit.id.value = in->U32();
  edit.parent.value = in->U32();
  uint8_t kind = in->U8();
  if (kind > static_cast<uint8_t>(catalog::BranchKind::kSnapshot)) in->Fail();
  edit.kind = static_cast<catalog::BranchKind>(kind);
  edit.wall_ns = in->I64();
  edit.name = ReadName(in);
  return edit;
}

void WriteBody(ByteWriter* out, const DeleteBranch& edit) {
  out->U32(edit.tenant.value);
  out->U32(edit.id.value);
}
Edit ReadDeleteBranch(ByteReader* in) {
  DeleteBranch edit;
  edit.tenant.value = in->U32();
  edit.id.value = in->U32();
  return edit;
}

void WriteBody(ByteWriter* out, const GarbageRemoved& edit) { WriteKeys(out, edit.layers); }
Edit ReadGarbageRemoved(ByteReader* in) { return GarbageRemoved{ReadKeys(in)}; }

void WriteProducer(ByteWriter* out, ProducerId id) {
  out->U64(id.high);
  out->U64(id.low);
}
ProducerId ReadProducer(ByteReader* in) {
  uint64_t high = in->U64();
  return {high, in->U64()};
}

void WriteBody(ByteWriter* out, const OpenProducer& edit) {
  out->U32(edit.tenant.value);
  out->U32(edit.branch.value);
  WriteProducer(out, edit.producer);
  out->U64(edit.epoch);
  out->I64(edit.wall_ns);
}
Edit ReadOpenProducer(ByteReader* in) {
  OpenProducer edit;
  edit.tenant.value = in->U32();
  edit.branch.value = in->U32();
  edit.producer = ReadProducer(in);
  edit.epoch = in->U64();
  edit.wall_ns = in->I64();
  return edit;
}

constexpr size_t kSilentProducerBytes = 16 + 8 + 8;

void WriteBody(ByteWriter* out, const ForgetProducers& edit) {
  NEXUS_CHECK(edit.producers.size() <= std::numeric_limits<uint32_t>::max());
  out->U32(edit.tenant.value);
  out->U32(edit.branch.value);
  out->U32(static_cast<uint32_t>(edit.producers.size()));
  for (const ForgetProducers::Silent& silent : edit.producers) {
    WriteProducer(out, silent.producer);
    out->U64(silent.epoch);
    out->U64(silent.last_sequence);
  }
}
Edit ReadForgetProducers(ByteReader* in) {
  ForgetProducers edit;
  edit.tenant.value = in->U32();
  edit.branch.value = in->U32();
  edit.producers.resize(ReadCount(in, kSilentProducerBytes));
  for (ForgetProducers::Silent& silent : edit.producers) {
    silent.producer = ReadProducer(in);
    silent.epoch = in->U64();
    silent.last_sequence = in->U64();
  }
  return edit;
}

void WriteBody(ByteWriter* out, const DeleteSamples& edit) {
  NEXUS_CHECK(!edit.selector.empty());
  NEXUS_CHECK(edit.selector.size() <= catalog::kTombstoneSelectorBytesMax);
  NEXUS_CHECK(!edit.range.empty());
  out->U32(edit.tenant.value);
  out->U32(edit.branch.value);
  out->I64(edit.range.first);
  out->I64(edit.range.last);
  out->LengthPrefixed(edit.selector);
}
Edit ReadDeleteSamples(ByteReader* in) {
  DeleteSamples edit;
  edit.tenant.value = in->U32();
  edit.branch.value = in->U32();
  edit.range.first = in->I64();
  edit.range.last = in->I64();
  edit.selector = in->LengthPrefixed(catalog::kTombstoneSelectorBytesMax);
  if (edit.selector.empty() || edit.range.empty()) in->Fail();
  return edit;
}

constexpr size_t kOrderBytes = 4 + 8;

void WriteBody(ByteWriter* out, const TombstonesForgotten& edit) {
  NEXUS_CHECK(edit.tombstones.size() <= std::numeric_limits<uint32_t>::max());
  out->U32(edit.tenant.value);
  out->U32(edit.branch.value);
  out->U32(static_cast<uint32_t>(edit.tombstones.size()));
  for (const WriteOrder& order : edit.tombstones) WriteOrderTo(out, order);
}
Edit ReadTombstonesForgotten(ByteReader* in) {
  TombstonesForgotten edit;
  edit.tenant.value = in->U32();
  edit.branch.value = in->U32();
  edit.tombstones.resize(ReadCount(in, kOrderBytes));
  for (WriteOrder& order : edit.tombstones) order = ReadOrder(in);
  return edit;
}

// A duration, and the length of a selector of at least a byte.
constexpr size_t kRuleBytesMin = 8 + 1 + 1;

void WriteBody(ByteWriter* out, const SetRetention& edit) {
  NEXUS_CHECK(edit.rules.size() <= kRulesOfRecordMax);
  out->U32(edit.tenant.value);
  out->I64(edit.clock_ns);
  out->U32(static_cast<uint32_t>(edit.rules.size()));
  for (const RetentionRule& rule : edit.rules) {
    NEXUS_CHECK(!rule.selector.empty());
    NEXUS_CHECK(rule.selector.size() <= catalog::kTombstoneSelectorBytesMax);
    out->I64(rule.duration_ns);
    out->LengthPrefixed(rule.selector);
  }
}
Edit ReadSetRetention(ByteReader* in) {
  SetRetention edit;
  edit.tenant.value = in->U32();
  edit.clock_ns = in->I64();
  edit.rules.resize(ReadCount(in, kRuleBytesMin));
  if (edit.rules.size() > kRulesOfRecordMax) in->Fail();
  for (RetentionRule& rule : edit.rules) {
    rule.duration_ns = in->I64();
    rule.selector = in->LengthPrefixed(catalog::kTombstoneSelectorBytesMax);
    if (rule.selector.empty()) in->Fail();
  }
  return edit;
}

void WriteBody(ByteWriter* out, const AcceptClock& edit) { out->I64(edit.clock_ns); }
Edit ReadAcceptClock(ByteReader* in) { return AcceptClock{in->I64()}; }

constexpr size_t kForgottenSeriesBytes = 8 + 16;

bool IsToForget(const ForgetSeries& edit) {
  auto above = [](const ForgetSeries::Series& a, const ForgetSeries::Series& b) {
    return a.id.value >= b.id.value;
  };
  return !edit.series.empty() && edit.series.size() <= kForgottenSeriesMax &&
         edit.series.front().id.value != 0 &&
         std::adjacent_find(edit.series.begin(), edit.series.end(), above) == edit.series.end();
}

void WriteBody(ByteWriter* out, const ForgetSeries& edit) {
  NEXUS_CHECK(IsToForget(edit));
  out->U32(edit.tenant.value);
  out->U32(static_cast<uint32_t>(edit.series.size()));
  for (const ForgetSeries::Series& series : edit.series) {
    out->U64(series.id.value);
    out->U64(series.identity.high);
    out->U64(series.identity.low);
  }
}
Edit ReadForgetSeries(ByteReader* in) {
  ForgetSeries edit;
  edit.tenant.value = in->U32();
  edit.series.resize(ReadCount(in, kForgottenSeriesBytes));
  for (ForgetSeries::Series& series : edit.series) {
    series.id.value = in->U64();
    series.identity.high = in->U64();
    series.identity.low = in->U64();
  }
  if (!IsToForget(edit)) in->Fail();
  return edit;
}

size_t DeletesIn(std::span<const Edit> edits) {
  return static_cast<size_t>(std::count_if(edits.begin(), edits.end(), [](const Edit& edit) {
    return std::holds_alternative<DeleteSamples>(edit);
  }));
}

StatusOr<Edit> DecodeEdit(uint16_t kind, Bytes body, size_t at) {
  ByteReader in(body);
  Edit edit;
  switch (static_cast<EditKind>(kind)) {
    case EditKind::kPublishLayers:
      edit = ReadPublishLayers(&in);
      break;
    case EditKind::kCreateTenant:
      edit = ReadCreateTenant(&in);
      break;
    case EditKind::kCreateBranch:
      edit = ReadCreateBranch(&in);
      break;
    case EditKind::kGarbageRemoved:
      edit = ReadGarbageRemoved(&in);
      break;
    case EditKind::kOpenProducer:
      edit = ReadOpenProducer(&in);
      break;
    case EditKind::kForgetProducers:
      edit = ReadForgetProducers(&in);
      break;
    case EditKind::kDeleteSamples:
      edit = ReadDeleteSamples(&in);
      break;
    case EditKind::kTombstonesForgotten:
      edit = ReadTombstonesForgotten(&in);
      break;
    case EditKind::kDeleteBranch:
      edit = ReadDeleteBranch(&in);
      break;
    case EditKind::kSetTenant:
      edit = ReadSetTenant(&in);
      break;
    case EditKind::kDeleteTenant:
      edit = ReadDeleteTenant(&in);
      break;
    case EditKind::kSetRetention:
      edit = ReadSetRetention(&in);
      break;
    case EditKind::kAcceptClock:
      edit = ReadAcceptClock(&in);
      break;
    case EditKind::kForgetSeries:
      edit = ReadForgetSeries(&in);
      break;
    default:
      return FailedPrecondition(
          "edit record: edit kind {} at byte {} of its body is not known to this nexus; use a "
          "newer "
          "release",
          kind, at);
  }
  if (!in.ok() || !in.done()) {
    return DataLoss("edit record: the edit of kind {} at byte {} of its body is malformed", kind,
                    at);
  }
  return edit;
}

}  // namespace

std::string EncodeDefinitions(std::span<const catalog::SeriesDefinition> definitions) {
  NEXUS_CHECK(definitions.size() <= std::numeric_limits<uint32_t>::max());
  std::string body;
  ByteWriter out(&body);
  out.U32(static_cast<uint32_t>(definitions.size()));
  for (const catalog::SeriesDefinition& definition : definitions) {
    out.U32(definition.tenant.value);
    out.U64(definition.id.value);
    out.LengthPrefixed(definition.canonical);
  }
  return body;
}

StatusOr<std::vector<catalog::SeriesDefinition>> DecodeDefinitions(Bytes body) {
  ByteReader in(body);
  size_t count = ReadCount(&in, kDefinitionBytesMin);
  if (!in.ok()) return Malformed("definitions", 0, "a count that the body cannot hold");
  std::vector<catalog::SeriesDefinition> definitions(count);
  for (catalog::SeriesDefinition& definition : definitions) {
    size_t at = in.position();
    definition.tenant.value = in.U32();
    definition.id.value = in.U64();
    definition.canonical = in.LengthPrefixed(kCanonicalBytesMax);
    if (!in.ok()) return Malformed("definitions", at, "a cut definition");
    if (definition.id.value == 0) return Malformed("definitions", at, "series id 0");
    if (!LooksCanonical(definition.canonical)) {
      return Malformed("definitions", at, "labels that are not in canonical form");
    }
  }
  if (!in.done()) return Malformed("definitions", in.position(), "trailing bytes");
  return definitions;
}

std::string EncodeEdits(std::span<const Edit> edits) {
  NEXUS_CHECK(edits.size() <= std::numeric_limits<uint32_t>::max());
  NEXUS_CHECK(DeletesIn(edits) <= kDeletesOfRecordMax);
  std::string record;
  ByteWriter out(&record);
  out.U32(static_cast<uint32_t>(edits.size()));
  for (const Edit& edit : edits) {
    std::string body;
    ByteWriter body_out(&body);
    std::visit([&](const auto& one) { WriteBody(&body_out, one); }, edit);
    NEXUS_CHECK(body.size() <= std::numeric_limits<uint32_t>::max());
    out.U16(std::visit([](const auto& one) { return static_cast<uint16_t>(KindOf(one)); }, edit));
    out.U16(0);
    out.U32(static_cast<uint32_t>(body.size()));
    out.Raw(body);
  }
  return record;
}

StatusOr<std::vector<Edit>> DecodeEdits(Bytes body) {
  ByteReader in(body);
  size_t count = ReadCount(&in, kEditHeaderBytes);
  if (!in.ok()) return Malformed("edit", 0, "a count that the body cannot hold");
  std::vector<Edit> edits;
  for (size_t i = 0; i < count; i++) {
    size_t at = in.position();
    uint16_t kind = in.U16();
    in.ExpectZeros(2);
    uint32_t bytes = in.U32();
    Bytes edit_body = in.Take(bytes);
    if (!in.ok()) return Malformed("edit", at, "a cut edit, or a reserved field that is not zero");
    NEXUS_ASSIGN_OR_RETURN(Edit edit, DecodeEdit(kind, edit_body, at));
    edits.push_back(std::move(edit));
  }
  if (!in.done()) return Malformed("edit", in.position(), "trailing bytes");
  if (DeletesIn(edits) > kDeletesOfRecordMax) return Malformed("edit", 0, "more than one delete");
  return edits;
}

}  // namespace nexus::engine
