// ResolveSelector: from a selector to the series it selects, in label order.
//
// Lists of ids are intersected as far as that is cheap - values spelled out first, smallest list
// first - and once few series are left the rest of the matchers is tried on their labels, which
// have to be fetched anyway. Otherwise expressions walk the values of their label. A matcher that
// the empty string satisfies cannot be looked up; the series that break it are subtracted.
// The result is exactly the series for which Selector::Matches holds.
// Bounds: limits.series_max; ids and labels count against limits.memory_bytes.
// Threading: the query's thread; blocks on the catalog.

#ifndef NEXUS_ENGINE_RESOLVE_H_
#define NEXUS_ENGINE_RESOLVE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/query_guard.h"
#include "engine/selector.h"
#include "engine/series_index.h"

namespace nexus::engine {

// Series in label order (memcmp of their canonical labels), each once. The labels stand in one
// block: 16 bytes a series beside them.
class SeriesList {
 public:
  size_t size() const { return entries_.size(); }
  SeriesId id(size_t i) const { return entries_[i].id; }
  // Valid while the list lives and is not added to.
  std::string_view canonical(size_t i) const {
    return std::string_view(labels_).substr(entries_[i].begin, entries_[i].size);
  }
  uint64_t bytes() const { return entries_.size() * sizeof(Entry) + labels_.size(); }

  void Add(SeriesId id, std::string_view canonical);
  // By labels. Of series with the same ones the highest id stays: the others were forgotten and
  // leave the catalog with its next commit.
  void Sort();

 private:
  struct Entry {
    SeriesId id;
    uint64_t begin : 47;  // in labels_
    uint64_t size : 17;   // kCanonicalBytesMax is 2^16
  };
  std::vector<Entry> entries_;
  std::string labels_;
};

struct ResolveOptions {
  // When no more series than this are left, their labels are read instead of walking the values of
  // further labels. Reading costs about 2 us a series, walking 0.2 us a value, and a label whose
  // values are worth walking has many.
  uint64_t filter_by_labels_max = 1024;
};

// Errors: ResourceExhausted (series_max, memory_bytes), DeadlineExceeded, Cancelled, DataLoss.
// The memory of the list stays reserved with `guard`.
StatusOr<SeriesList> ResolveSelector(SeriesIndex* index, const Selector& selector,
                                     QueryGuard* guard, const ResolveOptions& options = {});

// How many series it selects. Reads no labels where the matchers can all be looked up.
StatusOr<uint64_t> CountSeries(SeriesIndex* index, const Selector& selector, QueryGuard* guard,
                               const ResolveOptions& options = {});

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RESOLVE_H_
