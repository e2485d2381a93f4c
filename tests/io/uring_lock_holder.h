// What uring_lock_holder keeps in flight: write i covers [i, i+1) * kHolderWriteBytes of "data".
//
// All come from one buffer: a process dies fast if it has little memory to give back, and 64 MiB
// are then still on their way to the disk (without the lock file in the ring, 8 of 10 rounds saw
// writes land after the lock was free, on a busy machine).

#ifndef NEXUS_TESTS_IO_URING_LOCK_HOLDER_H_
#define NEXUS_TESTS_IO_URING_LOCK_HOLDER_H_

#include <cstdint>

namespace nexus::io {

inline constexpr uint64_t kHolderWritesInFlight = 64;
inline constexpr uint64_t kHolderWriteBytes = 1 << 20;

}  // namespace nexus::io

#endif  // NEXUS_TESTS_IO_URING_LOCK_HOLDER_H_
