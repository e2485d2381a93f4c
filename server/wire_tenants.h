// Tenants by their two descriptions: the engine's and the wire's.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_WIRE_TENANTS_H_
#define NEXUS_SERVER_WIRE_TENANTS_H_

#include <optional>
#include <string_view>
#include <vector>

#include "client/protocol/tenants.h"
#include "engine/tenant.h"

namespace nexus::server {

static_assert(protocol::kNoQuota == kNoQuota);

inline QuotaChanges EngineQuotas(const protocol::Tenants& tenants) {
  QuotaChanges changes;
  size_t next = 0;
  VisitQuotas(changes, [&](std::string_view, std::optional<uint64_t>& quota) {
    quota = tenants.quotas[next++];
  });
  return changes;
}

inline protocol::Tenants WireTenants(protocol::TenantAction action, std::string name,
                                     const QuotaChanges& changes) {
  protocol::Tenants tenants;
  tenants.action = action;
  tenants.name = std::move(name);
  size_t next = 0;
  VisitQuotas(changes, [&](std::string_view, const std::optional<uint64_t>& quota) {
    tenants.quotas[next++] = quota;
  });
  return tenants;
}

inline std::vector<protocol::TenantEntry> WireTenantList(const std::vector<TenantInfo>& tenants) {
  std::vector<protocol::TenantEntry> entries;
  for (const TenantInfo& tenant : tenants) {
    protocol::TenantEntry entry{tenant.name,         {},
                                tenant.series,       tenant.samples,
                                tenant.layers,       tenant.layer_bytes,
                                tenant.memory_bytes, tenant.queries,
                                tenant.refused,      tenant.tombstones};
    size_t next = 0;
    VisitQuotas(tenant.quotas,
                [&](std::string_view, uint64_t quota) { entry.quotas[next++] = quota; });
    entries.push_back(std::move(entry));
  }
  return entries;
}

inline std::vector<TenantInfo> EngineTenants(const std::vector<protocol::TenantEntry>& entries) {
  std::vector<TenantInfo> tenants;
  for (const protocol::TenantEntry& entry : entries) {
    TenantInfo tenant;
    tenant.name = entry.name;
    size_t next = 0;
    VisitQuotas(tenant.quotas,
                [&](std::string_view, uint64_t& quota) { quota = entry.quotas[next++]; });
    tenant.series = entry.series;
    tenant.samples = entry.samples;
    tenant.layers = entry.layers;
    tenant.layer_bytes = entry.layer_bytes;
    tenant.memory_bytes = entry.memory_bytes;
    tenant.queries = entry.queries;
    tenant.refused = entry.refused;
    tenant.tombstones = entry.tombstones;
    tenants.push_back(std::move(tenant));
  }
  return tenants;
}

}  // namespace nexus::server

#endif  // NEXUS_SERVER_WIRE_TENANTS_H_
