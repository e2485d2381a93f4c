// Listing, looking, forgetting. See series_forgetter.h.

#include "engine/series_forgetter.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/orphaned_series.h"
#include "engine/tenant_contents.h"

namespace nexus::engine {
namespace {

// Rows that one reader of the catalog shows: a long reader makes its file grow.
constexpr uint64_t kRowsPerReader = 65'536;
// After a failure, while a tenant has garbage, and when nothing is idle, it begins anew after so
// long at least.
constexpr int64_t kRetryPauseNs = 1'000'000'000;
// A layer that comes while the others are looked at is looked at, too, so many times.
constexpr int kLooksMax = 8;

// Look-ups in memtables within one step of the loop: 20 ns each, so 1 ms.
constexpr size_t kLookUpsMax = 50'000;

using Memtables = std::vector<std::shared_ptr<const Memtable>>;

bool IsInMemory(const Memtables& memtables, SeriesId id) {
  if (NEXUS_PLANTED("forget-series-with-samples-in-memory")) return false;
  return std::any_of(memtables.begin(), memtables.end(),
                     [id](const auto& memtable) { return memtable->Has(id); });
}

catalog::SeriesSet IdsOf(const std::vector<ForgetSeries::Series>& series) {
  std::vector<uint64_t> ids;
  ids.reserve(series.size());
  for (const ForgetSeries::Series& one : series) ids.push_back(one.id.value);
  catalog::SeriesSet set;
  set.AddSorted(ids);
  return set;
}

// At most `limit` rows of the list that are in no memtable. True if there may be more, from `*from`
// on.
StatusOr<bool> ListIdle(const catalog::Catalog& catalog, TenantId tenant,
                        const Memtables& memtables, size_t limit, SeriesId* from,
                        std::vector<ForgetSeries::Series>* series) {
  while (series->size() < limit) {
    NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog.BeginRead());
    const uint64_t rows = std::min<uint64_t>(kRowsPerReader, limit - series->size());
    auto visit = [&](const catalog::SeriesIdentityRow& row) {
      *from = SeriesId{row.id.value + 1};
      if (!IsInMemory(memtables, row.id)) series->push_back({row.id, row.identity});
    };
    NEXUS_ASSIGN_OR_RETURN(const uint64_t seen, reader.VisitUnlayered(tenant, *from, rows, visit));
    if (seen < rows) return false;
  }
  return true;
}

}  // namespace

// Some series on their way to be forgotten.
class SeriesForgetter::Portion : public DecidedEdit {
 public:
  Portion(SeriesForgetter* forgetter, TenantId tenant, std::vector<ForgetSeries::Series> series)
      : forgetter_(forgetter), idle_(tenant, std::move(series)) {
    forgetter_->committer_->SetIdleSeries(&idle_);
  }
  ~Portion() override { forgetter_->committer_->SetIdleSeries(nullptr); }

  StatusOr<std::string> Decide() override {
    const DatabaseState& state = *forgetter_->state_;
    const TenantId tenant = idle_.tenant();
    if (!state.tenants.contains(tenant.value)) return NotFound("the tenant was deleted");
    const auto garbage = state.garbage.lower_bound({tenant, BranchId{}, 0, 0});
    const bool has_garbage = garbage != state.garbage.end() && garbage->first.tenant == tenant;
    if (has_garbage || state.garbage_holders > 0 || !forgetter_->NewLayersOf(tenant).empty()) {
      return Unavailable("layers came or went meanwhile");
    }
    forgetter_->interner_->KeepHeld(&idle_);
    const Memtables memtables = forgetter_->MemtablesOf(tenant);
    ForgetSeries edit;
    edit.tenant = tenant;
    for (const ForgetSeries::Series& one : idle_.Left()) {
      if (IsInMemory(memtables, one.id)) continue;
      if (forgetter_->interner_->WasHandedOut(tenant, one.identity)) continue;
      edit.series.push_back(one);
    }
    if (edit.series.empty()) return FailedPrecondition("none is idle any more");
    decided_ = edit.series;
    const Edit edits[] = {std::move(edit)};
    return EncodeEdits(edits);
  }

  void Placed() override {
    DatabaseState* state = forgetter_->state_;
    forgetter_->interner_->Forget(state->tenants.at(idle_.tenant().value).get(), decided_);
    forgetter_->forgotten_ += decided_.size();
  }

 private:
  SeriesForgetter* const forgetter_;
  IdleSeries idle_;
  std::vector<ForgetSeries::Series> decided_;
};

SeriesForgetter::SeriesForgetter(DatabaseState* state, Interner* interner, Committer* committer,
                                 CatalogKeeper* keeper)
    : state_(state),
      interner_(interner),
      committer_(committer),
      keeper_(keeper),
      due_ns_(state->environment->MonotonicNanos() + state->options.series_grace_ms * 1'000'000) {}

io::Task<void> SeriesForgetter::Step(const bool* give_up) {
  const int64_t grace_ns = state_->options.series_grace_ms * 1'000'000;
  if (*give_up || state_->environment->MonotonicNanos() < due_ns_) co_return;
  if (idle_.empty()) {
    const Status listed = co_await List();
    const bool found = listed.ok() && !idle_.empty();
    const int64_t wait_ns = found ? grace_ns : std::max(grace_ns, kRetryPauseNs);
    due_ns_ = state_->environment->MonotonicNanos() + wait_ns;
    co_return;
  }
  bool failed = false;
  while (!idle_.empty() && !*give_up) {
    Idle idle = std::move(idle_.front());
    idle_.pop_front();
    const Status status = co_await ForgetIdle(std::move(idle), give_up);
    if (status.ok()) continue;
    failed = true;
    // What stands in one tenant's way need not stand in another's, but for these.
    if (!committer_->write_status().ok() || !state_->commit_status.ok()) break;
  }
  idle_.clear();
  // Where the list was cut, the rest is listed at once.
  const bool cut = next_.tenant != TenantId{} || next_.from != SeriesId{};
  const int64_t wait_ns = cut && !failed ? 0 : std::max(grace_ns, kRetryPauseNs);
  due_ns_ = state_->environment->MonotonicNanos() + wait_ns;
}

io::Task<Status> SeriesForgetter::List() {
  co_await interner_->WaitLoaded();
  NEXUS_CO_RETURN_IF_ERROR(interner_->load_status());
  size_t listed = 0;
  while (listed < kIdleSeriesMax) {
    const auto tenant = state_->tenants.lower_bound(next_.tenant.value);
    if (tenant == state_->tenants.end()) {
      next_ = Place{};
      co_return OkStatus();
    }
    const TenantId id{tenant->first};
    if (id != next_.tenant) next_ = Place{id, SeriesId{}};
    Idle idle;
    idle.tenant = id;
    auto list = [catalog = state_->catalog.get(), interner = interner_, id, place = &next_.from,
                 series = &idle.series, limit = kIdleSeriesMax - listed,
                 memtables = MemtablesOf(id)]() -> StatusOr<bool> {
      NEXUS_ASSIGN_OR_RETURN(const bool more,
                             ListIdle(*catalog, id, memtables, limit, place, series));
      for (const ForgetSeries::Series& one : *series) interner->BeginIdle(id, one.identity);
      return more;
    };
    const StatusOr<bool> more =
        co_await state_->environment->executor()->Run(io::Lane::kWorker, list);
    NEXUS_CO_RETURN_IF_ERROR(more.status());
    listed += idle.series.size();
    if (!idle.series.empty()) idle_.push_back(std::move(idle));
    if (!*more) next_ = Place{TenantId{id.value + 1}, SeriesId{}};
  }
  co_return OkStatus();
}

Memtables SeriesForgetter::MemtablesOf(TenantId tenant) const {
  Memtables memtables;
  const auto owner = state_->tenants.find(tenant.value);
  if (owner == state_->tenants.end()) return memtables;
  for (const auto& [number, branch] : owner->second->branches) {
    memtables.push_back(branch->active);
    for (const SealedMemtable& sealed : branch->sealed) memtables.push_back(sealed.memtable);
  }
  return memtables;
}

std::vector<LayerFilePtr> SeriesForgetter::NewLayersOf(TenantId tenant) const {
  std::map<layer::LayerKey, LayerFilePtr> layers;
  const auto owner = state_->tenants.find(tenant.value);
  if (owner == state_->tenants.end()) return {};
  VisitLayers(*owner->second, [&](const OpenLayer& open) {
    const layer::LayerKey key = open.file->name().key;
    if (!seen_.contains(key)) layers.emplace(key, open.file);
  });
  std::vector<LayerFilePtr> youngest_first;  // most likely they hold what is wanted
  for (auto at = layers.rbegin(); at != layers.rend(); ++at) youngest_first.push_back(at->second);
  return youngest_first;
}

io::Task<Status> SeriesForgetter::TakeAwayLayered(TenantId tenant, catalog::SeriesSet* left) {
  catalog::SeriesSet layered = *left;
  const Status status = co_await LookAtLayers(tenant, left);
  layered.Subtract(*left);
  // Before garbage is looked at again, which lists those that a layer was the last to hold.
  if (!layered.empty()) {
    state_->pending_update.series_layered.push_back({tenant, std::move(layered)});
    keeper_->Kick();
  }
  co_return status;
}

io::Task<Status> SeriesForgetter::LookAtLayers(TenantId tenant, catalog::SeriesSet* left) {
  std::vector<LayerFilePtr> layers = NewLayersOf(tenant);
  for (int looks = 0; !layers.empty() && looks < kLooksMax; looks++) {
    for (const LayerFilePtr& layer : layers) {
      if (left->empty()) co_return OkStatus();
      auto look = [wanted = left, layer]() -> StatusOr<catalog::SeriesSet> {
        NEXUS_ASSIGN_OR_RETURN(const LayerReaderPtr reader, HoldReader(layer));
        return SeriesAmong(*wanted, reader);
      };
      StatusOr<catalog::SeriesSet> held =
          co_await state_->environment->executor()->Run(io::Lane::kWorker, look);
      NEXUS_CO_RETURN_IF_ERROR(held.status());
      left->Subtract(*held);
      seen_.insert(layer->name().key);
    }
    layers = NewLayersOf(tenant);
  }
  co_return OkStatus();
}

io::Task<Status> SeriesForgetter::ForgetIdle(Idle idle, const bool* give_up) {
  catalog::SeriesSet left = IdsOf(idle.series);
  seen_.clear();
  auto next = idle.series.begin();
  while (next != idle.series.end() && !*give_up) {
    NEXUS_CO_RETURN_IF_ERROR(co_await TakeAwayLayered(idle.tenant, &left));
    const size_t memtables = MemtablesOf(idle.tenant).size();
    const size_t portion_max =
        std::clamp(kLookUpsMax / std::max<size_t>(memtables, 1), size_t{64}, kForgottenSeriesMax);
    std::vector<ForgetSeries::Series> portion;
    for (; next != idle.series.end() && portion.size() < portion_max; ++next) {
      if (!left.Contains(next->id)) continue;
      if (interner_->WasHandedOut(idle.tenant, next->identity)) continue;
      portion.push_back(*next);
    }
    if (portion.empty()) break;
    NEXUS_CO_RETURN_IF_ERROR(co_await ForgetPortion(idle.tenant, std::move(portion)));
  }
  co_return OkStatus();
}

io::Task<Status> SeriesForgetter::ForgetPortion(TenantId tenant,
                                                std::vector<ForgetSeries::Series> series) {
  Status status;
  {
    Portion portion(this, tenant, std::move(series));
    status = co_await committer_->Drain();
    if (status.ok()) status = co_await committer_->CommitDecided(&portion);
  }
  // None of these may be left: others are.
  if (absl::IsFailedPrecondition(status)) co_return OkStatus();
  NEXUS_CO_RETURN_IF_ERROR(status);
  // So that a commit never has more to forget than this.
  co_return co_await keeper_->Commit();
}

}  // namespace nexus::engine
