// Taking batches in. See memtable.h; reading is in memtable_read.cc.

#include "engine/memtable.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "base/planted.h"

namespace nexus::engine {
namespace {

constexpr ArenaRef kStagedUnits = sizeof(StagedSample) / 8;

// The least room at the end of a chunk that a run is begun in.
constexpr size_t kRunTailBytes = sizeof(Run) + 64 * (sizeof(int64_t) + sizeof(double));

constexpr size_t RunBytes(size_t count) {
  return sizeof(Run) + count * (sizeof(int64_t) + sizeof(double));
}

}  // namespace

Memtable::Memtable(std::shared_ptr<MemtablePool> pool, const MemtableOptions& options,
                   const Memtable* predecessor)
    : arena_(std::move(pool)),
      table_(&arena_),
      shapes_(&arena_, options.shapes_max),
      first_timestamp_(std::numeric_limits<int64_t>::max()),
      last_timestamp_(std::numeric_limits<int64_t>::min()) {
  if (predecessor != nullptr) shapes_.Expect(predecessor->shapes_);
  bytes_.store(table_.bytes() + shapes_.bytes(), std::memory_order_relaxed);
}

void Memtable::Add(const BatchView& batch) {
  VisitAccepted(batch, [this](const SectionView& section, size_t first, size_t count) {
    switch (section.kind) {
      case SectionKind::kRow:
        ApplyRow(section, first, count);
        break;
      case SectionKind::kLoose:
        Stage(section, first, count);
        break;
      case SectionKind::kSeries:
        ApplyRun(section, first, count);
        break;
    }
  });
  uint64_t accepted = batch.sample_count() - batch.rejected_samples();
  samples_.store(samples() + accepted, std::memory_order_relaxed);
  bytes_.store(arena_.bytes() + table_.bytes() + shapes_.bytes(), std::memory_order_relaxed);
}

void Memtable::Delete(std::shared_ptr<const Tombstone> tombstone) {
  auto deletion = std::make_unique<Deletion>();
  deletion->tombstone = std::move(tombstone);
  deletion->ordinal = next_ordinal_++;
  deletion->previous = last_deletion_.load(std::memory_order_relaxed);
  last_deletion_.store(deletion.get(), std::memory_order_release);
  deletions_.push_back(std::move(deletion));
}

void Memtable::Publish() {
  shapes_.FlushRows();
  limit_.store(next_ordinal_, std::memory_order_release);
}

TimeRange Memtable::range() const {
  return {first_timestamp_.load(std::memory_order_relaxed),
          last_timestamp_.load(std::memory_order_relaxed)};
}

void Memtable::Cover(int64_t first, int64_t last) {
  if (first < first_timestamp_.load(std::memory_order_relaxed)) {
    first_timestamp_.store(first, std::memory_order_relaxed);
  }
  if (last > last_timestamp_.load(std::memory_order_relaxed)) {
    last_timestamp_.store(last, std::memory_order_relaxed);
  }
}

void Memtable::ApplyRow(const SectionView& section, size_t first, size_t count) {
  // What is left of a row with rejected samples is no row that will return.
  if (count < section.sample_count) return Stage(section, first, count);
  for (size_t at = 0; at < count; at += kShapeWidthMax) {
    ApplyRowPiece(section, at, std::min<size_t>(count - at, kShapeWidthMax));
  }
}

void Memtable::ApplyRowPiece(const SectionView& section, size_t first, size_t count) {
  if (count < kShapeWidthMin) return Stage(section, first, count);
  Shape* shape = shapes_.FindOrMake(section.ids, first, count);
  if (shape == nullptr) return Stage(section, first, count);
  int64_t timestamp = section.timestamps[first];
  bool made = shape->rows.load(std::memory_order_relaxed) == 0;
  shapes_.AddRow(shape, timestamp, next_ordinal_++, section.values + first);
  if (made) LinkColumns(*shape);
  Cover(timestamp, timestamp);
}

void Memtable::LinkColumns(const Shape& shape) {
  ArenaRef places = arena_.Allocate(sizeof(ColumnPlace) * shape.width);
  auto* place = arena_.At<ColumnPlace>(places);
  for (uint32_t column = 0; column < shape.width; column++) {
    SeriesEntry* entry = table_.FindOrAdd(shape.Column(column));
    place[column] = {&shape, column, entry->columns.load(std::memory_order_relaxed)};
    constexpr ArenaRef kPlaceUnits = sizeof(ColumnPlace) / 8;
    entry->columns.store(places + column * kPlaceUnits, std::memory_order_release);
  }
}

void Memtable::ApplyRun(const SectionView& section, size_t first, size_t count) {
  // Before room is measured: a new entry's page comes from the same arena.
  SeriesEntry* entry = table_.FindOrAdd(section.ids[first]);
  while (count >= kRunSamplesMin) {
    size_t samples = std::min<size_t>(count, kRunSamplesMax);
    size_t room = arena_.remaining_bytes();
    if (room < RunBytes(samples) && room >= kRunTailBytes) {
      samples = (room - sizeof(Run)) / (sizeof(int64_t) + sizeof(double));
    }
    ArenaRef ref = arena_.Allocate(RunBytes(samples));
    auto* run = arena_.At<Run>(ref);
    *run = {};
    run->previous = entry->runs.load(std::memory_order_relaxed);
    run->count = static_cast<uint32_t>(samples);
    run->ordinal = next_ordinal_++;
    section.timestamps.Decode(first, samples, run->timestamps());
    std::memcpy(run->values(), section.values + first, samples * sizeof(double));
    run->DescribeTimestamps();
    run->newest = ref;
    if (run->previous != 0) {
      ArenaRef newest_before = arena_.At<Run>(run->previous)->newest;
      if (arena_.At<Run>(newest_before)->last > run->last) run->newest = newest_before;
    }
    entry->runs.store(ref, std::memory_order_release);
    Cover(run->first, run->last);
    first += samples;
    count -= samples;
  }
  if (count > 0) Stage(section, first, count);
}

void Memtable::Stage(const SectionView& section, size_t first, size_t count) {
  const uint32_t ordinal = next_ordinal_++;
  StagedBatch batch;
  while (count > 0) {
    size_t samples = std::min(count, kStageBatch);
    section.ids.Decode(first, samples, batch.ids.data());
    section.timestamps.Decode(first, samples, batch.timestamps.data());
    table_.FindOrAdd(batch.ids.data(), samples, batch.entries.data());
    // Measured after the entries were made, whose pages come from the same arena.
    size_t room = arena_.remaining_bytes() / sizeof(StagedSample);
    if (room > 0) samples = std::min(samples, room);
    ArenaRef ref = arena_.Allocate(sizeof(StagedSample) * samples);
    LinkStaged(batch, section.values + first, samples, ordinal, ref);
    first += samples;
    count -= samples;
    if (NEXUS_PLANTED("batch-half-applied")) return;
  }
}

void Memtable::LinkStaged(const StagedBatch& batch, const double* values, size_t samples,
                          uint32_t ordinal, ArenaRef ref) {
  auto* staged = arena_.At<StagedSample>(ref);
  int64_t least = batch.timestamps[0];
  int64_t greatest = least;
  for (size_t i = 0; i < samples; i++, ref += kStagedUnits) {
    SeriesEntry* entry = batch.entries[i];
    const int64_t timestamp = batch.timestamps[i];
    const ArenaRef previous = entry->staged.load(std::memory_order_relaxed);
    const bool newest = previous == 0 || timestamp >= entry->staged_newest_timestamp;
    staged[i] = {timestamp, values[i], ordinal | (newest ? StagedSample::kNewestMark : 0),
                 previous};
    entry->staged.store(ref, std::memory_order_release);
    if (newest) {
      entry->staged_newest_timestamp = timestamp;
      entry->staged_newest.store(ref, std::memory_order_release);
    }
    least = std::min(least, timestamp);
    greatest = std::max(greatest, timestamp);
  }
  Cover(least, greatest);
}

}  // namespace nexus::engine
