// What a delete would take. See cursors.h.

#include <utility>

#include "catalog/records.h"
#include "engine/cursors.h"
#include "engine/query_guard.h"
#include "engine/resolve.h"
#include "engine/selector.h"

namespace nexus::engine {

Status CheckDelete(std::string_view selector, TimeRange range) {
  if (selector.size() > catalog::kTombstoneSelectorBytesMax) {
    return InvalidArgument("the selector has {} bytes; that of a delete has at most {}",
                           selector.size(), catalog::kTombstoneSelectorBytesMax);
  }
  if (range.empty()) {
    return InvalidArgument("range is empty: it begins at {} ns, behind its end at {} ns",
                           range.first, range.last);
  }
  return Selector::Parse(selector).status();
}

StatusOr<DeleteResult> CountForDelete(ReadView view, const DeleteRequest& request) {
  NEXUS_RETURN_IF_ERROR(CheckDelete(request.selector, request.range));
  NEXUS_ASSIGN_OR_RETURN(Selector selector, Selector::Parse(request.selector));
  QueryGuard guard(request.limits, view.monotonic_nanos, view.permit);
  DeleteResult result;
  NEXUS_ASSIGN_OR_RETURN(result.series, CountSeries(view.index.get(), selector, &guard));
  if (view.rollups != nullptr) {
    NEXUS_ASSIGN_OR_RETURN(result.frozen_left,
                           CountFrozenInPart(*view.rollups, selector, request.range, &guard));
  }
  if (!request.dry_run) return result;
  // Samples go; buckets stand for what is counted beside them.
  view.rollups.reset();
  AggregateQuery count;
  count.select.selector = request.selector;
  count.select.range = request.range;
  count.select.limits = request.limits;
  count.function = AggregateFunction::kCount;
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor,
                         MakeAggregateCursor(std::move(view), count));
  SeriesChunk chunk;
  for (;;) {
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
    if (!more) break;
    for (double value : chunk.values) result.samples += static_cast<uint64_t>(value);
  }
  result.series_with_samples = cursor->statistics().series;
  return result;
}

}  // namespace nexus::engine
