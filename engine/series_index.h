// SeriesIndex: which series of one tenant have which labels, as one read sees it.
//
// It is the union of what the catalog has committed and what the version's delta has applied. It
// may contain series younger than the version: they have no samples in it, so no query shows them.
// A cursor resolves its selector once and lets the index go at once, because an open read of the
// catalog keeps LMDB from re-using pages.
//
// Errors of all calls: DataLoss, a damaged catalog value. Threading: one thread, the one that made
// it; calls block on page faults of the catalog's map.

#ifndef NEXUS_ENGINE_SERIES_INDEX_H_
#define NEXUS_ENGINE_SERIES_INDEX_H_

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "base/types.h"
#include "roaring/roaring64map.hh"

namespace nexus::engine {

class SeriesIndex {
 public:
  virtual ~SeriesIndex() = default;

  // Adds the ids of all series.
  virtual Status AddAll(Roaring64Map* ids) = 0;

  // Adds the ids of the series whose label `name` has the value `value` (not empty). The metric
  // name is the label __name__.
  virtual Status AddPostings(std::string_view name, std::string_view value, Roaring64Map* ids) = 0;

  // Adds the ids of the series that have the label `name` with any value for which `matches` holds.
  // `matches` is asked at least once for each such value, in no particular order, and calls nothing
  // of the index.
  virtual Status AddMatchingPostings(std::string_view name,
                                     absl::FunctionRef<bool(std::string_view value)> matches,
                                     Roaring64Map* ids) = 0;

  // Calls `visit` at least once for each value of label `name`, in no particular order, until it
  // returns false.
  virtual Status VisitValues(std::string_view name,
                             absl::FunctionRef<bool(std::string_view value)> visit) = 0;

  // The same for the names of labels, __name__ among them.
  virtual Status VisitNames(absl::FunctionRef<bool(std::string_view name)> visit) = 0;

  // Appends the canonical labels (base/labels.h) of a series that one of the calls above named.
  // Errors: DataLoss too if there is no such series.
  virtual Status AppendCanonical(SeriesId series, std::string* out) = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SERIES_INDEX_H_
