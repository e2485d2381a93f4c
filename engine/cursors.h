// The cursors behind Database::Select, Aggregate and Latest, and the look-ups of labels: from the
// parts of one published version to what the user sees.
//
// A cursor owns what it reads (the sources are shared) and nothing else: it works on the calling
// thread, blocks on layer reads, and takes no lock of the database. It lets go of what it reads at
// its end, and of layers at its deadline, whether or not anybody reads from it. Memory of decoded
// samples, resolved labels and aggregate state is counted against limits.memory_bytes; cancellation
// and the deadline are looked at before each chunk that is read.
//
// Errors are those of engine/query.h. After an error every further Next() returns it again.

#ifndef NEXUS_ENGINE_CURSORS_H_
#define NEXUS_ENGINE_CURSORS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "base/types.h"
#include "engine/query.h"
#include "engine/query_budget.h"
#include "engine/query_leases.h"
#include "engine/rollup_reader.h"
#include "engine/sample_source.h"
#include "engine/series_index.h"

namespace nexus::engine {

// Samples a cursor delivers at a time: 128 KiB of columns stay in the second-level cache between
// decoder and consumer.
inline constexpr size_t kDeliveredSamplesMax = 8192;

// A published version of one tenant and branch, as queries need it.
struct ReadView {
  // Used and destroyed within the Make... call.
  std::unique_ptr<SeriesIndex> index;
  // In write order, oldest first: layers, sealed memtables, the active memtable.
  std::vector<std::shared_ptr<const SampleSource>> sources;
  // The monotonic clock in ns, for deadlines; must outlive the cursor. Empty: no deadlines.
  std::function<int64_t()> monotonic_nanos;
  // Of the query among those of its tenant; null: not counted.
  std::shared_ptr<QueryPermit> permit;
  // Where the cursor is listed until its deadline; null: it is not, and keeps its sources while
  // nobody reads from it. Must outlive the cursor.
  QueryLeases* leases = nullptr;
  // Of the branch; null: it has none. Aggregates use them.
  std::shared_ptr<const RollupView> rollups = nullptr;
};

// Each resolves the selector at once (InvalidArgument, ResourceExhausted, DeadlineExceeded and
// Cancelled come from here) and reads samples as the cursor is advanced.
StatusOr<std::unique_ptr<Cursor>> MakeSelectCursor(ReadView view, const SelectQuery& query);
StatusOr<std::unique_ptr<Cursor>> MakeAggregateCursor(ReadView view, const AggregateQuery& query);
StatusOr<std::unique_ptr<Cursor>> MakeLatestCursor(ReadView view, const SelectQuery& query);

// The newest sample of one series within `range`. `sources` in write order, oldest first.
StatusOr<std::optional<Sample>> LatestSample(
    const std::vector<std::shared_ptr<const SampleSource>>& sources, const SeriesName& series,
    TimeRange range = {});

// What a delete finds before it: the series that it chooses, and of a dry run the samples. Nothing
// is deleted. Errors: those of a query, and InvalidArgument for what no delete may ask.
StatusOr<DeleteResult> CountForDelete(ReadView view, const DeleteRequest& request);
Status CheckDelete(std::string_view selector, TimeRange range);

// What labels there are, sorted, each once. `selector` may be empty: everything.
StatusOr<std::vector<std::string>> LabelNames(SeriesIndex* index, std::string_view selector);
StatusOr<std::vector<std::string>> LabelValues(SeriesIndex* index, std::string_view label,
                                               std::string_view selector);
// In label order. ResourceExhausted if more than `limit` series match.
StatusOr<std::vector<Labels>> SeriesLabels(SeriesIndex* index, std::string_view selector,
                                           uint64_t limit);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CURSORS_H_
