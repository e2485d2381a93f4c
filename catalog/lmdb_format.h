// The bytes of LMDB 0.9's file, as far as a verifier must know them: 64-bit, little-endian, no
// DUPSORT (which is what Debian's library writes for the catalog).
//
// file    = meta page 0 | meta page 1 | pages
// page    = number u64 | pad u16 | flags u16 | lower u16 | upper u16 | offsets of nodes u16 * n |
// free
//           | nodes, from `upper` to the end of the page; n = (lower - 16) / 2
//           An overflow page has its count of pages, u32, in place of lower and upper.
// node    = low u16 | high u16 | flags u16 | key bytes u16 | key | value
//           Leaf: low and high are the value's length. Branch: low, high, flags are the child's
//           page number, and there is no value.
// meta    = (behind the page header) magic u32 | version u32 | address u64 | map bytes u64
//           | record of the free pages' tree | record of the named trees' tree | last page u64
//           | transaction u64
// record  = pad u32 | flags u16 | depth u16 | branch, leaf, overflow pages u64 | entries u64 | root
// u64 Threading: constants and pure functions.

#ifndef NEXUS_CATALOG_LMDB_FORMAT_H_
#define NEXUS_CATALOG_LMDB_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace nexus::catalog::lmdb {

inline constexpr size_t kPageHeaderBytes = 16;
inline constexpr size_t kPageFlagsAt = 10;
inline constexpr size_t kPageLowerAt = 12;
inline constexpr size_t kPageUpperAt = 14;
inline constexpr size_t kOverflowPagesAt = 12;
inline constexpr size_t kNodeHeaderBytes = 8;

inline constexpr uint16_t kBranchPage = 0x01;
inline constexpr uint16_t kLeafPage = 0x02;
inline constexpr uint16_t kOverflowPage = 0x04;
inline constexpr uint16_t kMetaPage = 0x08;

inline constexpr uint16_t kBigData = 0x01;  // node: the value is the number of its overflow page
inline constexpr uint16_t kSubData = 0x02;  // node: the value is a tree's record

inline constexpr size_t kMetaPages = 2;
inline constexpr uint32_t kMetaMagic = 0xBEEFC0DE;
inline constexpr uint32_t kMetaVersion = 1;
inline constexpr size_t kMetaVersionAt = 4;
inline constexpr size_t kMetaFreeTreeAt = 24;
inline constexpr size_t kTreeRecordBytes = 48;
inline constexpr size_t kMetaMainTreeAt = kMetaFreeTreeAt + kTreeRecordBytes;
inline constexpr size_t kMetaLastPageAt = kMetaMainTreeAt + kTreeRecordBytes;
inline constexpr size_t kMetaTransactionAt = kMetaLastPageAt + 8;
inline constexpr size_t kMetaBytes = kMetaTransactionAt + 8;

inline constexpr uint64_t kNoPage = ~uint64_t{0};  // the root of an empty tree
inline constexpr int kDepthMax = 32;               // LMDB's own bound of a cursor's stack

struct TreeRecord {
  uint16_t flags = 0;
  uint16_t depth = 0;
  uint64_t branch_pages = 0;
  uint64_t leaf_pages = 0;
  uint64_t overflow_pages = 0;
  uint64_t entries = 0;
  uint64_t root = kNoPage;

  uint64_t pages() const { return branch_pages + leaf_pages + overflow_pages; }
  bool operator==(const TreeRecord&) const = default;
};

// REQUIRES: kTreeRecordBytes at `bytes`.
inline TreeRecord ReadTreeRecord(const char* bytes) {
  TreeRecord record;
  record.flags = LoadUnaligned<uint16_t>(bytes + 4);
  record.depth = LoadUnaligned<uint16_t>(bytes + 6);
  record.branch_pages = LoadUnaligned<uint64_t>(bytes + 8);
  record.leaf_pages = LoadUnaligned<uint64_t>(bytes + 16);
  record.overflow_pages = LoadUnaligned<uint64_t>(bytes + 24);
  record.entries = LoadUnaligned<uint64_t>(bytes + 32);
  record.root = LoadUnaligned<uint64_t>(bytes + 40);
  return record;
}

}  // namespace nexus::catalog::lmdb

#endif  // NEXUS_CATALOG_LMDB_FORMAT_H_
