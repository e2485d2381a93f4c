// Recognising shapes and adding rows to them. See shape_table.h, memtable_parts.h.

#include "engine/shape_table.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/hash.h"

namespace nexus::engine {
namespace {

// The first rows of a shape get a block of about this size; each further block holds as many rows
// as all before it, up to a whole chunk.
constexpr size_t kFirstBlockBytes = 512;

constexpr uint32_t kSeenOncePerShape = 4;

bool IdsAre(const Shape& shape, const IdColumn& ids, size_t first, size_t count) {
  return shape.width == count && shape.ids.coding() == ids.coding() &&
         shape.ids.base() == ids.base() &&
         std::memcmp(shape.ids.encoded(0, count).data(), ids.encoded(first, count).data(),
                     ids.width() * count) == 0;
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
  auto* shape = new (arena_->At<Shape>(arena_->Allocate(sizeof(Shape)))) Shape{};
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
  // The ordinals at the end of a block may need padding.
  constexpr size_t kBesideRows = sizeof(RowBlock) + 8;
  size_t wanted = std::max<size_t>({rows, kFirstBlockBytes / row_bytes, 1});
  size_t room = arena_->remaining_bytes();
  if (room < kBesideRows + row_bytes) room = kArenaChunkBytes;
  size_t capacity = std::min(wanted, (room - kBesideRows) / row_bytes);
  auto* block =
      arena_->At<RowBlock>(arena_->Allocate(sizeof(RowBlock) + AlignUp(capacity * row_bytes, 8)));
  RowBlock* previous = shape->last_block.load(std::memory_order_relaxed);
  *block = {nullptr, previous, rows, static_cast<uint32_t>(capacity), shape->width};
  if (previous == nullptr) {
    shape->first_block = block;
  } else {
    previous->next = block;
  }
  shape->last_block.store(block, std::memory_order_release);
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
  std::memcpy(block->values() + at * shape->width, values, sizeof(double) * shape->width);
  if (row == 0 || timestamp >= shape->newest_timestamp) {
    if (row > 0 && timestamp == shape->newest_timestamp) {
      shape->ascending.store(false, std::memory_order_relaxed);
    }
    shape->newest_timestamp = timestamp;
    shape->newest_row.store(row, std::memory_order_relaxed);
  } else {
    shape->ascending.store(false, std::memory_order_relaxed);
  }
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
  uint32_t published = rows.load(std::memory_order_acquire);
  visible.ascending = ascending.load(std::memory_order_relaxed);
  const RowBlock* block = last_block.load(std::memory_order_acquire);
  // The last block may be newer than the rows that were counted.
  while (block != nullptr && (block->first_row >= published || block->ordinals()[0] >= limit)) {
    block = block->previous;
  }
  if (block == nullptr) return visible;
  uint32_t in_block = std::min(published - block->first_row, block->capacity);
  const uint32_t* ordinals = block->ordinals();
  // Readers are mostly at most a few rows behind the writer.
  if (ordinals[in_block - 1] >= limit) {
    in_block =
        static_cast<uint32_t>(std::lower_bound(ordinals, ordinals + in_block, limit) - ordinals);
  }
  visible.count = block->first_row + in_block;
  visible.last = block;
  return visible;
}

}  // namespace nexus::engine
