// The parts a memtable is made of: staged samples, shapes and their rows, runs.
//
// All of them lie in the memtable's arena, do not move, and are destroyed by giving the memory back
// (no destructors). A part is written whole before the release store that makes it reachable, and
// does not change afterwards, but for a shape, to which rows are added.
//
// Ordinals: every part of a batch that goes to one place (a row, a range of staged samples, a run)
// takes the memtable's next ordinal, so ordinals order writes, and a limit (the ordinals given so
// far, at the end of a batch) cuts between batches. A reader takes parts with ordinal < limit.
// Ordinals stay below 2^31: each costs at least 24 bytes of an arena of 32 GiB.
//
// Threading: one writer; readers follow what they loaded with acquire.

#ifndef NEXUS_ENGINE_MEMTABLE_PARTS_H_
#define NEXUS_ENGINE_MEMTABLE_PARTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "engine/arena.h"
#include "engine/batch.h"
#include "engine/format.h"

namespace nexus::engine {

// ---- Staging: samples that fit no shape, each chained to the one of its series before it.

struct StagedSample {
  int64_t timestamp;
  double value;
  uint32_t ordinal_and_mark;  // bit 31: no sample before it in its chain has a greater timestamp
  ArenaRef previous;

  uint32_t ordinal() const { return ordinal_and_mark & ~kNewestMark; }
  bool newest_so_far() const { return (ordinal_and_mark & kNewestMark) != 0; }

  static constexpr uint32_t kNewestMark = 1u << 31;
};
static_assert(sizeof(StagedSample) == 24 && std::is_trivial_v<StagedSample>);

// ---- Shapes: an ordered list of series ids, and the rows that gave each of them a value at one
// instant.

// Rows of a wider scrape are cut into strips of this many columns, each with a shape of its own, so
// that a row (8 bytes a column and 12 beside) is small against an arena's chunk.
inline constexpr uint32_t kShapeWidthMax = 512;
// Narrower rows are staged: 24 bytes a sample is about what a row of few columns costs with its
// share of the shape, and finding the shape costs as much as staging four samples.
inline constexpr uint32_t kShapeWidthMin = 4;

// Rows that lie together: a header, `capacity` timestamps, capacity * width values row by row,
// `capacity` ordinals.
struct RowBlock {
  RowBlock* next;
  RowBlock* previous;
  uint32_t first_row;
  uint32_t capacity;
  uint32_t width;

  int64_t* timestamps() { return reinterpret_cast<int64_t*>(this + 1); }
  double* values() { return reinterpret_cast<double*>(timestamps() + capacity); }
  uint32_t* ordinals() { return reinterpret_cast<uint32_t*>(values() + size_t{capacity} * width); }
  const int64_t* timestamps() const { return const_cast<RowBlock*>(this)->timestamps(); }
  const double* values() const { return const_cast<RowBlock*>(this)->values(); }
  const uint32_t* ordinals() const { return const_cast<RowBlock*>(this)->ordinals(); }

  static constexpr size_t RowBytes(uint32_t width) {
    return sizeof(int64_t) + sizeof(uint32_t) + sizeof(double) * width;
  }
};
static_assert(sizeof(RowBlock) % 8 == 0 && std::is_trivial_v<RowBlock>);
static_assert(sizeof(RowBlock) + 8 * RowBlock::RowBytes(kShapeWidthMax) <= kArenaChunkBytes);

struct Shape {
  // Constant.
  uint32_t number;  // 0, 1, ... in the order they were made
  uint32_t width;
  uint64_t hash;  // of the ids as encoded
  IdColumn ids;   // in the arena
  RowBlock* first_block;

  // The writer's.
  Shape* successor;  // the shape of the row that came after the last one of this shape
  int64_t newest_timestamp;

  // Published by `rows`.
  std::atomic<RowBlock*> last_block;
  std::atomic<uint32_t> newest_row;  // of the greatest timestamp; of equals the last
  std::atomic<bool> ascending;       // strictly; once false, false for ever
  std::atomic<uint32_t> rows;

  SeriesId Column(uint32_t column) const { return ids[column]; }

  // Rows [0, count) of the shape have ordinals below a limit. `last` is the block of the last of
  // them; null if there are none.
  struct Visible {
    uint32_t count = 0;
    const RowBlock* last = nullptr;
    bool ascending = true;
  };
  Visible VisibleRows(uint32_t limit) const;
};
static_assert(std::is_trivially_destructible_v<Shape>);

// That a series is a column of a shape. Places of one series are chained, newest shape first.
struct ColumnPlace {
  const Shape* shape;
  uint32_t column;
  ArenaRef previous;
};
static_assert(sizeof(ColumnPlace) == 16 && std::is_trivial_v<ColumnPlace>);

// ---- Runs: many samples of one series that came together, as columns.

// 16 KiB of each column: four runs a chunk, so that little is lost at a chunk's end.
inline constexpr uint32_t kRunSamplesMax = 1024;
// Shorter ones are staged: a run's header costs what eight staged samples cost more.
inline constexpr uint32_t kRunSamplesMin = 8;

struct Run {
  ArenaRef previous;  // the run of the series before
  ArenaRef newest;    // of this run and those before it: that with the greatest timestamp, the last
  uint32_t count;
  uint32_t ordinal;
  uint32_t newest_sample;  // of the greatest timestamp; of equals the last
  bool ascending;          // strictly
  int64_t first;           // least and greatest timestamp
  int64_t last;

  int64_t* timestamps() { return reinterpret_cast<int64_t*>(this + 1); }
  double* values() { return reinterpret_cast<double*>(timestamps() + count); }
  const int64_t* timestamps() const { return const_cast<Run*>(this)->timestamps(); }
  const double* values() const { return const_cast<Run*>(this)->values(); }

  // Sets first, last, newest_sample and ascending from the timestamps.
  void DescribeTimestamps();
};
static_assert(sizeof(Run) % 8 == 0 && std::is_trivial_v<Run>);

// ---- The heads of a series' chains.

struct SeriesEntry {
  std::atomic<ArenaRef> staged{0};         // the last staged sample
  std::atomic<ArenaRef> staged_newest{0};  // the staged sample with the greatest timestamp
  std::atomic<ArenaRef> columns{0};        // the last ColumnPlace
  std::atomic<ArenaRef> runs{0};           // the last Run
  int64_t staged_newest_timestamp = 0;     // the writer's

  bool empty() const {
    return staged.load(std::memory_order_acquire) == 0 &&
           columns.load(std::memory_order_acquire) == 0 &&
           runs.load(std::memory_order_acquire) == 0;
  }
};
static_assert(sizeof(SeriesEntry) == 24 && std::is_trivially_destructible_v<SeriesEntry>);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_MEMTABLE_PARTS_H_
