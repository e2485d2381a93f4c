// SeriesParts: what a memtable holds of one series below a limit, gathered from its chains.
//
// A series may be in staging, in several shapes and in runs at once. If these lie end to end in
// time they are copied one after the other; otherwise samples are sorted by (timestamp, ordinal)
// and of equal timestamps the last written stays.
// Threading: a value of one thread; what it points to lives as long as the memtable.

#ifndef NEXUS_ENGINE_SERIES_PARTS_H_
#define NEXUS_ENGINE_SERIES_PARTS_H_

#include <cstdint>
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

  bool empty() const { return staged.empty() && columns.empty() && runs.empty(); }

  // The parts by their first timestamps, if each is strictly ascending in itself; none otherwise.
  Order InTimeOrder() const;

  // Appends the samples within `range`, strictly ascending, of equal timestamps the last written.
  void AppendTo(TimeRange range, std::vector<int64_t>* timestamps,
                std::vector<double>* values) const;

 private:
  bool AppendEndToEnd(TimeRange range, std::vector<int64_t>* timestamps,
                      std::vector<double>* values) const;
  void AppendSorted(TimeRange range, std::vector<int64_t>* timestamps,
                    std::vector<double>* values) const;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SERIES_PARTS_H_
