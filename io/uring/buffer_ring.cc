// Mapping, registering and handing back. See buffer_ring.h.

#include "io/uring/buffer_ring.h"

#include <sys/mman.h>

#include <bit>

#include "base/check.h"

namespace nexus::io {
namespace {

constexpr size_t kMemoryBytes = size_t{BufferRing::kBuffers} * BufferRing::kBufferBytes;
constexpr size_t kDescriptorBytes = BufferRing::kBuffers * sizeof(io_uring_buf);
static_assert(std::has_single_bit(BufferRing::kBuffers), "the kernel's ring has a mask");

void* Map(size_t bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped == MAP_FAILED ? nullptr : mapped;
}

uint32_t IdOf(uint32_t cqe_flags) { return cqe_flags >> IORING_CQE_BUFFER_SHIFT; }

}  // namespace

std::unique_ptr<BufferRing> BufferRing::Register(io_uring* ring) {
  std::unique_ptr<BufferRing> buffers(new BufferRing());
  buffers->descriptors_ = static_cast<io_uring_buf_ring*>(Map(kDescriptorBytes));
  buffers->memory_ = static_cast<std::byte*>(Map(kMemoryBytes));
  if (buffers->descriptors_ == nullptr || buffers->memory_ == nullptr) return nullptr;
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffers->descriptors_);
  registration.ring_entries = kBuffers;
  registration.bgid = kGroup;
  if (io_uring_register_buf_ring(ring, &registration, 0) != 0) return nullptr;
  io_uring_buf_ring_init(buffers->descriptors_);
  for (uint32_t id = 0; id < kBuffers; id++) buffers->Give(id, static_cast<int>(id));
  io_uring_buf_ring_advance(buffers->descriptors_, kBuffers);
  return buffers;
}

BufferRing::~BufferRing() {
  if (descriptors_ != nullptr) munmap(descriptors_, kDescriptorBytes);
  if (memory_ != nullptr) munmap(memory_, kMemoryBytes);
}

void BufferRing::Give(uint32_t id, int offset) {
  io_uring_buf_ring_add(descriptors_, At(id), kBufferBytes, static_cast<uint16_t>(id),
                        io_uring_buf_ring_mask(kBuffers), offset);
}

Bytes BufferRing::Filled(uint32_t cqe_flags, uint64_t bytes) const {
  NEXUS_CHECK(bytes <= kBufferBytes);
  return {At(IdOf(cqe_flags)), bytes};
}

void BufferRing::Return(uint32_t cqe_flags) {
  NEXUS_CHECK(IdOf(cqe_flags) < kBuffers);
  Give(IdOf(cqe_flags), 0);
  io_uring_buf_ring_advance(descriptors_, 1);
}

}  // namespace nexus::io
