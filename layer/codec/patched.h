// Patched frame of reference: residuals as `base` plus a few bits each, the rare wide ones patched.
//
// Source: Zukowski et al., "Super-scalar RAM-CPU cache compression" (PFOR), ICDE 2006; patches are
// kept apart as in FastPFOR (Lemire and Boytsov, 2015), so that unpacking has no branch.
// Stream: the low `width` bits of each (residual - base), packed; then the patches' positions,
// packed with the bits that n - 1 needs; then the patches' high parts, packed with `patch_width`.
// A high part is signed (zigzag of (residual - base) >> width), so an outlier below the base costs
// no more than one above: counter resets are such.
// All arithmetic wraps modulo 2^64, so every input is representable.
// Failure: decoding untrusted bytes returns false where they contradict themselves.
// Threading: pure functions.

#ifndef NEXUS_LAYER_CODEC_PATCHED_H_
#define NEXUS_LAYER_CODEC_PATCHED_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace nexus::layer {

struct PatchedShape {
  uint64_t base = 0;
  uint8_t width = 0;        // 0..64
  uint8_t patch_width = 0;  // 0..64; 0 without patches
  uint32_t patches = 0;     // at most n

  bool operator==(const PatchedShape&) const = default;
};

// Bytes of the stream, exactly.
uint64_t PatchedBytes(const PatchedShape& shape, uint64_t n);

// The cheapest shape for these residuals by the exact count of bytes.
PatchedShape PlanPatched(const uint64_t* residuals, size_t n);

// Appends the stream. REQUIRES: `shape` was planned for these residuals.
void EncodePatched(const PatchedShape& shape, const uint64_t* residuals, size_t n,
                   std::string* out);

// The residuals. False if the stream's length is not PatchedBytes or a position is out of range.
// REQUIRES: kReadSlackBytes are readable behind the stream; n <= 2^32.
bool DecodePatched(const PatchedShape& shape, Bytes stream, size_t n, uint64_t* out);

// The running sums of the residuals, from `seed`: out[i] = seed + residual 0 + ... + residual i.
bool DecodePatchedSums(const PatchedShape& shape, Bytes stream, size_t n, uint64_t seed,
                       uint64_t* out);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_PATCHED_H_
