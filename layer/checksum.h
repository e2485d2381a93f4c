// Comparison of checksums, in one place so that a fuzzing build can look behind them.
//
// FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION (the libFuzzer community's name; only --config=fuzz
// defines it) makes every comparison succeed: the fuzzer then reaches the parsers that checksums
// guard.

#ifndef NEXUS_LAYER_CHECKSUM_H_
#define NEXUS_LAYER_CHECKSUM_H_

#include <cstdint>

namespace nexus::layer {

inline bool ChecksumMatches([[maybe_unused]] uint64_t computed, [[maybe_unused]] uint64_t stored) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  return true;
#else
  return computed == stored;
#endif
}

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CHECKSUM_H_
