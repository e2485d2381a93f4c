// Linear: each integer as its distance from a straight line, packed and patched.
//
// Right for scraped timestamps: a steady tick with jitter. The line is y(i) = (i * slope) >>
// fraction, and the residuals' own base lifts it to the least residual, so the line is a fit and
// not tied to the first timestamp (which may itself be late). Two slopes are tried: the median
// step, right for a clock that ticks exactly, and the mean step in fixed point, right for one that
// drifts.

#include <algorithm>

#include "layer/codec/integer_codec.h"

namespace nexus::layer {
namespace {

constexpr unsigned kFractionMax = 16;
// i * slope must not wrap for i < kRunMax = 2^13: the line would still decode, but not fit.
constexpr uint64_t kSlopeMax = (uint64_t{1} << 50) - 1;

class Linear final : public IntegerCodec {
 public:
  IntegerCodecId id() const override { return IntegerCodecId::kLinear; }
  std::string_view name() const override { return "linear"; }

  bool Plan(std::span<const uint64_t> x, IntegerScratch* scratch,
            IntegerPlan* plan) const override {
    if (x.size() < 3) return false;
    bool found = Try(x, MedianStep(x), 0, scratch, plan);
    // The mean step, with as many fractional bits as fit. A falling run has none.
    const uint64_t rise = x.back() - x.front();
    const uint64_t steps = x.size() - 1;
    const uint64_t whole = rise / steps;
    if (whole > kSlopeMax) return found;
    const unsigned fraction =
        std::min<unsigned>(kFractionMax, static_cast<unsigned>(std::countl_zero(whole | 1)) - 14);
    const uint64_t slope = (whole << fraction) + ((rise % steps) << fraction) / steps;
    IntegerPlan other;
    if (Try(x, slope, fraction, scratch, &other) &&
        (!found || other.cost_bytes < plan->cost_bytes)) {
      *plan = other;
      found = true;
    }
    return found;
  }

  void Encode(std::span<const uint64_t> x, const IntegerParameters& parameters,
              IntegerScratch* scratch, std::string* out) const override {
    Subtract(x, parameters.slope, parameters.fraction, scratch);
    EncodePatched(parameters.residuals, scratch->residuals.data(), x.size(), out);
  }

  uint64_t StreamBytes(const IntegerParameters& parameters, size_t n) const override {
    return PatchedBytes(parameters.residuals, n);
  }

  bool Decode(const IntegerParameters& parameters, Bytes stream, size_t n,
              uint64_t* x) const override {
    if (parameters.fraction > kFractionMax) return false;
    if (!DecodePatched(parameters.residuals, stream, n, x)) return false;
    uint64_t line = 0;
    for (size_t i = 0; i < n; ++i, line += parameters.slope) x[i] += line >> parameters.fraction;
    return true;
  }

 private:
  bool Try(std::span<const uint64_t> x, uint64_t slope, unsigned fraction, IntegerScratch* scratch,
           IntegerPlan* plan) const {
    Subtract(x, slope, fraction, scratch);
    IntegerParameters parameters;
    parameters.codec = id();
    parameters.first = x[0];
    parameters.slope = slope;
    parameters.fraction = static_cast<uint8_t>(fraction);
    parameters.residuals = PlanPatched(scratch->residuals.data(), x.size());
    *plan = PlanOf(*this, parameters, x.size());
    return true;
  }

  static uint64_t MedianStep(std::span<const uint64_t> x) {
    constexpr size_t kSamples = 33;
    std::array<uint64_t, kSamples> steps;
    const size_t count = std::min(kSamples, x.size() - 1);
    for (size_t i = 0; i < count; ++i) {
      const size_t at = 1 + i * (x.size() - 1) / count;
      steps[i] = x[at] - x[at - 1];
    }
    std::nth_element(steps.begin(), steps.begin() + count / 2, steps.begin() + count);
    return steps[count / 2];
  }

  static void Subtract(std::span<const uint64_t> x, uint64_t slope, unsigned fraction,
                       IntegerScratch* scratch) {
    const uint64_t* __restrict from = x.data();
    uint64_t* __restrict residuals = scratch->residuals.data();
    const size_t n = x.size();
    uint64_t line = 0;
    for (size_t i = 0; i < n; ++i, line += slope) {
      residuals[i] = from[i] - (line >> fraction);
    }
  }
};

}  // namespace

const IntegerCodec& LinearCodec() {
  static const Linear kCodec;
  return kCodec;
}

}  // namespace nexus::layer
