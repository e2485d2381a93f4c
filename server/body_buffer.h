// BodyBuffer: where the body of a batch lies from its receipt until the log has it, 8-byte aligned;
// and the pool that such buffers come from, so that receiving does not map fresh memory.
//
// Bounds: the pool keeps at most kPooledBytesMax. Threading: loop.

#ifndef NEXUS_SERVER_BODY_BUFFER_H_
#define NEXUS_SERVER_BODY_BUFFER_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace nexus::server {

struct BodyBuffer {
  std::unique_ptr<uint64_t[]> words;
  size_t capacity = 0;  // bytes
  size_t size = 0;

  std::byte* data() { return reinterpret_cast<std::byte*>(words.get()); }
  MutableBytes bytes() { return {data(), size}; }
};

class BodyPool {
 public:
  // A buffer of this size, with whatever its last user left in it.
  BodyBuffer Take(size_t bytes) {
    const size_t kind = KindOf(bytes);
    std::vector<BodyBuffer>& free = free_[kind];
    if (free.empty()) {
      const size_t capacity = size_t{1} << kind;
      return {std::make_unique_for_overwrite<uint64_t[]>(capacity / 8), capacity, bytes};
    }
    BodyBuffer buffer = std::move(free.back());
    free.pop_back();
    pooled_bytes_ -= buffer.capacity;
    buffer.size = bytes;
    return buffer;
  }
  void Give(BodyBuffer buffer) {
    if (pooled_bytes_ + buffer.capacity > kPooledBytesMax) return;
    pooled_bytes_ += buffer.capacity;
    free_[KindOf(buffer.capacity)].push_back(std::move(buffer));
  }

 private:
  // As much as the log has in flight at once.
  static constexpr size_t kPooledBytesMax = 8 << 20;
  static constexpr size_t kSmallestKind = 12;  // a page
  static constexpr size_t kKinds = 26;         // more than twice the largest frame

  // The binary logarithm of the capacity.
  static size_t KindOf(size_t bytes) {
    return std::max(kSmallestKind, static_cast<size_t>(std::bit_width(bytes - 1)));
  }

  std::array<std::vector<BodyBuffer>, kKinds> free_;
  size_t pooled_bytes_ = 0;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_BODY_BUFFER_H_
