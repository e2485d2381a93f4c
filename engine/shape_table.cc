// Recognising shapes and adding rows to them. See shape_table.h, memtable_parts.h.

#include "engine/shape_table.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/hash.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

namespace nexus::engine {
namespace {

// The first rows of a shape get a block of about this size; each further block holds half as many
// rows as all before it, up to a whole chunk, so that a quarter of the memory is unused at worst.
constexpr size_t kFirstBlockBytes = 512;
constexpr uint32_t kGrowthDivisor = 2;

// What a block takes beside its rows at most: its header, and alignment before it and its values.
constexpr size_t kBlockSlackBytes = sizeof(RowBlock) + 2 * alignof(RowBlock);

// Rows of this many columns are written past the caches: nobody reads them soon, and a line that is
// overwritten whole need not be read first (0.55 ns a sample instead of 1.2). In narrower rows the
// fence that must follow costs as much as it saves.
constexpr uint32_t kStreamedWidthMin = 64;

constexpr uint32_t kSeenOncePerShape = 4;

bool IdsAre(const Shape& shape, const IdColumn& ids, size_t first, size_t count) {
  return shape.width == count && shape.ids.coding() == ids.coding() &&
         shape.ids.base() == ids.base() &&
         std::memcmp(shape.ids.encoded(0, count).data(), ids.encoded(first, count).data(),
                     ids.width() * count) == 0;
}

// Copies eight values to a cache line, past the caches.
void StreamLine(double* to, const double* from) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::CappedTag<double, kStripeColumns> lanes;
  for (size_t i = 0; i < kStripeColumns; i += hn::Lanes(lanes)) {
    hn::Stream(hn::LoadU(lanes, from + i), lanes, to + i);
  }
}

uint64_t HashOf(const IdColumn& ids, size_t first, size_t count) {
  return XxHash64(ids.encoded(first, count), ids.base() + static_cast<uint64_t>(ids.coding()));
}

}  // namespace

Shape* ShapeTable::FindOrMake(const IdColumn& ids, size_t first, size_t count) {
  Shape* guess = last_ == nullptr ? nullptr : last_->successor;
  if (guess != nullptr && IdsAre(*guess, ids, first, count)) return last_ = guess;
  uint64_t hash = HashOf(ids, first, count);
  Shape* shape = nullptr;
  if (auto at = by_hash_.find(hash); at != by_hash_.end()) {
    if (!IdsAre(*at->second, ids, first, count)) return nullptr;
    shape = at->second;
  } else {
    if (shapes_.size() >= shapes_max_) return nullptr;
    if (seen_once_.erase(hash) == 0) {
      Remember(hash);
      return nullptr;
    }
    shape = Make(hash, ids, first, count);
  }
  if (last_ != nullptr) last_->successor = shape;
  return last_ = shape;
}

void ShapeTable::Remember(uint64_t hash) {
  if (seen_once_.size() >= size_t{kSeenOncePerShape} * shapes_max_) seen_once_.clear();
  seen_once_.insert(hash);
}

void ShapeTable::Expect(const ShapeTable& other) {
  for (const Shape* shape : other.shapes_) Remember(shape->hash);
}

Shape* ShapeTable::Make(uint64_t hash, const IdColumn& ids, size_t first, size_t count) {
  Bytes encoded = ids.encoded(first, count);
  auto* copy = arena_->At<std::byte>(arena_->Allocate(encoded.size()));
  std::memcpy(copy, encoded.data(), encoded.size());
  ArenaRef ref = arena_->Allocate(sizeof(Shape), alignof(Shape));
  auto* shape = new (arena_->At<Shape>(ref)) Shape();
  shape->number = static_cast<uint32_t>(shapes_.size());
  shape->width = static_cast<uint32_t>(count);
  shape->hash = hash;
  shape->ids = IdColumn(ids.coding(), ids.base(), copy);
  shape->ascending.store(true, std::memory_order_relaxed);
  shapes_.push_back(shape);
  by_hash_.emplace(hash, shape);
  return shape;
}

void ShapeTable::AddBlock(Shape* shape) {
  const uint32_t rows = shape->rows.load(std::memory_order_relaxed);
  const size_t row_bytes = RowBlock::RowBytes(shape->width);
  size_t wanted = std::max<size_t>({rows / kGrowthDivisor, kFirstBlockBytes / row_bytes, 1});
  size_t room = arena_->remaining_bytes();
  if (room < kBlockSlackBytes + row_bytes) room = kArenaChunkBytes;
  size_t capacity = std::min(wanted, (room - kBlockSlackBytes) / row_bytes);
  ArenaRef ref = arena_->Allocate(RowBlock::Bytes(capacity, shape->width), alignof(RowBlock));
  auto* block = arena_->At<RowBlock>(ref);
  RowBlock* previous = shape->last_block.load(std::memory_order_relaxed);
  block->next = nullptr;
  block->previous = previous;
  block->first_row = rows;
  block->capacity = static_cast<uint32_t>(capacity);
  block->width = shape->width;
  if (previous == nullptr) {
    shape->first_block = block;
  } else {
    previous->next = block;
  }
  shape->last_block.store(block, std::memory_order_release);
}

void ShapeTable::WriteValues(RowBlock* block, size_t row, const double* values) {
  const uint32_t whole = block->width / kStripeColumns * kStripeColumns;
  double* to = block->values() + row * kStripeColumns;
  const size_t stripe = size_t{kStripeColumns} * block->capacity;
  if (block->width >= kStreamedWidthMin) {
    for (uint32_t column = 0; column < whole; column += kStripeColumns, to += stripe) {
      StreamLine(to, values + column);
    }
    unflushed_ = true;
  } else {
    for (uint32_t column = 0; column < whole; column += kStripeColumns, to += stripe) {
      std::memcpy(to, values + column, kStripeColumns * sizeof(double));
    }
  }
  if (size_t rest = block->width - whole; rest > 0) {
    std::memcpy(block->stripe(whole) + row * rest, values + whole, rest * sizeof(double));
  }
}

void ShapeTable::FlushRows() {
  if (!unflushed_) return;
  hwy::FlushStream();
  unflushed_ = false;
}

void ShapeTable::AddRow(Shape* shape, int64_t timestamp, uint32_t ordinal, const double* values) {
  const uint32_t row = shape->rows.load(std::memory_order_relaxed);
  RowBlock* block = shape->last_block.load(std::memory_order_relaxed);
  if (block == nullptr || row == block->first_row + block->capacity) {
    AddBlock(shape);
    block = shape->last_block.load(std::memory_order_relaxed);
  }
  const size_t at = row - block->first_row;
  block->timestamps()[at] = timestamp;
  block->ordinals()[at] = ordinal;
  WriteValues(block, at, values);
  if (row > 0 && timestamp <= shape->newest_timestamp) {
    shape->ascending.store(false, std::memory_order_relaxed);
  }
  if (row == 0 || timestamp >= shape->newest_timestamp) {
    shape->newest_timestamp = timestamp;
    shape->newest_row.store(row, std::memory_order_relaxed);
  }
  shape->last_ordinal.store(ordinal, std::memory_order_relaxed);
  shape->rows.store(row + 1, std::memory_order_release);
}

uint64_t ShapeTable::bytes() const {
  // A slot and its control byte; capacity is at most twice the size.
  return shapes_.capacity() * sizeof(Shape*) +
         by_hash_.capacity() * (sizeof(uint64_t) + sizeof(Shape*) + 1) +
         seen_once_.capacity() * (sizeof(uint64_t) + 1);
}

Shape::Visible Shape::VisibleRows(uint32_t limit) const {
  Visible visible;
  visible.count = rows.load(std::memory_order_acquire);
  visible.ascending = ascending.load(std::memory_order_relaxed);
  visible.last = last_block.load(std::memory_order_acquire);
  visible.last_ordinal = last_ordinal.load(std::memory_order_relaxed);
  // The last ordinal is that of the rows counted, or of a later row. In the second case it is not
  // below the limit: all rows below it were there when the limit was read.
  if (visible.count == 0 || visible.last_ordinal >= limit) {
    return VisibleRowsBehind(limit, visible);
  }
  // A block may have been added whose first row was not there yet.
  while (visible.last->first_row >= visible.count) visible.last = visible.last->previous;
  return visible;
}

Shape::Visible Shape::VisibleRowsBehind(uint32_t limit, Visible all) const {
  Visible visible;
  visible.ascending = all.ascending;
  const RowBlock* block = all.last;
  while (block != nullptr && (block->first_row >= all.count || block->ordinals()[0] >= limit)) {
    block = block->previous;
  }
  if (block == nullptr) return visible;
  uint32_t in_block = std::min(all.count - block->first_row, block->capacity);
  const uint32_t* ordinals = block->ordinals();
  in_block =
      static_cast<uint32_t>(std::lower_bound(ordinals, ordinals + in_block, limit) - ordinals);
  visible.count = block->first_row + in_block;
  visible.last = block;
  visible.last_ordinal = ordinals[in_block - 1];
  return visible;
}

}  // namespace nexus::engine
