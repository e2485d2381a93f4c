// The bytes of a layer file: fixed sizes, offsets, ids and limits. Written up, with a worked
// example, in docs/format/layer.md.
//
//   file    header (128 bytes) page* footer tail (64 bytes)
//   page    page header (48 bytes) payload
//
// All integers little-endian. Version 0: any change is allowed until the first tagged release;
// tests/layer/golden_test.cc catches accidental ones.

#ifndef NEXUS_LAYER_FORMAT_H_
#define NEXUS_LAYER_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nexus::layer {

inline constexpr std::string_view kHeaderMagic = "NXSLAYER";
inline constexpr std::string_view kTailMagic = "NXSLTAIL";
inline constexpr uint32_t kFormatVersion = 0;

// Feature words: a bit that this version does not know in `incompatible` forbids reading the file,
// one in `read_only_compatible` forbids writing beside it (a layer is never written to, so readers
// ignore it), one in `compatible` forbids nothing.
inline constexpr uint64_t kKnownIncompatibleFeatures = 0;

// Header, at offset 0. Magic, version, features and hash keep their places in all versions.
inline constexpr size_t kHeaderBytes = 128;
//   0 magic[8]   8 version u32   12 header bytes u32
//   16 incompatible u64   24 read-only compatible u64   32 compatible u64
//   40 database id high u64, low u64   56 tenant u32   60 branch u32   64 identity seed u64
//   72 open count u64   80 sequence u64   88 reserved zeros[32]
//   120 XXH3 of bytes 0..119 u64
inline constexpr size_t kHeaderIdentityOffset = 40;  // bytes 40..87 are hashed to the layer's seed
inline constexpr size_t kHeaderReservedOffset = 88;
inline constexpr size_t kHeaderHashOffset = 120;

// Tail, the last bytes of the file.
inline constexpr size_t kTailBytes = 64;
//   0 magic[8]   8 file bytes u64   16 footer offset u64   24 footer bytes u32   28 reserved u32
//   32 footer hash u64 (seed: the layer's)   40 reserved zeros[16]
//   56 XXH3 of bytes 0..55 u64 (seed: the layer's)
inline constexpr size_t kTailHashOffset = 56;

// Page header.
inline constexpr size_t kPageHeaderBytes = 48;
//   0 XXH3 of bytes 8..end u64 (seed: layer's and page number)   8 page bytes u32
//   12 page number u32   16 kind u8   17 transform u8   18 reserved u16
//   20 payload bytes before the transform u32   24 nonce[16] (zeros)   40 reserved zeros[8]

enum class PageKind : uint8_t {
  kChunks = 1,      // chunk headers as columns, value streams
  kTimestamps = 2,  // timestamp columns: headers as columns, streams
  kSeries = 3,      // ids and front-coded labels, in label order
  kIds = 4,         // ids ascending, with the series' places in label order
};
inline constexpr int kPageKinds = 4;

enum class PageTransform : uint8_t {
  kNone = 0,
  kZstd = 1,  // the payload is one zstd frame
};

// Pages are at most this large, also after undoing the transform: the largest is a series page,
// closed at 512 KiB of labels of at most 64 KiB each, with its columns. A page of chunks is at most
// 64 KiB unless one chunk alone is larger (8192 raw doubles are 64 KiB).
inline constexpr uint32_t kPageBytesDefault = 64 << 10;
inline constexpr uint32_t kPageBytesMax = 1 << 20;
inline constexpr uint32_t kSeriesPageLabelBytes = 512 << 10;
// Items of a page. Headers of a page are decoded together, about 150 bytes each in memory.
inline constexpr uint32_t kChunksPerPageMax = 1024;
inline constexpr uint32_t kTimestampColumnsPerPageMax = 1024;
inline constexpr uint32_t kSeriesPerPageMax = 8192;
inline constexpr uint32_t kIdsPerPageMax = 1024;

// Timestamp columns remembered for sharing. 65,536 hosts whose series come metric by metric are
// 65,536 columns between the first use and the next; an entry takes about 60 bytes.
inline constexpr size_t kSharedColumnsMax = 65536;

// The chunk column "form": the value form in the low four bits, and what statistics stand in front
// of the chunk's stream because its integers cannot tell them.
inline constexpr uint64_t kFormMask = 0x0f;
inline constexpr uint64_t kExplicitStatistics = 0x10;  // extremes, first, last, counts: 38 bytes
inline constexpr uint64_t kExplicitSum = 0x20;         // high and low: 16 bytes
inline constexpr size_t kExplicitStatisticsBytes = 38;
inline constexpr size_t kExplicitSumBytes = 16;

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_FORMAT_H_
