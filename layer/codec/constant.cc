// Constant: all integers are equal; no stream at all.

#include <algorithm>

#include "layer/codec/integer_codec.h"

namespace nexus::layer {
namespace {

class Constant final : public IntegerCodec {
 public:
  IntegerCodecId id() const override { return IntegerCodecId::kConstant; }
  std::string_view name() const override { return "constant"; }

  bool Plan(std::span<const uint64_t> x, IntegerScratch*, IntegerPlan* plan) const override {
    uint64_t different = 0;
    for (uint64_t value : x) different |= value ^ x[0];
    if (different != 0) return false;
    IntegerParameters parameters;
    parameters.codec = id();
    parameters.first = x[0];
    *plan = PlanOf(*this, parameters, x.size());
    return true;
  }

  void Encode(std::span<const uint64_t>, const IntegerParameters&, IntegerScratch*,
              std::string*) const override {}

  uint64_t StreamBytes(const IntegerParameters&, size_t) const override { return 0; }

  bool Decode(const IntegerParameters& parameters, Bytes stream, size_t n,
              uint64_t* x) const override {
    std::fill(x, x + n, parameters.first);
    return stream.empty();
  }
};

}  // namespace

const IntegerCodec& ConstantCodec() {
  static const Constant kCodec;
  return kCodec;
}

}  // namespace nexus::layer
