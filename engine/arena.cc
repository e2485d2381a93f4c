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

constexpr std::align_val_t kCacheLineAlignment{64};

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
  for (uint32_t number = 0; number < chunks_; number++) {
    if (number < own_chunks_) {
      ::operator delete(Chunk(number), kCacheLineAlignment);
    } else {
      pool_->Give(Chunk(number));
    }
  }
}

void Arena::AddChunk(size_t bytes_wanted) {
  size_t own_bytes = kOwnChunkBytes << (2 * own_chunks_);
  if (own_chunks_ < kOwnChunks && own_chunks_ == chunks_ && bytes_wanted <= own_bytes) {
    own_chunks_++;
    AddChunk(static_cast<std::byte*>(::operator new(own_bytes, kCacheLineAlignment)), own_bytes);
  } else {
    AddChunk(pool_->Take(), kArenaChunkBytes);
  }
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

ArenaRef Arena::Allocate(size_t bytes, size_t alignment) {
  NEXUS_CHECK(bytes <= kArenaChunkBytes);
  size_t at = AlignUp(used_, alignment);
  if (at + bytes > chunk_bytes_) {
    // The first grain of an arena is never given out: it would be named zero.
    if (chunks_ == 0) {
      AddChunk(kGrain);
      used_ = kGrain;
      return Allocate(bytes, alignment);
    }
    AddChunk(bytes);
    at = 0;
  }
  used_ = at + AlignUp(bytes, kGrain);
  return (chunks_ - 1) << kOffsetBits | static_cast<uint32_t>(at / kGrain);
}

}  // namespace nexus::engine
