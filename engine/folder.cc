// Making and recognising a database's folder. See folder.h.

#include "engine/folder.h"

#include <utility>

#include "io/file_util.h"
#include "wal/folder_lock.h"

namespace nexus::engine {
namespace {

std::string Under(const std::string& root, std::string_view name) {
  return io::JoinPath(root, name);
}

}  // namespace

Folder::Folder(std::string at)
    : root(std::move(at)),
      identity(Under(root, "IDENTITY")),
      wal(Under(root, "wal")),
      layers(Under(root, "layers")),
      catalog(Under(root, "catalog")),
      catalog_building(Under(root, "catalog.building")),
      catalog_rebuilt(Under(root, "catalog.rebuilt")),
      reserve(Under(root, "reserve")),
      quarantine(Under(root, "quarantine")) {}

namespace {

io::Task<StatusOr<OpenedFolder>> CreateFolder(io::Environment* environment, Folder folder) {
  io::Disk* disk = environment->disk();
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, folder.wal));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, folder.layers));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, folder.quarantine));
  Identity identity;
  identity.database = {environment->random()->Next(), environment->random()->Next()};
  identity.created_wall_ns = environment->WallNanos();
  NEXUS_CO_RETURN_IF_ERROR(
      co_await io::ReplaceFile(disk, folder.identity, EncodeIdentity(identity)));
  co_return OpenedFolder(identity, true);
}

// Names that an earlier creation, cut short before the identity file was in place, may have left.
bool IsOurs(std::string_view name) {
  return name == wal::kLockFileName || name == "wal" || name == "layers" || name == "catalog" ||
         name == "quarantine" || name == "IDENTITY.tmp";
}

}  // namespace

io::Task<StatusOr<OpenedFolder>> OpenFolder(io::Environment* environment, Folder folder,
                                            bool create) {
  io::Disk* disk = environment->disk();
  StatusOr<std::string> bytes =
      co_await io::ReadWholeFile(disk, folder.identity, kIdentityBytes + 1);
  if (bytes.ok()) {
    NEXUS_CO_ASSIGN_OR_RETURN(Identity identity, ParseIdentity(*bytes, folder.identity));
    co_return OpenedFolder(identity, false);
  }
  if (absl::IsResourceExhausted(bytes.status())) {
    co_return DataLoss("{}: longer than an identity file; restore it from a backup",
                       folder.identity);
  }
  if (!absl::IsNotFound(bytes.status())) co_return bytes.status();
  if (!create) co_return NotFound("{}: no nexus database there", folder.root);
  StatusOr<std::vector<io::DirectoryEntry>> entries = co_await io::List(disk, folder.root);
  if (!entries.ok() && !absl::IsNotFound(entries.status())) co_return entries.status();
  if (entries.ok()) {
    for (const io::DirectoryEntry& entry : *entries) {
      if (IsOurs(entry.name)) continue;
      if (entry.name == kRestoreMarkName) {
        co_return FailedPrecondition(
            "{}: a restore into this folder was interrupted; run nexus restore into it again",
            folder.root);
      }
      co_return FailedPrecondition(
          "{}: the folder is not empty (it holds \"{}\") and is no nexus database; give an empty "
          "or a new folder",
          folder.root, entry.name);
    }
  }
  co_return co_await CreateFolder(environment, std::move(folder));
}

}  // namespace nexus::engine
