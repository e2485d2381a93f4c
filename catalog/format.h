// The catalog's bytes on disk: LMDB's named trees, their keys, and the frame of every value.
//
// Keys are big-endian, so that LMDB's memcmp order is the order of the numbers. Every value is
//   checksum u64 | payload
// where the checksum is XXH3-64 of the payload, seeded with XXH3-64 of (tree number, key): a value
// under another key or in another tree does not pass. Numbers in payloads are little-endian.
// Format: docs/format/catalog.md.

#ifndef NEXUS_CATALOG_FORMAT_H_
#define NEXUS_CATALOG_FORMAT_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/types.h"
#include "catalog/records.h"

namespace nexus::catalog {

inline constexpr std::string_view kCatalogMagic = "NXCATLG\n";
inline constexpr uint32_t kCatalogVersion = 0;
inline constexpr uint64_t kKnownIncompatibleFeatures = 0;
inline constexpr uint64_t kKnownReadOnlyFeatures = 0;

// LMDB's named databases. The number seeds checksums, so it never changes.
enum class Tree : uint32_t {
  kMeta = 1,         // "catalog" -> meta record
  kTenants = 2,      // tenant u32
  kBranches = 3,     // tenant u32, branch u32
  kSettings = 4,     // the name
  kLayers = 5,       // tenant u32, branch u32, open count u64, sequence u64
  kSeries = 6,       // tenant u32, series id u64 -> identity, symbols
  kSymbols = 7,      // tenant u32, symbol u32 -> the string
  kSymbolIds = 8,    // tenant u32, identity of the string 16 B -> symbol u32
  kPostings = 9,     // tenant u32, name u32, value u32, first id u64 -> block of ids
  kProducers = 10,   // tenant u32, branch u32, producer u64[2]
  kUnlayered = 11,   // tenant u32, series id u64 -> nothing
  kTombstones = 12,  // tenant u32, branch u32, timeline u32, lsn u64
};
inline constexpr size_t kTrees = 12;

inline constexpr std::array<const char*, kTrees> kTreeNames = {
    "meta",    "tenants",    "branches", "settings",  "layers",    "series",
    "symbols", "symbol_ids", "postings", "producers", "unlayered", "tombstones"};

inline constexpr size_t IndexOf(Tree tree) { return static_cast<size_t>(tree) - 1; }
inline constexpr const char* NameOf(Tree tree) { return kTreeNames[IndexOf(tree)]; }

inline constexpr std::string_view kMetaKey = "catalog";
inline constexpr size_t kMetaReservedBytes = 40;

// A string of labels within a tenant: names and values alike. Ascending from 1 in the order of
// their first use.
using Symbol = uint32_t;

// LMDB keeps a value in its leaf if node header (8), key and value have at most 2,038 bytes; longer
// ones go to overflow pages of their own. Only symbols of more than about 2 KB do.
inline constexpr size_t kPostingBlockIdsMax = 900;
inline constexpr size_t kPostingBlockBytesMax = 1'990;  // payload
inline constexpr size_t kChecksumBytes = 8;
inline constexpr size_t kPostingKeyBytes = 20;
static_assert(8 + kPostingKeyBytes + kChecksumBytes + kPostingBlockBytesMax <= 2'038);

// A key of fixed-width fields, built front to back.
class Key {
 public:
  Key& U32(uint32_t v) { return Append(__builtin_bswap32(v)); }
  Key& U64(uint64_t v) { return Append(__builtin_bswap64(v)); }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  template <typename T>
  Key& Append(T big_endian) {
    std::memcpy(bytes_.data() + size_, &big_endian, sizeof(T));
    size_ += sizeof(T);
    return *this;
  }
  std::array<char, 24> bytes_;
  size_t size_ = 0;
};

// Fields of a key, front to back. Past the end it yields zeros and latches.
class KeyReader {
 public:
  explicit KeyReader(std::string_view key) : reader_(key) {}
  uint32_t U32() { return __builtin_bswap32(reader_.U32()); }
  uint64_t U64() { return __builtin_bswap64(reader_.U64()); }
  // True if the key had exactly the fields that were read.
  bool complete() const { return reader_.ok() && reader_.done(); }

 private:
  ByteReader reader_;
};

inline Key TenantKey(TenantId tenant) { return Key().U32(tenant.value); }
inline Key BranchKey(TenantId tenant, BranchId branch) {
  return Key().U32(tenant.value).U32(branch.value);
}
inline Key KeyOfLayer(const LayerKey& layer) {
  return Key()
      .U32(layer.tenant.value)
      .U32(layer.branch.value)
      .U64(layer.open_count)
      .U64(layer.sequence);
}
inline Key KeyOfProducer(const ProducerKey& producer) {
  return Key()
      .U32(producer.tenant.value)
      .U32(producer.branch.value)
      .U64(producer.id.high)
      .U64(producer.id.low);
}
inline Key KeyOfTombstone(const TombstoneKey& tombstone) {
  return Key()
      .U32(tombstone.tenant.value)
      .U32(tombstone.branch.value)
      .U32(tombstone.order.timeline)
      .U64(tombstone.order.lsn.value);
}
inline Key SeriesKey(TenantId tenant, SeriesId id) { return Key().U32(tenant.value).U64(id.value); }
inline Key SymbolKey(TenantId tenant, Symbol symbol) { return Key().U32(tenant.value).U32(symbol); }
inline Key SymbolIdKey(TenantId tenant, Hash128 identity) {
  return Key().U32(tenant.value).U64(identity.high).U64(identity.low);
}
inline Key PostingKey(TenantId tenant, Symbol name, Symbol value, SeriesId first) {
  return Key().U32(tenant.value).U32(name).U32(value).U64(first.value);
}
static_assert(kPostingKeyBytes == 4 + 4 + 4 + 8);

inline uint64_t ValueChecksum(Tree tree, std::string_view key, std::string_view payload) {
  uint64_t seed = XxHash64(AsBytes(key), static_cast<uint64_t>(tree));
  return XxHash64(AsBytes(payload), seed);
}

// Identity of a label string within its tenant: seeded, so that nobody outside can build two
// strings that share it.
inline Hash128 SymbolIdentity(uint64_t identity_seed, std::string_view string) {
  return XxHash128(AsBytes(string), identity_seed);
}

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_FORMAT_H_
