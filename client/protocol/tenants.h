// TENANTS, TENANT_LIST: making, listing and changing tenants.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_TENANTS_H_
#define NEXUS_CLIENT_PROTOCOL_TENANTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::protocol {

enum class TenantAction : uint8_t {
  kList = 1,    // TENANT_LIST
  kCreate = 2,  // DONE
  kDelete = 3,  // DONE
  kSet = 4,     // DONE
};

// Their order is that of the wire; a bit of a mask for each.
inline constexpr std::array<std::string_view, 5> kQuotaNames = {
    "series_max", "samples_per_second", "bytes_max", "query_memory_bytes", "concurrent_queries"};
// Of a quota: none.
inline constexpr uint64_t kNoQuota = UINT64_MAX;

// Of the database: the frame's target does not matter.
struct Tenants {
  TenantAction action = TenantAction::kList;
  std::string name;  // of all but kList
  // Of kCreate and kSet: nullopt leaves one as it is, kNoQuota takes it away.
  std::array<std::optional<uint64_t>, kQuotaNames.size()> quotas;
  bool operator==(const Tenants&) const = default;
};

struct TenantEntry {
  std::string name;
  std::array<uint64_t, kQuotaNames.size()> quotas = {};
  uint64_t series = 0;
  uint64_t samples = 0;
  uint64_t layers = 0;
  uint64_t layer_bytes = 0;
  uint64_t memory_bytes = 0;
  uint64_t queries = 0;
  uint64_t refused = 0;
  uint64_t tombstones = 0;
  bool operator==(const TenantEntry&) const = default;
};
// As many as a database may have (engine/core.h): at most 169 bytes each, 11.1 MB of a frame's 16
// MiB.
inline constexpr size_t kTenantEntriesMax = 65'536;

void Encode(const Tenants& tenants, std::string* out);
// REQUIRES: at most kTenantEntriesMax.
void Encode(std::span<const TenantEntry> entries, std::string* out);

// Errors: InvalidArgument.
StatusOr<Tenants> DecodeTenants(Bytes body);
StatusOr<std::vector<TenantEntry>> DecodeTenantList(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_TENANTS_H_
