// Ordered bits: plain loops that vectorise; see ordered_bits.h.

#include "layer/codec/ordered_bits.h"

#include <algorithm>

namespace nexus::layer {
namespace {
constexpr uint64_t kMagnitude = ~uint64_t{0} >> 1;
}

unsigned CommonShift(std::span<const double> values) {
  uint64_t used = 0;
  for (double value : values) used |= std::bit_cast<uint64_t>(value);
  used &= kMagnitude;
  return used == 0 ? 0 : std::min(kShiftMax, static_cast<unsigned>(std::countr_zero(used)));
}

void ToOrdered(std::span<const double> values, unsigned shift, int64_t* ordered) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto bits = std::bit_cast<int64_t>(values[i]);
    const auto magnitude =
        static_cast<int64_t>((static_cast<uint64_t>(bits) & kMagnitude) >> shift);
    ordered[i] = magnitude ^ (bits >> 63);
  }
}

void FromOrdered(std::span<const uint64_t> x, int64_t origin, uint64_t scale, unsigned shift,
                 double* out) {
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = FromOrdered(static_cast<int64_t>(static_cast<uint64_t>(origin) + scale * x[i]), shift);
  }
}

}  // namespace nexus::layer
