// Posting blocks: up to 900 ascending series ids, in the smallest of three encodings.
//
//   encoding u8 | body
//   0 deltas   varint (id - previous id - 1) for each id after the first
//   1 bitmap   bit i: id first + i; bit 0 is set, the last byte is not zero
//   2 runs     varint (length - 1), then pairs of varint (gap - 1), varint (length - 1)
//
// The first id stands in the key, not in the block. Series that come together get neighbouring ids,
// so runs are what a label like `host` gives; bitmaps are what a metric name gives.
// How it fails: decoding rejects whatever an encoder would not have written as a set of at most 900
// ascending ids. Threading: pure functions. Format: docs/format/catalog.md.

#ifndef NEXUS_CATALOG_POSTING_BLOCK_H_
#define NEXUS_CATALOG_POSTING_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::catalog {

// Appends one block of as many of the first ids of `ids` as fit; returns how many, at least 1.
// REQUIRES: ids is ascending, without repetition, and not empty.
size_t EncodePostingBlock(std::span<const uint64_t> ids, std::string* out);

// Whether all of them fit into one block.
bool FitsPostingBlock(std::span<const uint64_t> ids);

// Appends the ids of a block whose first id is `first`, ascending. False if it is malformed; `ids`
// is then as before.
bool DecodePostingBlock(uint64_t first, std::string_view payload, std::vector<uint64_t>* ids);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_POSTING_BLOCK_H_
