// FlushCursor: streams a sealed memtable series by series, in an order of the caller's, fast enough
// for a flush.
//
// Shapes hold rows and a layer wants columns. The cursor transposes a tile - all rows of 32
// neighbouring columns - when the first of them is asked for, and keeps it until the last was given
// out, so that each line of the memtable is read about once whatever the order. Rows out of order
// are sorted once a shape, not once a series. Chains of staged samples are followed for several
// series at a time, so that their cache misses overlap.
//
// Series of a shape share one column of timestamps: it is given as the same memory each time, with
// a number that says so, also where it is put together from several shapes. Equal columns of
// different shapes have one number.
//
// What a delete in the memtable takes is not given out: of the series that it chooses, the samples
// that were there before it.
//
// Limits: tiles take at most `tile_bytes_max`; beyond it columns are gathered one by one (about
// 3 ns a sample instead of 1). Shared columns of timestamps take 8 bytes for each row of a shape,
// and 16 MiB for those put together; what exceeds this is given without a number.
// Threading: one thread; any number of cursors on one memtable, which must take no more batches.

#ifndef NEXUS_ENGINE_FLUSH_CURSOR_H_
#define NEXUS_ENGINE_FLUSH_CURSOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/types.h"
#include "engine/memtable.h"
#include "engine/series_parts.h"

namespace nexus::engine {

// All samples of one series: timestamps strictly ascending, of equal ones the last written.
struct FlushedSeries {
  static constexpr uint32_t kOwnTimestamps = ~uint32_t{0};

  SeriesId series;
  // Valid until the next call of Next; if shared, until the cursor is destroyed.
  std::span<const int64_t> timestamps;
  // Valid until the next call of Next.
  std::span<const double> values;
  // Two series of one cursor with the same number have the same timestamps; kOwnTimestamps says
  // nothing.
  uint32_t timestamp_column = kOwnTimestamps;
};

struct FlushCursorOptions {
  uint64_t tile_bytes_max = 64ull << 20;
  // The canonical labels of order[i], by which deletes choose their series. REQUIRED if the
  // memtable has deletes.
  std::function<std::string_view(size_t i)> labels;
};

class FlushCursor {
 public:
  // `order`: the series to give out, each once. Memtable and order must outlive the cursor.
  FlushCursor(const Memtable* memtable, std::span<const SeriesId> order,
              const FlushCursorOptions& options = {});
  ~FlushCursor();
  FlushCursor(const FlushCursor&) = delete;
  FlushCursor& operator=(const FlushCursor&) = delete;

  // The next series that has samples; false at the end.
  bool Next(FlushedSeries* series);

 private:
  // Series whose chains are followed together: as many as a core has misses in flight.
  static constexpr size_t kLanes = 16;
  // Columns of a tile: four stripes, which lie side by side and are fetched as one.
  static constexpr uint32_t kTileColumns = 4 * kStripeColumns;

  struct Lane {
    const SeriesEntry* entry = nullptr;
    const ColumnPlace* place = nullptr;  // its first one
    std::vector<StagedSample> staged;
  };
  struct Tile {
    std::unique_ptr<double[]> values;  // column by column
    uint32_t columns_left = 0;         // not given out yet
  };
  // What is known of a shape once one of its series was asked for.
  struct ShapeState {
    bool known = false;
    uint32_t rows = 0;
    // Rows in the order of their timestamps, of equal ones the last; empty if rows are in order.
    std::vector<uint32_t> order;
    uint32_t timestamp_column = 0;
    std::vector<Tile> tiles;
  };

  void FillLanes();
  void FollowStaged(std::array<ArenaRef, kLanes>* refs, size_t lanes);
  const ShapeState& Know(const Shape& shape);
  static std::vector<int64_t> SortRows(const std::vector<int64_t>& timestamps,
                                       std::vector<uint32_t>* order);
  uint32_t ShareTimestamps(std::vector<int64_t> timestamps);
  const double* ColumnValues(const Shape& shape, uint32_t column);
  static void FillTile(const Shape& shape, uint32_t first_column, uint32_t columns, double* out);
  static void GatherColumn(const Shape& shape, uint32_t column, double* out);

  void GiveColumn(FlushedSeries* series);
  void GiveRun(FlushedSeries* series);
  bool GiveEndToEnd(FlushedSeries* series);
  void GiveMerged(FlushedSeries* series);
  bool AppendPart(const SeriesParts::Part& part, bool with_timestamps);
  bool SignatureOf(const SeriesParts::Order& order);
  std::span<const int64_t> Shared(uint32_t timestamp_column) const;

  const Memtable& memtable_;
  const std::span<const SeriesId> order_;
  const FlushCursorOptions options_;
  const uint32_t limit_;
  const bool has_deletes_;

  size_t next_ = 0;       // of order_
  size_t lane_ = 0;       // that of order_[next_]
  size_t lanes_end_ = 0;  // the first of order_ that is in no lane yet
  std::array<Lane, kLanes> lanes_;
  SeriesParts parts_;

  std::vector<ShapeState> shapes_;  // by number
  uint64_t tile_bytes_ = 0;
  std::vector<Tile> given_out_;  // used up by the call of Next that has returned

  std::vector<std::unique_ptr<const std::vector<int64_t>>> columns_;  // of timestamps, by number
  absl::flat_hash_map<uint64_t, uint32_t> column_by_hash_;
  // Columns put together from several parts, by what they were put together from.
  absl::flat_hash_map<std::string, uint32_t> column_by_signature_;
  uint64_t joined_bytes_ = 0;
  std::string signature_;

  std::vector<int64_t> timestamps_;
  std::vector<double> values_;
  std::vector<double> gathered_;  // a column that got no tile
  std::vector<double> sorted_;    // a column of a shape with rows out of order
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_FLUSH_CURSOR_H_
