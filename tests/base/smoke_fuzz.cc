// smoke_fuzz: shows that a libFuzzer target builds, links and runs; hashing must not depend on how
// bytes arrive.

#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  for (std::size_t i = 0; i < size; ++i) XXH3_64bits_update(state, data + i, 1);
  const XXH64_hash_t streamed = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  if (streamed != XXH3_64bits(data, size)) std::abort();
  return 0;
}
