// Arenas: pieces keep apart and in place, and their memory goes round.

#include "engine/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

namespace nexus::engine {
namespace {

TEST(Arena, PiecesDoNotOverlapOrMove) {
  auto pool = std::make_shared<MemtablePool>();
  Arena arena(pool);
  struct Piece {
    ArenaRef ref;
    std::byte* address;
    size_t bytes;
    std::byte content;
  };
  std::vector<Piece> pieces;
  std::mt19937_64 random(1);
  for (int i = 0; i < 3000; i++) {
    size_t bytes = 1 + random() % (i % 100 == 0 ? kArenaChunkBytes : 3000);
    size_t alignment = i % 3 == 0 ? 64 : 8;
    ArenaRef ref = arena.Allocate(bytes, alignment);
    ASSERT_NE(ref, 0u);
    auto* address = arena.At<std::byte>(ref);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(address) % alignment, 0u);
    pieces.push_back({ref, address, bytes, static_cast<std::byte>(random())});
    std::memset(address, static_cast<int>(pieces.back().content), bytes);
  }
  for (const Piece& piece : pieces) {
    ASSERT_EQ(arena.At<std::byte>(piece.ref), piece.address);
    for (size_t i = 0; i < piece.bytes; i++) ASSERT_EQ(piece.address[i], piece.content);
  }
}

TEST(Arena, RoomThatIsLeftIsUsed) {
  Arena arena(std::make_shared<MemtablePool>());
  arena.Allocate(100);
  for (int chunks = 0; chunks < 6; chunks++) {
    uint64_t bytes = arena.bytes();
    arena.Allocate(arena.remaining_bytes());
    EXPECT_EQ(arena.remaining_bytes(), 0u);
    EXPECT_EQ(arena.bytes(), bytes);
    arena.Allocate(8);
    EXPECT_GT(arena.bytes(), bytes);
  }
}

TEST(Arena, SmallOnesTakeNothingFromThePool) {
  auto pool = std::make_shared<MemtablePool>();
  {
    Arena arena(pool);
    EXPECT_EQ(arena.bytes(), 0u);
    for (int i = 0; i < 1000; i++) arena.Allocate(64);
    EXPECT_EQ(pool->bytes_held(), 0u);
    EXPECT_LT(arena.bytes(), 100'000u);
    for (int i = 0; i < 1000; i++) arena.Allocate(64);
    EXPECT_EQ(pool->bytes_in_use(), kArenaChunkBytes);
  }
  EXPECT_EQ(pool->bytes_in_use(), 0u);
}

TEST(Arena, AFirstPieceOfAWholeChunkFits) {
  Arena arena(std::make_shared<MemtablePool>());
  ArenaRef ref = arena.Allocate(kArenaChunkBytes, 64);
  std::memset(arena.At<std::byte>(ref), 1, kArenaChunkBytes);
  EXPECT_EQ(arena.remaining_bytes(), 0u);
}

TEST(MemtablePool, GivesBackWhatItWasGiven) {
  MemtablePool pool;
  std::vector<std::byte*> chunks;
  for (int i = 0; i < 20; i++) chunks.push_back(pool.Take());
  uint64_t held = pool.bytes_held();
  std::byte* last = chunks.back();
  for (std::byte* chunk : chunks) pool.Give(chunk);
  EXPECT_EQ(pool.Take(), last);
  for (int i = 0; i < 19; i++) pool.Take();
  EXPECT_EQ(pool.bytes_held(), held);
  EXPECT_EQ(pool.bytes_in_use(), 20 * kArenaChunkBytes);
  for (std::byte* chunk : chunks) pool.Give(chunk);
}

}  // namespace
}  // namespace nexus::engine
