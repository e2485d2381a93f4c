// How a connection begins. See handshake.h.

#include "client/protocol/handshake.h"

#include "base/labels.h"
#include "client/protocol/field_reader.h"

namespace nexus::protocol {
namespace {

void Append(const FeatureWords& features, ByteWriter* out) {
  out->U64(features.incompatible);
  out->U64(features.read_compatible);
  out->U64(features.compatible);
}

FeatureWords ReadFeatures(FieldReader* reader) {
  FeatureWords features;
  features.incompatible = reader->U64("incompatible features");
  features.read_compatible = reader->U64("read-compatible features");
  features.compatible = reader->U64("compatible features");
  return features;
}

void Append(DatabaseId id, ByteWriter* out) {
  out->U64(id.high);
  out->U64(id.low);
}

DatabaseId ReadDatabase(FieldReader* reader) {
  DatabaseId id;
  id.high = reader->U64("database id");
  id.low = reader->U64("database id");
  return id;
}

// Goes to logs and to people.
std::string ReadName(std::string_view field, size_t max, FieldReader* reader) {
  size_t at = reader->position();
  std::string_view text = reader->Text(field, max);
  if (!IsValidUtf8(text)) reader->Fail(field, at, "is not UTF-8");
  return std::string(text);
}

uint32_t ReadLimit(std::string_view field, FieldReader* reader) {
  size_t at = reader->position();
  uint32_t limit = reader->U32(field);
  if (limit == 0) reader->Fail(field, at, "is zero");
  return limit;
}

}  // namespace

void Encode(const Hello& hello, std::string* out) {
  ByteWriter writer(out);
  writer.U32(hello.version);
  writer.U32(0);
  Append(hello.features, &writer);
  Append(hello.expected, &writer);
  writer.LengthPrefixed(hello.client);
}

StatusOr<Hello> DecodeHello(Bytes body) {
  FieldReader reader("HELLO", body);
  Hello hello;
  hello.version = reader.U32("version");
  reader.Zeros("reserved", 4);
  hello.features = ReadFeatures(&reader);
  hello.expected = ReadDatabase(&reader);
  hello.client = ReadName("client name", kClientNameBytesMax, &reader);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return hello;
}

void Encode(const Welcome& welcome, std::string* out) {
  ByteWriter writer(out);
  writer.U32(welcome.version);
  writer.U32(0);
  Append(welcome.features, &writer);
  Append(welcome.database, &writer);
  const ConnectionLimits& limits = welcome.limits;
  for (uint32_t limit : {limits.body_bytes_max, limits.batch_bytes_max, limits.requests_max,
                         limits.series_max, limits.targets_max, limits.idle_timeout_ms}) {
    writer.U32(limit);
  }
  writer.LengthPrefixed(welcome.server);
}

StatusOr<Welcome> DecodeWelcome(Bytes body) {
  FieldReader reader("WELCOME", body);
  Welcome welcome;
  welcome.version = reader.U32("version");
  reader.Zeros("reserved", 4);
  welcome.features = ReadFeatures(&reader);
  welcome.database = ReadDatabase(&reader);
  ConnectionLimits& limits = welcome.limits;
  limits.body_bytes_max = ReadLimit("longest body", &reader);
  limits.batch_bytes_max = ReadLimit("longest batch", &reader);
  limits.requests_max = ReadLimit("most requests", &reader);
  limits.series_max = ReadLimit("most series", &reader);
  limits.targets_max = ReadLimit("most targets", &reader);
  limits.idle_timeout_ms = ReadLimit("idle time", &reader);
  welcome.server = ReadName("server name", kClientNameBytesMax, &reader);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return welcome;
}

void Encode(const OpenTarget& target, std::string* out) {
  ByteWriter writer(out);
  writer.LengthPrefixed(target.tenant);
  writer.LengthPrefixed(target.branch);
}

StatusOr<OpenTarget> DecodeOpenTarget(Bytes body) {
  FieldReader reader("OPEN_TARGET", body);
  OpenTarget target;
  target.tenant = ReadName("tenant", kTargetNameBytesMax, &reader);
  target.branch = ReadName("branch", kTargetNameBytesMax, &reader);
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return target;
}

}  // namespace nexus::protocol
