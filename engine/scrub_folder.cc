// The scrub of a stopped database. See scrub.h.
//
// What is live is told by the catalog and the log's edits above it, put together by the applier
// that recovery uses; where the catalog cannot be read, by the newest whole image in its place.

#include <algorithm>
#include <utility>

#include "base/status_place.h"
#include "engine/applier.h"
#include "engine/interner.h"
#include "engine/layer_writer.h"
#include "engine/scrub.h"
#include "engine/scrub_pass.h"
#include "io/file_util.h"
#include "wal/folder_lock.h"

namespace nexus::engine {
namespace {

constexpr char kMoveAway[] = "move it out of the folder";

class FolderScrub {
 public:
  FolderScrub(io::Environment* environment, Options options, ScrubOptions scrub, CatalogHooks hooks)
      : environment_(environment),
        hooks_(std::move(hooks)),
        state_(environment, std::move(options)),
        interner_(&state_),
        applier_(&state_, &interner_),
        pass_(environment, state_.folder, std::move(scrub), [] { return OkStatus(); }) {}

  io::Task<StatusOr<ScrubReport>> Run() {
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckIdentity());
    NEXUS_CO_ASSIGN_OR_RETURN(
        std::unique_ptr<io::FileLock> lock,
        co_await wal::AcquireFolderLock(environment_, state_.folder.root,
                                        state_.options.lock_wait_ms * 1'000'000));
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckImages());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckCatalog());
    NEXUS_CO_RETURN_IF_ERROR(co_await LoadTables());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckLog());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckLayers());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckLayerFiles());
    co_return pass_.Take();
  }

 private:
  struct Tables {
    Lsn applied;
    std::vector<catalog::TenantRecord> tenants;
    std::vector<catalog::BranchRecord> branches;
    std::vector<catalog::LayerRecord> layers;
  };

  // Errors: NotFound - it is no database at all; a newer format.
  io::Task<Status> CheckIdentity() {
    StatusOr<OpenedFolder> opened = co_await OpenFolder(environment_, state_.folder, false);
    if (opened.ok()) {
      database_ = state_.database = opened->identity.database;
      origin_ = state_.origin = opened->identity.layers();
      co_return OkStatus();
    }
    bool damaged = absl::IsDataLoss(opened.status());
    if (absl::IsNotFound(opened.status())) {
      // Without its identity file a folder holds no data of ours, unless the file was lost.
      StatusOr<std::vector<io::DirectoryEntry>> wal =
          co_await io::List(environment_->disk(), state_.folder.wal);
      damaged = wal.ok() && !wal->empty();
    }
    if (!damaged) co_return opened.status();
    pass_.AddFile(state_.folder.identity, std::string(FromAbsl(opened.status().message())),
                  "restore the file from a backup");
    co_return OkStatus();
  }

  io::Task<Status> CheckImages() {
    NEXUS_CO_ASSIGN_OR_RETURN(images_, co_await pass_.CheckRoot());
    for (Lsn lsn : images_) {
      NEXUS_CO_ASSIGN_OR_RETURN(auto image, co_await pass_.CheckImage(lsn, database_));
      if (image.has_value()) newest_image_ = *std::move(image);
    }
    co_return OkStatus();
  }

  std::string CatalogFolder() const {
    return hooks_.directory.empty() ? state_.folder.catalog : hooks_.directory;
  }

  void AddCatalog(const Status& status) {
    ScrubFinding finding;
    finding.file = io::JoinPath(state_.folder.catalog, "data.mdb");
    finding.offset = OffsetOf(status);
    finding.what = std::string(FromAbsl(status.message()));
    finding.way_out = pass_.RebuildCatalog();
    pass_.Add(std::move(finding));
  }

  // Its pages first: LMDB would believe them.
  io::Task<Status> CheckCatalog() {
    io::Executor* executor = environment_->executor();
    auto open = [this] { return pass_.PageOptions(); };
    auto options = co_await executor->Run(io::Lane::kWorker, open);
    NEXUS_CO_RETURN_IF_ERROR(options.status());
    if (options->has_value()) {
      auto empty = [read = (*options)->read]() -> StatusOr<bool> {
        std::byte first{};
        NEXUS_ASSIGN_OR_RETURN(const uint64_t bytes, read(0, {&first, 1}));
        return bytes == 0;
      };
      auto nothing = co_await executor->Run(io::Lane::kWorker, empty);
      missing_ = nothing.ok() && *nothing;
      if (missing_) co_return OkStatus();
      catalog::PageVerifier pages(CatalogFolder(), **std::move(options));
      NEXUS_CO_ASSIGN_OR_RETURN(const bool sound, co_await pass_.CheckCatalogPages(&pages));
      if (!sound) co_return OkStatus();
    }
    auto probe = [directory = CatalogFolder()] { return catalog::Catalog::Probe(directory, true); };
    auto presence = co_await executor->Run(io::Lane::kWorker, probe);
    missing_ = presence.ok() && *presence != catalog::Presence::kPresent;
    if (missing_) co_return OkStatus();  // judged with the log
    co_return co_await OpenCatalog();
  }

  io::Task<Status> OpenCatalog() {
    catalog::CatalogOptions options;
    options.directory = CatalogFolder();
    options.mode = catalog::OpenMode::kReadOnly;
    options.exclusive = true;
    options.database = database_;
    options.map_bytes = state_.options.catalog_bytes_max;
    auto open = [options] { return catalog::Catalog::Open(options); };
    auto opened = co_await environment_->executor()->Run(io::Lane::kWorker, open);
    if (!opened.ok()) {
      AddCatalog(opened.status());
      co_return OkStatus();
    }
    state_.catalog = std::move(*opened);
    labels_.catalog = state_.catalog.get();
    labels_.delta = [this] { return state_.published.Delta(); };
    catalog::IdentityMap identities;
    auto insert = [&identities](const catalog::SeriesIdentityRow& row) {
      return identities.Insert(row.tenant, row.identity, row.id);
    };
    co_return co_await pass_.CheckCatalogAgreement(state_.catalog.get(), insert);
  }

  io::Task<Status> LoadTables() {
    Tables tables;
    if (state_.catalog != nullptr) {
      auto load = [catalog = state_.catalog.get()]() -> StatusOr<Tables> {
        NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog->BeginRead());
        Tables loaded;
        loaded.applied = catalog->meta().applied;
        NEXUS_ASSIGN_OR_RETURN(loaded.tenants, reader.Tenants());
        NEXUS_ASSIGN_OR_RETURN(loaded.branches, reader.Branches());
        NEXUS_ASSIGN_OR_RETURN(loaded.layers, reader.Layers());
        return loaded;
      };
      auto loaded = co_await environment_->executor()->Run(io::Lane::kWorker, load);
      if (!loaded.ok() && !absl::IsDataLoss(loaded.status())) co_return loaded.status();
      known_ = loaded.ok();
      if (loaded.ok()) tables = *std::move(loaded);
    }
    if (!known_ && newest_image_.has_value()) {
      tables.applied = newest_image_->lsn;
      tables.tenants = newest_image_->tenants;
      tables.branches = newest_image_->branches;
      tables.layers = newest_image_->layers;
      known_ = true;
    }
    applied_ = state_.applied = tables.applied;
    for (const catalog::TenantRecord& tenant : tables.tenants) {
      if (tenant.deleted == Lsn{}) state_.AddTenant(tenant);
    }
    for (const catalog::BranchRecord& branch : tables.branches) {
      auto tenant = state_.tenants.find(branch.tenant.value);
      if (tenant != state_.tenants.end()) state_.AddBranch(tenant->second.get(), branch);
    }
    for (catalog::LayerRecord& layer : tables.layers) {
      witnessed_ = std::max(witnessed_, layer.high.lsn);
      BranchState* branch = state_.FindBranch(layer.tenant, layer.branch);
      if (layer.state == catalog::LayerState::kGarbage) {
        state_.garbage[layer.key()] = {std::move(layer.file_name), {}};
      } else if (branch != nullptr) {
        branch->layers.push_back({std::move(layer), nullptr});
      }
    }
    for (auto& [number, tenant] : state_.tenants) {
      for (auto& [branch_number, branch] : tenant->branches) branch->SortLayers();
    }
    co_return OkStatus();
  }

  io::Task<Status> CheckLog() {
    wal::Witness witness;
    witness.database = database_;
    witness.minimum_durable = std::max(applied_, witnessed_);
    if (!images_.empty()) {
      witness.minimum_durable = std::max(witness.minimum_durable, images_.back());
    }
    if (known_) witness.replay_from = applied_;
    StatusOr<wal::LogScan> scan =
        co_await wal::ScanLog(environment_, state_.folder.wal, witness, nullptr);
    if (!scan.ok()) {
      pass_.AddFile(state_.folder.wal, std::string(FromAbsl(scan.status().message())),
                    "restore the folder from a backup");
      co_return OkStatus();
    }
    const std::string way_out =
        fmt::format("nexus wal replay {} --skip-damaged keeps what is good", state_.folder.root);
    for (const std::string& note : scan->notes) pass_.Note(note);
    log_begin_ = scan->segments.empty() ? scan->end : scan->segments.front().base;
    const bool whole_log = scan->from_the_beginning();
    // A rebuilt one that is whole the next start puts in its place.
    NEXUS_CO_ASSIGN_OR_RETURN(auto rebuilt,
                              co_await pass_.ListFolder(state_.folder.catalog_rebuilt));
    if (missing_ && rebuilt.empty()) JudgeMissingCatalog(*scan);
    JudgeOldCatalog(&*scan);
    // Edits and definitions that the catalog does not hold make up what is live. Without either
    // catalog or image only a log from the beginning can tell.
    if (!known_ && whole_log) known_ = true;
    auto apply = [this](const wal::RecordView& record) -> Status {
      const auto kind = static_cast<RecordKind>(record.kind);
      const bool of_samples = kind == RecordKind::kBatch || kind == RecordKind::kCarry;
      if (!known_ || of_samples || record.begin < applied_) return OkStatus();
      Status status = applier_.Apply(kind, record.begin, record.end, record.body);
      return absl::IsDataLoss(status) ? status : OkStatus();
    };
    NEXUS_CO_ASSIGN_OR_RETURN(const std::vector<wal::Damage> damage,
                              co_await pass_.CheckLog(wal::HeldSegments(*scan), apply));
    AddLogDamage(scan->damage, damage, way_out);
    if (scan->damage_count == 0) {
      NEXUS_CO_RETURN_IF_ERROR(co_await pass_.CheckLogSeries(labels_));
    }
    co_return co_await CheckLogFiles();
  }

  // The scan has judged what is damage and what a torn tail; the walk tells the places better. What
  // the walk alone has found are records that say what they cannot.
  void AddLogDamage(const std::vector<wal::Damage>& scanned, const std::vector<wal::Damage>& walked,
                    const std::string& way_out) {
    auto within = [](const wal::Damage& fine, const wal::Damage& coarse) {
      return fine.path == coarse.path && coarse.offset <= fine.offset &&
             (fine.offset == coarse.offset || fine.lsn < coarse.until);
    };
    for (const wal::Damage& coarse : scanned) {
      auto is_within = [&](const wal::Damage& fine) { return within(fine, coarse); };
      if (std::none_of(walked.begin(), walked.end(), is_within)) {
        pass_.AddLogDamage(coarse, way_out);
      }
    }
    for (const wal::Damage& fine : walked) pass_.AddLogDamage(fine, way_out);
  }

  // As recovery does: a catalog may be missing only where the log alone can rebuild it.
  void JudgeMissingCatalog(const wal::LogScan& scan) {
    if (scan.from_the_beginning() && images_.empty()) return;
    AddCatalog(DataLoss("the catalog is missing"));
  }

  // As recovery does: where an image shows that the log was trimmed in good order, it is not the
  // log that lacks records, but the catalog that is not of this time. It does not tell what is
  // live.
  void JudgeOldCatalog(wal::LogScan* scan) {
    const Lsn log_begin = scan->before_first.end;
    const bool reaches = scan->from_the_beginning() || applied_ >= log_begin;
    if (state_.catalog == nullptr || reaches || images_.empty() || images_.back() < log_begin) {
      return;
    }
    AddCatalog(FailedPrecondition(
        "the catalog is older than the log: it ends at LSN {}, the log begins at {}; was it put "
        "back from a backup?",
        applied_.value, log_begin.value));
    const size_t missing = std::erase_if(scan->damage, [&](const wal::Damage& damage) {
      return damage.lsn == applied_ && damage.until == log_begin;
    });
    scan->damage_count -= missing;
    known_ = false;
    labels_ = ScrubLabels();
  }

  io::Task<Status> CheckLogFiles() {
    NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await pass_.ListFolder(state_.folder.wal));
    for (const io::DirectoryEntry& entry : entries) {
      if (wal::ParseFileName(entry.name).has_value()) continue;
      pass_.AddFile(io::JoinPath(state_.folder.wal, entry.name), "no log has such a file",
                    kMoveAway);
    }
    co_return OkStatus();
  }

  io::Task<Status> CheckLayers() {
    for (const auto& [number, tenant] : state_.tenants) {
      for (const auto& [branch_number, branch] : tenant->branches) {
        for (const OpenLayer& open : branch->layers) {
          ScrubLayer layer;
          layer.record = open.record;
          layer.identity_seed = tenant->record.identity_seed;
          if (!pass_.IsFirstOfFile(layer.record)) continue;
          NEXUS_CO_RETURN_IF_ERROR(co_await pass_.CheckLayer(origin_, layer, labels_));
        }
      }
    }
    co_return OkStatus();
  }

  // What an interrupted flush or compaction left, the next opening removes: the log, or its inputs,
  // hold its samples.
  io::Task<Status> CheckLayerFiles() {
    NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await pass_.ListFolder(state_.folder.layers));
    const auto listed = state_.LayerFiles(DatabaseState::Garbage::kWith);
    for (const io::DirectoryEntry& entry : entries) {
      if (listed.contains(entry.name)) continue;
      const std::string path = io::JoinPath(state_.folder.layers, entry.name);
      const bool is_layer = layer::ParseLayerFileName(entry.name).ok();
      if (!known_ && is_layer) {
        pass_.Note(
            fmt::format("{}: checked by itself: neither catalog nor image tells what it "
                        "must be",
                        path));
        NEXUS_CO_RETURN_IF_ERROR(co_await pass_.CheckStrangeLayer(origin_, path));
        continue;
      }
      auto read = [this, path] { return ReadLayerSummary(state_, path); };
      auto summary = co_await environment_->executor()->Run(io::Lane::kWorker, read);
      if (entry.name.ends_with(".tmp") || (summary.ok() && IsLeftOver(*summary))) {
        pass_.Note(fmt::format("{}: left over from an interrupted write; the next start removes it",
                               path));
        continue;
      }
      pass_.AddFile(path,
                    "nothing lists this file, and neither log nor other layers hold its samples",
                    "the next start sets it aside in quarantine/");
    }
    co_return OkStatus();
  }

  bool IsLeftOver(const layer::LayerSummary& layer) const {
    if (!layer.inputs.empty()) return state_.Lists(layer.inputs);
    return layer.identity.order_low.lsn >= log_begin_;
  }

  io::Environment* const environment_;
  const CatalogHooks hooks_;
  DatabaseState state_;  // put together, never opened
  Interner interner_;
  Applier applier_;
  ScrubPass pass_;

  std::optional<DatabaseId> database_;
  std::optional<DatabaseId> origin_;
  std::vector<Lsn> images_;
  std::optional<catalog::ImageContents> newest_image_;
  bool missing_ = false;  // the catalog
  bool known_ = false;    // which layers are live
  ScrubLabels labels_;
  Lsn applied_;    // by the catalog, or the image in its place
  Lsn witnessed_;  // the highest LSN in a listed layer
  Lsn log_begin_;
};

}  // namespace

io::Task<StatusOr<ScrubReport>> ScrubFolder(io::Environment* environment, Options options,
                                            ScrubOptions scrub, CatalogHooks hooks) {
  FolderScrub run(environment, std::move(options), std::move(scrub), std::move(hooks));
  co_return co_await run.Run();
}

}  // namespace nexus::engine
