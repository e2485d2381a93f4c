// The footer: what the layer holds in sum, what it was made of, and where its pages are.
//
//   footer     level u32; resolution u64, columns u32; order low: timeline u32, lsn u64; order
//   high: the same;
//              deletes applied u64 (an LSN);
//              first timestamp i64, last i64; series u64, samples u64, chunks u64,
//              timestamp columns u64;
//              inputs varint, (open count varint, sequence varint) each;
//              pages u32, then for each run of up to 8192 pages the columns kind, bytes, items,
//              key, checksum
// Pages stand in the file in the order of their numbers, without gaps, from the header to the
// footer; so their offsets are sums of their sizes.
// Failure: Parse gives DataLoss. Threading: values. Format: docs/format/layer.md.

#ifndef NEXUS_LAYER_FOOTER_H_
#define NEXUS_LAYER_FOOTER_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "layer/file_header.h"
#include "layer/format.h"
#include "layer/layer.h"
#include "layer/page.h"

namespace nexus::layer {

struct Footer {
  // All of it but file_bytes and footer_hash, which the tail knows; the identity's fields that the
  // header has are taken from there.
  LayerSummary summary;
  uint64_t timestamp_columns = 0;
  std::vector<PageEntry> pages;

  // Numbers of the pages of a kind, in order.
  const std::vector<uint32_t>& OfKind(PageKind kind) const {
    return of_kind[static_cast<size_t>(kind) - 1];
  }
  std::array<std::vector<uint32_t>, kPageKinds> of_kind;
};

std::string EncodeFooter(const Footer& footer);

// REQUIRES: kReadSlackBytes are readable behind `bytes`.
StatusOr<Footer> ParseFooter(Bytes bytes, const FileHeader& header, const FileTail& tail);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_FOOTER_H_
