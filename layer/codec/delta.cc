// Delta: each integer as its difference from the one before, packed and patched.
//
// Right for random walks and counters; a counter's reset is one patch. Evenly spaced timestamps are
// deltas of width 0: no stream at all.

#include <algorithm>

#include "layer/codec/integer_codec.h"

namespace nexus::layer {
namespace {

class Delta final : public IntegerCodec {
 public:
  IntegerCodecId id() const override { return IntegerCodecId::kDelta; }
  std::string_view name() const override { return "delta"; }

  bool Plan(std::span<const uint64_t> x, IntegerScratch* scratch,
            IntegerPlan* plan) const override {
    Subtract(x, scratch);
    IntegerParameters parameters;
    parameters.codec = id();
    parameters.first = x[0];
    parameters.residuals = PlanPatched(scratch->residuals.data(), x.size() - 1);
    *plan = PlanOf(*this, parameters, x.size());
    return true;
  }

  void Encode(std::span<const uint64_t> x, const IntegerParameters& parameters,
              IntegerScratch* scratch, std::string* out) const override {
    Subtract(x, scratch);
    EncodePatched(parameters.residuals, scratch->residuals.data(), x.size() - 1, out);
  }

  uint64_t StreamBytes(const IntegerParameters& parameters, size_t n) const override {
    return PatchedBytes(parameters.residuals, n - 1);
  }

  bool Decode(const IntegerParameters& parameters, Bytes stream, size_t n,
              uint64_t* x) const override {
    x[0] = parameters.first;
    return DecodePatchedSums(parameters.residuals, stream, n - 1, parameters.first, x + 1);
  }

 private:
  static void Subtract(std::span<const uint64_t> x, IntegerScratch* scratch) {
    const uint64_t* __restrict from = x.data();
    uint64_t* __restrict residuals = scratch->residuals.data();
    const size_t n = x.size();
    for (size_t i = 1; i < n; ++i) residuals[i - 1] = from[i] - from[i - 1];
  }
};

}  // namespace

const IntegerCodec& DeltaCodec() {
  static const Delta kCodec;
  return kCodec;
}

}  // namespace nexus::layer
