// Columns with inline parameters; see column.h.

#include "layer/column.h"

#include <algorithm>

namespace nexus::layer {
namespace {

constexpr uint8_t kCodecMask = 0x0f;
constexpr uint8_t kHasScale = 0x10;
constexpr uint8_t kHasPatches = 0x20;
constexpr uint8_t kHasBase = 0x40;
constexpr uint8_t kUnknownBits = 0x80;

bool HasResiduals(IntegerCodecId codec) {
  return codec != IntegerCodecId::kConstant && codec != IntegerCodecId::kRaw;
}
bool HasFirst(IntegerCodecId codec) {
  return codec == IntegerCodecId::kDelta || codec == IntegerCodecId::kDeltaOfDelta;
}
bool HasSlope(IntegerCodecId codec) {
  return codec == IntegerCodecId::kDeltaOfDelta || codec == IntegerCodecId::kLinear;
}

uint64_t ZigZag(uint64_t wrapped) { return ZigZagEncode(static_cast<int64_t>(wrapped)); }

void WriteParameters(const IntegerRun& run, ByteWriter* writer) {
  const IntegerParameters& parameters = run.parameters;
  const PatchedShape& residuals = parameters.residuals;
  auto tag = static_cast<uint8_t>(parameters.codec);
  if (run.scale != 1) tag |= kHasScale;
  if (residuals.patches != 0) tag |= kHasPatches;
  if (residuals.base != 0) tag |= kHasBase;
  writer->U8(tag);
  writer->Varint(ZigZagEncode(run.origin));
  if (run.scale != 1) writer->Varint(run.scale);
  if (HasResiduals(parameters.codec)) {
    writer->U8(residuals.width);
    if (residuals.base != 0) writer->Varint(ZigZag(residuals.base));
    if (residuals.patches != 0) {
      writer->Varint(residuals.patches);
      writer->U8(residuals.patch_width);
    }
  }
  if (HasFirst(parameters.codec)) writer->Varint(parameters.first);
  if (HasSlope(parameters.codec)) writer->Varint(ZigZag(parameters.slope));
  if (parameters.codec == IntegerCodecId::kLinear) writer->U8(parameters.fraction);
}

IntegerRun ReadParameters(ByteReader* reader) {
  IntegerRun run;
  IntegerParameters& parameters = run.parameters;
  PatchedShape& residuals = parameters.residuals;
  const uint8_t tag = reader->U8();
  parameters.codec = static_cast<IntegerCodecId>(tag & kCodecMask);
  const bool residual_bits = (tag & (kHasPatches | kHasBase)) != 0;
  const bool has_residuals = HasResiduals(parameters.codec);
  if ((tag & kUnknownBits) != 0 || (residual_bits && !has_residuals)) reader->Fail();
  run.origin = ZigZagDecode(reader->Varint());
  if ((tag & kHasScale) != 0) run.scale = reader->Varint();
  if (has_residuals) {
    residuals.width = reader->U8();
    if ((tag & kHasBase) != 0) {
      residuals.base = static_cast<uint64_t>(ZigZagDecode(reader->Varint()));
    }
    if ((tag & kHasPatches) != 0) {
      // More than the column has values is refused by the codec.
      const uint64_t patches = reader->Varint();
      residuals.patches = static_cast<uint32_t>(std::min<uint64_t>(patches, kRunMax + 1));
      residuals.patch_width = reader->U8();
    }
  }
  if (HasFirst(parameters.codec)) parameters.first = reader->Varint();
  if (HasSlope(parameters.codec)) {
    parameters.slope = static_cast<uint64_t>(ZigZagDecode(reader->Varint()));
  }
  if (parameters.codec == IntegerCodecId::kLinear) parameters.fraction = reader->U8();
  return run;
}

}  // namespace

void ColumnWriter::Write(std::span<const int64_t> values, std::string* out) {
  const IntegerRun run = encoder_.Plan(values);
  ByteWriter writer(out);
  WriteParameters(run, &writer);
  encoder_.Encode(run, out);
}

void ColumnWriter::Write(std::span<const uint64_t> values, std::string* out) {
  // The same bits: runs cover the whole range modulo 2^64.
  Write(std::span<const int64_t>(reinterpret_cast<const int64_t*>(values.data()), values.size()),
        out);
}

bool ReadColumn(ByteReader* reader, std::span<int64_t> values) {
  const IntegerRun run = ReadParameters(reader);
  const IntegerCodec* codec = FindIntegerCodec(static_cast<uint8_t>(run.parameters.codec));
  if (codec == nullptr) reader->Fail();
  if (!reader->ok()) return false;
  const Bytes stream = reader->Take(codec->StreamBytes(run.parameters, values.size()));
  if (reader->ok() && !DecodeRunValues(run, stream, values.size(), values.data())) reader->Fail();
  return reader->ok();
}

bool ReadColumn(ByteReader* reader, std::span<uint64_t> values) {
  return ReadColumn(reader,
                    std::span<int64_t>(reinterpret_cast<int64_t*>(values.data()), values.size()));
}

}  // namespace nexus::layer
