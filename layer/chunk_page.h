// Pages of chunks: the headers of consecutive series' chunks as columns, then their bytes.
//
//   payload   chunks u32, columns, bytes of each chunk in order
//   columns   series, timestamps, count, form | flags, exponent, the ten columns of integer runs
//             (run_columns.h), first, last, sum, exceptions
// Chunks stand in order of series, and of time within a series.
// Failure: Parse gives DataLoss without place; the caller knows the page. Threading: a builder
// belongs to one thread, a parsed page is immutable. Format: docs/format/layer.md.

#ifndef NEXUS_LAYER_CHUNK_PAGE_H_
#define NEXUS_LAYER_CHUNK_PAGE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "layer/chunk.h"
#include "layer/column.h"
#include "layer/page.h"
#include "layer/page_cache.h"

namespace nexus::layer {

class ChunkPageBuilder {
 public:
  // True if the chunk does not fit any more into a page of `page_bytes`: take the page first.
  bool MustClose(size_t chunk_bytes, uint32_t page_bytes) const;
  // `header.offset` is set here.
  void Add(ChunkHeader header, std::string_view bytes);

  bool empty() const { return headers_.empty(); }
  uint32_t size() const { return static_cast<uint32_t>(headers_.size()); }
  uint32_t first_series() const { return headers_.front().series; }
  // The payload; the builder is empty afterwards. REQUIRES: not empty.
  std::string Take(ColumnWriter* columns);

 private:
  std::vector<ChunkHeader> headers_;
  std::string bytes_;
};

class ChunkPage final : public CachedPage {
 public:
  // `items` and `first_series` are what the footer says of the page.
  static StatusOr<std::shared_ptr<const ChunkPage>> Parse(PageBuffer buffer,
                                                          const PageEntry& entry);

  std::span<const ChunkHeader> chunks() const { return chunks_; }
  Bytes bytes(const ChunkHeader& chunk) const {
    return buffer_.bytes().subspan(chunk.offset, chunk.bytes);
  }
  // The chunks of a series in this page: [first, second) of chunks().
  std::pair<uint32_t, uint32_t> Find(uint32_t series) const;

  uint64_t charge_bytes() const override;

 private:
  PageBuffer buffer_;
  std::vector<ChunkHeader> chunks_;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CHUNK_PAGE_H_
