// Gathering and merging the parts of a series. See series_parts.h.

#include "engine/series_parts.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace nexus::engine {
namespace {

struct Found {
  int64_t timestamp;
  double value;
  uint32_t ordinal;
};

// [first, last) of `count` ascending timestamps that lie within the range.
std::pair<size_t, size_t> Within(TimeRange range, const int64_t* timestamps, size_t count) {
  size_t first = 0;
  size_t last = count;
  if (count > 0 && timestamps[0] < range.first) {
    first = static_cast<size_t>(std::lower_bound(timestamps, timestamps + count, range.first) -
                                timestamps);
  }
  if (count > 0 && timestamps[count - 1] > range.last) {
    last = static_cast<size_t>(std::upper_bound(timestamps, timestamps + count, range.last) -
                               timestamps);
  }
  return {first, std::max(first, last)};
}

bool Ascends(const std::vector<StagedSample>& staged) {
  for (size_t i = 1; i < staged.size(); i++) {
    if (staged[i].timestamp <= staged[i - 1].timestamp) return false;
  }
  return true;
}

// Calls visit(block, rows) for the blocks of the visible rows in order.
template <typename Visit>
void VisitBlocks(const SeriesParts::Column& column, Visit&& visit) {
  size_t left = column.rows.count;
  for (const RowBlock* block = column.shape->first_block; left > 0; block = block->next) {
    size_t rows = std::min<size_t>(left, block->capacity);
    visit(*block, rows);
    left -= rows;
  }
}

// Covers the visible rows, maybe more.
TimeRange RangeOf(const SeriesParts::Column& column) {
  if (!column.rows.ascending) return {};
  const size_t last = column.rows.count - 1 - column.rows.last->first_row;
  return {column.shape->first_block->timestamps()[0], column.rows.last->timestamps()[last]};
}

void AppendColumn(const SeriesParts::Column& column, TimeRange range,
                  std::vector<int64_t>* timestamps, std::vector<double>* values) {
  VisitBlocks(column, [&](const RowBlock& block, size_t rows) {
    auto [first, last] = Within(range, block.timestamps(), rows);
    timestamps->insert(timestamps->end(), block.timestamps() + first, block.timestamps() + last);
    size_t at = values->size();
    values->resize(at + last - first);
    RowBlock::Column from = block.column(column.column);
    double* to = values->data() + at;
    for (size_t i = first; i < last; i++) *to++ = from.first[i * from.pitch];
  });
}

void AppendRun(const Run& run, TimeRange range, std::vector<int64_t>* timestamps,
               std::vector<double>* values) {
  auto [first, last] = Within(range, run.timestamps(), run.count);
  timestamps->insert(timestamps->end(), run.timestamps() + first, run.timestamps() + last);
  values->insert(values->end(), run.values() + first, run.values() + last);
}

}  // namespace

void Run::DescribeTimestamps() {
  const int64_t* all = timestamps();
  first = last = all[0];
  newest_sample = 0;
  ascending = true;
  for (uint32_t i = 1; i < count; i++) {
    ascending &= all[i] > all[i - 1];
    first = std::min(first, all[i]);
    if (all[i] >= last) {
      last = all[i];
      newest_sample = i;
    }
  }
}

void SeriesParts::Collect(const Arena& arena, const SeriesEntry& entry, uint32_t limit) {
  staged.clear();
  deleted_.clear();
  for (ArenaRef ref = entry.staged.load(std::memory_order_acquire); ref != 0;) {
    const auto* sample = arena.At<StagedSample>(ref);
    if (sample->ordinal() < limit) staged.push_back(*sample);
    ref = sample->previous;
  }
  std::reverse(staged.begin(), staged.end());
  CollectColumnsAndRuns(arena, entry, limit);
}

void SeriesParts::CollectColumnsAndRuns(const Arena& arena, const SeriesEntry& entry,
                                        uint32_t limit) {
  deleted_.clear();
  columns.clear();
  for (ArenaRef ref = entry.columns.load(std::memory_order_acquire); ref != 0;) {
    const auto* place = arena.At<ColumnPlace>(ref);
    Shape::Visible rows = place->shape->VisibleRows(limit);
    if (rows.count > 0) columns.push_back({place->shape, place->column, rows});
    ref = place->previous;
  }
  std::reverse(columns.begin(), columns.end());
  runs.clear();
  for (ArenaRef ref = entry.runs.load(std::memory_order_acquire); ref != 0;) {
    const auto* run = arena.At<Run>(ref);
    if (run->ordinal < limit) runs.push_back(run);
    ref = run->previous;
  }
  std::reverse(runs.begin(), runs.end());
}

void SeriesParts::Delete(std::span<const DeletedRows> deleted) {
  for (const DeletedRows& rows : deleted) {
    bool cuts = false;
    std::erase_if(staged, [&rows](const StagedSample& sample) {
      return rows.Covers(sample.timestamp, sample.ordinal());
    });
    auto takes = [&rows, &cuts](TimeRange range, uint32_t first_ordinal, uint32_t last_ordinal) {
      if (first_ordinal >= rows.below || !rows.range.Overlaps(range)) return false;
      const bool whole = last_ordinal < rows.below && rows.range.Contains(range);
      cuts = cuts || !whole;
      return whole;
    };
    auto is_column_gone = [&](const Column& column) {
      return takes(RangeOf(column), column.shape->first_block->ordinals()[0],
                   column.rows.last_ordinal);
    };
    columns.erase(std::remove_if(columns.begin(), columns.end(), is_column_gone), columns.end());
    auto is_run_gone = [&](const Run* run) {
      return takes({run->first, run->last}, run->ordinal, run->ordinal);
    };
    runs.erase(std::remove_if(runs.begin(), runs.end(), is_run_gone), runs.end());
    if (cuts) deleted_.push_back(rows);
  }
}

bool SeriesParts::IsDeleted(int64_t timestamp, uint32_t ordinal) const {
  return std::any_of(deleted_.begin(), deleted_.end(),
                     [&](const DeletedRows& rows) { return rows.Covers(timestamp, ordinal); });
}

SeriesParts::Order SeriesParts::InTimeOrder() const {
  Order order;
  if (!staged.empty()) {
    if (!Ascends(staged)) return {};
    order.push_back({staged[0].timestamp, Kind::kStaged, 0});
  }
  for (size_t i = 0; i < columns.size(); i++) {
    if (!columns[i].rows.ascending) return {};
    order.push_back({columns[i].shape->first_block->timestamps()[0], Kind::kColumn, i});
  }
  for (size_t i = 0; i < runs.size(); i++) {
    if (!runs[i]->ascending) return {};
    order.push_back({runs[i]->first, Kind::kRun, i});
  }
  std::sort(order.begin(), order.end(),
            [](const Part& a, const Part& b) { return a.first < b.first; });
  return order;
}

void SeriesParts::AppendTo(TimeRange range, std::vector<int64_t>* timestamps,
                           std::vector<double>* values) const {
  if (empty() || range.empty()) return;
  if (!cut() && AppendEndToEnd(range, timestamps, values)) return;
  AppendSorted(range, timestamps, values);
}

// False, with nothing appended, if the parts overlap or do not ascend.
bool SeriesParts::AppendEndToEnd(TimeRange range, std::vector<int64_t>* timestamps,
                                 std::vector<double>* values) const {
  Order order = InTimeOrder();
  if (order.empty()) return false;
  const size_t start = timestamps->size();
  const size_t values_start = values->size();
  for (const Part& part : order) {
    const size_t seam = timestamps->size();
    switch (part.kind) {
      case Kind::kStaged:
        for (const StagedSample& sample : staged) {
          if (!range.Contains(sample.timestamp)) continue;
          timestamps->push_back(sample.timestamp);
          values->push_back(sample.value);
        }
        break;
      case Kind::kColumn:
        AppendColumn(columns[part.index], range, timestamps, values);
        break;
      case Kind::kRun:
        AppendRun(*runs[part.index], range, timestamps, values);
        break;
    }
    if (seam > start && seam < timestamps->size() &&
        (*timestamps)[seam] <= (*timestamps)[seam - 1]) {
      timestamps->resize(start);
      values->resize(values_start);
      return false;
    }
  }
  return true;
}

void SeriesParts::AppendSorted(TimeRange range, std::vector<int64_t>* timestamps,
                               std::vector<double>* values) const {
  // Samples with one timestamp and one ordinal are of one part, or of columns of one shape that
  // names the series twice: they are gathered in write order, which the sort keeps.
  std::vector<Found> all;
  for (const StagedSample& sample : staged) {
    if (range.Contains(sample.timestamp)) {
      all.push_back({sample.timestamp, sample.value, sample.ordinal()});
    }
  }
  for (const Column& column : columns) {
    VisitBlocks(column, [&](const RowBlock& block, size_t rows) {
      RowBlock::Column from = block.column(column.column);
      for (size_t i = 0; i < rows; i++) {
        if (!range.Contains(block.timestamps()[i])) continue;
        if (IsDeleted(block.timestamps()[i], block.ordinals()[i])) continue;
        all.push_back({block.timestamps()[i], from.first[i * from.pitch], block.ordinals()[i]});
      }
    });
  }
  for (const Run* run : runs) {
    for (uint32_t i = 0; i < run->count; i++) {
      if (!range.Contains(run->timestamps()[i])) continue;
      if (IsDeleted(run->timestamps()[i], run->ordinal)) continue;
      all.push_back({run->timestamps()[i], run->values()[i], run->ordinal});
    }
  }
  auto before = [](const Found& a, const Found& b) {
    return a.timestamp != b.timestamp ? a.timestamp < b.timestamp : a.ordinal < b.ordinal;
  };
  // Parts that a delete cuts may be in order for all that.
  if (!std::is_sorted(all.begin(), all.end(), before)) {
    std::stable_sort(all.begin(), all.end(), before);
  }
  for (size_t i = 0; i < all.size(); i++) {
    if (i + 1 < all.size() && all[i + 1].timestamp == all[i].timestamp) continue;
    timestamps->push_back(all[i].timestamp);
    values->push_back(all[i].value);
  }
}

}  // namespace nexus::engine
