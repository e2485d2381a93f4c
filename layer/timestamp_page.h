// Pages of timestamp columns: each distinct column of the layer once, referenced by its ordinal
// from all chunks that have it.
//
//   payload   columns of timestamps u32, their headers as columns, streams in order
//   headers   count, the ten columns of integer runs (run_columns.h)
// A column is strictly ascending, so its origin is its first timestamp and the greatest its last.
// Failure: Parse gives DataLoss without place; the caller knows the page. Threading: a builder
// belongs to one thread, a parsed page is immutable. Format: docs/format/layer.md.

#ifndef NEXUS_LAYER_TIMESTAMP_PAGE_H_
#define NEXUS_LAYER_TIMESTAMP_PAGE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "layer/codec/integers.h"
#include "layer/column.h"
#include "layer/page.h"
#include "layer/page_cache.h"

namespace nexus::layer {

struct TimestampHeader {
  uint32_t count = 0;
  IntegerRun run;
  uint32_t offset = 0;  // in the page's payload

  TimeRange range() const { return {run.origin, run.At(run.span)}; }
};

class TimestampPageBuilder {
 public:
  bool MustClose(uint32_t page_bytes) const;
  // Encodes a column. REQUIRES: strictly ascending; 1 <= size <= kRunMax.
  void Add(std::span<const int64_t> timestamps);

  bool empty() const { return headers_.empty(); }
  uint32_t size() const { return static_cast<uint32_t>(headers_.size()); }
  std::string Take(ColumnWriter* columns);

 private:
  IntegerEncoder encoder_;
  std::vector<TimestampHeader> headers_;
  std::string bytes_;
};

class TimestampPage final : public CachedPage {
 public:
  static StatusOr<std::shared_ptr<const TimestampPage>> Parse(PageBuffer buffer,
                                                              const PageEntry& entry);

  // The index is into the page.
  const TimestampHeader& header(uint32_t index) const { return headers_[index]; }
  // Decodes header(index).count timestamps. That they ascend from the range's first to its last was
  // seen to by the builder and is checked by the verifier.
  bool Decode(uint32_t index, int64_t* timestamps) const;

  uint64_t charge_bytes() const override;

 private:
  PageBuffer buffer_;
  std::vector<TimestampHeader> headers_;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_TIMESTAMP_PAGE_H_
