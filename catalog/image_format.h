// The bytes of an image file: a header, then the seven sections in the order of their numbers.
//
// Header, 128 bytes:
//    0  magic "NXIMAGE\n"        8  version u32      12  sections u32
//   16  features: incompatible u64, 24 read-only u64, 32 compatible u64
//   40  database id: high u64, low u64
//   56  lsn u64    64  open count u64    72  next series id u64    80  file bytes u64
//   88  reserved, 32 zero bytes
//  120  XXH3-64 of bytes 0..119
// Section, 32 bytes and a body:
//    0  kind u32    4  reserved u32, zero    8  records u64    16  body bytes u64
//   24  XXH3-64 of bytes 0..23 and the body, seeded with the header's hash
//   32  the records, one after another (record_codec.h), ascending by key
// Format: docs/format/catalog.md.

#ifndef NEXUS_CATALOG_IMAGE_FORMAT_H_
#define NEXUS_CATALOG_IMAGE_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nexus::catalog {

inline constexpr std::string_view kImageMagic = "NXIMAGE\n";
inline constexpr uint32_t kImageVersion = 0;
inline constexpr size_t kImageHeaderBytes = 128;
inline constexpr size_t kImageHeaderHashAt = 120;
inline constexpr size_t kImageReservedBytes = 32;
inline constexpr size_t kImageSectionHeaderBytes = 32;
inline constexpr size_t kImageSectionHashAt = 24;

enum class ImageSection : uint32_t {
  kTenants = 1,
  kBranches = 2,
  kLayers = 3,
  kSettings = 4,
  kProducers = 5,
  kUnlayered = 6,
  kTombstones = 7,
};
inline constexpr uint32_t kImageSections = 7;

static_assert(8 + 4 + 4 + 3 * 8 + 2 * 8 + 4 * 8 + kImageReservedBytes == kImageHeaderHashAt);
static_assert(kImageHeaderHashAt + 8 == kImageHeaderBytes);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_IMAGE_FORMAT_H_
