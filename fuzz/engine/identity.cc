// Fuzzes the parser of the identity file: no crash, stable re-encoding.
//
// Each input is tried as it is, and then with a hash that fits, so that the fuzzer gets past it.

#include "engine/identity.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace nexus::engine {
namespace {

constexpr size_t kHashAt = kIdentityBytes - sizeof(uint64_t);

void FuzzIdentity(std::string_view bytes) {
  StatusOr<Identity> identity = ParseIdentity(bytes, "IDENTITY");
  if (!identity.ok()) return;
  StatusOr<Identity> again = ParseIdentity(EncodeIdentity(*identity), "IDENTITY");
  NEXUS_CHECK(again.ok());
  NEXUS_CHECK(*again == *identity);
}

}  // namespace
}  // namespace nexus::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  nexus::engine::FuzzIdentity(bytes);
  if (bytes.size() != nexus::engine::kIdentityBytes) return 0;
  const std::string_view hashed = std::string_view(bytes).substr(0, nexus::engine::kHashAt);
  nexus::StoreUnaligned(bytes.data() + nexus::engine::kHashAt,
                        nexus::XxHash64(nexus::AsBytes(hashed)));
  nexus::engine::FuzzIdentity(bytes);
  return 0;
}
