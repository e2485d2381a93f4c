// Ids for series. See interner.h.

#include "engine/interner.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "catalog/catalog.h"
#include "engine/quota.h"

namespace nexus::engine {
namespace {

// Bytes of a definition in its record beside the labels: tenant, id, length.
constexpr uint64_t kDefinitionOverheadBytes = 24;

// Series that get their ids in one turn of the loop: about 1 ms of it.
constexpr size_t kSeriesPerTurn = 1024;
// Definitions that may wait for a record to precede: what a batch of anybody has before it in the
// log is at most twice that, 2 MB at 100 bytes a series.
constexpr size_t kUndefinedMax = 8192;
constexpr int64_t kRoomPauseNs = 5'000'000;

struct ScannedTenant {
  TenantId id;
  std::vector<SeriesIdRange> ids;
};

// Fills the map and finds which ids are whose, in short readers (a long one would make the file
// grow).
StatusOr<std::vector<ScannedTenant>> ScanSeries(const catalog::Catalog& catalog,
                                                const catalog::SeriesSet& forgotten,
                                                catalog::IdentityMap* identities) {
  constexpr uint64_t kRowsPerReader = 100'000;
  std::vector<ScannedTenant> tenants;
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader list, catalog.BeginRead());
  NEXUS_ASSIGN_OR_RETURN(std::vector<catalog::TenantRecord> records, list.Tenants());
  for (const catalog::TenantRecord& record : records) {
    if (record.deleted != Lsn{}) continue;
    ScannedTenant tenant{record.id, {}};
    Status inserted;
    for (SeriesId from{1};;) {
      NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog.BeginRead());
      auto visit = [&](const catalog::SeriesIdentityRow& row) {
        from = SeriesId{row.id.value + 1};
        if (forgotten.Contains(row.id)) return;
        inserted.Update(identities->Insert(record.id, row.identity, row.id).status());
        if (tenant.ids.empty() || tenant.ids.back().last + 1 != row.id.value) {
          tenant.ids.push_back({row.id.value, row.id.value});
        }
        tenant.ids.back().last = row.id.value;
      };
      NEXUS_ASSIGN_OR_RETURN(uint64_t rows,
                             reader.VisitIdentities(record.id, from, kRowsPerReader, visit));
      NEXUS_RETURN_IF_ERROR(inserted);
      if (rows < kRowsPerReader) break;
    }
    tenants.push_back(std::move(tenant));
  }
  return tenants;
}

}  // namespace

SeriesId Interner::Find(TenantId tenant, uint64_t seed, std::string_view canonical) {
  if (!ids_known_.load(std::memory_order_acquire)) return SeriesId{};
  return identities_.FindAndTouch(tenant, catalog::SeriesIdentity(seed, canonical));
}

io::Task<Status> Interner::Load() {
  const catalog::Catalog* catalog = state_->catalog.get();
  catalog::IdentityMap* identities = &identities_;
  const catalog::SeriesSet* forgotten = &forgotten_unloaded_;
  auto scan = [catalog, forgotten, identities] {
    return ScanSeries(*catalog, *forgotten, identities);
  };
  auto scanned = co_await state_->environment->executor()->Run(io::Lane::kWorker, scan);
  load_status_ = scanned.status();
  if (scanned.ok()) {
    for (const ScannedTenant& found : *scanned) {
      auto tenant = state_->tenants.find(found.id.value);
      if (tenant == state_->tenants.end()) continue;
      for (SeriesIdRange range : found.ids) tenant->second->AddIds(range);
    }
    forgotten_unloaded_ = catalog::SeriesSet();
    ids_known_.store(true, std::memory_order_release);
  }
  loaded_.Set();
  co_return load_status_;
}

io::Task<void> Interner::WaitLoaded() { co_await loaded_.Wait(); }

void Interner::AddKnown(const TenantState& tenant, SeriesId id, std::string_view canonical) {
  Hash128 identity = catalog::SeriesIdentity(tenant.record.identity_seed, canonical);
  // Beyond the map's limits a series stays readable; it is interning it that fails, and says why.
  identities_.Insert(tenant.record.id, identity, id).status().IgnoreError();
}

void Interner::Forget(TenantState* tenant, std::span<const ForgetSeries::Series> series) {
  auto is_known = [tenant](const auto& one) { return tenant->RangeOf(one.id.value) != nullptr; };
  // Where the edit is new this was done when it got its place.
  if (loaded_.is_set() && std::none_of(series.begin(), series.end(), is_known)) return;
  std::vector<uint64_t> ids;
  for (const ForgetSeries::Series& one : series) {
    identities_.Remove(tenant->record.id, one.identity, one.id);
    ids.push_back(one.id.value);
  }
  tenant->RemoveIds(ids);
  if (!loaded_.is_set()) forgotten_unloaded_.AddSorted(ids);
  if (!NEXUS_PLANTED("forget-without-generation")) state_->series_generation++;
}

StatusOr<SeriesId> Interner::InternOne(TenantState* tenant, std::string canonical) {
  Hash128 identity = catalog::SeriesIdentity(tenant->record.identity_seed, canonical);
  if (tenant->series >= tenant->quotas.series_max) {
    return identities_.FindAndTouch(tenant->record.id, identity);
  }
  SeriesId id{state_->next_series_id};
  NEXUS_ASSIGN_OR_RETURN(SeriesId given, identities_.Insert(tenant->record.id, identity, id));
  if (given != id) return given;
  state_->next_series_id++;
  tenant->AddIds({id.value, id.value});
  if (undefined_.empty() || undefined_.back().size() == kDefinitionsPerRecord)
    undefined_.emplace_back();
  undefined_.back().push_back({tenant->record.id, id, std::move(canonical)});
  undefined_series_++;
  return id;
}

io::Task<Status> Interner::WaitForRoom() {
  io::Executor* executor = state_->environment->executor();
  const int64_t deadline_ns =
      executor->MonotonicNanos() + state_->options.admission_timeout_ms * 1'000'000;
  while (true) {
    if (undefined_series_ >= kUndefinedMax && log_definitions_) log_definitions_();
    if (undefined_series_ < 2 * kUndefinedMax && !state_->delta.half_full()) co_return OkStatus();
    if (executor->MonotonicNanos() >= deadline_ns) break;
    co_await executor->Sleep(kRoomPauseNs);
  }
  const Status& hindrance = state_->commit_status;
  co_return ResourceExhausted(
      "{} new series wait to be logged and {} to be committed to the catalog{}{}; retry later",
      undefined_series_, state_->delta.series(),
      hindrance.ok() ? "" : ", which failed: ", FromAbsl(hindrance.message()));
}

io::Task<StatusOr<std::vector<SeriesId>>> Interner::Intern(TenantId tenant,
                                                           std::vector<std::string> canonicals) {
  auto interned = co_await InternWithinQuota(tenant, std::move(canonicals));
  NEXUS_CO_RETURN_IF_ERROR(interned.status());
  NEXUS_CO_RETURN_IF_ERROR(interned->refused);
  co_return std::move(interned->ids);
}

io::Task<StatusOr<Interner::WithinQuota>> Interner::InternWithinQuota(
    TenantId tenant, std::vector<std::string> canonicals) {
  co_await loaded_.Wait();
  NEXUS_CO_RETURN_IF_ERROR(load_status_);
  WithinQuota interned;
  interned.ids.reserve(canonicals.size());
  uint64_t refused = 0;
  for (size_t done = 0; done < canonicals.size() || done == 0;) {
    NEXUS_CO_RETURN_IF_ERROR(co_await WaitForRoom());
    // It may be gone after a turn.
    auto at = state_->tenants.find(tenant.value);
    if (at == state_->tenants.end()) {
      co_return NotFound("tenant number {} does not exist", tenant.value);
    }
    const size_t end = std::min(canonicals.size(), done + kSeriesPerTurn);
    for (; done < end; done++) {
      NEXUS_CO_ASSIGN_OR_RETURN(SeriesId id,
                                InternOne(at->second.get(), std::move(canonicals[done])));
      if (id.value == 0) refused++;
      interned.ids.push_back(id);
    }
    if (done == canonicals.size()) {
      if (refused > 0) interned.refused = RefuseSeries(at->second.get(), refused);
      break;
    }
    co_await state_->environment->executor()->Yield();
  }
  co_return interned;
}

std::span<const catalog::SeriesDefinition> Interner::undefined() const {
  if (undefined_.empty()) return {};
  return undefined_.front();
}

uint64_t Interner::undefined_bytes() const {
  uint64_t bytes = 0;
  for (const catalog::SeriesDefinition& definition : undefined()) {
    bytes += definition.canonical.size() + kDefinitionOverheadBytes;
  }
  return bytes;
}

void Interner::MarkDefined(size_t count) {
  auto& first = undefined_.front();
  first.erase(first.begin(), first.begin() + static_cast<ptrdiff_t>(count));
  undefined_series_ -= count;
  if (first.empty()) undefined_.pop_front();
}

}  // namespace nexus::engine
