// Encoding and decoding. See cardinality.h.

#include "client/protocol/cardinality.h"

#include <fmt/format.h>

#include "base/check.h"
#include "client/protocol/field_reader.h"

namespace nexus::protocol {
namespace {

CardinalityReply::Entry ReadEntry(FieldReader* reader) {
  CardinalityReply::Entry entry;
  entry.name = reader->Text("name", kCardinalityTextBytesMax);
  entry.value = reader->Text("value", kCardinalityTextBytesMax);
  entry.series = reader->Varint("series", UINT64_MAX);
  entry.grown = reader->Varint("grown", UINT64_MAX);
  return entry;
}

}  // namespace

void Encode(const Cardinality& cardinality, std::string* out) {
  ByteWriter writer(out);
  writer.U32(cardinality.top);
}

StatusOr<Cardinality> DecodeCardinality(Bytes body) {
  FieldReader reader("CARDINALITY", body);
  Cardinality cardinality;
  cardinality.top = reader.U32("top");
  if (cardinality.top < 1 || cardinality.top > kCardinalityTopMax) {
    reader.Fail("top", 0, fmt::format("is {}, not 1 to {}", cardinality.top, kCardinalityTopMax));
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return cardinality;
}

void Encode(const CardinalityReply& reply, std::string* out) {
  ByteWriter writer(out);
  writer.U64(reply.series);
  writer.U64(reply.grown);
  writer.U64(reply.metrics);
  writer.U64(reply.labels);
  writer.U64(reply.pairs);
  for (const auto& list : reply.lists) {
    NEXUS_CHECK(list.size() <= kCardinalityTopMax);
    writer.Varint(list.size());
    for (const CardinalityReply::Entry& entry : list) {
      writer.LengthPrefixed(entry.name);
      writer.LengthPrefixed(entry.value);
      writer.Varint(entry.series);
      writer.Varint(entry.grown);
    }
  }
}

StatusOr<CardinalityReply> DecodeCardinalityReply(Bytes body) {
  FieldReader reader("CARDINALITY_REPLY", body);
  CardinalityReply reply;
  reply.series = reader.U64("series");
  reply.grown = reader.U64("grown");
  reply.metrics = reader.U64("metrics");
  reply.labels = reader.U64("labels");
  reply.pairs = reader.U64("pairs");
  for (auto& list : reply.lists) list = reader.List("count", kCardinalityTopMax, ReadEntry);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return reply;
}

}  // namespace nexus::protocol
