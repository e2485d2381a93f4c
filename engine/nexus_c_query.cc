// Queries and cursors of the C face. See nexus_c.h.

#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/nexus.h"
#include "engine/nexus_c.h"
#include "engine/nexus_c_edge.h"

using nexus::Status;
using nexus::StatusOr;
using nexus::c_edge::BranchOf;
using nexus::c_edge::Guarded;
using nexus::c_edge::ReadSized;
using nexus::c_edge::TenantOf;
using nexus::c_edge::TextOf;
using nexus::c_edge::ViewOf;

struct nexus_cursor {
  // Before the cursor, which looks at it to its end.
  std::atomic<bool> cancelled = false;
  std::unique_ptr<nexus::Cursor> cursor;
  std::vector<nexus_label> labels;
};

namespace {

nexus::SelectQuery SelectOf(const nexus_query& query, const std::atomic<bool>* cancelled) {
  nexus::SelectQuery select;
  select.selector = ViewOf(query.selector);
  select.range = {query.first, query.last};
  select.tenant = TenantOf(query.tenant);
  select.branch = BranchOf(query.branch);
  select.as_of = ViewOf(query.as_of);
  if (query.deadline_ms != 0) {
    select.limits.deadline_ms = std::max<int64_t>(query.deadline_ms, 0);  // 0: none
  }
  if (query.memory_bytes != 0) select.limits.memory_bytes = query.memory_bytes;
  if (query.series_max != 0) select.limits.series_max = query.series_max;
  select.limits.cancel = cancelled;
  return select;
}

Status FunctionOf(int32_t given, nexus::AggregateFunction* function) {
  using nexus::AggregateFunction;
  switch (given) {
    case NEXUS_AVG:
      *function = AggregateFunction::kAvg;
      break;
    case NEXUS_MIN:
      *function = AggregateFunction::kMin;
      break;
    case NEXUS_MAX:
      *function = AggregateFunction::kMax;
      break;
    case NEXUS_SUM:
      *function = AggregateFunction::kSum;
      break;
    case NEXUS_COUNT:
      *function = AggregateFunction::kCount;
      break;
    case NEXUS_FIRST:
      *function = AggregateFunction::kFirst;
      break;
    case NEXUS_LAST:
      *function = AggregateFunction::kLast;
      break;
    case NEXUS_RATE:
      *function = AggregateFunction::kRate;
      break;
    case NEXUS_PERCENTILE:
      *function = AggregateFunction::kPercentile;
      break;
    default:
      return nexus::InvalidArgument("function {} is none of nexus_function", given);
  }
  return nexus::OkStatus();
}

StatusOr<nexus::AggregateQuery> AggregateOf(const nexus_query& query, nexus::SelectQuery select) {
  nexus::AggregateQuery aggregate;
  aggregate.select = std::move(select);
  NEXUS_RETURN_IF_ERROR(FunctionOf(query.function, &aggregate.function));
  aggregate.percentile = query.percentile;
  aggregate.step_ns = query.step_ns;
  aggregate.grouped = query.grouped != 0;
  for (size_t i = 0; i < query.by_count; i++) aggregate.by.emplace_back(ViewOf(query.by[i]));
  return aggregate;
}

// Makes a cursor by ask(full query, its selecting part).
template <typename Ask>
int32_t OpenCursor(const nexus_query* given, nexus_cursor** cursor, nexus_error* error, Ask&& ask) {
  *cursor = nullptr;
  return Guarded(error, [&]() -> Status {
    nexus_query query = {};
    NEXUS_RETURN_IF_ERROR(ReadSized(given, "nexus_query", &query));
    auto made = std::make_unique<nexus_cursor>();
    NEXUS_ASSIGN_OR_RETURN(made->cursor, ask(query, SelectOf(query, &made->cancelled)));
    *cursor = made.release();
    return nexus::OkStatus();
  });
}

}  // namespace

int32_t nexus_select(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                     nexus_error* error) {
  return OpenCursor(query, cursor, error, [&](const nexus_query&, nexus::SelectQuery select) {
    return db->database->Select(select);
  });
}

int32_t nexus_latest(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                     nexus_error* error) {
  return OpenCursor(query, cursor, error, [&](const nexus_query&, nexus::SelectQuery select) {
    return db->database->Latest(select);
  });
}

int32_t nexus_aggregate(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                        nexus_error* error) {
  return OpenCursor(query, cursor, error,
                    [&](const nexus_query& full,
                        nexus::SelectQuery select) -> StatusOr<std::unique_ptr<nexus::Cursor>> {
                      NEXUS_ASSIGN_OR_RETURN(nexus::AggregateQuery aggregate,
                                             AggregateOf(full, std::move(select)));
                      return db->database->Aggregate(aggregate);
                    });
}

int32_t nexus_cursor_next(nexus_cursor* cursor, nexus_chunk* chunk, nexus_error* error) {
  bool more = false;
  int32_t code = Guarded(error, [&]() -> Status {
    nexus::SeriesChunk next;
    NEXUS_ASSIGN_OR_RETURN(more, cursor->cursor->Next(&next));
    if (!more) return nexus::OkStatus();
    cursor->labels.clear();
    for (const nexus::Label& label : *next.labels) {
      cursor->labels.push_back({TextOf(label.name), TextOf(label.value)});
    }
    *chunk = {TextOf(next.metric),   cursor->labels.data(),  cursor->labels.size(),
              next.series_index,     next.timestamps.data(), next.values.data(),
              next.timestamps.size()};
    return nexus::OkStatus();
  });
  if (code != NEXUS_OK) return -1;
  return more ? 1 : 0;
}

void nexus_cursor_cancel(nexus_cursor* cursor) { cursor->cancelled.store(true); }

void nexus_cursor_statistics(const nexus_cursor* cursor, nexus_query_statistics* statistics) {
  const nexus::QueryStatistics& done = cursor->cursor->statistics();
  *statistics = {done.series, done.samples,   done.chunks_decoded, done.chunks_by_statistics,
                 done.layers, done.memtables, done.rollup_layers,  done.rollup_buckets};
}

void nexus_cursor_free(nexus_cursor* cursor) { delete cursor; }

int32_t nexus_latest_sample(nexus_db* db, uint64_t series, nexus_text tenant, nexus_text branch,
                            int64_t* timestamp, double* value, nexus_error* error) {
  bool found = false;
  int32_t code = Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(
        std::optional<nexus::Sample> sample,
        db->database->Latest(nexus::SeriesId{series}, TenantOf(tenant), BranchOf(branch)));
    found = sample.has_value();
    if (!found) return nexus::OkStatus();
    *timestamp = sample->timestamp;
    *value = sample->value;
    return nexus::OkStatus();
  });
  if (code != NEXUS_OK) return -1;
  return found ? 1 : 0;
}
