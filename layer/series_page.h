// Pages of series in label order, and pages of their ids: who is in the layer, both ways round.
//
//   series    series u32, columns: id, shared, rest; then the labels: of each series the bytes that
//             follow the `shared` first ones of the label before (front coding), `rest` of them
//   ids       ids u32, columns: id (ascending), place in label order
// A page of series is compressed with zstd: series of one metric differ by their hosts, and the
// hosts' labels come again with each metric.
// Failure: Parse gives DataLoss without place; the caller knows the page. Threading: a builder
// belongs to one thread, a parsed page is immutable. Format: docs/format/layer.md.

#ifndef NEXUS_LAYER_SERIES_PAGE_H_
#define NEXUS_LAYER_SERIES_PAGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "layer/column.h"
#include "layer/page.h"
#include "layer/page_cache.h"

namespace nexus::layer {

class SeriesPageBuilder {
 public:
  // True if another series of such labels must go to the next page. `page_bytes` only matters below
  // kSeriesPageLabelBytes: tests ask for small pages.
  bool MustClose(uint32_t page_bytes) const;
  void Add(std::string_view labels, SeriesId id);

  bool empty() const { return ids_.empty(); }
  uint32_t size() const { return static_cast<uint32_t>(ids_.size()); }
  std::string Take(ColumnWriter* columns);

 private:
  std::vector<uint64_t> ids_;
  std::vector<uint64_t> shared_;
  std::vector<uint64_t> rest_;
  std::string labels_;
  std::string previous_;
};

class SeriesPage {
 public:
  static StatusOr<std::shared_ptr<const SeriesPage>> Parse(PageBuffer buffer,
                                                           const PageEntry& entry);

  uint32_t size() const { return static_cast<uint32_t>(ids_.size()); }
  SeriesId id(uint32_t index) const { return {ids_[index]}; }
  // Turns the labels of series index - 1 (anything if index is 0) into those of series index.
  void Advance(uint32_t index, std::string* labels) const;

  uint64_t memory_bytes() const;
  // The series from `first` on as a page of their own, as many as take `memory_bytes_max`, at least
  // one. `labels` are those of series `first`.
  std::shared_ptr<const SeriesPage> Part(uint32_t first, std::string_view labels,
                                         uint64_t memory_bytes_max) const;

 private:
  // Memory a series takes beside its labels.
  static constexpr uint64_t kSeriesBytes = sizeof(uint64_t) + 2 * sizeof(uint32_t);

  PageBuffer buffer_;
  std::vector<uint64_t> ids_;
  std::vector<uint32_t> shared_;
  std::vector<uint32_t> ends_;  // of the rests, in labels_
  std::string_view labels_;
};

// Ids ascend over all pages of ids together.
struct IdPlace {
  uint64_t id = 0;
  uint32_t place = 0;
};

// The payload of a page of ids. REQUIRES: 1 <= ids.size() <= kIdsPerPageMax.
std::string EncodeIdPage(std::span<const IdPlace> ids, ColumnWriter* columns);

class IdPage final : public CachedPage {
 public:
  static StatusOr<std::shared_ptr<const IdPage>> Parse(PageBuffer buffer, const PageEntry& entry);

  std::optional<uint32_t> Find(SeriesId id) const;
  SeriesId last() const { return {ids_.back()}; }

  uint64_t charge_bytes() const override;

 private:
  std::vector<uint64_t> ids_;
  std::vector<uint64_t> places_;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_SERIES_PAGE_H_
