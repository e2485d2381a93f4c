// Frame of reference: each integer as its distance from a base, packed and patched.
//
// Right for values that jump about within a range. Source: Goldstein et al., "Compressing relations
// and indexes", ICDE 1998.

#include "layer/codec/integer_codec.h"

namespace nexus::layer {
namespace {

class FrameOfReference final : public IntegerCodec {
 public:
  IntegerCodecId id() const override { return IntegerCodecId::kFrameOfReference; }
  std::string_view name() const override { return "frame of reference"; }

  bool Plan(std::span<const uint64_t> x, IntegerScratch*, IntegerPlan* plan) const override {
    IntegerParameters parameters;
    parameters.codec = id();
    parameters.first = x[0];
    parameters.residuals = PlanPatched(x.data(), x.size());
    *plan = PlanOf(*this, parameters, x.size());
    return true;
  }

  void Encode(std::span<const uint64_t> x, const IntegerParameters& parameters, IntegerScratch*,
              std::string* out) const override {
    EncodePatched(parameters.residuals, x.data(), x.size(), out);
  }

  uint64_t StreamBytes(const IntegerParameters& parameters, size_t n) const override {
    return PatchedBytes(parameters.residuals, n);
  }

  bool Decode(const IntegerParameters& parameters, Bytes stream, size_t n,
              uint64_t* x) const override {
    return DecodePatched(parameters.residuals, stream, n, x);
  }
};

}  // namespace

const IntegerCodec& FrameOfReferenceCodec() {
  static const FrameOfReference kCodec;
  return kCodec;
}

}  // namespace nexus::layer
