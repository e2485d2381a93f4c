// malloc and its like, counted and passed on to glibc. See counted_malloc.h.
//
// "Replacing malloc" in the manual of glibc allows a program to define these functions; the __libc_
// names are glibc's own behind them. free stays glibc's.

#include "bench/profile/counted_malloc.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

extern "C" {
void* __libc_malloc(size_t bytes);                      // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(size_t count, size_t bytes);        // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* old, size_t bytes);          // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(size_t alignment, size_t bytes);  // NOLINT(bugprone-reserved-identifier)
}

namespace nexus::bench {
namespace {

std::atomic<uint64_t> calls{0};
std::atomic<uint64_t> bytes_asked{0};

void Count(size_t bytes) {
  calls.fetch_add(1, std::memory_order_relaxed);
  bytes_asked.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace

Allocations AllocationsNow() {
  return {calls.load(std::memory_order_relaxed), bytes_asked.load(std::memory_order_relaxed)};
}

}  // namespace nexus::bench

extern "C" {

void* malloc(size_t bytes) {
  nexus::bench::Count(bytes);
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  nexus::bench::Count(count * bytes);
  return __libc_calloc(count, bytes);
}

void* realloc(void* old, size_t bytes) {
  nexus::bench::Count(bytes);
  return __libc_realloc(old, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
  nexus::bench::Count(bytes);
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** result, size_t alignment, size_t bytes) {
  nexus::bench::Count(bytes);
  *result = __libc_memalign(alignment, bytes);
  return *result == nullptr ? ENOMEM : 0;
}

}  // extern "C"
