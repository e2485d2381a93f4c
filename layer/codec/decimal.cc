// Decimal mantissas: blocks of 64 values without a branch, looked at again one by one only if one
// of them is no decimal; see decimal.h.

#include "layer/codec/decimal.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nexus::layer {
namespace {

constexpr size_t kBlock = 64;
// 1.5 * 2^52: adding it to a number below 2^51 leaves the nearest integer in the low bits.
constexpr double kRounder = 6755399441055744.0;
constexpr int64_t kRounderBits = std::bit_cast<int64_t>(kRounder);
constexpr int64_t kLimitBits = std::bit_cast<int64_t>(static_cast<double>(kMantissaLimit));
constexpr int64_t kMagnitude = ~(int64_t{1} << 63);

struct Decimal {
  int64_t mantissa;
  int64_t wrong;  // 0, or not a decimal of this exponent: the sign bit or any other may be set
};

template <bool kInteger>
inline Decimal Convert(double value, double power) {
  const double shifted = (kInteger ? value : value * power) + kRounder;
  const double whole = shifted - kRounder;
  const double back = kInteger ? whole : whole / power;
  const int64_t differs = std::bit_cast<int64_t>(back) ^ std::bit_cast<int64_t>(value);
  // Negative if |whole| >= 2^51, also for NaN and infinities: their bits are above.
  const int64_t too_large = (kLimitBits - 1 - (std::bit_cast<int64_t>(whole) & kMagnitude)) >> 63;
  // Modulo 2^64: a value far out of range is no mantissa, but must not overflow either.
  const uint64_t mantissa = std::bit_cast<uint64_t>(shifted) - static_cast<uint64_t>(kRounderBits);
  return {static_cast<int64_t>(mantissa), differs | too_large};
}

// Nonzero if any of the block is not a decimal. Without branches, so that it vectorises.
template <bool kInteger>
int64_t ConvertBlock(const double* values, double power, int64_t* mantissas) {
  int64_t wrong = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const Decimal decimal = Convert<kInteger>(values[i], power);
    mantissas[i] = decimal.mantissa;
    wrong |= decimal.wrong;
  }
  return wrong;
}

template <bool kInteger>
bool ToMantissasImpl(std::span<const double> values, double power, size_t exceptions_max,
                     int64_t* mantissas, std::vector<uint64_t>* exceptions) {
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, values.size());
    if (end - begin == kBlock &&
        ConvertBlock<kInteger>(values.data() + begin, power, mantissas + begin) == 0) {
      continue;
    }
    for (size_t i = begin; i < end; ++i) {
      const Decimal decimal = Convert<kInteger>(values[i], power);
      mantissas[i] = decimal.mantissa;
      if (decimal.wrong == 0) continue;
      mantissas[i] = i == 0 ? 0 : mantissas[i - 1];
      exceptions->push_back(i);
    }
    if (exceptions->size() > exceptions_max) return false;
  }
  return true;
}

template <bool kScaled, bool kInteger>
void FromMantissasImpl(std::span<const uint64_t> x, int64_t origin, uint64_t scale, double power,
                       double* __restrict out) {
  const uint64_t* __restrict from = x.data();
  // The mantissa is below 2^51 if the bytes are right, and anything if they are not.
  const auto lifted = static_cast<uint64_t>(origin) + static_cast<uint64_t>(kRounderBits);
  const size_t n = x.size();
  for (size_t i = 0; i < n; ++i) {
    const uint64_t bits = lifted + (kScaled ? scale * from[i] : from[i]);
    const double whole = std::bit_cast<double>(bits) - kRounder;
    out[i] = kInteger ? whole : whole / power;
  }
}

}  // namespace

bool ToMantissas(std::span<const double> values, unsigned exponent, size_t exceptions_max,
                 int64_t* mantissas, std::vector<uint64_t>* exceptions) {
  exceptions->clear();
  const double power = kPowersOfTen[exponent];
  return exponent == 0
             ? ToMantissasImpl<true>(values, power, exceptions_max, mantissas, exceptions)
             : ToMantissasImpl<false>(values, power, exceptions_max, mantissas, exceptions);
}

void FromMantissas(std::span<const uint64_t> x, int64_t origin, uint64_t scale, unsigned exponent,
                   double* out) {
  const double power = kPowersOfTen[exponent];
  if (scale == 1) {
    return exponent == 0 ? FromMantissasImpl<false, true>(x, origin, scale, power, out)
                         : FromMantissasImpl<false, false>(x, origin, scale, power, out);
  }
  return exponent == 0 ? FromMantissasImpl<true, true>(x, origin, scale, power, out)
                       : FromMantissasImpl<true, false>(x, origin, scale, power, out);
}

unsigned FindExponent(std::span<const double> values, size_t samples) {
  constexpr size_t kSamplesMax = 64;
  std::array<double, kSamplesMax> sample;
  const size_t wanted = std::min({samples, kSamplesMax, values.size()});
  size_t count = 0;
  for (size_t i = 0; i < wanted; ++i) {
    const double value = values[i * values.size() / wanted];
    if (std::isfinite(value)) sample[count++] = value;
  }
  unsigned best = kNotDecimal;
  size_t fewest = count / 2 + 1;
  if (count == 0) return kNotDecimal;
  for (unsigned exponent = 0; exponent <= kExponentMax && fewest > 0; ++exponent) {
    size_t wrong = 0;
    for (size_t i = 0; i < count && wrong < fewest; ++i) {
      const Decimal decimal = Convert<false>(sample[i], kPowersOfTen[exponent]);
      wrong += static_cast<size_t>(decimal.wrong != 0);
    }
    if (wrong >= fewest) continue;
    fewest = wrong;
    best = exponent;
  }
  return best;
}

}  // namespace nexus::layer
