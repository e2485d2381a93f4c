// MemtablePool and Arena: where memtables keep their samples.
//
// Freshly mapped memory costs 7 to 80 ns a sample, all of it page faults (INGEST section 2), so a
// pool maps memory once, in slabs, and its chunks go from one memtable to the next. An arena takes
// chunks from the pool and gives out pieces of them; nothing is freed before the whole arena is.
// Pieces do not move and are named by a 32-bit ArenaRef, half the size of a pointer. Huge pages
// were measured and are not asked for: the first filling costs 3.3 instead of 5.3 ns a sample,
// later ones the same.
//
// Limits: an arena holds at most kArenaChunksMax chunks, 32 GiB; a memtable's budget must stay
// below that, which is checked. A pool grows to the most chunks that were ever in use at once, so
// the budgets of the memtables on it bound it, and keeps them until it is destroyed.
// Threading: the pool is for any thread. An arena has one writer; other threads may call At() for
// refs that reached them through a release-acquire pair.

#ifndef NEXUS_ENGINE_ARENA_H_
#define NEXUS_ENGINE_ARENA_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace nexus::engine {

// Large enough that the rows of the widest shape (4 KiB each) come in blocks of 63, between which
// readers follow pointers, and that the end of a chunk that takes no whole row is at most 2 % of
// it.
inline constexpr size_t kArenaChunkBytes = 256 << 10;

class MemtablePool {
 public:
  MemtablePool() = default;
  // REQUIRES: every chunk was given back.
  ~MemtablePool();
  MemtablePool(const MemtablePool&) = delete;
  MemtablePool& operator=(const MemtablePool&) = delete;

  // A chunk of kArenaChunkBytes, with whatever its last user left in it.
  std::byte* Take();
  void Give(std::byte* chunk);

  // Memory held, in use or not.
  uint64_t bytes_held() const;
  uint64_t bytes_in_use() const;

 private:
  mutable Mutex mutex_;
  std::vector<std::byte*> slabs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::byte*> free_ ABSL_GUARDED_BY(mutex_);  // the last given is the next taken: warm
};

// Names a piece of an arena: its chunk's number, and its place in the chunk in units of 8 bytes.
// Zero names nothing.
using ArenaRef = uint32_t;

class Arena {
 public:
  explicit Arena(std::shared_ptr<MemtablePool> pool);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A piece of `bytes`, aligned to 8 bytes or to a cache line, not cleared.
  // REQUIRES: 0 < bytes <= kArenaChunkBytes.
  ArenaRef Allocate(size_t bytes, size_t alignment = 8);
  // The largest piece that would not start a new chunk; if it is to be aligned to a cache line, up
  // to 56 bytes less.
  size_t remaining_bytes() const { return chunk_bytes_ - used_; }

  template <typename T>
  T* At(ArenaRef ref) const {
    return reinterpret_cast<T*>(Chunk(ref >> kOffsetBits) +
                                size_t{ref & ((1u << kOffsetBits) - 1)} * kGrain);
  }

  // Memory held, the unused end of the last chunk included.
  uint64_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kGrain = 8;
  static constexpr int kOffsetBits = 15;
  static_assert((size_t{1} << kOffsetBits) * kGrain == kArenaChunkBytes);
  static constexpr uint32_t kArenaChunksMax = 1u << (32 - kOffsetBits);
  // The first chunks are an arena's own, and small, because most tenants are: 4, 16 and 64 KiB.
  static constexpr size_t kOwnChunkBytes = 4096;
  static constexpr uint32_t kOwnChunks = 3;
  // Chunk addresses stand in levels of 16, 32, 64, ... entries, so that they never move.
  static constexpr int kFirstLevelBits = 4;
  static constexpr int kLevels = 32 - kOffsetBits - kFirstLevelBits + 1;

  std::byte* Chunk(uint32_t number) const {
    uint32_t shifted = number + (1u << kFirstLevelBits);
    auto level = static_cast<size_t>(std::bit_width(shifted) - 1 - kFirstLevelBits);
    return levels_[level][shifted - (size_t{1} << (level + kFirstLevelBits))];
  }
  void AddChunk(size_t bytes_wanted);
  void AddChunk(std::byte* chunk, size_t bytes);

  const std::shared_ptr<MemtablePool> pool_;
  std::array<std::unique_ptr<std::byte*[]>, kLevels> levels_;
  uint32_t own_chunks_ = 0;  // the first ones
  uint32_t chunks_ = 0;
  size_t chunk_bytes_ = 0;  // of the last chunk
  size_t used_ = 0;         // of the last chunk
  uint64_t bytes_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_ARENA_H_
