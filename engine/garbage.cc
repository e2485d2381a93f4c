// Unlinking retired layers. See garbage.h.

#include "engine/garbage.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/planted.h"
#include "engine/layer_writer.h"
#include "engine/orphaned_series.h"
#include "engine/record.h"
#include "engine/tenant_contents.h"
#include "io/file_util.h"

namespace nexus::engine {
namespace {

using Layers = std::vector<OpenLayerFunction>;

// The layers of a tenant, the youngest first.
Layers LiveLayersOf(const TenantState& tenant) {
  std::map<layer::LayerKey, LayerFilePtr> by_key;
  VisitLayers(tenant,
              [&](const OpenLayer& open) { by_key.emplace(open.file->name().key, open.file); });
  Layers layers;
  for (auto at = by_key.rbegin(); at != by_key.rend(); ++at) {
    layers.push_back([file = at->second] { return HoldReader(file); });
  }
  return layers;
}

// Of the files that go.
struct Orphans {
  catalog::SeriesSet series;  // in no layer without the files
  std::set<std::string> unreadable;
  Status failed;  // why the first of these is
};

// Blocks. Errors: those of layers that stay.
StatusOr<Orphans> FindOrphans(const DatabaseState& state, const std::set<std::string>& file_names,
                              const Layers& staying) {
  Orphans orphans;
  for (const std::string& name : file_names) {
    const auto layer = OpenUnlistedLayer(state, io::JoinPath(state.folder.layers, name));
    if (absl::IsNotFound(layer.status())) continue;  // it was looked at before
    const auto held = layer.ok() ? SeriesOf(*layer) : StatusOr<catalog::SeriesSet>(layer.status());
    if (!held.ok()) {
      orphans.unreadable.insert(name);
      orphans.failed.Update(held.status());
      continue;
    }
    orphans.series.UnionWith(*held);
  }
  NEXUS_RETURN_IF_ERROR(TakeAwayHeld(staying, &orphans.series));
  return orphans;
}

struct Listed {
  bool any = false;
  std::set<std::string> staying;  // files
  Status failed;                  // why the first of these stays
};

// Lists the series that are in no layer without the files that go for the next commit. What cannot
// be read stays: the disk may read it the next time, and nobody knows what it alone has the labels
// of. So do all of a tenant whose live layers cannot be read; those of others go.
io::Task<Listed> ListOrphans(DatabaseState* state,
                             std::map<TenantId, std::set<std::string>> going) {
  Listed listed;
  for (auto& [tenant, file_names] : going) {
    const auto owner = state->tenants.find(tenant.value);
    if (owner == state->tenants.end()) continue;
    auto find = [state, names = &file_names, live = LiveLayersOf(*owner->second)] {
      return FindOrphans(*state, *names, live);
    };
    auto orphans = co_await state->environment->executor()->Run(io::Lane::kWorker, find);
    if (!orphans.ok()) {
      listed.failed.Update(orphans.status());
      listed.staying.merge(file_names);
      continue;
    }
    listed.failed.Update(orphans->failed);
    listed.staying.merge(orphans->unreadable);
    if (orphans->series.empty()) continue;
    listed.any = true;
    state->pending_update.series_unlayered.push_back({tenant, std::move(orphans->series)});
  }
  co_return listed;
}

// True if a version that a query holds has the layer.
bool MayBeOpened(const GarbageLayer& layer) {
  return !layer.file.expired() && !NEXUS_PLANTED("unlink-while-view-may-open");
}

}  // namespace

io::Task<Status> RemoveGarbage(DatabaseState* state, Committer* committer, CatalogKeeper* keeper) {
  if (state->garbage.empty() || state->garbage_holders > 0) co_return OkStatus();
  // What becomes garbage while the catalog is made persistent waits for the next time, as does what
  // a query may still open.
  std::map<catalog::LayerKey, std::string> garbage;
  // A file that is live now may have retired from its last branch by then, which is not persistent;
  // one that is not will never be live again, and nobody new will have it.
  const auto live = state->LayerFiles(DatabaseState::Garbage::kWithout);
  std::map<TenantId, std::set<std::string>> going;
  for (const auto& [key, layer] : state->garbage) {
    const bool is_live = live.contains(layer.file_name);
    if (!is_live && MayBeOpened(layer)) continue;
    garbage.emplace(key, layer.file_name);
    if (!is_live) going[key.tenant].insert(layer.file_name);
  }
  if (garbage.empty()) co_return OkStatus();
  const Listed listed = co_await ListOrphans(state, std::move(going));
  if (listed.any) NEXUS_CO_RETURN_IF_ERROR(co_await keeper->Checkpoint());
  if (!NEXUS_PLANTED("garbage-removed-before-catalog-sync")) {
    NEXUS_CO_RETURN_IF_ERROR(co_await keeper->Persist());
  }
  if (state->garbage_holders > 0) co_return OkStatus();
  io::Disk* disk = state->environment->disk();
  Status failed = listed.failed;
  GarbageRemoved removed;
  for (const auto& [key, file_name] : garbage) {
    if (listed.staying.contains(file_name)) continue;
    // A file may serve several branches; it goes with the last of them.
    Status unlinked;
    if (!live.contains(file_name) || NEXUS_PLANTED("shared-layer-unlinked")) {
      unlinked = co_await io::Unlink(disk, io::JoinPath(state->folder.layers, file_name));
    }
    if (unlinked.ok() || absl::IsNotFound(unlinked)) {
      removed.layers.push_back(key);
    } else {
      failed.Update(unlinked);
    }
    if (removed.layers.size() == kPublishedLayersMax) break;
  }
  if (removed.layers.empty()) co_return failed;
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, state->folder.layers));
  const Edit edit(std::move(removed));
  NEXUS_CO_RETURN_IF_ERROR(co_await committer->CommitEdit(edit));
  co_return failed;
}

}  // namespace nexus::engine
