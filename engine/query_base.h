// QueryBase: what the three cursors have in common - limits, the resolved series, the error that
// ended them. A cursor that has come to its end, or failed, holds no sources. See cursors.h.

#ifndef NEXUS_ENGINE_QUERY_BASE_H_
#define NEXUS_ENGINE_QUERY_BASE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "engine/cursors.h"
#include "engine/query.h"
#include "engine/query_guard.h"
#include "engine/query_leases.h"
#include "engine/resolve.h"
#include "engine/shown_labels.h"

namespace nexus::engine {

// A cursor over the series of a selector. Derived classes give the next chunk; after an error this
// class repeats it.
class QueryBase : public ReleasableCursor {
 public:
  QueryBase(const QueryLimits& limits, const ReadView& view)
      : guard_(limits, view.monotonic_nanos, view.permit) {}

  // Resolves the selector. Errors: those of Selector::Parse and ResolveSelector; InvalidArgument
  // for an empty range.
  Status Resolve(SeriesIndex* index, const SelectQuery& query) {
    if (query.range.empty()) {
      return InvalidArgument("range is empty: it begins at {} ns, behind its end at {} ns",
                             query.range.first, query.range.last);
    }
    NEXUS_ASSIGN_OR_RETURN(Selector selector, Selector::Parse(query.selector));
    NEXUS_ASSIGN_OR_RETURN(series_, ResolveSelector(index, selector, &guard_));
    return OkStatus();
  }

  StatusOr<bool> Next(SeriesChunk* chunk) final {
    NEXUS_RETURN_IF_ERROR(status_);
    *chunk = {};
    StatusOr<bool> more = Advance(chunk);
    if (!more.ok()) status_ = more.status();
    if (more.ok() && *more) {
      statistics_.samples += chunk->timestamps.size();
    } else {
      Drop(Sources::kAll);
    }
    return more;
  }
  void Release(Status why) final {
    if (status_.ok()) status_ = std::move(why);
    Drop(Sources::kLayers);
  }
  const QueryStatistics& statistics() const final { return statistics_; }

  std::optional<int64_t> deadline_ns() const { return guard_.deadline_ns(); }
  int64_t deadline_ms() const { return guard_.limits().deadline_ms; }

 protected:
  virtual StatusOr<bool> Advance(SeriesChunk* chunk) = 0;

  // Which sources may go: all once nothing that was shown is valid any more; of what was shown
  // last, some may lie in a memtable.
  enum class Sources : bool { kLayers, kAll };
  // Lets go of them. Advance is not called again, unless it gave false.
  virtual void Drop(Sources which) = 0;

  // Takes those of the view's sources that can have samples within the range, oldest first.
  std::vector<std::shared_ptr<const SampleSource>> TakeSources(ReadView* view, TimeRange range) {
    std::vector<std::shared_ptr<const SampleSource>> taken;
    for (std::shared_ptr<const SampleSource>& source : view->sources) {
      if (source->range().empty() || !source->range().Overlaps(range)) continue;
      bool is_layer = source->kind() == SampleSource::Kind::kLayer;
      (is_layer ? statistics_.layers : statistics_.memtables)++;
      taken.push_back(std::move(source));
    }
    return taken;
  }

  SeriesName NameOf(size_t series) const { return {series_.id(series), series_.canonical(series)}; }
  // Counts a series (or group) whose first chunk is about to be given.
  void Show(std::string_view canonical) {
    shown_.Set(canonical);
    shown_count_++;
  }
  // Fills in a chunk of what was shown last.
  void Fill(SampleSpan span, SeriesChunk* chunk) const {
    chunk->labels = &shown_.labels();
    chunk->metric = shown_.metric();
    chunk->series_index = shown_count_ - 1;
    chunk->timestamps = {span.timestamps, span.count};
    chunk->values = {span.values, span.count};
  }

  QueryGuard guard_;
  QueryStatistics statistics_;
  SeriesList series_;

 private:
  ShownLabels shown_;
  uint64_t shown_count_ = 0;
  Status status_;
};

// What the user gets of a cursor that is ready.
template <typename T>
std::unique_ptr<Cursor> LeasedBy(QueryLeases* leases, std::unique_ptr<T> cursor) {
  const std::optional<int64_t> deadline_ns = cursor->deadline_ns();
  if (leases == nullptr || !deadline_ns.has_value()) return cursor;
  const int64_t deadline_ms = cursor->deadline_ms();
  return leases->Lease(std::move(cursor), *deadline_ns, deadline_ms);
}

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_QUERY_BASE_H_
