// Renames, each durable before the next. See catalog_folder.h.

#include "engine/catalog_folder.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "io/file_util.h"

namespace nexus::engine {
namespace {

io::Task<StatusOr<bool>> HasFolder(io::Disk* disk, std::string path) {
  NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await io::List(disk, io::ParentPath(path)));
  auto is_it = [&](const io::DirectoryEntry& entry) {
    return entry.is_directory && path.ends_with("/" + entry.name);
  };
  co_return std::any_of(entries.begin(), entries.end(), is_it);
}

// The first "quarantine/catalog-<n>" that is free.
io::Task<StatusOr<std::string>> FreePlace(io::Disk* disk, std::string quarantine) {
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, quarantine));
  NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await io::List(disk, quarantine));
  std::set<std::string> taken;
  for (const io::DirectoryEntry& entry : entries) taken.insert(entry.name);
  size_t number = 1;
  while (taken.contains(fmt::format("catalog-{}", number))) number++;
  co_return io::JoinPath(quarantine, fmt::format("catalog-{}", number));
}

// Moves a folder into quarantine/; where it lies now.
io::Task<StatusOr<std::string>> SetAside(io::Disk* disk, Folder folder, std::string path) {
  NEXUS_CO_ASSIGN_OR_RETURN(std::string place, co_await FreePlace(disk, folder.quarantine));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::Rename(disk, path, place));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, folder.quarantine));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, folder.root));
  co_return place;
}

io::Task<Status> RenameInRoot(io::Disk* disk, Folder folder, std::string from, std::string to) {
  NEXUS_CO_RETURN_IF_ERROR(co_await io::Rename(disk, from, to));
  co_return co_await io::SyncDirectory(disk, folder.root);
}

}  // namespace

io::Task<StatusOr<std::string>> SettleCatalogFolder(io::Disk* disk, Folder folder) {
  NEXUS_CO_ASSIGN_OR_RETURN(bool rebuilt, co_await HasFolder(disk, folder.catalog_rebuilt));
  if (!rebuilt) co_return std::string();
  NEXUS_CO_ASSIGN_OR_RETURN(bool present, co_await HasFolder(disk, folder.catalog));
  if (!present) {
    NEXUS_CO_RETURN_IF_ERROR(
        co_await RenameInRoot(disk, folder, folder.catalog_rebuilt, folder.catalog));
    co_return fmt::format("{} put in its place: an interrupted rebuild had finished it",
                          folder.catalog);
  }
  NEXUS_CO_ASSIGN_OR_RETURN(std::string place,
                            co_await SetAside(disk, folder, folder.catalog_rebuilt));
  co_return fmt::format("{} moved to {}: left over from an interrupted rebuild",
                        folder.catalog_rebuilt, place);
}

io::Task<Status> MakeBuildingFolder(io::Disk* disk, Folder folder) {
  NEXUS_CO_ASSIGN_OR_RETURN(bool leftover, co_await HasFolder(disk, folder.catalog_building));
  if (leftover) {
    auto aside = co_await SetAside(disk, folder, folder.catalog_building);
    NEXUS_CO_RETURN_IF_ERROR(aside.status());
  }
  co_return co_await io::MakeDirectories(disk, folder.catalog_building);
}

io::Task<StatusOr<std::string>> PutCatalogInPlace(io::Disk* disk, Folder folder) {
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, folder.catalog_building));
  NEXUS_CO_RETURN_IF_ERROR(
      co_await RenameInRoot(disk, folder, folder.catalog_building, folder.catalog_rebuilt));
  std::string old;
  NEXUS_CO_ASSIGN_OR_RETURN(bool present, co_await HasFolder(disk, folder.catalog));
  std::vector<io::DirectoryEntry> files;
  if (present) {
    NEXUS_CO_ASSIGN_OR_RETURN(files, co_await io::List(disk, folder.catalog));
  }
  // An empty folder is no evidence; the rename replaces it.
  if (!files.empty()) {
    NEXUS_CO_ASSIGN_OR_RETURN(old, co_await SetAside(disk, folder, folder.catalog));
  }
  NEXUS_CO_RETURN_IF_ERROR(
      co_await RenameInRoot(disk, folder, folder.catalog_rebuilt, folder.catalog));
  co_return old;
}

}  // namespace nexus::engine
