// Bit packing by one template per width, reached through tables; see bitpack.h.
//
// A group of eight values is unpacked with shifts and offsets that are all constants, 3-5 values a
// nanosecond without SIMD. The tables hold 65 functions each, about 30 KiB of code in all.

#include "layer/codec/bitpack.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace nexus::layer {
namespace {

constexpr unsigned kWidths = 65;
constexpr size_t kGroup = 8;  // values; a group fills exactly `width` bytes

template <unsigned kWidth>
constexpr uint64_t kMask = kWidth == 64 ? ~uint64_t{0} : (uint64_t{1} << (kWidth % 64)) - 1;

// Value kIndex of the group at `group`. The ninth byte is only needed by some places of the widths
// above 57.
template <unsigned kWidth, size_t kIndex>
inline uint64_t Get(const std::byte* group) {
  if constexpr (kWidth == 0) {
    return 0;
  } else {
    constexpr size_t kByte = kIndex * kWidth / 8;
    constexpr unsigned kShift = kIndex * kWidth % 8;
    uint64_t value = LoadUnaligned<uint64_t>(group + kByte) >> kShift;
    if constexpr (kShift + kWidth > 64) {
      value |= static_cast<uint64_t>(group[kByte + 8]) << (64 - kShift);
    }
    return value & kMask<kWidth>;
  }
}

// The same for an index that is not a constant: the up to seven values behind the last whole group.
template <unsigned kWidth>
inline uint64_t GetAt(const std::byte* group, size_t index) {
  if constexpr (kWidth == 0) {
    return 0;
  } else {
    const std::byte* at = group + index * kWidth / 8;
    const unsigned shift = index * kWidth % 8;
    uint64_t value = LoadUnaligned<uint64_t>(at) >> shift;
    if constexpr (kWidth > 57) {
      value |= (static_cast<uint64_t>(at[8]) << 1) << (63 - shift);
    }
    return value & kMask<kWidth>;
  }
}

template <unsigned kWidth>
void Unpack(const std::byte* __restrict stream, size_t n, uint64_t add, uint64_t,
            uint64_t* __restrict out) {
  const size_t whole = n / kGroup * kGroup;
  for (size_t i = 0; i < whole; i += kGroup, stream += kWidth) {
    [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
      ((out[i + kIndex] = add + Get<kWidth, kIndex>(stream)), ...);
    }
    (std::make_index_sequence<kGroup>());
  }
  for (size_t i = whole; i < n; ++i) out[i] = add + GetAt<kWidth>(stream, i - whole);
}

template <unsigned kWidth>
void Sums(const std::byte* __restrict stream, size_t n, uint64_t add, uint64_t seed,
          uint64_t* __restrict out) {
  if constexpr (kWidth == 0) {
    for (size_t i = 0; i < n; ++i) out[i] = seed + (i + 1) * add;
    return;
  }
  const size_t whole = n / kGroup * kGroup;
  uint64_t sum = seed;
  for (size_t i = 0; i < whole; i += kGroup, stream += kWidth) {
    [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
      // Only the last addition of each group waits for the group before it.
      uint64_t within = 0;
      ((within += add + Get<kWidth, kIndex>(stream), out[i + kIndex] = sum + within), ...);
      sum += within;
    }
    (std::make_index_sequence<kGroup>());
  }
  for (size_t i = whole; i < n; ++i) {
    sum += add + GetAt<kWidth>(stream, i - whole);
    out[i] = sum;
  }
}

// The bits of value kIndex that fall into word kWord of its group.
template <unsigned kWidth, size_t kWord, size_t kIndex>
inline uint64_t Part(const uint64_t* values, uint64_t subtract) {
  constexpr int kShift = static_cast<int>(kIndex * kWidth) - static_cast<int>(kWord * 64);
  if constexpr (kShift >= 64 || kShift + static_cast<int>(kWidth) <= 0) {
    return 0;
  } else {
    const uint64_t bits = (values[kIndex] - subtract) & kMask<kWidth>;
    if constexpr (kShift >= 0) {
      return bits << kShift;
    } else {
      return bits >> -kShift;
    }
  }
}

// Word kWord of a group.
template <unsigned kWidth, size_t kWord, size_t... kIndex>
inline uint64_t Word(const uint64_t* values, uint64_t subtract, std::index_sequence<kIndex...>) {
  return (Part<kWidth, kWord, kIndex>(values, subtract) | ...);
}

// Writes a group in whole words; up to seven bytes behind it are overwritten with zeros.
template <unsigned kWidth>
inline void Put(const uint64_t* __restrict values, uint64_t subtract, std::byte* __restrict to) {
  [&]<size_t... kWord>(std::index_sequence<kWord...>) {
    (StoreUnaligned(to + kWord * 8,
                    Word<kWidth, kWord>(values, subtract, std::make_index_sequence<kGroup>())),
     ...);
  }
  (std::make_index_sequence<(kWidth + 7) / 8>());
}

template <unsigned kWidth>
void Pack(const uint64_t* values, size_t n, uint64_t subtract, std::byte* to) {
  const size_t whole = n / kGroup * kGroup;
  for (size_t i = 0; i < whole; i += kGroup, to += kWidth) Put<kWidth>(values + i, subtract, to);
  if (whole == n) return;
  std::array<uint64_t, kGroup> rest;
  rest.fill(subtract);
  std::memcpy(rest.data(), values + whole, (n - whole) * sizeof(uint64_t));
  Put<kWidth>(rest.data(), subtract, to);
}

using UnpackFunction = void (*)(const std::byte*, size_t, uint64_t, uint64_t, uint64_t*);
using PackFunction = void (*)(const uint64_t*, size_t, uint64_t, std::byte*);

template <size_t... kWidth>
constexpr std::array<UnpackFunction, kWidths> UnpackTable(std::index_sequence<kWidth...>) {
  return {&Unpack<kWidth>...};
}
template <size_t... kWidth>
constexpr std::array<UnpackFunction, kWidths> SumsTable(std::index_sequence<kWidth...>) {
  return {&Sums<kWidth>...};
}
template <size_t... kWidth>
constexpr std::array<PackFunction, kWidths> PackTable(std::index_sequence<kWidth...>) {
  return {&Pack<kWidth>...};
}

constexpr auto kUnpack = UnpackTable(std::make_index_sequence<kWidths>());
constexpr auto kSums = SumsTable(std::make_index_sequence<kWidths>());
constexpr auto kPack = PackTable(std::make_index_sequence<kWidths>());

}  // namespace

void PackBits(const uint64_t* values, size_t n, unsigned width, uint64_t subtract,
              std::string* out) {
  NEXUS_CHECK(width < kWidths);
  const size_t at = out->size();
  const size_t bytes = PackedBytes(n, width);
  // A group is written in whole words.
  out->resize(at + AlignUp(n, kGroup) / kGroup * width + sizeof(uint64_t));
  kPack[width](values, n, subtract, reinterpret_cast<std::byte*>(out->data()) + at);
  out->resize(at + bytes);
}

void UnpackBits(const std::byte* stream, size_t n, unsigned width, uint64_t add, uint64_t* out) {
  NEXUS_CHECK(width < kWidths);
  kUnpack[width](stream, n, add, 0, out);
}

void UnpackSums(const std::byte* stream, size_t n, unsigned width, uint64_t add, uint64_t seed,
                uint64_t* out) {
  NEXUS_CHECK(width < kWidths);
  kSums[width](stream, n, add, seed, out);
}

}  // namespace nexus::layer
