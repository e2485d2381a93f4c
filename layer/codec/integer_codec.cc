// The registry of integer codecs: the ids on disk and who they are; see integer_codec.h.

#include "layer/codec/integer_codec.h"

namespace nexus::layer {

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
