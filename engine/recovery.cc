// Opening a database. See recovery.h.

#include "engine/recovery.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/planted.h"
#include "catalog/catalog.h"
#include "engine/branches.h"
#include "engine/catalog_folder.h"
#include "engine/delete_edits.h"
#include "engine/image_files.h"
#include "engine/layer_writer.h"
#include "engine/retention_keeper.h"
#include "io/file_util.h"
#include "wal/folder_lock.h"

namespace nexus::engine {
Recovery::Recovery(DatabaseState* state, CatalogHooks hooks, Applier* applier, Committer* committer,
                   CatalogKeeper* keeper, Flusher* flusher, RecoveryReport* report)
    : state_(state),
      hooks_(std::move(hooks)),
      applier_(applier),
      committer_(committer),
      keeper_(keeper),
      flusher_(flusher),
      report_(report) {}

void Recovery::ReportProgress(std::string_view activity, uint64_t done, uint64_t total) const {
  if (state_->options.progress) state_->options.progress({activity, done, total});
}

io::Task<StatusOr<std::unique_ptr<io::FileLock>>> Recovery::LockFolder() {
  auto lock = co_await wal::AcquireFolderLock(state_->environment, state_->folder.root,
                                              state_->options.lock_wait_ms * 1'000'000);
  if (absl::IsNotFound(lock.status())) {
    co_return NotFound("{}: no nexus database there (there is no such folder)",
                       state_->folder.root);
  }
  co_return lock;
}

io::Task<StatusOr<std::unique_ptr<io::FileLock>>> Recovery::Run() {
  io::Environment* environment = state_->environment;
  const int64_t started_ns = environment->MonotonicNanos();
  if (state_->options.create) {
    NEXUS_CO_RETURN_IF_ERROR(
        co_await io::MakeDirectories(environment->disk(), state_->folder.root));
  }
  auto lock = co_await LockFolder();
  NEXUS_CO_RETURN_IF_ERROR(lock.status());
  Status status = co_await Steps();
  if (!status.ok()) {
    // The log's own failure would hide the reason.
    if (log_ != nullptr) (co_await log_->Close()).IgnoreError();
    co_return status;
  }
  report_->created = created_;
  report_->seconds = static_cast<double>(environment->MonotonicNanos() - started_ns) * 1e-9;
  co_return std::move(*lock);
}

io::Task<Status> Recovery::Steps() {
  NEXUS_CO_RETURN_IF_ERROR(co_await ReadFolder());
  NEXUS_CO_RETURN_IF_ERROR(co_await OpenCatalog());
  NEXUS_CO_RETURN_IF_ERROR(co_await ScanTheLog());
  NEXUS_CO_RETURN_IF_ERROR(CheckCatalogReachesTheLog());
  NEXUS_CO_RETURN_IF_ERROR(scan_.status());
  const Lsn anywhere;
  Status started = co_await StartLog(&scan_, anywhere);
  if (absl::IsResourceExhausted(started)) started = co_await StartLogInReserve(started);
  NEXUS_CO_RETURN_IF_ERROR(started);
  NEXUS_CO_RETURN_IF_ERROR(co_await LoadCatalog());
  const wal::CursorOptions everything;
  NEXUS_CO_RETURN_IF_ERROR(co_await Replay(everything));
  NEXUS_CO_RETURN_IF_ERROR(co_await FindLayers());
  // A log that found no space for its segment refuses appends by itself until there is some.
  committer_->Start(std::move(log_));
  co_return co_await Bootstrap();
}

io::Task<Status> Recovery::ReadFolder() {
  NEXUS_CO_ASSIGN_OR_RETURN(
      OpenedFolder opened,
      co_await OpenFolder(state_->environment, state_->folder, state_->options.create));
  state_->database = opened.identity.database;
  state_->origin = opened.identity.layers();
  state_->timeline = opened.identity.timeline;
  state_->created_wall_ns = opened.identity.created_wall_ns;
  created_ = opened.created;
  co_return co_await ReadImages();
}

// Images that can be decoded count; a damaged one is set aside and named: the next checkpoint
// writes anew. What a replacement that was cut short left behind goes.
io::Task<Status> Recovery::ReadImages() {
  io::Disk* disk = state_->environment->disk();
  NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await io::List(disk, state_->folder.root));
  for (const io::DirectoryEntry& entry : entries) {
    const bool is_mark = entry.name == kRestoreMarkName;
    const bool is_unfinished = entry.name.ends_with(".image.tmp") || entry.name == "IDENTITY.tmp";
    if (!is_mark && !is_unfinished) continue;
    // A restore that was killed at its last step may have left the identity's name to the mercy of
    // the next power cut.
    if (is_mark) NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, state_->folder.root));
    std::string leftover = io::JoinPath(state_->folder.root, entry.name);
    NEXUS_CO_RETURN_IF_ERROR(co_await io::Unlink(disk, leftover));
  }
  NEXUS_CO_ASSIGN_OR_RETURN(std::vector<ImageFile> found,
                            co_await ReadImageFiles(disk, state_->folder, state_->database));
  for (const ImageFile& image : found) {
    Status status = image.contents.status();
    if (absl::IsDataLoss(status)) {
      report_->damage.push_back(std::string(FromAbsl(status.message())));
      // What the disk does not give now it may give the next time: an image that cannot be read
      // stays where it is.
      status = OkStatus();
      if (!image.unreadable) {
        status = co_await QuarantineFile(state_->folder.root, image.name, "damaged");
      }
    }
    NEXUS_CO_RETURN_IF_ERROR(status);
    if (!image.contents.ok()) continue;
    images_.push_back(image.lsn);
    image_open_count_ = std::max(image_open_count_, image.contents->open_count);
  }
  keeper_->SetImages(images_);
  co_return OkStatus();
}

io::Task<Status> Recovery::QuarantineFile(std::string directory, std::string name,
                                          std::string why) {
  io::Disk* disk = state_->environment->disk();
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, state_->folder.quarantine));
  std::string from = io::JoinPath(directory, name);
  std::string to = io::JoinPath(state_->folder.quarantine, name);
  NEXUS_CO_RETURN_IF_ERROR(co_await io::Rename(disk, from, to));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, state_->folder.quarantine));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, directory));
  report_->notes.push_back(fmt::format("{} moved to {}: {}", from, state_->folder.quarantine, why));
  co_return OkStatus();
}

io::Task<Status> Recovery::OpenCatalog() {
  catalog::CatalogOptions options;
  options.directory = hooks_.directory.empty() ? state_->folder.catalog : hooks_.directory;
  options.database = state_->database;
  options.map_bytes = state_->options.catalog_bytes_max;
  options.after_commit = hooks_.after_commit;
  options.after_sync = hooks_.after_sync;
  if (hooks_.directory.empty()) {
    io::Disk* disk = state_->environment->disk();
    NEXUS_CO_ASSIGN_OR_RETURN(std::string settled,
                              co_await SettleCatalogFolder(disk, state_->folder));
    if (!settled.empty()) report_->notes.push_back(std::move(settled));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, state_->folder.catalog));
  }
  io::Executor* executor = state_->environment->executor();
  auto probe = [directory = options.directory] { return catalog::Catalog::Probe(directory); };
  NEXUS_CO_ASSIGN_OR_RETURN(presence_, co_await executor->Run(io::Lane::kCatalog, probe));
  if (presence_ != catalog::Presence::kPresent) {
    // The log decides whether that may be; it is looked at before anything is made.
    NEXUS_CO_RETURN_IF_ERROR(co_await ScanTheLog());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckCatalogMayBeMissing());
    options.mode = catalog::OpenMode::kCreate;
  }
  auto open = [options] { return catalog::Catalog::Open(options); };
  auto opened = co_await executor->Run(io::Lane::kCatalog, open);
  NEXUS_CO_RETURN_IF_ERROR(opened.status());
  state_->catalog = std::move(*opened);
  if (options.mode == catalog::OpenMode::kCreate && hooks_.directory.empty()) {
    NEXUS_CO_RETURN_IF_ERROR(
        co_await io::SyncDirectory(state_->environment->disk(), state_->folder.catalog));
  }
  co_return OkStatus();
}

// A catalog may be missing only where the log alone can rebuild it: a log whole from its beginning.
io::Task<Status> Recovery::CheckCatalogMayBeMissing() {
  bool may_be = scan_.from_the_beginning() && images_.empty();
  if (may_be && scan_.empty()) {
    // No log either: a new folder, unless layers say that there was one.
    NEXUS_CO_ASSIGN_OR_RETURN(
        auto entries, co_await io::List(state_->environment->disk(), state_->folder.layers));
    may_be = entries.empty();
  }
  if (may_be) co_return OkStatus();
  co_return FailedPrecondition("{}: catalog {}, run nexus catalog rebuild {}", state_->folder.root,
                               presence_ == catalog::Presence::kMissing ? "missing" : "empty",
                               state_->folder.root);
}

// A log that begins behind the catalog has lost records - unless an image shows that it was trimmed
// in good order: then it is the catalog that is not of this time.
Status Recovery::CheckCatalogReachesTheLog() const {
  const Lsn applied = state_->catalog->meta().applied;
  const Lsn log_begin = scan_.before_first.end;
  const bool reaches = scan_.from_the_beginning() || applied >= log_begin;
  if (reaches || images_.empty() || images_.back() < log_begin) return OkStatus();
  return FailedPrecondition(
      "{}: the catalog is older than the log: it ends at LSN {}, the log begins at {}; was it put "
      "back from a backup? run nexus catalog rebuild {}",
      state_->folder.root, applied.value, log_begin.value, state_->folder.root);
}

io::Task<Status> Recovery::ScanTheLog() {
  wal::Witness witness;
  witness.database = state_->database;
  if (!images_.empty()) witness.minimum_durable = images_.back();
  if (state_->catalog != nullptr) {
    Lsn applied = state_->catalog->meta().applied;
    witness.minimum_durable = std::max(witness.minimum_durable, applied);
    witness.replay_from = applied;
    auto layers = co_await state_->environment->executor()->Run(
        io::Lane::kWorker,
        [catalog = state_->catalog.get()]() -> StatusOr<std::vector<catalog::LayerRecord>> {
          NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog->BeginRead());
          return reader.Layers();
        });
    NEXUS_CO_RETURN_IF_ERROR(layers.status());
    for (const catalog::LayerRecord& layer : *layers) {
      witness.minimum_durable = std::max(witness.minimum_durable, layer.high.lsn);
    }
  }
  auto progress = [this](const wal::ScanProgress& at) {
    ReportProgress("checking the log", at.bytes_done, at.bytes_total);
  };
  NEXUS_CO_ASSIGN_OR_RETURN(
      scan_, co_await wal::ScanLog(state_->environment, state_->folder.wal, witness, progress));
  found_ = scan_;
  for (const std::string& note : scan_.notes) report_->notes.push_back(note);
  report_->torn_tail_bytes = scan_.torn_bytes;
  co_return OkStatus();
}

io::Task<Status> Recovery::StartLog(wal::LogScan* scan, Lsn base_above) {
  uint64_t seen = std::max(state_->catalog->meta().open_count, image_open_count_);
  state_->open_count = std::max(seen, scan->open_count_max) + 1;
  wal::LogOptions options;
  options.base_above = base_above;
  options.directory = state_->folder.wal;
  options.database = state_->database;
  options.open_count = state_->open_count;
  options.segment_bytes = state_->options.log_segment_bytes;
  options.buffer_bytes = std::min(options.buffer_bytes, state_->options.log_segment_bytes / 4);
  auto log = co_await wal::Log::Start(state_->environment, options, scan, committer_);
  NEXUS_CO_RETURN_IF_ERROR(log.status());
  log_ = std::move(*log);
  co_return OkStatus();
}

// The log's tail cannot be written again for lack of space: what is set aside for flushes will do,
// and is set aside again once there is space.
io::Task<Status> Recovery::StartLogInReserve(Status why) {
  Status released = co_await io::Unlink(state_->environment->disk(), state_->folder.reserve);
  if (!released.ok()) co_return why;
  NEXUS_CO_RETURN_IF_ERROR(co_await ScanTheLog());
  NEXUS_CO_RETURN_IF_ERROR(scan_.status());
  const Lsn anywhere;
  co_return co_await StartLog(&scan_, anywhere);
}

io::Task<Status> Recovery::LoadCatalog() {
  struct Loaded {
    std::vector<catalog::TenantRecord> tenants;
    std::vector<catalog::BranchRecord> branches;
    std::vector<catalog::LayerRecord> layers;
    std::vector<catalog::ProducerRecord> producers;
    std::vector<catalog::TombstoneRecord> tombstones;
    std::vector<catalog::Setting> settings;
  };
  auto load = [catalog = state_->catalog.get()]() -> StatusOr<Loaded> {
    NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog->BeginRead());
    Loaded loaded;
    NEXUS_ASSIGN_OR_RETURN(loaded.tenants, reader.Tenants());
    NEXUS_ASSIGN_OR_RETURN(loaded.branches, reader.Branches());
    NEXUS_ASSIGN_OR_RETURN(loaded.layers, reader.Layers());
    NEXUS_ASSIGN_OR_RETURN(loaded.producers, reader.Producers());
    NEXUS_ASSIGN_OR_RETURN(loaded.tombstones, reader.Tombstones());
    NEXUS_ASSIGN_OR_RETURN(loaded.settings, reader.Settings());
    return loaded;
  };
  auto loaded = co_await state_->environment->executor()->Run(io::Lane::kWorker, load);
  NEXUS_CO_RETURN_IF_ERROR(loaded.status());
  for (const catalog::TenantRecord& tenant : loaded->tenants) {
    if (tenant.deleted == Lsn{}) {
      state_->AddTenant(tenant);
    } else {
      state_->AddDeletedTenant(tenant.id, tenant.deleted);
    }
  }
  for (const catalog::BranchRecord& branch : loaded->branches) {
    auto tenant = state_->tenants.find(branch.tenant.value);
    if (tenant == state_->tenants.end()) {
      co_return DataLoss(
          "{}: catalog names branch {} of a tenant {} that it does not hold; run nexus "
          "catalog rebuild {}",
          state_->folder.root, branch.name, branch.tenant.value, state_->folder.root);
    }
    state_->AddBranch(tenant->second.get(), branch);
  }
  for (catalog::LayerRecord& layer : loaded->layers) {
    if (layer.state == catalog::LayerState::kGarbage) {
      state_->garbage[layer.key()] = {std::move(layer.file_name), {}};
      continue;
    }
    BranchState* branch = state_->FindBranch(layer.tenant, layer.branch);
    if (branch != nullptr) branch->layers.push_back({std::move(layer), nullptr});
  }
  for (auto& [number, tenant] : state_->tenants) {
    for (auto& [branch_number, branch] : tenant->branches) branch->SortLayers();
  }
  for (const catalog::ProducerRecord& producer : loaded->producers) {
    BranchState* branch = state_->FindBranch(producer.tenant, producer.branch);
    if (branch != nullptr) branch->producers.Load(producer);
  }
  NEXUS_CO_RETURN_IF_ERROR(LoadTombstones(state_, std::move(loaded->tombstones)));
  NEXUS_CO_RETURN_IF_ERROR(LoadRetention(state_, loaded->settings));
  state_->next_series_id = std::max(state_->next_series_id, state_->catalog->meta().next_series_id);
  state_->applied = state_->catalog->meta().applied;
  co_return OkStatus();
}

Lsn Recovery::LowestSealed() const {
  Lsn lowest = scan_.end;
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      lowest = std::min(lowest, branch->record.sealed);
    }
  }
  return lowest;
}

io::Task<Status> Recovery::Replay(wal::CursorOptions options) {
  Lsn catalog_applied = state_->catalog->meta().applied;
  options.from = catalog_applied;
  if (NEXUS_PLANTED("edit-applied-twice")) options.from = Lsn{};
  NEXUS_CO_RETURN_IF_ERROR(co_await ReplayKinds(Pass::kShape, options));
  // Batches that are in layers still count for their producers. What the catalog counted already
  // counts once: a sequence is taken once, and who was forgotten in between is forgotten again.
  options.from = std::min(LowestSealed(), catalog_applied);
  if (NEXUS_PLANTED("replay-from-the-catalog")) options.from = catalog_applied;
  NEXUS_CO_RETURN_IF_ERROR(co_await ReplayKinds(Pass::kBatches, options));
  state_->applied = std::max(catalog_applied, std::min(scan_.end, options.to));
  report_->replayed_batches = applier_->applied_batches();
  report_->replayed_samples = applier_->applied_samples();
  state_->published.SetDelta(state_->delta.View());
  co_return OkStatus();
}

// Edits and definitions first, then batches: so a batch meets the sealed LSN that a later publish
// edit gave its branch. What opens and forgets producers goes with their batches.
io::Task<Status> Recovery::ReplayKinds(Pass pass, wal::CursorOptions options) {
  const bool batches = pass == Pass::kBatches;
  std::optional<BranchReplay> branches;
  if (batches) branches.emplace(state_);
  wal::LogCursor cursor(state_->environment, scan_, options);
  while (true) {
    auto records = co_await cursor.Next();
    NEXUS_CO_RETURN_IF_ERROR(records.status());
    if (records->empty()) break;
    for (const wal::RecordView& record : *records) {
      if (batches) branches->Advance(record.begin);
      auto kind = static_cast<RecordKind>(record.kind);
      const bool of_samples = kind == RecordKind::kBatch || kind == RecordKind::kCarry;
      if (kind != RecordKind::kEdit && of_samples != batches) continue;
      Status status = applier_->Replay(kind, record.begin, record.end, record.body,
                                       batches ? Applier::Edits::kInPlace : Applier::Edits::kShape);
      if (options.skip_damaged && absl::IsDataLoss(status)) {
        state_->unusable_records++;
        continue;
      }
      NEXUS_CO_RETURN_IF_ERROR(
          Annotate(status, fmt::format("replaying the log at LSN {}", record.begin.value)));
      if (batches && kind == RecordKind::kEdit) continue;  // counted in the pass before
      report_->replayed_records++;
      report_->replayed_bytes += record.body.size();
    }
    if (batches) NEXUS_CO_RETURN_IF_ERROR(co_await flusher_->MakeRoomDuringReplay());
    if (!batches && NEXUS_PLANTED("flush-in-replay-jumps-over-edits")) {
      state_->applied = scan_.end;
      NEXUS_CO_RETURN_IF_ERROR(co_await keeper_->Persist());
    }
    if (!batches && state_->delta.full()) NEXUS_CO_RETURN_IF_ERROR(co_await keeper_->Commit());
    if (batches) ReportProgress("replaying the log", cursor.bytes_done(), cursor.bytes_total());
  }
  if (batches) branches->Finish();
  co_return OkStatus();
}

// Nothing is opened: what a file holds is checked when it is first read. Branches share the files
// of the layers that they share.
io::Task<Status> Recovery::FindLayers() {
  NEXUS_CO_ASSIGN_OR_RETURN(auto entries,
                            co_await io::List(state_->environment->disk(), state_->folder.layers));
  std::map<layer::LayerKey, LayerFilePtr> files;
  const int64_t now = state_->environment->MonotonicNanos();
  for (auto& [number, tenant] : state_->tenants) {
    for (auto& [branch_number, branch] : tenant->branches) {
      for (OpenLayer& layer : branch->layers) {
        LayerFilePtr& shared = files[{layer.record.open_count, layer.record.sequence}];
        if (shared == nullptr) {
          NEXUS_CO_RETURN_IF_ERROR(CheckListed(layer.record, entries));
          shared = state_->layer_readers->Make(layer.record);
        }
        layer.file = shared;
        layer.added_ns = now;
      }
      branch->SortLayers();
      state_->Publish(*tenant, *branch);
    }
  }
  co_return OkStatus();
}

// `entries`: what is in the folder, in byte order of names.
Status Recovery::CheckListed(const catalog::LayerRecord& record,
                             const std::vector<io::DirectoryEntry>& entries) const {
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), record.file_name,
      [](const io::DirectoryEntry& entry, const std::string& name) { return entry.name < name; });
  const std::string path = io::JoinPath(state_->folder.layers, record.file_name);
  if (found == entries.end() || found->name != record.file_name) {
    return DataLoss("{}: the catalog lists this layer and it is missing; restore it from a backup",
                    path);
  }
  if (found->bytes == record.file_bytes) return OkStatus();
  return DataLoss("{}: it has {} bytes, {} were published; restore it from a backup", path,
                  found->bytes, record.file_bytes);
}

// A new database gets its default tenant and branch as log records like any other.
io::Task<Status> Recovery::Bootstrap() {
  if (!state_->tenants.empty()) co_return OkStatus();
  CreateTenant edit;
  edit.name = "default";
  edit.identity_seed = state_->environment->random()->Next();
  co_return co_await committer_->CommitEdit(edit);
}

io::Task<StatusOr<std::vector<std::string>>> Recovery::UnlistedFiles() {
  NEXUS_CO_ASSIGN_OR_RETURN(auto entries,
                            co_await io::List(state_->environment->disk(), state_->folder.layers));
  const auto listed = state_->LayerFiles(DatabaseState::Garbage::kWith);
  std::vector<std::string> unlisted;
  for (const io::DirectoryEntry& entry : entries) {
    if (!listed.contains(entry.name)) unlisted.push_back(entry.name);
  }
  co_return unlisted;
}

io::Task<Status> Recovery::CleanUp() {
  NEXUS_CO_ASSIGN_OR_RETURN(std::vector<std::string> unlisted, co_await UnlistedFiles());
  if (unlisted.empty()) co_return OkStatus();
  // Deleting rests on what the replay applied: that must be in the synced catalog first.
  NEXUS_CO_RETURN_IF_ERROR(co_await keeper_->Persist());
  for (const std::string& name : unlisted) {
    NEXUS_CO_RETURN_IF_ERROR(co_await CleanUpFile(name));
  }
  co_return co_await io::SyncDirectory(state_->environment->disk(), state_->folder.layers);
}

io::Task<Status> Recovery::QuarantineUnlisted() {
  NEXUS_CO_ASSIGN_OR_RETURN(std::vector<std::string> unlisted, co_await UnlistedFiles());
  for (const std::string& name : unlisted) {
    NEXUS_CO_RETURN_IF_ERROR(
        co_await QuarantineFile(state_->folder.layers, name, "the catalog does not list it"));
  }
  co_return OkStatus();
}

// Why an unlisted layer may be deleted, or nothing: what it holds is held elsewhere.
std::string Recovery::WhyDeletable(const layer::LayerSummary& layer) const {
  if (layer.inputs.empty()) {
    return LogHolds(found_, layer) ? "left over from an interrupted flush" : std::string();
  }
  // An output that was not published; retired inputs tell that another one was.
  return state_->Lists(layer.inputs) ? "left over from an interrupted compaction" : std::string();
}

// An unlisted file is an unfinished flush's or compaction's, or it is none of ours to delete.
io::Task<Status> Recovery::CleanUpFile(std::string name) {
  std::string path = io::JoinPath(state_->folder.layers, name);
  std::string why;
  if (name.ends_with(".tmp")) {
    why = "left over from an interrupted flush or compaction";
  } else {
    auto read = [state = state_, path] { return ReadLayerSummary(*state, path); };
    auto summary = co_await state_->environment->executor()->Run(io::Lane::kWorker, read);
    if (summary.ok()) why = WhyDeletable(*summary);
  }
  if (why.empty()) {
    co_return co_await QuarantineFile(
        state_->folder.layers, name,
        "the catalog does not list it, and neither the log nor other layers hold its samples");
  }
  report_->notes.push_back(fmt::format("{} deleted: {}", path, why));
  co_return co_await io::Unlink(state_->environment->disk(), path);
}

}  // namespace nexus::engine
