// Making a backup. See backup.h.

#include "engine/backup.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "catalog/image.h"
#include "engine/backup_cut.h"
#include "engine/layer_place.h"
#include "io/file_util.h"
#include "layer/layer.h"
#include "wal/folder_lock.h"

namespace nexus::engine {
namespace {

// Larger than any manifest: what is no manifest is told by its bytes.
constexpr uint64_t kManifestReadMax = 64 << 10;

// What a first backup that was cut short leaves before it has claimed the folder.
bool IsLeftover(std::string_view name) {
  return name == wal::kLockFileName || name == "BACKUP.tmp";
}

class BackupRun {
 public:
  BackupRun(DatabaseCore* core, std::string destination, BackupOptions options)
      : core_(core),
        state_(core->state()),
        disk_(state_->environment->disk()),
        folder_(std::move(destination)),
        options_(std::move(options)),
        placer_(state_->environment, state_->origin,
                [this](uint64_t done) { return MayGoOn(done); }) {}

  io::Task<StatusOr<BackupResult>> Run() {
    NEXUS_CO_RETURN_IF_ERROR(co_await TakeFolder());
    NEXUS_CO_RETURN_IF_ERROR(co_await Cut());
    NEXUS_CO_RETURN_IF_ERROR(co_await PlaceLayers());
    NEXUS_CO_RETURN_IF_ERROR(co_await Commit());
    co_await RemoveWhatIsNotNeeded();
    result_.lsn = contents_.lsn;
    result_.placed = placer_.placed();
    co_return result_;
  }

 private:
  Status MayGoOn(uint64_t done) const {
    if (!core_->may_back_up()) return FailedPrecondition("the database is closing");
    if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
      return Cancelled("the backup into {} was cancelled", folder_.root);
    }
    if (options_.progress) options_.progress({"backing up", done, result_.layer_bytes});
    return OkStatus();
  }

  BackupManifest Manifest(Lsn lsn) const {
    BackupManifest manifest;
    manifest.identity.database = state_->database;
    manifest.identity.origin = state_->origin;
    manifest.identity.timeline = state_->timeline;
    manifest.identity.created_wall_ns = state_->created_wall_ns;
    manifest.lsn = lsn;
    manifest.made_wall_ns = state_->environment->WallNanos();
    return manifest;
  }

  io::Task<Status> WriteManifest(Lsn lsn) {
    return io::ReplaceFile(disk_, folder_.manifest, EncodeBackupManifest(Manifest(lsn)));
  }

  // Whether the folder is a backup of this database; false if nothing is in it.
  io::Task<StatusOr<bool>> IsOurs() {
    StatusOr<BackupManifest> manifest = co_await ReadBackupManifest(disk_, folder_);
    if (manifest.ok() && manifest->identity.database != state_->database) {
      co_return FailedPrecondition(
          "{}: the backup there is of another database, {:016x}{:016x}, and this is "
          "{:016x}{:016x}; give a folder of its own to each",
          folder_.root, manifest->identity.database.high, manifest->identity.database.low,
          state_->database.high, state_->database.low);
    }
    if (manifest.ok()) co_return true;
    if (!absl::IsNotFound(manifest.status())) co_return manifest.status();
    StatusOr<std::vector<io::DirectoryEntry>> entries = co_await io::List(disk_, folder_.root);
    if (absl::IsNotFound(entries.status())) co_return false;
    NEXUS_CO_RETURN_IF_ERROR(entries.status());
    for (const io::DirectoryEntry& entry : *entries) {
      if (IsLeftover(entry.name)) continue;
      co_return FailedPrecondition(
          "{}: the folder is not empty (it holds \"{}\") and is no backup; give an empty or a new "
          "folder",
          folder_.root, entry.name);
    }
    co_return false;
  }

  // Nothing is written to a folder that is not ours; what another backup does meanwhile is seen
  // under the lock.
  io::Task<Status> TakeFolder() {
    if (folder_.root.empty()) co_return InvalidArgument("name the folder of the backup");
    if (io::PathsOverlap(folder_.root, state_->folder.root)) {
      co_return InvalidArgument(
          "{}: a backup of {} cannot be in its folder or around it; give another folder",
          folder_.root, state_->folder.root);
    }
    auto looked = co_await IsOurs();
    NEXUS_CO_RETURN_IF_ERROR(looked.status());
    NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk_, folder_.root));
    NEXUS_CO_ASSIGN_OR_RETURN(
        lock_, co_await wal::AcquireFolderLock(state_->environment, folder_.root,
                                               state_->options.lock_wait_ms * 1'000'000));
    NEXUS_CO_ASSIGN_OR_RETURN(const bool is_ours, co_await IsOurs());
    const Lsn none;
    if (!is_ours) NEXUS_CO_RETURN_IF_ERROR(co_await WriteManifest(none));
    co_return co_await io::MakeDirectories(disk_, folder_.layers);
  }

  io::Task<Status> Cut() {
    NEXUS_CO_RETURN_IF_ERROR(co_await core_->committer()->Drain());
    core_->flusher()->SealAll();
    BackupCut cut(*state_);
    state_->on_published = [&cut](const PublishLayers& edit) { cut.OnPublished(edit); };
    const Status status = co_await Complete(&cut);
    state_->on_published = nullptr;
    NEXUS_CO_RETURN_IF_ERROR(status);
    NEXUS_CO_ASSIGN_OR_RETURN(contents_, cut.Take(*state_));
    files_ = LayerFileSet(contents_.layers);
    result_.layers = files_.by_name.size();
    result_.layer_bytes = files_.bytes;
    co_return OkStatus();
  }

  io::Task<Status> Complete(BackupCut* cut) {
    NEXUS_CO_RETURN_IF_ERROR(co_await core_->keeper()->Commit());
    auto read = [catalog = state_->catalog.get()]() -> StatusOr<catalog::ImageContents> {
      NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog->BeginRead());
      return reader.Image();
    };
    auto image = co_await state_->environment->executor()->Run(io::Lane::kWorker, read);
    NEXUS_CO_RETURN_IF_ERROR(image.status());
    cut->AddFromCatalog(*std::move(image));
    co_return co_await core_->flusher()->AwaitFlushed(cut->lsn());
  }

  io::Task<Status> PlaceLayers() {
    for (const auto& [name, record] : files_.by_name) {
      Status placed = co_await placer_.Place(record, state_->folder.layers, folder_.layers);
      NEXUS_CO_RETURN_IF_ERROR(placed);
    }
    NEXUS_CO_RETURN_IF_ERROR(MayGoOn(placer_.bytes()));
    co_return co_await io::SyncDirectory(disk_, folder_.layers);
  }

  io::Task<Status> Commit() {
    auto encode = [this] { return catalog::EncodeImage(contents_); };
    auto bytes = co_await state_->environment->executor()->Run(io::Lane::kWorker, encode);
    NEXUS_CO_RETURN_IF_ERROR(bytes.status());
    const std::string path = folder_.ImagePath(contents_.lsn);
    NEXUS_CO_RETURN_IF_ERROR(co_await io::ReplaceFile(disk_, path, *std::move(bytes)));
    co_return co_await WriteManifest(contents_.lsn);
  }

  io::Task<void> Remove(std::string path) {
    const Status removed = co_await io::Unlink(disk_, std::move(path));
    (removed.ok() ? result_.removed : result_.not_removed)++;
  }

  // Nothing where that cannot be told.
  io::Task<std::vector<io::DirectoryEntry>> Entries(std::string path) {
    auto entries = co_await io::List(disk_, std::move(path));
    if (!entries.ok()) co_return std::vector<io::DirectoryEntry>();
    co_return *std::move(entries);
  }

  // Only files that a backup has made. The backup is whole; what cannot be removed costs room.
  io::Task<void> RemoveWhatIsNotNeeded() {
    const std::string image = catalog::ImageFileName(contents_.lsn);
    const std::vector<io::DirectoryEntry> root = co_await Entries(folder_.root);
    for (const io::DirectoryEntry& entry : root) {
      const bool is_image = catalog::ParseImageFileName(entry.name).has_value();
      const bool is_old = is_image && entry.name != image;
      if (!is_old && !entry.name.ends_with(".image.tmp")) continue;
      co_await Remove(io::JoinPath(folder_.root, entry.name));
    }
    const std::vector<io::DirectoryEntry> layers = co_await Entries(folder_.layers);
    for (const io::DirectoryEntry& entry : layers) {
      const bool is_layer = layer::ParseLayerFileName(entry.name).ok();
      const bool is_old = is_layer && !files_.by_name.contains(entry.name);
      if (!is_old && !entry.name.ends_with(".layer.tmp")) continue;
      co_await Remove(io::JoinPath(folder_.layers, entry.name));
    }
    if (result_.removed == 0) co_return;
    // What a crash brings back, the next backup removes.
    (co_await io::SyncDirectory(disk_, folder_.layers)).IgnoreError();
    (co_await io::SyncDirectory(disk_, folder_.root)).IgnoreError();
  }

  DatabaseCore* const core_;
  DatabaseState* const state_;
  io::Disk* const disk_;
  const BackupFolder folder_;
  const BackupOptions options_;
  LayerPlacer placer_;
  std::unique_ptr<io::FileLock> lock_;
  catalog::ImageContents contents_;
  LayerFileSet files_;
  BackupResult result_;
};

}  // namespace

BackupFolder::BackupFolder(std::string at)
    : root(std::move(at)),
      manifest(io::JoinPath(root, kBackupManifestName)),
      layers(io::JoinPath(root, "layers")) {}

std::string BackupFolder::ImagePath(Lsn lsn) const {
  return io::JoinPath(root, catalog::ImageFileName(lsn));
}

io::Task<StatusOr<BackupManifest>> ReadBackupManifest(io::Disk* disk, BackupFolder folder) {
  StatusOr<std::string> bytes = co_await io::ReadWholeFile(disk, folder.manifest, kManifestReadMax);
  if (absl::IsNotFound(bytes.status())) {
    co_return NotFound("{}: no backup there (no file {})", folder.root, kBackupManifestName);
  }
  NEXUS_CO_RETURN_IF_ERROR(bytes.status());
  co_return ParseBackupManifest(*bytes, folder.manifest);
}

io::Task<StatusOr<BackupResult>> Backup(DatabaseCore* core, std::string destination,
                                        BackupOptions options) {
  NEXUS_CO_RETURN_IF_ERROR(core->BeginBackup());
  BackupRun run(core, std::move(destination), std::move(options));
  StatusOr<BackupResult> result = co_await run.Run();
  core->EndBackup();
  co_return result;
}

}  // namespace nexus::engine
