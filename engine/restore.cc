// Restoring a backup. See restore.h.

#include "engine/restore.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/planted.h"
#include "catalog/image.h"
#include "engine/backup.h"
#include "engine/folder.h"
#include "engine/image_files.h"
#include "engine/layer_place.h"
#include "io/file_util.h"
#include "wal/folder_lock.h"
#include "wal/log.h"
#include "wal/scan.h"

namespace nexus::engine {
namespace {

constexpr std::string_view kWayOut =
    "take another backup, or make it anew with nexus backup while the database is there";
// Of the log's first segment, which gets no record: the next opening begins another, as large as it
// is told.
constexpr uint64_t kSegmentBytes = 64 << 10;
// A folder that nobody else should have: whoever holds its lock is starting or ending.
constexpr int64_t kLockWaitNs = 5'000'000'000;

// The log is begun, and written to by the next opening.
class NobodyAppends : public wal::LogObserver {
 public:
  void OnDurable(Lsn) override {}
  void OnFailed(Status) override {}
  void OnRoom() override {}
};

class RestoreRun {
 public:
  RestoreRun(io::Environment* environment, RestoreOptions options, CatalogRebuildHooks hooks)
      : environment_(environment),
        disk_(environment->disk()),
        options_(std::move(options)),
        hooks_(std::move(hooks)),
        source_(options_.source),
        folder_(options_.directory),
        mark_(io::JoinPath(folder_.root, kRestoreMarkName)) {}

  io::Task<StatusOr<RestoreResult>> Run() {
    NEXUS_CO_RETURN_IF_ERROR(co_await ReadBackup());
    NEXUS_CO_RETURN_IF_ERROR(co_await TakeFolder());
    NEXUS_CO_RETURN_IF_ERROR(co_await PlaceLayers());
    NEXUS_CO_RETURN_IF_ERROR(co_await MakeCatalog());
    NEXUS_CO_RETURN_IF_ERROR(co_await BeginLog());
    NEXUS_CO_RETURN_IF_ERROR(co_await End());
    co_return result_;
  }

 private:
  void Report(std::string_view activity, uint64_t done, uint64_t total) const {
    if (options_.progress) options_.progress({activity, done, total});
  }

  // ---- What the backup is.

  io::Task<Status> ReadBackup() {
    if (options_.source.empty()) co_return InvalidArgument("name the folder of the backup");
    if (options_.directory.empty()) co_return InvalidArgument("name the folder to restore into");
    if (io::PathsOverlap(source_.root, folder_.root)) {
      co_return InvalidArgument(
          "{}: a backup cannot be restored in its own folder or around it, {}; give another folder",
          folder_.root, source_.root);
    }
    NEXUS_CO_ASSIGN_OR_RETURN(manifest_, co_await ReadBackupManifest(disk_, source_));
    if (!manifest_.complete()) {
      co_return FailedPrecondition(
          "{}: the first backup into this folder did not come to its end, so there is nothing to "
          "restore; run nexus backup into it again",
          source_.root);
    }
    const std::string path = source_.ImagePath(manifest_.lsn);
    StatusOr<std::string> bytes = co_await io::ReadWholeFile(disk_, path, kImageBytesMax);
    if (absl::IsNotFound(bytes.status())) {
      co_return DataLoss("{}: the backup names this image and it is missing; {}", path, kWayOut);
    }
    NEXUS_CO_RETURN_IF_ERROR(bytes.status());
    auto decode = [&bytes, &path] { return catalog::DecodeImage(*bytes, path); };
    auto image = co_await environment_->executor()->Run(io::Lane::kWorker, decode);
    NEXUS_CO_RETURN_IF_ERROR(image.status());
    contents_ = *std::move(image);
    if (contents_.database != manifest_.identity.database || contents_.lsn != manifest_.lsn) {
      co_return DataLoss("{}: the image is not that of the backup; {}", path, kWayOut);
    }
    result_.lsn = manifest_.lsn;
    result_.made_wall_ns = manifest_.made_wall_ns;
    std::erase_if(contents_.layers, [](const catalog::LayerRecord& record) {
      return record.state == catalog::LayerState::kGarbage;
    });
    files_ = LayerFileSet(contents_.layers);
    result_.layers = files_.by_name.size();
    result_.layer_bytes = files_.bytes;
    MakeIdentity();
    co_return OkStatus();
  }

  void MakeIdentity() {
    identity_.database = {environment_->random()->Next(), environment_->random()->Next()};
    identity_.created_wall_ns = environment_->WallNanos();
    identity_.origin = manifest_.identity.layers();
    identity_.timeline = manifest_.identity.timeline + 1;
    const bool was_restored = manifest_.identity.timeline > 0;
    if (NEXUS_PLANTED("restored-writes-lose") && was_restored) identity_.timeline = 0;
    contents_.database = identity_.database;
    result_.timeline = identity_.timeline;
  }

  // ---- The folder.

  // Whether a restore into the folder was interrupted; false if the folder is empty or missing.
  io::Task<StatusOr<bool>> WasInterrupted() {
    StatusOr<std::vector<io::DirectoryEntry>> entries = co_await io::List(disk_, folder_.root);
    if (absl::IsNotFound(entries.status())) co_return false;
    NEXUS_CO_RETURN_IF_ERROR(entries.status());
    bool marked = false;
    const io::DirectoryEntry* other = nullptr;
    for (const io::DirectoryEntry& entry : *entries) {
      if (io::JoinPath(folder_.root, entry.name) == folder_.identity) {
        co_return FailedPrecondition(
            "{}: there is a database in this folder; give an empty or a new folder", folder_.root);
      }
      if (entry.name == kRestoreMarkName) marked = true;
      if (entry.name != kRestoreMarkName && entry.name != wal::kLockFileName) other = &entry;
    }
    if (marked || other == nullptr) co_return marked;
    co_return FailedPrecondition(
        "{}: the folder is not empty (it holds \"{}\"); give an empty or a new folder",
        folder_.root, other->name);
  }

  io::Task<Status> TakeFolder() {
    auto looked = co_await WasInterrupted();
    NEXUS_CO_RETURN_IF_ERROR(looked.status());
    NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk_, folder_.root));
    NEXUS_CO_ASSIGN_OR_RETURN(
        lock_, co_await wal::AcquireFolderLock(environment_, folder_.root, kLockWaitNs));
    NEXUS_CO_ASSIGN_OR_RETURN(const bool interrupted, co_await WasInterrupted());
    if (interrupted) {
      NEXUS_CO_RETURN_IF_ERROR(co_await Clear());
    } else {
      NEXUS_CO_RETURN_IF_ERROR(co_await Claim());
    }
    NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk_, folder_.wal));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk_, folder_.layers));
    co_return co_await io::MakeDirectories(disk_, folder_.quarantine);
  }

  io::Task<Status> Claim() {
    io::OpenFlags flags;
    flags.write = flags.create = true;
    auto made = co_await io::OpenFile(disk_, mark_, flags);
    NEXUS_CO_RETURN_IF_ERROR(made.status());
    co_return co_await io::SyncDirectory(disk_, folder_.root);
  }

  // Everything but mark and lock goes: all of it was made behind the mark.
  io::Task<Status> Clear() {
    const std::vector<std::string> filled = {folder_.wal, folder_.layers, folder_.catalog,
                                             folder_.catalog_building, folder_.catalog_rebuilt};
    for (const std::string& path : filled) {
      NEXUS_CO_RETURN_IF_ERROR(co_await ClearFolder(path));
    }
    NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await io::List(disk_, folder_.root));
    for (const io::DirectoryEntry& entry : entries) {
      const bool stays = entry.name == kRestoreMarkName || entry.name == wal::kLockFileName;
      if (stays || entry.is_directory) continue;
      NEXUS_CO_RETURN_IF_ERROR(co_await io::Unlink(disk_, io::JoinPath(folder_.root, entry.name)));
    }
    co_return OkStatus();
  }

  io::Task<Status> ClearFolder(std::string path) {
    StatusOr<std::vector<io::DirectoryEntry>> entries = co_await io::List(disk_, path);
    if (absl::IsNotFound(entries.status())) co_return OkStatus();
    NEXUS_CO_RETURN_IF_ERROR(entries.status());
    for (const io::DirectoryEntry& entry : *entries) {
      NEXUS_CO_RETURN_IF_ERROR(co_await io::Unlink(disk_, io::JoinPath(path, entry.name)));
    }
    const int error = co_await disk_->RemoveDirectory(path);
    co_return error == 0 ? OkStatus() : ErrnoStatus(-error, "remove directory", path);
  }

  // ---- What goes into it.

  io::Task<Status> PlaceLayers() {
    uint64_t checked = 0;
    LayerPlacer placer(environment_, identity_.layers(), [](uint64_t) { return OkStatus(); });
    for (const auto& [name, record] : files_.by_name) {
      Report("checking and placing layers", checked, result_.layer_bytes);
      Status sound = co_await placer.Verify(record, source_.layers);
      NEXUS_CO_RETURN_IF_ERROR(Annotate(sound, "the backup is damaged"));
      NEXUS_CO_RETURN_IF_ERROR(co_await placer.Place(record, source_.layers, folder_.layers));
      checked += record.file_bytes;
    }
    result_.placed = placer.placed();
    co_return co_await io::SyncDirectory(disk_, folder_.layers);
  }

  io::Task<Status> MakeCatalog() {
    auto encode = [this] { return catalog::EncodeImage(contents_); };
    auto bytes = co_await environment_->executor()->Run(io::Lane::kWorker, encode);
    NEXUS_CO_RETURN_IF_ERROR(bytes.status());
    const std::string path = io::JoinPath(folder_.root, catalog::ImageFileName(contents_.lsn));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::ReplaceFile(disk_, path, *std::move(bytes)));
    Options options;
    options.directory = folder_.root;
    options.progress = options_.progress;
    auto built =
        co_await BuildCatalog(environment_, std::move(options), identity_, contents_, hooks_);
    NEXUS_CO_RETURN_IF_ERROR(built.status());
    result_.tenants = built->tenants;
    result_.series = built->series;
    co_return OkStatus();
  }

  io::Task<Status> BeginLog() {
    wal::Witness witness;
    witness.database = identity_.database;
    NEXUS_CO_ASSIGN_OR_RETURN(wal::LogScan scan,
                              co_await wal::ScanLog(environment_, folder_.wal, witness, nullptr));
    // No segment has number 0: it is one that was given up, and whose records the catalog has.
    scan.last = {wal::Predecessor::Kind::kClosed, 0, manifest_.lsn, 0};
    wal::LogOptions options;
    options.directory = folder_.wal;
    options.database = identity_.database;
    options.open_count = contents_.open_count + 1;
    options.base_above = manifest_.lsn;
    options.segment_bytes = kSegmentBytes;
    options.buffer_bytes = kSegmentBytes / 4;
    NobodyAppends observer;
    auto log = co_await wal::Log::Start(environment_, std::move(options), &scan, &observer);
    NEXUS_CO_RETURN_IF_ERROR(log.status());
    const Status writable = (*log)->writable();
    const Status closed = co_await (*log)->Close();
    NEXUS_CO_RETURN_IF_ERROR(writable);
    co_return closed;
  }

  io::Task<Status> End() {
    NEXUS_CO_RETURN_IF_ERROR(
        co_await io::ReplaceFile(disk_, folder_.identity, EncodeIdentity(identity_)));
    // It is a database now, and what opens it takes the mark away where this does not.
    (co_await io::Unlink(disk_, mark_)).IgnoreError();
    (co_await io::SyncDirectory(disk_, folder_.root)).IgnoreError();
    co_return OkStatus();
  }

  io::Environment* const environment_;
  io::Disk* const disk_;
  const RestoreOptions options_;
  const CatalogRebuildHooks hooks_;
  const BackupFolder source_;
  const Folder folder_;
  const std::string mark_;
  BackupManifest manifest_;
  Identity identity_;
  catalog::ImageContents contents_;
  LayerFileSet files_;
  std::unique_ptr<io::FileLock> lock_;
  RestoreResult result_;
};

}  // namespace

io::Task<StatusOr<RestoreResult>> RestoreBackup(io::Environment* environment,
                                                RestoreOptions options, CatalogRebuildHooks hooks) {
  RestoreRun run(environment, std::move(options), std::move(hooks));
  co_return co_await run.Run();
}

}  // namespace nexus::engine
