// SeriesIndex: which series of one tenant have which labels, as one read sees it.
//
// It is the union of what the catalog has committed and what the version's delta has applied
// (catalog_index.h). It may contain series younger than the version: they have no samples in it, so
// no query shows them. A cursor resolves its selector once and lets the index go at once, because
// an open read of the catalog keeps LMDB from re-using pages.
//
// Errors of all calls: DataLoss, a damaged catalog value. Threading: one thread, the one that made
// it; calls block on page faults of the catalog's map.

#ifndef NEXUS_ENGINE_SERIES_INDEX_H_
#define NEXUS_ENGINE_SERIES_INDEX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/series_set.h"

namespace nexus::engine {

class SeriesIndex {
 public:
  virtual ~SeriesIndex() = default;

  virtual StatusOr<catalog::SeriesSet> AllSeries() = 0;

  // The series whose label `name` has the value `value` (not empty). The metric name is the label
  // __name__.
  virtual StatusOr<catalog::SeriesSet> Postings(std::string_view name, std::string_view value) = 0;

  // The series that have the label `name` with a value that `accept` takes. `accept` gives the same
  // answer each time it is asked about a value and calls nothing of the index.
  virtual StatusOr<catalog::SeriesSet> PostingsWhere(
      std::string_view name, absl::FunctionRef<bool(std::string_view value)> accept) = 0;

  // Sorted, each once; __name__ among the names. ResourceExhausted beyond `limit` values.
  virtual StatusOr<std::vector<std::string>> LabelNames() = 0;
  virtual StatusOr<std::vector<std::string>> LabelValues(std::string_view name, uint64_t limit) = 0;

  // The canonical labels (base/labels.h) of a series. NotFound if there is none of this id.
  virtual StatusOr<std::string> Canonical(SeriesId series) = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SERIES_INDEX_H_
