// Unlinking retired layers. See garbage.h.

#include "engine/garbage.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/planted.h"
#include "engine/record.h"
#include "io/file_util.h"

namespace nexus::engine {

io::Task<Status> RemoveGarbage(DatabaseState* state, Committer* committer, CatalogKeeper* keeper) {
  if (state->garbage.empty() || state->garbage_holders > 0) co_return OkStatus();
  // What becomes garbage while the catalog is made persistent waits for the next time.
  const std::map<catalog::LayerKey, std::string> garbage = state->garbage;
  if (!NEXUS_PLANTED("garbage-removed-before-catalog-sync")) {
    NEXUS_CO_RETURN_IF_ERROR(co_await keeper->Persist());
  }
  if (state->garbage_holders > 0) co_return OkStatus();
  const auto live = state->LayerFiles(DatabaseState::Garbage::kWithout);
  io::Disk* disk = state->environment->disk();
  Status failed;
  GarbageRemoved removed;
  for (const auto& [key, file_name] : garbage) {
    // A file may serve several branches; it goes with the last of them.
    Status unlinked;
    if (!live.contains(file_name)) {
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
  std::string body = EncodeEdits({&edit, 1});
  NEXUS_CO_RETURN_IF_ERROR(co_await committer->CommitEdit(std::move(body)));
  co_return failed;
}

}  // namespace nexus::engine
