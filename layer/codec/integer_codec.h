// IntegerCodec: one way of writing a run of integers - the interface behind which every codec
// stands - and the registry of those this version knows.
//
// A codec turns n integers x (unsigned, modulo 2^64) into parameters, which the page keeps as
// columns over its chunks, and a byte stream. What a run costs is known exactly before it is
// written, and the cheapest codec wins (codec/integers.h). Ids are on disk and never re-used; a
// reader that meets an id it does not know refuses the chunk by name.
// Failure: Decode returns false where parameters and stream contradict each other; no parameters
// and no bytes make it read outside the stream (and its slack) or write outside `x`.
// Threading: codecs are stateless singletons; an IntegerScratch belongs to one thread.
// Format: docs/format/layer.md, "Integer codecs".

#ifndef NEXUS_LAYER_CODEC_INTEGER_CODEC_H_
#define NEXUS_LAYER_CODEC_INTEGER_CODEC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "layer/codec/patched.h"

namespace nexus::layer {

// The most integers of one run.
inline constexpr size_t kRunMax = 8192;

enum class IntegerCodecId : uint8_t {
  kConstant = 0,
  kFrameOfReference = 1,
  kDelta = 2,
  kDeltaOfDelta = 3,
  kLinear = 4,
  kRaw = 5,
};
inline constexpr unsigned kIntegerCodecs = 6;

// What a decoder needs beside the stream. `first` is x[0] with every codec, also those that do not
// need it: chunks take their first value from it. Anything else that a codec does not use is zero.
struct IntegerParameters {
  IntegerCodecId codec = IntegerCodecId::kConstant;
  PatchedShape residuals;
  uint64_t first = 0;  // x[0]
  uint64_t slope = 0;  // delta-of-delta: x[1] - x[0]; linear: rise a step in units of 1/2^fraction
  uint8_t fraction = 0;  // linear: 0..kFractionMax

  bool operator==(const IntegerParameters&) const = default;
};

struct IntegerPlan {
  IntegerParameters parameters;
  uint64_t stream_bytes = 0;
  // The stream, and what the parameters take in front of a column (layer/column.h). In a page's
  // columns over many chunks they take less; what is small there is small here.
  uint64_t cost_bytes = 0;
};

// Room for the residuals of one run.
struct IntegerScratch {
  std::array<uint64_t, kRunMax> residuals;
};

class IntegerCodec {
 public:
  virtual ~IntegerCodec() = default;
  virtual IntegerCodecId id() const = 0;
  virtual std::string_view name() const = 0;

  // Finds the best parameters for `x`; false if this codec cannot hold it. REQUIRES: 1 <= x.size()
  // <= kRunMax.
  virtual bool Plan(std::span<const uint64_t> x, IntegerScratch* scratch,
                    IntegerPlan* plan) const = 0;
  // Appends the stream. REQUIRES: `parameters` were planned for `x`.
  virtual void Encode(std::span<const uint64_t> x, const IntegerParameters& parameters,
                      IntegerScratch* scratch, std::string* out) const = 0;
  // Length of the stream of n integers.
  virtual uint64_t StreamBytes(const IntegerParameters& parameters, size_t n) const = 0;
  // REQUIRES: 1 <= n <= kRunMax; kReadSlackBytes are readable behind the stream.
  virtual bool Decode(const IntegerParameters& parameters, Bytes stream, size_t n,
                      uint64_t* x) const = 0;
};

// A plan with its costs.
IntegerPlan PlanOf(const IntegerCodec& codec, const IntegerParameters& parameters, size_t n);

// Null if no codec has this id.
const IntegerCodec* FindIntegerCodec(uint8_t id);

// The codecs, each in its own file.
const IntegerCodec& ConstantCodec();
const IntegerCodec& FrameOfReferenceCodec();
const IntegerCodec& DeltaCodec();
const IntegerCodec& DeltaOfDeltaCodec();
const IntegerCodec& LinearCodec();
const IntegerCodec& RawCodec();

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_INTEGER_CODEC_H_
