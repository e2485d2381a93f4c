// Memtable: the samples of one tenant and branch that are in the log and in no layer yet.
//
// Telemetry arrives as the same list of series again and again, so most samples are rows of shapes:
// a row is one timestamp, one ordinal and a copy of the batch's values, which makes applying it a
// memcpy and flushing it a transpose instead of a sort. What fits no shape is staged, each sample
// chained to the one before of its series; many samples of one series make a run. Structures:
// memtable_parts.h, shape_table.h, series_table.h.
//
// Write order: of two samples of one series and timestamp the later one wins - later batch, then
// later in its batch. Any timestamp and any bits of a value are kept as they are.
// Versions: Publish raises limit() behind the batches added. A reader that passes a limit it has
// read sees exactly the batches and deletes before it, whatever is added meanwhile. A delete takes
// an ordinal as a batch does, which tells what came before it from what came after. Bounds: none of
// its own; the caller admits batches while bytes() is within its budget (which must be below 16
// GiB, half of what an arena can name). A batch takes at most about twice its encoded size, but for
// series that are alone in their stretch of ids (series_table.h). Threading: Add and Publish from
// one thread at a time; everything else is lock-free and for any thread. How it fails: not at all;
// running out of memory ends the process, which is what budgets are for.

#ifndef NEXUS_ENGINE_MEMTABLE_H_
#define NEXUS_ENGINE_MEMTABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "engine/arena.h"
#include "engine/batch.h"
#include "engine/memtable_parts.h"
#include "engine/query.h"
#include "engine/series_table.h"
#include "engine/shape_table.h"
#include "engine/tombstone.h"

namespace nexus::engine {

class FlushCursor;

struct MemtableOptions {
  // Shapes at most; rows of further ones are staged. A shape costs 20 bytes a column and about 120
  // beside, so the default holds 4,096 hosts of 250 series in 20 MiB.
  uint32_t shapes_max = 4096;
};

class Memtable {
 public:
  // `predecessor`, the memtable that this one follows, may be null; what repeated in it becomes a
  // shape here at its first row. It is not kept.
  explicit Memtable(std::shared_ptr<MemtablePool> pool, const MemtableOptions& options = {},
                    const Memtable* predecessor = nullptr);
  Memtable(const Memtable&) = delete;
  Memtable& operator=(const Memtable&) = delete;

  // Takes in the samples of a batch that are not rejected; the batch's bytes are not kept. Readers
  // see them after the next Publish. Costs less than a nanosecond a sample for rows that repeat, 3
  // to 10 for others.
  void Add(const BatchView& batch);

  // Deletes samples that were added before; readers see it after the next Publish.
  void Delete(std::shared_ptr<const Tombstone> tombstone);

  // Makes visible what was added: moves limit() behind it. Waits until wide rows have reached
  // memory, up to 0.3 us, so it is best called once for all batches of a commit round.
  void Publish();

  void Apply(const BatchView& batch) {
    Add(batch);
    Publish();
  }

  // Readers that pass it see what was published so far.
  uint32_t limit() const { return limit_.load(std::memory_order_acquire); }

  // True if a reader with this limit must ask DeletedRowsOf.
  bool HasDeletes(uint32_t limit) const;
  // What the deletes before `limit` take of the series with these labels.
  std::vector<DeletedRows> DeletedRowsOf(std::string_view canonical, uint32_t limit) const;

  // Appends the samples of a series within `range`: timestamps strictly ascending, each with the
  // value that was written last. `limit` is one that limit() has returned, `deleted` what
  // DeletedRowsOf says of the series and that limit.
  void Read(SeriesId series, TimeRange range, uint32_t limit, std::vector<int64_t>* timestamps,
            std::vector<double>* values, std::span<const DeletedRows> deleted = {}) const;

  // The sample of a series with the greatest timestamp within `range`; nullopt if there is none.
  // A few loads, unless `range` ends before the newest sample, or that is deleted: then it costs a
  // Read.
  std::optional<Sample> Latest(SeriesId series, uint32_t limit, TimeRange range = {},
                               std::span<const DeletedRows> deleted = {}) const;

  // True if the series has samples, deleted ones too.
  bool Has(SeriesId series) const {
    const SeriesEntry* entry = table_.Find(series);
    return entry != nullptr && !entry->empty();
  }

  // Appends the ids of all series that have samples, ascending; maybe also of some that get their
  // first sample meanwhile.
  void AppendSeriesIds(std::vector<SeriesId>* series) const { table_.AppendIds(series); }

  // Samples taken in; one that was overwritten or deleted counts too.
  uint64_t samples() const { return samples_.load(std::memory_order_relaxed); }
  bool empty() const { return samples() == 0; }
  // Covers all timestamps; empty if there are none.
  TimeRange range() const;
  // Memory held.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  friend class FlushCursor;

  // Staged samples are looked up this many at a time, so that the cache misses of their entries
  // overlap.
  static constexpr size_t kStageBatch = 64;
  struct StagedBatch {
    std::array<uint64_t, kStageBatch> ids;
    std::array<int64_t, kStageBatch> timestamps;
    std::array<SeriesEntry*, kStageBatch> entries;
  };

  // The deletes, each chained to the one before it.
  struct Deletion {
    std::shared_ptr<const Tombstone> tombstone;
    uint32_t ordinal = 0;
    const Deletion* previous = nullptr;
  };

  void ApplyRow(const SectionView& section, size_t first, size_t count);
  void ApplyRowPiece(const SectionView& section, size_t first, size_t count);
  void LinkColumns(const Shape& shape);
  void ApplyRun(const SectionView& section, size_t first, size_t count);
  void Stage(const SectionView& section, size_t first, size_t count);
  void LinkStaged(const StagedBatch& batch, const double* values, size_t samples, uint32_t ordinal,
                  ArenaRef ref);
  void Cover(int64_t first, int64_t last);

  // The writer's, but for what readers reach through table_.
  Arena arena_;
  SeriesTable table_;
  ShapeTable shapes_;
  std::vector<std::unique_ptr<const Deletion>> deletions_;
  uint32_t next_ordinal_ = 0;

  std::atomic<uint32_t> limit_{0};
  std::atomic<const Deletion*> last_deletion_{nullptr};
  std::atomic<uint64_t> samples_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<int64_t> first_timestamp_;
  std::atomic<int64_t> last_timestamp_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_MEMTABLE_H_
