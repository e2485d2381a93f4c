// Look-ups, publishing and the bookkeeping of ids. See state.h.

#include "engine/state.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/planted.h"
#include "engine/deleted_source.h"
#include "engine/layer_writer.h"
#include "engine/memtable_source.h"

namespace nexus::engine {
namespace {

template <typename Map>
std::string NamesOf(const Map& map) {
  std::string names;
  for (const auto& [name, value] : map) {
    if (names.size() > 200) return names + ", ...";
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

// Of all files that the process may open: sockets, the log and the catalog need some, too.
constexpr uint64_t kPartOfOpenFiles = 4;
constexpr uint64_t kOpenFilesLeast = 16;
// More would save little: an opening costs as much as a read that misses the page cache.
constexpr uint64_t kOpenFilesMost = 4096;

uint64_t OpenFilesMaxOf(const io::Environment& environment, const Options& options) {
  if (options.layer_files_open_max > 0) return options.layer_files_open_max;
  return std::clamp(environment.open_files_max() / kPartOfOpenFiles, kOpenFilesLeast,
                    kOpenFilesMost);
}

}  // namespace

void TenantState::AddIds(SeriesIdRange added) {
  // The usual case: the next id of the counter.
  if (!ids.empty() && ids.back().last + 1 == added.first) {
    series += added.last - added.first + 1;
    ids.back().last = added.last;
    return;
  }
  auto touches = [](const SeriesIdRange& range, const SeriesIdRange& other) {
    return range.last + 1 < other.first;
  };
  auto from = std::lower_bound(ids.begin(), ids.end(), added, touches);
  auto to = from;
  for (; to != ids.end() && to->first <= added.last + 1; ++to) {
    series -= to->last - to->first + 1;
    added.first = std::min(added.first, to->first);
    added.last = std::max(added.last, to->last);
  }
  series += added.last - added.first + 1;
  ids.insert(ids.erase(from, to), added);
}

void TenantState::RemoveIds(std::span<const uint64_t> removed) {
  std::vector<SeriesIdRange> kept;
  kept.reserve(ids.size() + removed.size());
  auto next = removed.begin();
  series = 0;
  auto keep = [&](uint64_t first, uint64_t last) {
    kept.push_back({first, last});
    series += last - first + 1;
  };
  for (const SeriesIdRange& range : ids) {
    uint64_t first = range.first;
    next = std::lower_bound(next, removed.end(), first);
    for (; next != removed.end() && *next <= range.last; ++next) {
      if (*next > first) keep(first, *next - 1);
      first = *next + 1;
    }
    if (first <= range.last) keep(first, range.last);
  }
  ids = std::move(kept);
  ids.shrink_to_fit();
}

const SeriesIdRange* TenantState::RangeOf(uint64_t id) const {
  auto at = std::lower_bound(
      ids.begin(), ids.end(), id,
      [](const SeriesIdRange& range, uint64_t value) { return range.last < value; });
  return at != ids.end() && at->first <= id ? &*at : nullptr;
}

bool TenantState::HasIds(uint64_t lowest, uint64_t highest) const {
  const SeriesIdRange* range = RangeOf(lowest);
  return range != nullptr && highest <= range->last;
}

uint64_t TenantState::SeriesFrom(SeriesId first) const {
  uint64_t count = 0;
  for (auto range = ids.rbegin(); range != ids.rend() && range->last >= first.value; ++range) {
    count += range->last - std::max(range->first, first.value) + 1;
  }
  return count;
}

void BranchState::SortLayers() {
  auto older = [](const OpenLayer& a, const OpenLayer& b) {
    return std::tuple(a.record.is_rollup(), a.record.high, a.record.key()) <
           std::tuple(b.record.is_rollup(), b.record.high, b.record.key());
  };
  std::sort(layers.begin(), layers.end(), older);
}

std::span<const OpenLayer> BranchState::SampleLayers() const {
  const auto end = std::partition_point(
      layers.begin(), layers.end(), [](const OpenLayer& open) { return !open.record.is_rollup(); });
  return std::span(layers).first(static_cast<size_t>(end - layers.begin()));
}

std::span<const OpenLayer> BranchState::RollupLayers() const {
  return std::span(layers).subspan(SampleLayers().size());
}

namespace {

std::shared_ptr<const RollupView> RollupViewOf(const TenantState& tenant, const BranchState& branch,
                                               std::optional<int64_t> retention_clock_ns) {
  const std::span<const OpenLayer> layers = branch.RollupLayers();
  if (layers.empty()) return nullptr;
  auto view = std::make_shared<RollupView>();
  for (const OpenLayer& open : layers) {
    const catalog::LayerRecord& record = open.record;
    view->layers.push_back({open.file, record.range, record.resolution_ns, MarkOf(record)});
  }
  view->tombstones = branch.tombstones;
  // Of a snapshot nothing is dropped: its samples are what they were when it was made.
  if (branch.record.kind != catalog::BranchKind::kSnapshot) {
    view->complete_from = CompleteFrom(tenant, retention_clock_ns);
  }
  return view;
}

}  // namespace

Sources BranchView::At(uint32_t limit) const {
  Sources all = settled;
  all.push_back(std::make_shared<MemtableSource>(active, limit));
  return all;
}

StatusOr<PublishedState::Found> PublishedState::Find(std::string_view tenant,
                                                     std::string_view branch) const {
  MutexLock lock(&mutex_);
  auto at = tenants_.find(tenant);
  if (at == tenants_.end()) {
    return NotFound("tenant \"{}\" does not exist; there are: {}", tenant, NamesOf(tenants_));
  }
  auto found = at->second.branches.find(branch);
  if (found == at->second.branches.end()) {
    return NotFound("branch \"{}\" of tenant \"{}\" does not exist; there are: {}", branch, tenant,
                    NamesOf(at->second.branches));
  }
  // A batch that is visible here came after its series, which SetDelta published under the mutex.
  const std::shared_ptr<const BranchView>& view = found->second.view;
  return Found{at->second.id,         found->second.id,   at->second.identity_seed, view, delta_,
               view->active->limit(), found->second.kind, at->second.query_budget};
}

StatusOr<PublishedState::Found> PublishedState::FindWritable(std::string_view tenant,
                                                             std::string_view branch) const {
  NEXUS_ASSIGN_OR_RETURN(Found found, Find(tenant, branch));
  if (found.kind == catalog::BranchKind::kBranch) return found;
  return FailedPrecondition(
      "snapshot {} is read-only; make a branch from it: nexus branch create NAME --from {}", branch,
      branch);
}

std::vector<std::string> PublishedState::TenantNames() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, tenant] : tenants_) names.push_back(name);
  return names;
}

std::shared_ptr<const catalog::DeltaView> PublishedState::Delta() const {
  MutexLock lock(&mutex_);
  return delta_;
}

void PublishedState::SetBranch(const TenantState& tenant, const BranchState& branch,
                               std::optional<int64_t> retention_clock_ns) {
  auto view = std::make_shared<BranchView>();
  view->rollups = RollupViewOf(tenant, branch, retention_clock_ns);
  for (const OpenLayer& open : branch.SampleLayers()) {
    view->settled.push_back(WithoutDeleted(open.file, branch.tombstones, MarkOf(open.record)));
  }
  for (const SealedMemtable& sealed : branch.sealed) {
    auto source = std::make_shared<MemtableSource>(sealed.memtable, sealed.memtable->limit());
    view->settled.push_back(WithoutDeleted(std::move(source), branch.tombstones, MarkOf(sealed)));
  }
  view->active = branch.active;
  MutexLock lock(&mutex_);
  // A delete is in the memtable and in the tombstones: queries see both or neither.
  branch.active->Publish();
  Tenant& published = tenants_[tenant.record.name];
  published.id = tenant.record.id;
  published.identity_seed = tenant.record.identity_seed;
  published.query_budget = tenant.query_budget;
  published.branches[branch.record.name] = {branch.record.id, branch.record.kind, std::move(view)};
}

void PublishedState::RemoveBranch(const TenantState& tenant, const BranchState& branch) {
  MutexLock lock(&mutex_);
  auto at = tenants_.find(tenant.record.name);
  if (at == tenants_.end()) return;
  at->second.branches.erase(branch.record.name);
  // The last one goes with its tenant.
  if (at->second.branches.empty()) tenants_.erase(at);
}

void PublishedState::SetDelta(std::shared_ptr<const catalog::DeltaView> delta) {
  MutexLock lock(&mutex_);
  delta_.swap(delta);
}

DatabaseState::DatabaseState(io::Environment* world, Options chosen)
    : environment(world),
      options(std::move(chosen)),
      folder(options.directory),
      pages(std::make_unique<layer::PageCache>(options.page_cache_bytes)),
      files(std::make_unique<io::FileCache>(world->disk(), OpenFilesMaxOf(*world, options))),
      layer_readers(std::make_unique<LayerReaders>(
          options.layer_metadata_bytes, pages.get(), [this](const LayerFile& file) {
            return OpenLayerFile(*this, file.name(), pages.get(), file.pages_owner());
          })) {}

BranchState* DatabaseState::FindBranch(TenantId tenant, BranchId branch) {
  auto at = tenants.find(tenant.value);
  if (at == tenants.end()) return nullptr;
  auto found = at->second->branches.find(branch.value);
  return found == at->second->branches.end() ? nullptr : found->second.get();
}

bool DatabaseState::WasDeleted(TenantId tenant, BranchId branch) const {
  if (deleted_tenants.contains(tenant.value)) return true;
  auto owner = tenants.find(tenant.value);
  return owner != tenants.end() && branch.value < owner->second->record.next_branch;
}

std::vector<InMemory> DatabaseState::InMemoryOf(const BranchState& branch) const {
  std::vector<InMemory> found;
  for (const SealedMemtable& sealed : branch.sealed) {
    found.push_back({sealed.memtable->range(),
                     {sealed.timeline, sealed.first},
                     WriteOrder{sealed.timeline, sealed.sealed}});
  }
  if (branch.active_first.has_value()) {
    found.push_back({branch.active->range(), {timeline, *branch.active_first}, std::nullopt});
  }
  std::erase_if(found, [](const InMemory& memtable) { return memtable.range.empty(); });
  return found;
}

bool DatabaseState::AddedSinceCommit(const catalog::LayerRecord& record) const {
  const auto& added = pending_update.layers_added;
  return std::find(added.begin(), added.end(), record) != added.end();
}

bool DatabaseState::ListsLayerFile(std::string_view file_name) const {
  for (const auto& [number, tenant] : tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      for (const OpenLayer& open : branch->layers) {
        if (NEXUS_PLANTED("layers-of-the-log-unlinked") && AddedSinceCommit(open.record)) continue;
        if (open.record.file_name == file_name) return true;
      }
    }
  }
  return false;
}

std::set<std::string, std::less<>> DatabaseState::LayerFiles(Garbage garbage_too) const {
  std::set<std::string, std::less<>> names;
  for (const auto& [number, tenant] : tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      for (const OpenLayer& open : branch->layers) {
        if (NEXUS_PLANTED("layers-of-the-log-unlinked") && AddedSinceCommit(open.record)) continue;
        names.insert(open.record.file_name);
      }
    }
  }
  if (garbage_too == Garbage::kWithout) return names;
  for (const auto& [key, layer] : garbage) names.insert(layer.file_name);
  return names;
}

bool DatabaseState::Lists(const std::vector<layer::LayerKey>& layers) const {
  std::set<layer::LayerKey> listed;
  for (const auto& [number, tenant] : tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      for (const OpenLayer& open : branch->layers) {
        listed.insert({open.record.open_count, open.record.sequence});
      }
    }
  }
  for (const auto& [key, name] : garbage) listed.insert({key.open_count, key.sequence});
  auto is_listed = [&](const layer::LayerKey& key) { return listed.contains(key); };
  return std::all_of(layers.begin(), layers.end(), is_listed);
}

TenantState* DatabaseState::AddTenant(const catalog::TenantRecord& record) {
  auto& tenant = tenants[record.id.value];
  if (tenant == nullptr) tenant = std::make_unique<TenantState>(record);
  next_tenant = std::max(next_tenant, record.id.value + 1);
  return tenant.get();
}

void DatabaseState::AddDeletedTenant(TenantId tenant, Lsn at) {
  tenants.erase(tenant.value);
  deleted_tenants[tenant.value] = {at};
  next_tenant = std::max(next_tenant, tenant.value + 1);
}

BranchState* DatabaseState::AddBranch(TenantState* tenant, const catalog::BranchRecord& record) {
  auto& branch = tenant->branches[record.id.value];
  if (branch == nullptr) {
    branch = std::make_unique<BranchState>();
    branch->active = NewMemtable(nullptr);
  }
  branch->record = record;
  Publish(*tenant, *branch);
  return branch.get();
}

BranchState* DatabaseState::AddStandIn(TenantState* tenant, const catalog::BranchRecord& record) {
  auto& branch = tenant->branches[record.id.value];
  branch = std::make_unique<BranchState>();
  branch->record = record;
  branch->stands_in = true;
  branch->active = NewMemtable(nullptr);
  return branch.get();
}

void DatabaseState::RemoveBranch(TenantState* tenant, BranchId branch) {
  auto at = tenant->branches.find(branch.value);
  const std::unique_ptr<BranchState> removed = std::move(at->second);
  tenant->branches.erase(at);
  if (!removed->stands_in) published.RemoveBranch(*tenant, *removed);
  ReleaseMemtable(*tenant, removed->active.get());
  for (const SealedMemtable& sealed : removed->sealed) {
    ReleaseMemtable(*tenant, sealed.memtable.get());
  }
}

void DatabaseState::Seal(TenantState* tenant, BranchState* branch, Lsn at) {
  if (!branch->active_first.has_value()) return;
  // All that it has shows from here on, deletes included: nobody publishes what a stand-in has.
  branch->active->Publish();
  branch->sealed.push_back(
      {branch->active, *branch->active_first, at, branch->record.id, timeline});
  branch->active = NewMemtable(branch->active.get());
  branch->active_first.reset();
  branch->carry_misses = 0;
  Publish(*tenant, *branch);
}

void DatabaseState::ReleaseMemtable(const TenantState& tenant, const Memtable* memtable) {
  for (const auto& [number, branch] : tenant.branches) {
    for (const SealedMemtable& sealed : branch->sealed) {
      if (sealed.memtable.get() == memtable) return;
    }
  }
  memtable_bytes -= memtable->bytes();
}

bool DatabaseState::SettleInherited(BranchState* branch) {
  catalog::BranchRecord& record = branch->record;
  if (record.inherited.empty() || layers_unpublished) return false;
  auto is_inherited = [&](const SealedMemtable& sealed) { return sealed.writer != record.id; };
  if (std::any_of(branch->sealed.begin(), branch->sealed.end(), is_inherited)) return false;
  record.RaiseSealed(record.inherited.back().until);
  return true;
}

std::shared_ptr<Memtable> DatabaseState::NewMemtable(const Memtable* predecessor) {
  auto memtable = std::make_shared<Memtable>(memtable_pool, MemtableOptions{}, predecessor);
  memtable_bytes += memtable->bytes();
  return memtable;
}

void DatabaseState::TakeChangedProducers(std::vector<catalog::ProducerRecord>* out) {
  for (const auto& [number, tenant] : tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      branch->producers.TakeChanged(tenant->record.id, branch->record.id, out);
    }
  }
}

void DatabaseState::Publish(const TenantState& tenant, const BranchState& branch) {
  if (branch.stands_in) return;
  published.SetBranch(tenant, branch, retention_clock.applied_ns());
}

}  // namespace nexus::engine
