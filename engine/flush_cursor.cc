// Streaming a memtable in columns. See flush_cursor.h.

#include "engine/flush_cursor.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/planted.h"

namespace nexus::engine {
namespace {

// Fewer rows are gathered: a tile would not be larger than the lines it was made from.
constexpr uint32_t kTileRowsMin = 4;

// A column of timestamps put together from parts is looked for by its parts if at most this many
// samples were staged (the first row of a shape, stray samples); more are unlikely to be repeated.
constexpr size_t kSignatureStagedMax = 16;
constexpr uint64_t kJoinedBytesMax = 16ull << 20;

// Calls visit(block, rows) for all blocks of a shape that takes no more rows.
template <typename Visit>
void VisitBlocks(const Shape& shape, Visit&& visit) {
  uint32_t left = shape.rows.load(std::memory_order_relaxed);
  for (const RowBlock* block = shape.first_block; left > 0; block = block->next) {
    uint32_t rows = std::min(left, block->capacity);
    visit(*block, rows);
    left -= rows;
  }
}

std::vector<int64_t> TimestampsOf(const Shape& shape) {
  std::vector<int64_t> timestamps;
  timestamps.reserve(shape.rows.load(std::memory_order_relaxed));
  VisitBlocks(shape, [&](const RowBlock& block, uint32_t rows) {
    timestamps.insert(timestamps.end(), block.timestamps(), block.timestamps() + rows);
  });
  return timestamps;
}

// Writes `rows` rows of kPitch values as kPitch columns, `distance` doubles apart.
template <size_t kPitch>
void TransposeStripe(const double* from, size_t rows, double* to, size_t distance) {
  for (size_t row = 0; row < rows; row++, from += kPitch, to++) {
    for (size_t i = 0; i < kPitch; i++) to[i * distance] = from[i];
  }
}

template <typename T>
void AppendBytes(std::string* out, const T& value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

FlushCursor::FlushCursor(const Memtable* memtable, std::span<const SeriesId> order,
                         const FlushCursorOptions& options)
    : memtable_(*memtable),
      order_(order),
      options_(options),
      limit_(memtable->limit()),
      has_deletes_(memtable->HasDeletes(limit_)),
      shapes_(memtable->shapes_.shapes().size()) {
  NEXUS_CHECK(!has_deletes_ || options_.labels != nullptr);
}

FlushCursor::~FlushCursor() = default;

bool FlushCursor::Next(FlushedSeries* series) {
  given_out_.clear();
  while (next_ < order_.size()) {
    if (next_ == lanes_end_) FillLanes();
    Lane& lane = lanes_[lane_++];
    series->series = order_[next_++];
    if (lane.entry == nullptr) continue;
    parts_.staged.swap(lane.staged);
    parts_.CollectColumnsAndRuns(memtable_.arena_, *lane.entry, limit_);
    if (has_deletes_ && !NEXUS_PLANTED("delete-forgotten-by-flush")) {
      parts_.Delete(memtable_.DeletedRowsOf(options_.labels(next_ - 1), limit_));
    }
    if (parts_.empty()) continue;
    if (parts_.cut()) {
      GiveMerged(series);
      if (series->timestamps.empty()) continue;
      return true;
    }
    bool unstaged = parts_.staged.empty();
    if (unstaged && parts_.columns.size() == 1 && parts_.runs.empty()) {
      GiveColumn(series);
    } else if (unstaged && parts_.columns.empty() && parts_.runs.size() == 1 &&
               parts_.runs[0]->ascending) {
      GiveRun(series);
    } else if (!GiveEndToEnd(series)) {
      GiveMerged(series);
    }
    return true;
  }
  return false;
}

// Each step touches what the step before has fetched, for all lanes.
void FlushCursor::FillLanes() {
  const Arena& arena = memtable_.arena_;
  const size_t lanes = std::min(kLanes, order_.size() - next_);
  lane_ = 0;
  lanes_end_ = next_ + lanes;
  for (size_t i = 0; i < lanes; i++) memtable_.table_.Prefetch(order_[next_ + i]);
  for (size_t i = 0; i < lanes; i++) {
    lanes_[i].entry = memtable_.table_.Find(order_[next_ + i]);
    __builtin_prefetch(lanes_[i].entry);
  }
  std::array<ArenaRef, kLanes> refs = {};
  for (size_t i = 0; i < lanes; i++) {
    const SeriesEntry* entry = lanes_[i].entry;
    lanes_[i].staged.clear();
    lanes_[i].place = nullptr;
    if (entry == nullptr) continue;
    refs[i] = entry->staged.load(std::memory_order_acquire);
    if (refs[i] != 0) __builtin_prefetch(arena.At<StagedSample>(refs[i]));
    ArenaRef place = entry->columns.load(std::memory_order_acquire);
    if (place == 0) continue;
    lanes_[i].place = arena.At<ColumnPlace>(place);
    __builtin_prefetch(lanes_[i].place);
  }
  for (size_t i = 0; i < lanes; i++) {
    if (lanes_[i].place != nullptr) __builtin_prefetch(lanes_[i].place->shape);
  }
  FollowStaged(&refs, lanes);
}

void FlushCursor::FollowStaged(std::array<ArenaRef, kLanes>* refs, size_t lanes) {
  const Arena& arena = memtable_.arena_;
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < lanes; i++) {
      ArenaRef& ref = (*refs)[i];
      if (ref == 0) continue;
      const auto* sample = arena.At<StagedSample>(ref);
      lanes_[i].staged.push_back(*sample);
      ref = sample->previous;
      if (ref == 0) continue;
      __builtin_prefetch(arena.At<StagedSample>(ref));
      more = true;
    }
  }
  for (size_t i = 0; i < lanes; i++) {
    std::reverse(lanes_[i].staged.begin(), lanes_[i].staged.end());
  }
}

// ---- What is given out.

void FlushCursor::GiveColumn(FlushedSeries* series) {
  const SeriesParts::Column& column = parts_.columns[0];
  const ShapeState& state = Know(*column.shape);
  series->timestamp_column = state.timestamp_column;
  series->timestamps = Shared(state.timestamp_column);
  series->values = {ColumnValues(*column.shape, column.column), series->timestamps.size()};
}

void FlushCursor::GiveRun(FlushedSeries* series) {
  const Run& run = *parts_.runs[0];
  series->timestamp_column = FlushedSeries::kOwnTimestamps;
  series->timestamps = {run.timestamps(), run.count};
  series->values = {run.values(), run.count};
}

// False if the parts overlap or do not ascend.
bool FlushCursor::GiveEndToEnd(FlushedSeries* series) {
  SeriesParts::Order order = parts_.InTimeOrder();
  if (order.empty()) return false;
  timestamps_.clear();
  values_.clear();
  bool repeats = SignatureOf(order);
  auto known = repeats ? column_by_signature_.find(signature_) : column_by_signature_.end();
  const bool is_known = known != column_by_signature_.end();
  // The signature says what the timestamps are, so parts that lay end to end once do so again.
  for (const SeriesParts::Part& part : order) {
    if (!AppendPart(part, !is_known)) return false;
  }
  series->values = values_;
  if (is_known) {
    series->timestamp_column = known->second;
    series->timestamps = Shared(known->second);
    return true;
  }
  uint64_t bytes = timestamps_.size() * sizeof(int64_t);
  if (!repeats || joined_bytes_ + bytes > kJoinedBytesMax) {
    series->timestamp_column = FlushedSeries::kOwnTimestamps;
    series->timestamps = timestamps_;
    return true;
  }
  joined_bytes_ += bytes;
  series->timestamp_column = ShareTimestamps(std::move(timestamps_));
  series->timestamps = Shared(series->timestamp_column);
  timestamps_ = {};
  column_by_signature_.emplace(signature_, series->timestamp_column);
  return true;
}

void FlushCursor::GiveMerged(FlushedSeries* series) {
  timestamps_.clear();
  values_.clear();
  parts_.AppendTo({}, &timestamps_, &values_);
  series->timestamp_column = FlushedSeries::kOwnTimestamps;
  series->timestamps = timestamps_;
  series->values = values_;
}

// Appends a part's values and, if asked to, its timestamps; false if these do not ascend from what
// is there.
bool FlushCursor::AppendPart(const SeriesParts::Part& part, bool with_timestamps) {
  if (with_timestamps && !timestamps_.empty() && part.first <= timestamps_.back()) return false;
  switch (part.kind) {
    case SeriesParts::Kind::kStaged:
      for (const StagedSample& sample : parts_.staged) {
        if (with_timestamps) timestamps_.push_back(sample.timestamp);
        values_.push_back(sample.value);
      }
      break;
    case SeriesParts::Kind::kColumn: {
      const SeriesParts::Column& column = parts_.columns[part.index];
      std::span<const int64_t> timestamps = Shared(Know(*column.shape).timestamp_column);
      const double* values = ColumnValues(*column.shape, column.column);
      if (with_timestamps) {
        timestamps_.insert(timestamps_.end(), timestamps.begin(), timestamps.end());
      }
      values_.insert(values_.end(), values, values + timestamps.size());
      break;
    }
    case SeriesParts::Kind::kRun: {
      const Run& run = *parts_.runs[part.index];
      if (with_timestamps) {
        timestamps_.insert(timestamps_.end(), run.timestamps(), run.timestamps() + run.count);
      }
      values_.insert(values_.end(), run.values(), run.values() + run.count);
      break;
    }
  }
  return true;
}

// Names what the timestamps are put together from; false if that is not likely to be repeated.
bool FlushCursor::SignatureOf(const SeriesParts::Order& order) {
  if (parts_.columns.empty() || !parts_.runs.empty() ||
      parts_.staged.size() > kSignatureStagedMax) {
    return false;
  }
  signature_.clear();
  for (const SeriesParts::Part& part : order) {
    if (part.kind == SeriesParts::Kind::kColumn) {
      AppendBytes(&signature_, parts_.columns[part.index].shape->number);
      continue;
    }
    // Shapes have smaller numbers.
    AppendBytes(&signature_, ~static_cast<uint32_t>(parts_.staged.size()));
    for (const StagedSample& sample : parts_.staged) AppendBytes(&signature_, sample.timestamp);
  }
  return true;
}

// ---- Shapes: their timestamps, and their values by column.

std::span<const int64_t> FlushCursor::Shared(uint32_t timestamp_column) const {
  return *columns_[timestamp_column];
}

uint32_t FlushCursor::ShareTimestamps(std::vector<int64_t> timestamps) {
  auto number = static_cast<uint32_t>(columns_.size());
  uint64_t hash = XxHash64(std::as_bytes(std::span(timestamps)));
  auto [at, is_new] = column_by_hash_.try_emplace(hash, number);
  if (!is_new && *columns_[at->second] == timestamps) return at->second;
  columns_.push_back(std::make_unique<const std::vector<int64_t>>(std::move(timestamps)));
  return number;
}

const FlushCursor::ShapeState& FlushCursor::Know(const Shape& shape) {
  ShapeState& state = shapes_[shape.number];
  if (state.known) return state;
  state.known = true;
  state.rows = shape.rows.load(std::memory_order_acquire);
  state.tiles.resize((shape.width + kTileColumns - 1) / kTileColumns);
  std::vector<int64_t> timestamps = TimestampsOf(shape);
  if (!shape.ascending.load(std::memory_order_relaxed)) {
    timestamps = SortRows(timestamps, &state.order);
  }
  state.timestamp_column = ShareTimestamps(std::move(timestamps));
  return state;
}

// Sets the rows in the order of their timestamps, of equal ones the last; returns these timestamps.
std::vector<int64_t> FlushCursor::SortRows(const std::vector<int64_t>& timestamps,
                                           std::vector<uint32_t>* order) {
  order->resize(timestamps.size());
  std::iota(order->begin(), order->end(), 0u);
  std::stable_sort(order->begin(), order->end(),
                   [&](uint32_t a, uint32_t b) { return timestamps[a] < timestamps[b]; });
  std::vector<int64_t> sorted;
  size_t kept = 0;
  for (size_t i = 0; i < order->size(); i++) {
    uint32_t row = (*order)[i];
    if (i + 1 < order->size() && timestamps[(*order)[i + 1]] == timestamps[row]) continue;
    sorted.push_back(timestamps[row]);
    (*order)[kept++] = row;
  }
  order->resize(kept);
  return sorted;
}

// The values of a column in the order of the shape's shared timestamps; valid until the next call.
const double* FlushCursor::ColumnValues(const Shape& shape, uint32_t column) {
  ShapeState& state = shapes_[shape.number];
  Tile& tile = state.tiles[column / kTileColumns];
  const uint32_t first_column = column / kTileColumns * kTileColumns;
  const uint32_t columns = std::min(kTileColumns, shape.width - first_column);
  const uint64_t bytes = uint64_t{columns} * state.rows * sizeof(double);
  if (tile.values == nullptr && state.rows >= kTileRowsMin &&
      tile_bytes_ + bytes <= options_.tile_bytes_max) {
    tile.values = std::make_unique_for_overwrite<double[]>(size_t{columns} * state.rows);
    tile.columns_left = columns;
    tile_bytes_ += bytes;
    FillTile(shape, first_column, columns, tile.values.get());
  }
  const double* values = nullptr;
  if (tile.values != nullptr) {
    values = tile.values.get() + size_t{column - first_column} * state.rows;
    if (--tile.columns_left == 0) {
      tile_bytes_ -= bytes;
      given_out_.push_back(std::move(tile));
    }
  } else {
    gathered_.resize(state.rows);
    GatherColumn(shape, column, gathered_.data());
    values = gathered_.data();
  }
  if (state.order.empty()) return values;
  sorted_.resize(state.order.size());
  for (size_t i = 0; i < state.order.size(); i++) sorted_[i] = values[state.order[i]];
  return sorted_.data();
}

void FlushCursor::FillTile(const Shape& shape, uint32_t first_column, uint32_t columns,
                           double* out) {
  const size_t all_rows = shape.rows.load(std::memory_order_relaxed);
  VisitBlocks(shape, [&](const RowBlock& block, uint32_t rows) {
    for (uint32_t stripe = 0; stripe < columns; stripe += kStripeColumns) {
      RowBlock::Column from = block.column(first_column + stripe);
      double* to = out + stripe * all_rows + block.first_row;
      if (from.pitch == kStripeColumns) {
        TransposeStripe<kStripeColumns>(from.first, rows, to, all_rows);
        continue;
      }
      for (uint32_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < from.pitch; i++) {
          to[i * all_rows + row] = from.first[row * from.pitch + i];
        }
      }
    }
  });
}

void FlushCursor::GatherColumn(const Shape& shape, uint32_t column, double* out) {
  VisitBlocks(shape, [&](const RowBlock& block, uint32_t rows) {
    RowBlock::Column from = block.column(column);
    for (uint32_t row = 0; row < rows; row++) *out++ = from.first[row * from.pitch];
  });
}

}  // namespace nexus::engine
