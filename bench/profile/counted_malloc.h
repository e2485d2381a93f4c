// Counts what a program takes from the heap: linking counted_malloc puts counting functions before
// glibc's own. Threading: any; counts are of the whole process.

#ifndef NEXUS_BENCH_PROFILE_COUNTED_MALLOC_H_
#define NEXUS_BENCH_PROFILE_COUNTED_MALLOC_H_

#include <cstdint>

namespace nexus::bench {

struct Allocations {
  uint64_t calls = 0;
  uint64_t bytes = 0;  // asked for
};

// Since the program began.
Allocations AllocationsNow();

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PROFILE_COUNTED_MALLOC_H_
