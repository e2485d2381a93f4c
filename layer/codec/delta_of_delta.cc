// Delta of delta: each difference as its change from the difference before, packed and patched.
//
// Right for smooth counters and for timestamps whose step drifts. Source: Pelkonen et al.,
// "Gorilla: a fast, scalable, in-memory time series database", VLDB 2015 (their bit classes are
// replaced by one width and patches).

#include <algorithm>

#include "layer/codec/integer_codec.h"

namespace nexus::layer {
namespace {

class DeltaOfDelta final : public IntegerCodec {
 public:
  IntegerCodecId id() const override { return IntegerCodecId::kDeltaOfDelta; }
  std::string_view name() const override { return "delta of delta"; }

  bool Plan(std::span<const uint64_t> x, IntegerScratch* scratch,
            IntegerPlan* plan) const override {
    if (x.size() < 2) return false;
    Subtract(x, scratch);
    IntegerParameters parameters;
    parameters.codec = id();
    parameters.first = x[0];
    parameters.slope = x[1] - x[0];
    parameters.residuals = PlanPatched(scratch->residuals.data(), x.size() - 2);
    *plan = PlanOf(*this, parameters, x.size());
    return true;
  }

  void Encode(std::span<const uint64_t> x, const IntegerParameters& parameters,
              IntegerScratch* scratch, std::string* out) const override {
    Subtract(x, scratch);
    EncodePatched(parameters.residuals, scratch->residuals.data(), x.size() - 2, out);
  }

  uint64_t StreamBytes(const IntegerParameters& parameters, size_t n) const override {
    return PatchedBytes(parameters.residuals, n < 2 ? 0 : n - 2);
  }

  bool Decode(const IntegerParameters& parameters, Bytes stream, size_t n,
              uint64_t* x) const override {
    if (n < 2) return false;
    x[0] = parameters.first;
    x[1] = parameters.first + parameters.slope;
    if (!DecodePatched(parameters.residuals, stream, n - 2, x + 2)) return false;
    uint64_t value = x[1];
    uint64_t difference = parameters.slope;
    for (size_t i = 2; i < n; ++i) {
      difference += x[i];
      x[i] = value += difference;
    }
    return true;
  }

 private:
  static void Subtract(std::span<const uint64_t> x, IntegerScratch* scratch) {
    const uint64_t* __restrict from = x.data();
    uint64_t* __restrict residuals = scratch->residuals.data();
    const size_t n = x.size();
    for (size_t i = 2; i < n; ++i) {
      residuals[i - 2] = (from[i] - from[i - 1]) - (from[i - 1] - from[i - 2]);
    }
  }
};

}  // namespace

const IntegerCodec& DeltaOfDeltaCodec() {
  static const DeltaOfDelta kCodec;
  return kCodec;
}

}  // namespace nexus::layer
