// Choice of base and width for residuals, and their patches; see patched.h.
//
// The width is chosen from a histogram of the widths of the distances from the base, which gives
// the exact cost of all 65 widths at once. Two bases are tried: the least residual, and, where that
// is an outlier, the least of the bulk.

#include "layer/codec/patched.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "layer/codec/bitpack.h"
#include "layer/codec/extremes.h"

namespace nexus::layer {
namespace {

// Values by the width of their distance from the base; distances below the base count as 64.
using WidthCounts = std::array<uint32_t, 65>;

// The largest distance that is still one as a signed number.
constexpr uint64_t kDistanceMax = ~uint64_t{0} >> 1;

unsigned PositionWidth(uint64_t n) { return n == 0 ? 0 : BitWidth(n - 1); }

// Where no distance is negative, one shift makes room for a bit that stands for zero: 2d + 1 has
// one bit more than d, and 0 needs no case of its own.
template <bool kMayBeNegative>
WidthCounts CountWidthsImpl(const uint64_t* residuals, size_t n, uint64_t base) {
  // Four tables, so that runs of equal widths do not wait for their own stores.
  constexpr size_t kTables = 4;
  std::array<WidthCounts, kTables> tables{};
  auto count = [&](size_t table, uint64_t residual) {
    const uint64_t distance = residual - base;
    const unsigned width = kMayBeNegative
                               ? BitWidth(distance)
                               : 63U - static_cast<unsigned>(std::countl_zero(2 * distance + 1));
    ++tables[table][width];
  };
  size_t i = 0;
  for (; i + kTables <= n; i += kTables) {
    for (size_t table = 0; table < kTables; ++table) count(table, residuals[i + table]);
  }
  for (; i < n; ++i) count(0, residuals[i]);
  WidthCounts counts = tables[0];
  for (size_t table = 1; table < kTables; ++table) {
    for (size_t w = 0; w < counts.size(); ++w) counts[w] += tables[table][w];
  }
  return counts;
}

WidthCounts CountWidths(const uint64_t* residuals, size_t n, uint64_t base, Extremes extremes) {
  const bool none_negative = static_cast<uint64_t>(extremes.low) == base &&
                             static_cast<uint64_t>(extremes.high) - base <= kDistanceMax;
  return none_negative ? CountWidthsImpl<false>(residuals, n, base)
                       : CountWidthsImpl<true>(residuals, n, base);
}

// The best width for a base, given the counts and the extremes of the residuals.
PatchedShape BestWidth(const WidthCounts& counts, Extremes extremes, uint64_t base, uint64_t n) {
  // Widths of the largest distance above the base, and of the largest below it.
  const auto above = static_cast<int64_t>(static_cast<uint64_t>(extremes.high) - base);
  const auto below = static_cast<int64_t>(static_cast<uint64_t>(extremes.low) - base);
  const unsigned below_width = below < 0 ? BitWidth(~static_cast<uint64_t>(below)) : 0;
  const unsigned above_width =
      above >= 0 ? BitWidth(static_cast<uint64_t>(above)) : 64;  // the distance overflowed
  PatchedShape best;
  uint64_t best_bytes = ~uint64_t{0};
  uint32_t wider = counts[64];  // patches with the present width
  for (unsigned width = 64;; --width) {
    PatchedShape shape;
    shape.base = base;
    shape.width = static_cast<uint8_t>(width);
    shape.patches = width == 64 ? 0 : wider;
    if (shape.patches != 0) {
      const unsigned high = std::max(above_width, below_width);
      shape.patch_width =
          static_cast<uint8_t>(std::min(64U, (high > width ? high - width : 0) + 1));
    }
    const uint64_t bytes = PatchedBytes(shape, n);
    if (bytes <= best_bytes) {
      best_bytes = bytes;
      best = shape;
    }
    if (width == 0) return best;
    if (width != 64) wider += counts[width];
  }
}

// A base that leaves low outliers below it: the least residual that is not far under the bulk, as a
// sample sees the bulk; `low`, the least of all, if nothing is far under it.
uint64_t BaseOfBulk(const uint64_t* residuals, size_t n, int64_t low) {
  constexpr size_t kSamples = 16;
  std::array<int64_t, kSamples> sample;
  for (size_t i = 0; i < kSamples; ++i) {
    sample[i] = static_cast<int64_t>(residuals[i * n / kSamples]);
  }
  std::sort(sample.begin(), sample.end());
  const int64_t bulk_low = sample[kSamples / 8];
  const int64_t bulk_high = sample[kSamples - 1 - kSamples / 8];
  int64_t spread = 0;
  int64_t bound = 0;
  if (__builtin_sub_overflow(bulk_high, bulk_low, &spread) ||
      __builtin_mul_overflow(spread, 2, &spread) ||
      __builtin_sub_overflow(bulk_low, spread, &bound) || bound <= low) {
    return static_cast<uint64_t>(low);
  }
  int64_t base = bulk_low;
  for (size_t i = 0; i < n; ++i) {
    const auto value = static_cast<int64_t>(residuals[i]);
    base = std::min(base, value < bound ? base : value);
  }
  return static_cast<uint64_t>(base);
}

bool IsShapeSane(const PatchedShape& shape, Bytes stream, size_t n) {
  return shape.width <= 64 && shape.patch_width <= 64 && shape.patches <= n &&
         stream.size() == PatchedBytes(shape, n);
}

// Adds the patches' high parts to the unpacked low parts.
bool ApplyPatches(const PatchedShape& shape, Bytes stream, size_t n, uint64_t* out) {
  const std::byte* positions = stream.data() + PackedBytes(n, shape.width);
  const unsigned position_width = PositionWidth(n);
  const std::byte* highs = positions + PackedBytes(shape.patches, position_width);
  // In runs that fit on the stack.
  constexpr uint32_t kRun = 64;
  std::array<uint64_t, kRun> position;
  std::array<uint64_t, kRun> high;
  for (uint32_t done = 0; done < shape.patches; done += kRun) {
    const uint32_t count = std::min(kRun, shape.patches - done);
    // 64 values of any width fill whole bytes, so each run starts at one.
    UnpackBits(positions + PackedBytes(done, position_width), count, position_width, 0,
               position.data());
    UnpackBits(highs + PackedBytes(done, shape.patch_width), count, shape.patch_width, 0,
               high.data());
    for (uint32_t i = 0; i < count; ++i) {
      if (position[i] >= n) return false;
      if (shape.width < 64) {
        out[position[i]] += static_cast<uint64_t>(ZigZagDecode(high[i])) << shape.width;
      }
    }
  }
  return true;
}

}  // namespace

uint64_t PatchedBytes(const PatchedShape& shape, uint64_t n) {
  return PackedBytes(n, shape.width) + PackedBytes(shape.patches, PositionWidth(n)) +
         PackedBytes(shape.patches, shape.patch_width);
}

PatchedShape PlanPatched(const uint64_t* residuals, size_t n) {
  if (n == 0) return {};
  const Extremes extremes = FindExtremes({reinterpret_cast<const int64_t*>(residuals), n});
  const auto low = static_cast<uint64_t>(extremes.low);
  if (extremes.low == extremes.high) return {.base = low};
  const WidthCounts counts = CountWidths(residuals, n, low, extremes);
  const PatchedShape best = BestWidth(counts, extremes, low, n);
  // Where the lower quarter of the frame is nearly empty, the least residual is an outlier.
  uint64_t lower_quarter = 0;
  for (unsigned w = 0; w + 2 <= best.width; ++w) lower_quarter += counts[w];
  if (lower_quarter >= n / 32 && best.width >= 2) return best;
  // Signed distances from any base within the frame must not wrap.
  if (static_cast<uint64_t>(extremes.high) - low > kDistanceMax) return best;
  const uint64_t base = BaseOfBulk(residuals, n, extremes.low);
  if (base == low) return best;
  const PatchedShape robust =
      BestWidth(CountWidths(residuals, n, base, extremes), extremes, base, n);
  return PatchedBytes(robust, n) < PatchedBytes(best, n) ? robust : best;
}

void EncodePatched(const PatchedShape& shape, const uint64_t* residuals, size_t n,
                   std::string* out) {
  PackBits(residuals, n, shape.width, shape.base, out);
  if (shape.patches == 0) return;
  // One place more than there are patches: each value is written as if it were one, and the next
  // overwrites it if it was not.
  std::vector<uint64_t> positions(shape.patches + 1);
  std::vector<uint64_t> highs(shape.patches + 1);
  const uint64_t mask = (uint64_t{1} << shape.width) - 1;  // patches only exist below 64
  size_t count = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t distance = residuals[i] - shape.base;
    positions[count] = i;
    highs[count] = distance;
    count += static_cast<size_t>(distance > mask);
  }
  NEXUS_CHECK(count == shape.patches);
  for (uint64_t& high : highs) {
    high = ZigZagEncode(static_cast<int64_t>(high) >> shape.width);
  }
  PackBits(positions.data(), count, PositionWidth(n), 0, out);
  PackBits(highs.data(), count, shape.patch_width, 0, out);
}

bool DecodePatched(const PatchedShape& shape, Bytes stream, size_t n, uint64_t* out) {
  if (!IsShapeSane(shape, stream, n)) return false;
  UnpackBits(stream.data(), n, shape.width, shape.base, out);
  return shape.patches == 0 || ApplyPatches(shape, stream, n, out);
}

bool DecodePatchedSums(const PatchedShape& shape, Bytes stream, size_t n, uint64_t seed,
                       uint64_t* out) {
  if (!IsShapeSane(shape, stream, n)) return false;
  if (shape.patches == 0) {
    UnpackSums(stream.data(), n, shape.width, shape.base, seed, out);
    return true;
  }
  UnpackBits(stream.data(), n, shape.width, shape.base, out);
  if (!ApplyPatches(shape, stream, n, out)) return false;
  uint64_t sum = seed;
  for (size_t i = 0; i < n; ++i) out[i] = sum += out[i];
  return true;
}

}  // namespace nexus::layer
