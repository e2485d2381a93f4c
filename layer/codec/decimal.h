// Decimal mantissas: doubles that are short decimals, as integers m with value = m / 10^e.
//
// The quotient of two exactly representable numbers is rounded once, so m / 10^e gives the very
// double that parsing the decimal text gives: every decimal of up to 15 digits comes back exactly,
// with no table of reciprocals and no question of fused operations. (m * 10^-e is wrong for one in
// five decimals; ALP's two multiplications - Afroozeh et al., "ALP: adaptive lossless
// floating-point compression", SIGMOD 2023 - for up to one in four on wide ranges.) A value is
// taken only if its quotient has its very bits, so -0.0, NaN, infinities and values of more digits
// are exceptions. |m| < 2^51 lets one addition of 1.5 * 2^52 round to an integer and convert it.
// Needs -ffp-contract=off. Threading: pure functions.

#ifndef NEXUS_LAYER_CODEC_DECIMAL_H_
#define NEXUS_LAYER_CODEC_DECIMAL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nexus::layer {

// 10^22 is the largest power of ten that is a double.
inline constexpr unsigned kExponentMax = 22;
inline constexpr std::array<double, kExponentMax + 1> kPowersOfTen = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline constexpr int64_t kMantissaLimit = int64_t{1} << 51;

// Writes the mantissas of `values` for an exponent, and the positions of the exceptions, which get
// the mantissa before them (0 at the start), so that they cost a delta of 0. Gives up and returns
// false as soon as there are more than `exceptions_max`. REQUIRES: exponent <= kExponentMax;
// mantissas has values.size() places.
bool ToMantissas(std::span<const double> values, unsigned exponent, size_t exceptions_max,
                 int64_t* mantissas, std::vector<uint64_t>* exceptions);

// out[i] = (origin + scale * x[i]) / 10^exponent. REQUIRES: exponent <= kExponentMax.
void FromMantissas(std::span<const uint64_t> x, int64_t origin, uint64_t scale, unsigned exponent,
                   double* out);
inline double FromMantissa(int64_t mantissa, unsigned exponent) {
  return static_cast<double>(mantissa) / kPowersOfTen[exponent];
}

// The smallest exponent under which the most of up to `samples` of the finite values are decimals;
// kNotDecimal if for half of them none is.
inline constexpr unsigned kNotDecimal = 255;
unsigned FindExponent(std::span<const double> values, size_t samples);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_DECIMAL_H_
