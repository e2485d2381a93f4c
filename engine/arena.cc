// Recycled memory for memtables. See arena.h.

#include "engine/arena.h"

#include <new>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace nexus::engine {
namespace {

// What the pool maps at a time: a huge page, so that the kernel may use one.
constexpr size_t kSlabBytes = 2 << 20;
constexpr std::align_val_t kSlabAlignment{kSlabBytes};
static_assert(kSlabBytes % kArenaChunkBytes == 0);

}  // namespace

MemtablePool::~MemtablePool() {
  MutexLock lock(&mutex_);
  NEXUS_CHECK(free_.size() * kArenaChunkBytes == slabs_.size() * kSlabBytes);
  for (std::byte* slab : slabs_) ::operator delete(slab, kSlabAlignment);
}

std::byte* MemtablePool::Take() {
  MutexLock lock(&mutex_);
  if (free_.empty()) {
    auto* slab = static_cast<std::byte*>(::operator new(kSlabBytes, kSlabAlignment));
    slabs_.push_back(slab);
    for (size_t at = kSlabBytes; at > 0; at -= kArenaChunkBytes) {
      free_.push_back(slab + at - kArenaChunkBytes);
    }
  }
  std::byte* chunk = free_.back();
  free_.pop_back();
  return chunk;
}

void MemtablePool::Give(std::byte* chunk) {
  MutexLock lock(&mutex_);
  free_.push_back(chunk);
}

uint64_t MemtablePool::bytes_held() const {
  MutexLock lock(&mutex_);
  return slabs_.size() * kSlabBytes;
}

uint64_t MemtablePool::bytes_in_use() const {
  MutexLock lock(&mutex_);
  return slabs_.size() * kSlabBytes - free_.size() * kArenaChunkBytes;
}

Arena::Arena(std::shared_ptr<MemtablePool> pool) : pool_(std::move(pool)) {}

Arena::~Arena() {
  for (uint32_t number = 1; number < chunks_; number++) pool_->Give(Chunk(number));
}

void Arena::AddFirstChunk() {
  first_chunk_ = std::make_unique_for_overwrite<uint64_t[]>(kFirstChunkBytes / sizeof(uint64_t));
  AddChunk(reinterpret_cast<std::byte*>(first_chunk_.get()), kFirstChunkBytes);
  used_ = kGrain;  // a piece at its very beginning would be named zero
}

void Arena::AddChunk(std::byte* chunk, size_t bytes) {
  NEXUS_CHECK(chunks_ < kArenaChunksMax);
  uint32_t shifted = chunks_ + (1u << kFirstLevelBits);
  auto level = static_cast<size_t>(std::bit_width(shifted) - 1 - kFirstLevelBits);
  size_t level_entries = size_t{1} << (level + kFirstLevelBits);
  if (levels_[level] == nullptr) {
    levels_[level] = std::make_unique_for_overwrite<std::byte*[]>(level_entries);
    bytes_ += level_entries * sizeof(std::byte*);
  }
  levels_[level][shifted - level_entries] = chunk;
  chunk_bytes_ = bytes;
  used_ = 0;
  bytes_ += bytes;
  chunks_++;
}

ArenaRef Arena::Allocate(size_t bytes) {
  size_t padded = AlignUp(bytes, kGrain);
  NEXUS_CHECK(padded <= kArenaChunkBytes);
  if (chunks_ == 0) AddFirstChunk();
  if (padded > remaining_bytes()) AddChunk(pool_->Take(), kArenaChunkBytes);
  ArenaRef ref = (chunks_ - 1) << kOffsetBits | static_cast<uint32_t>(used_ / kGrain);
  used_ += padded;
  return ref;
}

}  // namespace nexus::engine
