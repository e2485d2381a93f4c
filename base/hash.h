// Checksums and identities: XXH3 in its 64-bit and 128-bit forms, seeded.

#ifndef NEXUS_BASE_HASH_H_
#define NEXUS_BASE_HASH_H_

#include <compare>
#include <cstdint>
#include <utility>

#include "base/bytes.h"

namespace nexus {

struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const Hash128&) const = default;
};

// Already uniformly distributed: 64 of its bits serve as a table hash.
template <typename H>
H AbslHashValue(H h, const Hash128& hash) {
  return H::combine(std::move(h), hash.low);
}

uint64_t XxHash64(Bytes bytes, uint64_t seed = 0);
Hash128 XxHash128(Bytes bytes, uint64_t seed = 0);

// XXH3-64 over several pieces as if they were one.
class Hasher64 {
 public:
  explicit Hasher64(uint64_t seed = 0);
  ~Hasher64();
  Hasher64(const Hasher64&) = delete;
  Hasher64& operator=(const Hasher64&) = delete;
  void Update(Bytes bytes);
  uint64_t Digest() const;

 private:
  void* state_;
};

}  // namespace nexus

#endif  // NEXUS_BASE_HASH_H_
