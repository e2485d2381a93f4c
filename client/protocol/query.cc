// Questions and answers. See query.h.

#include "client/protocol/query.h"

#include <bit>

#include "base/check.h"
#include "base/labels.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

constexpr uint8_t kGrouped = 1u << 0;
constexpr size_t kPartHeaderBytes = 16;

enum class StatType : uint8_t { kInteger = 1, kReal = 2, kText = 3 };

// What the kind of a query leaves unused is not there to carry anything else.
void CheckQuery(const Query& query, FieldReader* reader) {
  bool aggregate = query.kind == QueryKind::kAggregate;
  if (query.kind < QueryKind::kSelect || query.kind > QueryKind::kLatest) {
    reader->Fail("kind", 0, "is unknown");
  }
  if (query.function > Function::kPercentile) reader->Fail("function", 1, "is unknown");
  if (aggregate != (query.function != Function::kNone)) {
    reader->Fail("function", 1, "does not fit the kind");
  }
  if (!aggregate && (query.grouped || !query.by.empty())) {
    reader->Fail("grouping", 2, "does not fit the kind");
  }
  if (!query.grouped && !query.by.empty()) {
    reader->Fail("labels to group by", 2, "are there without the flag");
  }
  if (!aggregate && query.step_ns != 0) reader->Fail("step", 24, "does not fit the kind");
  if (query.function != Function::kPercentile && std::bit_cast<uint64_t>(query.percentile) != 0) {
    reader->Fail("percentile", 32, "does not fit the function");
  }
}

}  // namespace

void Encode(const Query& query, std::string* out) {
  ByteWriter writer(out);
  writer.U8(static_cast<uint8_t>(query.kind));
  writer.U8(static_cast<uint8_t>(query.function));
  writer.U8(query.grouped ? kGrouped : 0);
  writer.U8(0);
  writer.U32(query.deadline_ms);
  writer.I64(query.range.first);
  writer.I64(query.range.last);
  writer.I64(query.step_ns);
  writer.F64(query.percentile);
  writer.LengthPrefixed(query.selector);
  writer.Varint(query.by.size());
  for (const std::string& label : query.by) writer.LengthPrefixed(label);
  writer.LengthPrefixed(query.as_of);
}

StatusOr<Query> DecodeQuery(Bytes body) {
  FieldReader reader("QUERY", body);
  Query query;
  query.kind = static_cast<QueryKind>(reader.U8("kind"));
  query.function = static_cast<Function>(reader.U8("function"));
  uint8_t flags = reader.U8("flags");
  if ((flags & ~kGrouped) != 0) reader.Fail("flags", 2, "has an unknown bit");
  query.grouped = (flags & kGrouped) != 0;
  reader.Zeros("reserved", 1);
  query.deadline_ms = reader.U32("deadline");
  query.range.first = reader.I64("first timestamp");
  query.range.last = reader.I64("last timestamp");
  query.step_ns = reader.I64("step");
  query.percentile = reader.F64("percentile");
  query.selector = reader.Text("selector", kSelectorBytesMax);
  uint64_t labels = reader.Varint("count of labels to group by", kByLabelsMax);
  for (uint64_t i = 0; i < labels && reader.ok(); i++) {
    query.by.emplace_back(reader.Text("label to group by", kLabelNameBytesMax));
  }
  query.as_of = reader.Text("snapshot", kTargetNameBytesMax);
  CheckQuery(query, &reader);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return query;
}

void Encode(const LabelsQuery& query, std::string* out) {
  ByteWriter writer(out);
  writer.LengthPrefixed(query.label);
  writer.LengthPrefixed(query.selector);
}

StatusOr<LabelsQuery> DecodeLabels(Bytes body) {
  FieldReader reader("LABELS", body);
  LabelsQuery query;
  query.label = reader.Text("label", kLabelNameBytesMax);
  query.selector = reader.Text("selector", kSelectorBytesMax);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return query;
}

void Encode(const SeriesQuery& query, std::string* out) {
  ByteWriter writer(out);
  writer.U64(query.limit);
  writer.LengthPrefixed(query.selector);
}

StatusOr<SeriesQuery> DecodeSeries(Bytes body) {
  FieldReader reader("SERIES", body);
  SeriesQuery query;
  query.limit = reader.U64("limit");
  query.selector = reader.Text("selector", kSelectorBytesMax);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return query;
}

void Encode(const Credit& credit, std::string* out) {
  ByteWriter writer(out);
  writer.U64(credit.request_id);
  writer.U32(credit.frames);
}

StatusOr<Credit> DecodeCredit(Bytes body) {
  FieldReader reader("CREDIT", body);
  Credit credit;
  credit.request_id = reader.U64("request id");
  credit.frames = reader.U32("frames");
  if (credit.frames == 0 || credit.frames > kCreditMax) {
    reader.Fail("frames", 8, fmt::format("is not within 1 and {}", kCreditMax));
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return credit;
}

void Encode(const ResultEnd& end, std::string* out) {
  ByteWriter writer(out);
  for (uint64_t figure : {end.items, end.samples, end.chunks_decoded, end.chunks_by_statistics,
                          end.layers, end.memtables, end.rollup_layers, end.rollup_buckets}) {
    writer.U64(figure);
  }
}

StatusOr<ResultEnd> DecodeResultEnd(Bytes body) {
  FieldReader reader("RESULT_END", body);
  ResultEnd end;
  end.items = reader.U64("items");
  end.samples = reader.U64("samples");
  end.chunks_decoded = reader.U64("chunks decoded");
  end.chunks_by_statistics = reader.U64("chunks by statistics");
  end.layers = reader.U64("layers");
  end.memtables = reader.U64("memtables");
  end.rollup_layers = reader.U64("rollup layers");
  end.rollup_buckets = reader.U64("rollup buckets");
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return end;
}

void Encode(std::span<const Stat> stats, std::string* out) {
  NEXUS_CHECK(stats.size() <= kStatsMax);
  ByteWriter writer(out);
  writer.Varint(stats.size());
  for (const Stat& stat : stats) {
    writer.LengthPrefixed(stat.name);
    writer.U8(static_cast<uint8_t>(stat.value.index() + 1));
    if (const auto* integer = std::get_if<uint64_t>(&stat.value)) writer.U64(*integer);
    if (const auto* real = std::get_if<double>(&stat.value)) writer.F64(*real);
    if (const auto* text = std::get_if<std::string>(&stat.value)) writer.LengthPrefixed(*text);
  }
}

StatusOr<std::vector<Stat>> DecodeStats(Bytes body) {
  FieldReader reader("STATS_REPLY", body);
  uint64_t count = reader.Varint("count of figures", kStatsMax);
  std::vector<Stat> stats;
  for (uint64_t i = 0; i < count && reader.ok(); i++) {
    Stat stat;
    stat.name = reader.Text("name of a figure", kMessageBytesMax);
    size_t at = reader.position();
    switch (static_cast<StatType>(reader.U8("type of a figure"))) {
      case StatType::kInteger:
        stat.value = reader.U64("figure");
        break;
      case StatType::kReal:
        stat.value = reader.F64("figure");
        break;
      case StatType::kText:
        stat.value = std::string(reader.Text("figure", kMessageBytesMax));
        break;
      default:
        reader.Fail("type of a figure", at, "is unknown");
    }
    stats.push_back(std::move(stat));
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return stats;
}

size_t EncodedBytes(const ResultPart& part) {
  return kPartHeaderBytes + AlignUp(part.labels.size(), 8) + part.timestamps.size() +
         part.values.size();
}

void AppendPart(const ResultPart& part, std::string* out) {
  NEXUS_CHECK(part.timestamps.size() == part.values.size());
  NEXUS_CHECK(part.samples() <= kResultSamplesMax && part.labels.size() <= kCanonicalBytesMax);
  ByteWriter writer(out);
  writer.U64(part.series_index);
  writer.U32(static_cast<uint32_t>(part.samples()));
  writer.U32(static_cast<uint32_t>(part.labels.size()));
  writer.Raw(part.labels);
  writer.Zeros(AlignUp(part.labels.size(), 8) - part.labels.size());
  writer.Raw(part.timestamps);
  writer.Raw(part.values);
}

StatusOr<bool> ResultReader::Next(ResultPart* part) {
  if (reader_.ok() && reader_.remaining() == 0) return false;
  part->series_index = reader_.U64("series index");
  size_t at = reader_.position();
  uint64_t samples = reader_.U32("count of samples");
  if (samples > kResultSamplesMax) reader_.Fail("count of samples", at, "is too large");
  at = reader_.position();
  uint64_t label_bytes = reader_.U32("length of labels");
  if (label_bytes > kCanonicalBytesMax) reader_.Fail("length of labels", at, "is too large");
  at = reader_.position();
  part->labels = AsString(reader_.Take("labels", label_bytes));
  if (!part->labels.empty() && !VisitCanonical(part->labels, [](auto, auto) {})) {
    reader_.Fail("labels", at, "are not in canonical form");
  }
  reader_.Zeros("padding", AlignUp(label_bytes, 8) - label_bytes);
  part->timestamps = reader_.Take("timestamps", 8 * samples);
  part->values = reader_.Take("values", 8 * samples);
  if (!reader_.ok()) return reader_.Finish();
  return true;
}

void AppendString(std::string_view text, std::string* out) { ByteWriter(out).LengthPrefixed(text); }

StatusOr<bool> StringsReader::Next(std::string_view* text) {
  if (reader_.ok() && reader_.remaining() == 0) return false;
  *text = reader_.Text("string", kStringBytesMax);
  if (!reader_.ok()) return reader_.Finish();
  return true;
}

}  // namespace nexus::protocol
