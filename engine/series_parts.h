// SeriesParts: what a memtable holds of one series below a limit, gathered from its chains.
//
// A series may be in staging, in several shapes and in runs at once. If these lie end to end in
// time they are copied one after the other; otherwise samples are sorted by (timestamp, ordinal)
// and of equal timestamps the last written stays. Parts that a delete leaves nothing of are dropped
// whole; where one is cut by a delete, samples are looked at one by one.
// Threading: a value of one thread; what it points to lives as long as the memtable.

#ifndef NEXUS_ENGINE_SERIES_PARTS_H_
#define NEXUS_ENGINE_SERIES_PARTS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/types.h"
#include "engine/arena.h"
#include "engine/memtable_parts.h"

namespace nexus::engine {

class SeriesParts {
 public:
  struct Column {
    const Shape* shape = nullptr;
    uint32_t column = 0;
    Shape::Visible rows;  // at least one
  };
  enum class Kind : uint8_t { kStaged, kColumn, kRun };
  // One of the parts, by its kind and its index among them.
  struct Part {
    int64_t first;  // timestamp
    Kind kind;
    size_t index;
  };
  using Order = absl::InlinedVector<Part, 4>;

  // In write order, each.
  std::vector<StagedSample> staged;
  absl::InlinedVector<Column, 2> columns;
  absl::InlinedVector<const Run*, 2> runs;

  // Replaces the content.
  void Collect(const Arena& arena, const SeriesEntry& entry, uint32_t limit);
  // The same but for `staged`, which is left alone.
  void CollectColumnsAndRuns(const Arena& arena, const SeriesEntry& entry, uint32_t limit);

  // Takes away what is deleted. REQUIRES: everything was collected.
  void Delete(std::span<const DeletedRows> deleted);

  bool empty() const { return staged.empty() && columns.empty() && runs.empty(); }
  // A delete takes some rows of a column, or samples of a run, and leaves others: only AppendTo
  // knows which.
  bool cut() const { return !deleted_.empty(); }

  // The parts by their first timestamps, if each is strictly ascending in itself; none otherwise.
  // REQUIRES: !cut().
  Order InTimeOrder() const;

  // Appends the samples within `range`, strictly ascending, of equal timestamps the last written.
  void AppendTo(TimeRange range, std::vector<int64_t>* timestamps,
                std::vector<double>* values) const;

 private:
  bool AppendEndToEnd(TimeRange range, std::vector<int64_t>* timestamps,
                      std::vector<double>* values) const;
  void AppendSorted(TimeRange range, std::vector<int64_t>* timestamps,
                    std::vector<double>* values) const;
  bool IsDeleted(int64_t timestamp, uint32_t ordinal) const;

  std::vector<DeletedRows> deleted_;  // those that cut a part
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SERIES_PARTS_H_
