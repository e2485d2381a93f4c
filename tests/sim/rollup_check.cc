// See rollup_check.h.

#include "tests/sim/rollup_check.h"

#include <fmt/format.h>

#include <bit>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include "base/labels.h"
#include "engine/cursors.h"
#include "engine/rollup_reader.h"
#include "engine/rollups.h"
#include "engine/state.h"

namespace nexus::sim_test {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

// By series and stamp: the bits of the value.
using Rows = std::map<std::pair<std::string, int64_t>, uint64_t>;

struct Answer {
  Rows rows;
  uint64_t buckets = 0;
};

StatusOr<Answer> Ask(engine::ReadView view, const AggregateQuery& query) {
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor,
                         engine::MakeAggregateCursor(std::move(view), query));
  Answer answer;
  SeriesChunk chunk;
  for (;;) {
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
    if (!more) break;
    const std::string& series = chunk.labels->front().value;
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      answer.rows[{series, chunk.timestamps[i]}] = std::bit_cast<uint64_t>(chunk.values[i]);
    }
  }
  answer.buckets = cursor->statistics().rollup_buckets;
  return answer;
}

// Samples of a series that are older than what this says may be gone. Of a snapshot, too: they may
// have been when it was made, and what may be gone only grows.
using CompleteFromFunction = std::function<int64_t(std::string_view canonical)>;

CompleteFromFunction CompleteFromOf(const engine::DatabaseState& state) {
  return engine::CompleteFrom(*state.tenants.at(TenantId{}.value),
                              state.retention_clock.applied_ns());
}

// Without rows of steps of which samples may be gone.
Rows WithoutFrozen(Rows rows, const CompleteFromFunction& complete_from, int64_t step_ns) {
  if (!complete_from) return rows;
  std::erase_if(rows, [&](const auto& row) {
    StatusOr<Labels> labels = Labels::Make("metric", {{"series", row.first.first}});
    const int64_t cut = complete_from(labels->Canonical());
    return step_ns == 0 ? cut > std::numeric_limits<int64_t>::min() : row.first.second < cut;
  });
  return rows;
}

}  // namespace

StatusOr<std::optional<std::string>> CompareRollups(engine::DatabaseCore* core,
                                                    const std::string& branch,
                                                    const std::string& selector, TimeRange range,
                                                    uint64_t turn, uint64_t* buckets) {
  constexpr AggregateFunction kFunctions[] = {AggregateFunction::kCount, AggregateFunction::kMax,
                                              AggregateFunction::kLast};
  constexpr int64_t kSteps[] = {20 * kSecondNs, 0};
  static_assert(std::size(kFunctions) * std::size(kSteps) == kRollupComparisons);
  AggregateQuery query;
  query.select.selector = selector;
  query.select.range = range;
  query.select.limits.deadline_ms = 0;
  query.function = kFunctions[turn % std::size(kFunctions)];
  query.step_ns = kSteps[turn / std::size(kFunctions) % std::size(kSteps)];
  // Nothing happens in between: both are of one version.
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView by_rollups, core->View("default", branch));
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView by_samples, core->View("default", branch));
  if (by_rollups.rollups == nullptr) return std::optional<std::string>();
  const CompleteFromFunction complete_from = CompleteFromOf(*core->state());
  by_samples.rollups.reset();
  NEXUS_ASSIGN_OR_RETURN(Answer got, Ask(std::move(by_rollups), query));
  NEXUS_ASSIGN_OR_RETURN(Answer want, Ask(std::move(by_samples), query));
  *buckets += got.buckets;
  got.rows = WithoutFrozen(std::move(got.rows), complete_from, query.step_ns);
  want.rows = WithoutFrozen(std::move(want.rows), complete_from, query.step_ns);
  if (got.rows == want.rows) return std::optional<std::string>();
  return std::optional(fmt::format(
      "rule 14: function {} with step {} s of branch {}: by rollups it gives {} rows, by samples "
      "{}, and they differ",
      static_cast<int>(query.function), query.step_ns / kSecondNs, branch, got.rows.size(),
      want.rows.size()));
}

StatusOr<std::optional<std::string>> FrozenBuckets::Check(engine::DatabaseCore* core) {
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, core->View("default", "main"));
  if (view.rollups == nullptr || !view.rollups->complete_from) return std::optional<std::string>();
  engine::RollupColumnReader reader;
  compaction::RollupColumns columns;
  for (const engine::RollupView::Layer& file : view.rollups->layers) {
    const int64_t resolution_ns = file.resolution_ns;
    NEXUS_ASSIGN_OR_RETURN(engine::LayerReaderPtr layer, engine::HoldReader(file.file));
    layer::SeriesCursor series(std::move(layer));
    while (series.Next()) {
      const int64_t cut = view.rollups->complete_from(series.labels());
      NEXUS_RETURN_IF_ERROR(reader.Read(*file.file, series.id(), TimeRange(),
                                        compaction::RollupColumnSet::All(), &columns));
      for (size_t i = 0; i < columns.size(); i++) {
        const int64_t start = columns.starts[i];
        if (compaction::BucketLast(start, resolution_ns) >= cut) break;
        std::vector<uint64_t> bits;
        for (const std::vector<double>& column : columns.values) {
          bits.push_back(std::bit_cast<uint64_t>(column[i]));
        }
        auto [at, is_new] = seen_.try_emplace({resolution_ns, series.id().value, start}, bits);
        if (is_new || at->second == bits) continue;
        return std::optional(
            fmt::format("rule 14: the frozen bucket of {} s at {} s of series {} has changed",
                        resolution_ns / kSecondNs, start / kSecondNs, series.id().value));
      }
    }
    NEXUS_RETURN_IF_ERROR(series.status());
  }
  return std::optional<std::string>();
}

}  // namespace nexus::sim_test
