// Reading a memtable. See memtable.h, series_parts.h.

#include <algorithm>
#include <vector>

#include "base/planted.h"
#include "engine/memtable.h"
#include "engine/series_parts.h"

namespace nexus::engine {
namespace {

// The best sample so far, by (timestamp, ordinal).
struct Newest {
  bool found = false;
  int64_t timestamp = 0;
  uint32_t ordinal = 0;
  double value = 0;

  void Offer(int64_t offered_timestamp, uint32_t offered_ordinal, double offered_value) {
    if (found && (offered_timestamp < timestamp ||
                  (offered_timestamp == timestamp && offered_ordinal <= ordinal))) {
      return;
    }
    *this = {true, offered_timestamp, offered_ordinal, offered_value};
  }
};

void OfferStaged(const Arena& arena, const SeriesEntry& entry, uint32_t limit, Newest* newest) {
  ArenaRef ref = entry.staged_newest.load(std::memory_order_acquire);
  if (ref == 0) return;
  const auto* sample = arena.At<StagedSample>(ref);
  if (sample->ordinal() >= limit) {
    // Written after the limit. The last visible sample that was the newest when it came is the one.
    ref = entry.staged.load(std::memory_order_acquire);
    do {
      if (ref == 0) return;
      sample = arena.At<StagedSample>(ref);
      ref = sample->previous;
    } while (sample->ordinal() >= limit || !sample->newest_so_far());
  }
  newest->Offer(sample->timestamp, sample->ordinal(), sample->value);
}

void OfferRuns(const Arena& arena, const SeriesEntry& entry, uint32_t limit, Newest* newest) {
  ArenaRef ref = entry.runs.load(std::memory_order_acquire);
  const Run* run = nullptr;
  do {
    if (ref == 0) return;
    run = arena.At<Run>(ref);
    ref = run->previous;
  } while (run->ordinal >= limit);
  const auto* best = arena.At<Run>(run->newest);
  newest->Offer(best->last, best->ordinal, best->values()[best->newest_sample]);
}

// The row of the greatest timestamp among the visible ones, of equals the last.
uint32_t NewestRow(const Shape& shape, const Shape::Visible& visible) {
  if (visible.ascending) return visible.count - 1;
  uint32_t row = shape.newest_row.load(std::memory_order_relaxed);
  if (row < visible.count) return row;
  row = 0;
  int64_t greatest = shape.first_block->timestamps()[0];
  const RowBlock* block = shape.first_block;
  for (uint32_t i = 0; i < visible.count; i++) {
    if (i == block->first_row + block->capacity) block = block->next;
    int64_t timestamp = block->timestamps()[i - block->first_row];
    if (timestamp < greatest) continue;
    greatest = timestamp;
    row = i;
  }
  return row;
}

void OfferColumn(const ColumnPlace& place, uint32_t limit, Newest* newest) {
  Shape::Visible visible = place.shape->VisibleRows(limit);
  if (visible.count == 0) return;
  uint32_t row = NewestRow(*place.shape, visible);
  const RowBlock* block = visible.last;
  while (row < block->first_row) block = block->previous;
  size_t at = row - block->first_row;
  uint32_t ordinal = row + 1 == visible.count ? visible.last_ordinal : block->ordinals()[at];
  RowBlock::Column values = block->column(place.column);
  newest->Offer(block->timestamps()[at], ordinal, values.first[at * values.pitch]);
}

}  // namespace

bool Memtable::HasDeletes(uint32_t limit) const {
  const Deletion* at = last_deletion_.load(std::memory_order_acquire);
  while (at != nullptr && at->ordinal >= limit) at = at->previous;
  return at != nullptr;
}

std::vector<DeletedRows> Memtable::DeletedRowsOf(std::string_view canonical, uint32_t limit) const {
  std::vector<DeletedRows> rows;
  const Deletion* at = last_deletion_.load(std::memory_order_acquire);
  for (; at != nullptr; at = at->previous) {
    if (at->ordinal >= limit || !at->tombstone->Covers(canonical)) continue;
    const uint32_t below = NEXUS_PLANTED("delete-hits-later-writes") ? limit : at->ordinal;
    rows.push_back({at->tombstone->range(), below});
  }
  return rows;
}

void Memtable::Read(SeriesId series, TimeRange range, uint32_t limit,
                    std::vector<int64_t>* timestamps, std::vector<double>* values,
                    std::span<const DeletedRows> deleted) const {
  const SeriesEntry* entry = table_.Find(series);
  if (entry == nullptr) return;
  SeriesParts parts;
  parts.Collect(arena_, *entry, limit);
  parts.Delete(deleted);
  parts.AppendTo(range, timestamps, values);
}

std::optional<Sample> Memtable::Latest(SeriesId series, uint32_t limit, TimeRange range,
                                       std::span<const DeletedRows> deleted) const {
  const SeriesEntry* entry = table_.Find(series);
  if (entry == nullptr) return std::nullopt;
  Newest newest;
  OfferStaged(arena_, *entry, limit, &newest);
  OfferRuns(arena_, *entry, limit, &newest);
  // Of two columns of one shape the later one, which is met first, stays.
  for (ArenaRef ref = entry->columns.load(std::memory_order_acquire); ref != 0;) {
    const auto* place = arena_.At<ColumnPlace>(ref);
    OfferColumn(*place, limit, &newest);
    ref = place->previous;
  }
  if (!newest.found || newest.timestamp < range.first) return std::nullopt;
  const bool is_deleted = std::any_of(
      deleted.begin(), deleted.end(),
      [&newest](const DeletedRows& rows) { return rows.Covers(newest.timestamp, newest.ordinal); });
  if (newest.timestamp <= range.last && !is_deleted) {
    return Sample{newest.timestamp, newest.value};
  }
  std::vector<int64_t> timestamps;
  std::vector<double> values;
  Read(series, range, limit, &timestamps, &values, deleted);
  if (timestamps.empty()) return std::nullopt;
  return Sample{timestamps.back(), values.back()};
}

}  // namespace nexus::engine
