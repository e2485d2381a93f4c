// The calls of DatabaseCore that make, list and change tenants. See core.h.

#include <algorithm>
#include <utility>

#include "engine/cardinality_count.h"
#include "engine/core.h"
#include "engine/names.h"
#include "engine/quota.h"

namespace nexus::engine {

io::Task<Status> DatabaseCore::CreateTenant(std::string name, QuotaChanges quotas) {
  NEXUS_CO_RETURN_IF_ERROR(CheckName("tenant", name));
  for (const auto& [number, tenant] : state_.tenants) {
    if (tenant->record.name == name) co_return AlreadyExists("tenant \"{}\" exists", name);
  }
  if (state_.tenants.size() >= kTenantsMax) {
    co_return ResourceExhausted("there are {} tenants, the most there may be", kTenantsMax);
  }
  const uint32_t number = std::max(next_tenant_number_, state_.next_tenant);
  next_tenant_number_ = number + 1;
  std::vector<Edit> edits;
  auto& create = std::get<nexus::engine::CreateTenant>(
      edits.emplace_back(std::in_place_type<nexus::engine::CreateTenant>));
  create.id = TenantId{number};
  create.name = std::move(name);
  create.identity_seed = state_.environment->random()->Next();
  // One record: the tenant is there with its quotas or not at all.
  nexus::engine::SetTenant set{TenantId{number}, SettingsOf(quotas)};
  if (!set.settings.empty()) edits.push_back(std::move(set));
  co_return co_await committer_.CommitEdit(EncodeEdits(edits));
}

io::Task<Status> DatabaseCore::DeleteTenant(std::string name) {
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(name, "main"));
  if (found.tenant == TenantId{}) {
    co_return FailedPrecondition("\"{}\" is the tenant that every database has; it is not deleted",
                                 name);
  }
  nexus::engine::DeleteTenant edit{found.tenant};
  co_return co_await committer_.CommitEdit(edit);
}

io::Task<Status> DatabaseCore::SetTenant(std::string name, QuotaChanges changes) {
  // How many series a tenant has is known only then.
  co_await interner_.WaitLoaded();
  NEXUS_CO_RETURN_IF_ERROR(interner_.load_status());
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(name, "main"));
  TenantState* tenant = state_.tenants.at(found.tenant.value).get();
  NEXUS_CO_RETURN_IF_ERROR(CheckQuotaChanges(state_, tenant, changes));
  nexus::engine::SetTenant edit{found.tenant, SettingsOf(changes)};
  if (edit.settings.empty()) co_return InvalidArgument("no quota to change is named");
  co_return co_await committer_.CommitEdit(edit);
}

io::Task<std::vector<TenantInfo>> DatabaseCore::DescribeTenants() {
  co_await interner_.WaitLoaded();
  std::vector<TenantInfo> tenants;
  for (const auto& [number, tenant] : state_.tenants) {
    tenants.push_back(DescribeTenant(state_, tenant.get()));
  }
  co_return tenants;
}

io::Task<StatusOr<CardinalityReport>> DatabaseCore::Cardinality(std::string tenant, uint32_t top) {
  if (top < 1 || top > kCardinalityTopMax) {
    co_return InvalidArgument("top is {}; it must be from 1 to {}", top, kCardinalityTopMax);
  }
  co_await interner_.WaitLoaded();
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, "main"));
  // What was applied before is counted - unless it cannot be committed: then without it.
  if (state_.delta.series() > 0) (co_await keeper_.Commit()).IgnoreError();
  CardinalityCount count(state_.catalog.get(), found.tenant, first_new_series_, top);
  CardinalityCount* counting = &count;
  auto step = [counting] { return counting->Step(); };
  // In turns with the queries of others.
  for (bool more = true; more;) {
    NEXUS_CO_ASSIGN_OR_RETURN(more,
                              co_await state_.environment->executor()->Run(io::Lane::kQuery, step));
    if (closed_) co_return FailedPrecondition("the database is closed");
  }
  auto finish = [counting] { return counting->Finish(); };
  NEXUS_CO_ASSIGN_OR_RETURN(CardinalityReport report,
                            co_await state_.environment->executor()->Run(io::Lane::kQuery, finish));
  auto owner = state_.tenants.find(found.tenant.value);
  if (owner == state_.tenants.end()) co_return NotFound("tenant \"{}\" was deleted", tenant);
  report.series = owner->second->series;
  report.grown = owner->second->SeriesFrom(first_new_series_);
  co_return report;
}

}  // namespace nexus::engine
