// Ordered bits: doubles of any pattern, as integers in the order of the doubles.
//
// Low zero bits that all values share (floats widened to doubles, dyadic fractions) are cut off the
// magnitudes first; then a set sign bit complements the rest, so integers ascend from -NaN over
// -Inf, -0.0, +0.0, +Inf to NaN and neighbours in value are neighbours as integers. A bijection of
// bits: nothing is an exception.
// Threading: pure functions.

#ifndef NEXUS_LAYER_CODEC_ORDERED_BITS_H_
#define NEXUS_LAYER_CODEC_ORDERED_BITS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace nexus::layer {

inline constexpr unsigned kShiftMax = 62;

// Low zero bits common to all magnitudes, 0..kShiftMax; 0 if all are zero.
unsigned CommonShift(std::span<const double> values);

// REQUIRES: shift <= CommonShift(values).
void ToOrdered(std::span<const double> values, unsigned shift, int64_t* ordered);

// The double of (origin + scale * x[i]). REQUIRES: shift <= kShiftMax.
void FromOrdered(std::span<const uint64_t> x, int64_t origin, uint64_t scale, unsigned shift,
                 double* out);

inline double FromOrdered(int64_t ordered, unsigned shift) {
  const int64_t sign = ordered >> 63;
  const uint64_t magnitude = static_cast<uint64_t>(ordered ^ sign) << shift;
  return std::bit_cast<double>(magnitude | (static_cast<uint64_t>(sign) << 63));
}

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_ORDERED_BITS_H_
