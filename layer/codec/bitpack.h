// Dense bit packing: n values of `width` bits one after another, low bits first, no padding but to
// the whole byte at the end.
//
// Value i stands at bits [i * width, (i + 1) * width) of the stream, bit k of the stream is bit k %
// 8 of byte k / 8: natural time order, so a decoder needs nothing but the width. Eight values fill
// exactly `width` bytes, so one template per width has every shift as a constant (the "horizontal"
// layout that CODECS.md measured as fast as transposed ones).
// Failure: none; any bytes decode to some values. Reads run up to kReadSlackBytes past the stream.
// Threading: pure functions.

#ifndef NEXUS_LAYER_CODEC_BITPACK_H_
#define NEXUS_LAYER_CODEC_BITPACK_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

namespace nexus::layer {

// Bytes that must be readable behind any stream of bits: a value is fetched with one load of eight
// bytes and one of a ninth.
inline constexpr size_t kReadSlackBytes = 64;

constexpr uint64_t PackedBytes(uint64_t n, unsigned width) { return (n * width + 7) / 8; }

// Bits needed to write `value`: 0 for 0. One subtraction more than lzcnt, but without a branch on
// machines that have only bsr (x86-64-v2), where a branch on random small values costs 2.4 times.
constexpr unsigned BitWidth(uint64_t value) {
  return 64U - static_cast<unsigned>(std::countl_zero(value | 1)) -
         static_cast<unsigned>(value == 0);
}

// Appends the low `width` bits of each (value - subtract) to `out`. REQUIRES: width <= 64.
void PackBits(const uint64_t* values, size_t n, unsigned width, uint64_t subtract,
              std::string* out);

// out[i] = add + value i.
void UnpackBits(const std::byte* stream, size_t n, unsigned width, uint64_t add, uint64_t* out);

// out[i] = seed + sum over j <= i of (add + value j): unpacking and prefix sum in one pass.
void UnpackSums(const std::byte* stream, size_t n, unsigned width, uint64_t add, uint64_t seed,
                uint64_t* out);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_BITPACK_H_
