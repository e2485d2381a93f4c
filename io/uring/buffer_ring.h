// BufferRing: receive buffers that the kernel picks from when bytes have arrived, so that a stream
// that waits holds none. One ring serves all streams of a loop.
//
// This liburing has no io_uring_setup_buf_ring: the ring of descriptors is mapped and registered by
// hand (Linux 5.19 or newer). A buffer is the kernel's until a completion names it, then ours until
// Return. Memory: 4 MiB of address space, of which what was never received into takes none.
// Threading: the loop's.

#ifndef NEXUS_IO_URING_BUFFER_RING_H_
#define NEXUS_IO_URING_BUFFER_RING_H_

#include <liburing.h>

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace nexus::io {

class BufferRing {
 public:
  // 256 streams may have bytes handed over in one turn of the loop; more wait for the next. A
  // buffer holds the batch of a small client whole, and bigger bodies are received in place
  // (stream.h).
  static constexpr uint32_t kBuffers = 256;
  static constexpr uint32_t kBufferBytes = 16 << 10;
  static constexpr uint16_t kGroup = 0;

  // Null where the kernel has no such thing or no memory for it.
  static std::unique_ptr<BufferRing> Register(io_uring* ring);
  // REQUIRES: the ring that it was registered with is closed, or no operation uses the group.
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  // The first bytes of the buffer that a completion named, until Return.
  Bytes Filled(uint32_t cqe_flags, uint64_t bytes) const;
  void Return(uint32_t cqe_flags);

 private:
  BufferRing() = default;
  std::byte* At(uint32_t id) const { return memory_ + size_t{id} * kBufferBytes; }
  void Give(uint32_t id, int offset);

  io_uring_buf_ring* descriptors_ = nullptr;
  std::byte* memory_ = nullptr;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_BUFFER_RING_H_
