// The registry of integer codecs: the ids on disk and who they are; see integer_codec.h.

#include "layer/codec/integer_codec.h"

#include "layer/codec/bitpack.h"

namespace nexus::layer {
namespace {

uint64_t VarintBytes(uint64_t value) { return value == 0 ? 1 : (BitWidth(value) + 6) / 7; }
uint64_t ZigZagBytes(uint64_t wrapped) {
  return VarintBytes(ZigZagEncode(static_cast<int64_t>(wrapped)));
}

// Bytes of the parameters in front of a column.
uint64_t ParameterBytes(const IntegerParameters& parameters) {
  const IntegerCodecId codec = parameters.codec;
  const PatchedShape& residuals = parameters.residuals;
  if (codec == IntegerCodecId::kConstant || codec == IntegerCodecId::kRaw) return 0;
  uint64_t bytes = sizeof(residuals.width);
  if (residuals.base != 0) bytes += ZigZagBytes(residuals.base);
  if (residuals.patches != 0) {
    bytes += VarintBytes(residuals.patches) + sizeof(residuals.patch_width);
  }
  const bool has_first = codec == IntegerCodecId::kDelta || codec == IntegerCodecId::kDeltaOfDelta;
  const bool has_slope = codec == IntegerCodecId::kDeltaOfDelta || codec == IntegerCodecId::kLinear;
  if (has_first) bytes += VarintBytes(parameters.first);
  if (has_slope) bytes += ZigZagBytes(parameters.slope);
  if (codec == IntegerCodecId::kLinear) bytes += sizeof(parameters.fraction);
  return bytes;
}

}  // namespace

IntegerPlan PlanOf(const IntegerCodec& codec, const IntegerParameters& parameters, size_t n) {
  IntegerPlan plan;
  plan.parameters = parameters;
  plan.stream_bytes = codec.StreamBytes(parameters, n);
  plan.cost_bytes = plan.stream_bytes + ParameterBytes(parameters);
  return plan;
}

const IntegerCodec* FindIntegerCodec(uint8_t id) {
  switch (static_cast<IntegerCodecId>(id)) {
    case IntegerCodecId::kConstant:
      return &ConstantCodec();
    case IntegerCodecId::kFrameOfReference:
      return &FrameOfReferenceCodec();
    case IntegerCodecId::kDelta:
      return &DeltaCodec();
    case IntegerCodecId::kDeltaOfDelta:
      return &DeltaOfDeltaCodec();
    case IntegerCodecId::kLinear:
      return &LinearCodec();
    case IntegerCodecId::kRaw:
      return &RawCodec();
  }
  return nullptr;
}

}  // namespace nexus::layer
