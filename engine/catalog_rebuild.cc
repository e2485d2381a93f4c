// Image, layers and log become a catalog. See catalog_rebuild.h.

#include "engine/catalog_rebuild.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/planted.h"
#include "catalog/catalog.h"
#include "catalog/series_check.h"
#include "catalog/series_set.h"
#include "engine/carry_record.h"
#include "engine/catalog_folder.h"
#include "engine/catalog_guess.h"
#include "engine/image_files.h"
#include "engine/layer_writer.h"
#include "engine/log_survey.h"
#include "engine/state.h"
#include "io/file_util.h"
#include "wal/cursor.h"
#include "wal/folder_lock.h"
#include "wal/scan.h"

namespace nexus::engine {
namespace {

using Definitions = std::vector<catalog::SeriesDefinition>;

// Series of one commit: 10,000 are best (INGEST.md 6).
constexpr size_t kCommitSeries = 10'000;

// The next series of a layer that were not seen before; fewer than kCommitSeries: there are no
// more.
StatusOr<Definitions> NextSeries(layer::SeriesCursor* cursor, TenantId tenant,
                                 catalog::SeriesSet* seen) {
  Definitions definitions;
  while (definitions.size() < kCommitSeries && cursor->Next()) {
    if (seen->Contains(cursor->id())) continue;
    seen->Add(cursor->id());
    definitions.push_back({tenant, cursor->id(), std::string(cursor->labels())});
  }
  NEXUS_RETURN_IF_ERROR(cursor->status());
  return definitions;
}

class CatalogRebuild {
 public:
  CatalogRebuild(io::Environment* environment, Options options, CatalogRebuildOptions rebuild,
                 CatalogRebuildHooks hooks)
      : rebuild_(rebuild), hooks_(std::move(hooks)), state_(environment, std::move(options)) {}

  io::Task<StatusOr<CatalogRebuildReport>> Run() {
    auto lock = co_await wal::AcquireFolderLock(state_.environment, state_.folder.root,
                                                state_.options.lock_wait_ms * 1'000'000);
    if (absl::IsNotFound(lock.status())) {
      co_return NotFound("{}: no nexus database there (there is no such folder)",
                         state_.folder.root);
    }
    NEXUS_CO_RETURN_IF_ERROR(lock.status());
    NEXUS_CO_ASSIGN_OR_RETURN(OpenedFolder opened,
                              co_await OpenFolder(state_.environment, state_.folder, false));
    state_.database = opened.identity.database;
    state_.origin = opened.identity.layers();
    NEXUS_CO_RETURN_IF_ERROR(co_await Begin());
    NEXUS_CO_RETURN_IF_ERROR(co_await Build());
    NEXUS_CO_RETURN_IF_ERROR(co_await PutInPlace());
    co_return std::move(report_);
  }

  io::Task<StatusOr<CatalogRebuildReport>> RunWith(Identity identity,
                                                   catalog::ImageContents contents) {
    state_.database = identity.database;
    state_.origin = identity.layers();
    base_ = std::move(contents);
    NEXUS_CO_RETURN_IF_ERROR(co_await Build());
    NEXUS_CO_RETURN_IF_ERROR(co_await PutInPlace());
    co_return std::move(report_);
  }

 private:
  void ReportProgress(std::string_view activity, uint64_t done, uint64_t total) const {
    if (state_.options.progress) state_.options.progress({activity, done, total});
  }

  // ---- What the new catalog begins with: base_.

  io::Task<Status> Begin() {
    NEXUS_CO_ASSIGN_OR_RETURN(
        std::vector<ImageFile> images,
        co_await ReadImageFiles(state_.environment->disk(), state_.folder, state_.database));
    for (const ImageFile& image : images) {
      if (image.contents.ok()) continue;
      if (!absl::IsDataLoss(image.contents.status())) co_return image.contents.status();
      report_.damage.push_back(std::string(FromAbsl(image.contents.status().message())));
    }
    std::erase_if(images, [](const ImageFile& image) { return !image.contents.ok(); });
    NEXUS_CO_RETURN_IF_ERROR(co_await ScanTheLog(images));
    NEXUS_CO_RETURN_IF_ERROR(co_await SurveyTheLog());
    // What the log forgets is not to come back, whatever names it still: nothing holds a sample of
    // it, and its labels may have another id by now.
    seen_ = survey_.forgotten();
    if (UseImage(images)) co_return OkStatus();
    NEXUS_CO_ASSIGN_OR_RETURN(bool from_log, co_await LogAloneTellsAll());
    if (from_log) {
      base_.database = state_.database;
      co_return OkStatus();
    }
    co_return co_await Guess();
  }

  io::Task<Status> ScanTheLog(const std::vector<ImageFile>& images) {
    wal::Witness witness;
    witness.database = state_.database;
    if (!images.empty()) witness.minimum_durable = images.back().lsn;
    auto progress = [this](const wal::ScanProgress& at) {
      ReportProgress("checking the log", at.bytes_done, at.bytes_total);
    };
    NEXUS_CO_ASSIGN_OR_RETURN(
        scan_, co_await wal::ScanLog(state_.environment, state_.folder.wal, witness, progress));
    if (!scan_.status().ok()) {
      report_.damage.push_back(std::string(FromAbsl(scan_.status().message())));
    }
    co_return OkStatus();
  }

  io::Task<Status> SurveyTheLog() {
    wal::CursorOptions options;
    options.skip_damaged = true;
    wal::LogCursor cursor(state_.environment, scan_, options);
    while (true) {
      auto records = co_await cursor.Next();
      NEXUS_CO_RETURN_IF_ERROR(records.status());
      if (records->empty()) co_return OkStatus();
      for (const wal::RecordView& record : *records) {
        Status taken =
            survey_.Take(static_cast<RecordKind>(record.kind), record.begin, record.body);
        NEXUS_CO_RETURN_IF_ERROR(
            Annotate(taken, fmt::format("the log at LSN {}", record.begin.value)));
      }
      ReportProgress("reading the log", cursor.bytes_done(), cursor.bytes_total());
    }
  }

  // The newest image from whose LSN on the log holds everything.
  bool UseImage(const std::vector<ImageFile>& images) {
    if (images.empty()) return false;
    const ImageFile& newest = images.back();
    if (!scan_.from_the_beginning() && newest.lsn < scan_.before_first.end) {
      report_.damage.push_back(
          fmt::format("{}: the log begins at LSN {}, which is behind this image: it is of no use",
                      newest.path, scan_.before_first.end.value));
      return false;
    }
    base_ = *newest.contents;
    if (NEXUS_PLANTED("rebuilt-beyond-its-image")) base_.lsn = scan_.end;
    report_.image = newest.path;
    return true;
  }

  // A log whole from its beginning holds the creation of everything. An empty one does only if
  // there are no layers.
  io::Task<StatusOr<bool>> LogAloneTellsAll() {
    if (!scan_.from_the_beginning()) co_return false;
    if (!scan_.empty()) co_return true;
    NEXUS_CO_ASSIGN_OR_RETURN(auto entries,
                              co_await io::List(state_.environment->disk(), state_.folder.layers));
    co_return entries.empty();
  }

  io::Task<Status> Guess() {
    Remains remains;
    NEXUS_CO_ASSIGN_OR_RETURN(remains.layers, co_await ReadSummaries());
    remains.database = state_.database;
    remains.scan = scan_;
    remains.log = survey_;
    auto random = [this] { return state_.environment->random()->Next(); };
    NEXUS_CO_ASSIGN_OR_RETURN(CatalogGuess guess, GuessCatalog(remains, random));
    if (!rebuild_.without_image) {
      std::string unknown;
      for (const std::string& one : guess.unknown) unknown += "\n  - " + one;
      co_return FailedPrecondition(
          "{}: there is no image of the catalog (catalog-*.image) to rebuild it from{}, and "
          "without one this cannot be known:{}\nput an image back from a backup, or give "
          "--without-image to go on without",
          state_.folder.root, WhatIsDamaged(), unknown);
    }
    base_ = std::move(guess.contents);
    report_.unknown = std::move(guess.unknown);
    co_return OkStatus();
  }

  // What is wrong with the images that there are.
  std::string WhatIsDamaged() const {
    std::string all;
    for (const std::string& one : report_.damage) all += (all.empty() ? " (" : "; ") + one;
    return all.empty() ? all : all + ")";
  }

  io::Task<StatusOr<std::vector<layer::LayerSummary>>> ReadSummaries() {
    NEXUS_CO_ASSIGN_OR_RETURN(auto entries,
                              co_await io::List(state_.environment->disk(), state_.folder.layers));
    std::vector<layer::LayerSummary> summaries;
    for (const io::DirectoryEntry& entry : entries) {
      if (!layer::ParseLayerFileName(entry.name).ok()) continue;
      std::string path = io::JoinPath(state_.folder.layers, entry.name);
      auto read = [this, path] { return ReadLayerSummary(state_, path); };
      auto summary = co_await state_.environment->executor()->Run(io::Lane::kWorker, read);
      if (!summary.ok()) {
        co_return DataLoss("{}; restore the file from a backup, or move it out of the folder",
                           FromAbsl(summary.status().message()));
      }
      summaries.push_back(*std::move(summary));
      ReportProgress("reading layers", summaries.size(), entries.size());
    }
    co_return summaries;
  }

  // ---- The new catalog.

  io::Task<Status> Build() {
    io::Disk* disk = state_.environment->disk();
    std::string directory = hooks_.directory;
    if (directory.empty()) {
      auto settled = co_await SettleCatalogFolder(disk, state_.folder);
      NEXUS_CO_RETURN_IF_ERROR(settled.status());
      NEXUS_CO_RETURN_IF_ERROR(co_await MakeBuildingFolder(disk, state_.folder));
      directory = state_.folder.catalog_building;
    }
    catalog::CatalogOptions options;
    options.directory = directory;
    options.mode = catalog::OpenMode::kCreate;
    options.database = state_.database;
    options.map_bytes = state_.options.catalog_bytes_max;
    auto create = [options] { return catalog::Catalog::Open(options); };
    auto created = co_await state_.environment->executor()->Run(io::Lane::kCatalog, create);
    NEXUS_CO_RETURN_IF_ERROR(created.status());
    state_.catalog = *std::move(created);
    NEXUS_CO_RETURN_IF_ERROR(co_await CommitBase());
    NEXUS_CO_RETURN_IF_ERROR(co_await AddSeriesOfLayers());
    NEXUS_CO_RETURN_IF_ERROR(co_await AddSeriesOfRetiredLayers());
    NEXUS_CO_RETURN_IF_ERROR(co_await AddSeriesOfImage());
    NEXUS_CO_RETURN_IF_ERROR(co_await AddSeriesOfLog());
    ReportUndefined();
    NEXUS_CO_RETURN_IF_ERROR(co_await Check());
    catalog::Catalog* catalog = state_.catalog.get();
    auto sync = [catalog] { return catalog->Sync(); };
    co_return co_await state_.environment->executor()->Run(io::Lane::kCatalog, sync);
  }

  io::Task<Status> Commit(catalog::Update update) {
    update.applied = base_.lsn;
    catalog::Catalog* catalog = state_.catalog.get();
    const catalog::Update* committing = &update;
    auto commit = [catalog, committing] { return catalog->Commit(*committing); };
    co_return co_await state_.environment->executor()->Run(io::Lane::kCatalog, commit);
  }

  io::Task<Status> CommitBase() {
    catalog::Update update;
    update.tenants = base_.tenants;
    update.branches = base_.branches;
    update.layers_added = base_.layers;
    update.settings = base_.settings;
    update.producers = base_.producers;
    update.tombstones_added = base_.tombstones;
    update.next_series_id = base_.next_series_id;
    update.open_count = base_.open_count;
    for (const catalog::TenantRecord& tenant : base_.tenants) {
      // Of a deleted one nothing is to come back.
      if (tenant.deleted == Lsn{}) seeds_[tenant.id.value] = tenant.identity_seed;
    }
    report_.applied = base_.lsn;
    report_.tenants = base_.tenants.size();
    report_.producers = base_.producers.size();
    return Commit(std::move(update));
  }

  io::Task<Status> AddSeries(Definitions definitions,
                             std::vector<catalog::LayeredSeries> layered = {}) {
    if (definitions.empty()) co_return OkStatus();
    report_.series += definitions.size();
    catalog::Update update;
    update.series = std::move(definitions);
    update.series_layered = std::move(layered);
    co_return co_await Commit(std::move(update));
  }

  // Of every layer that will be live once the log is replayed. Series of tenants that the log makes
  // later are defined in the log.
  io::Task<Status> AddSeriesOfLayers() {
    std::map<catalog::LayerKey, catalog::LayerRecord> layers = LiveLayers(base_, survey_);
    uint64_t done = 0;
    for (const auto& [key, record] : layers) {
      const bool is_first = read_.insert({key.open_count, key.sequence}).second;
      if (is_first && seeds_.contains(key.tenant.value)) {
        NEXUS_CO_RETURN_IF_ERROR(co_await AddSeriesOfLayer(record));
      }
      ReportProgress("reading the labels in the layers", ++done, layers.size());
    }
    std::set<std::string_view> files;
    for (const catalog::LayerRecord& layer : base_.layers) {
      if (layer.state == catalog::LayerState::kLive) files.insert(layer.file_name);
    }
    report_.layers = files.size();
    co_return OkStatus();
  }

  // A layer that the log retires, or that is garbage, may have been the last that held a series.
  // Its file is there until an image lists such series (orphaned_series.h). One that is gone, or
  // cannot be read, tells nothing.
  io::Task<Status> AddSeriesOfRetiredLayers() {
    std::vector<catalog::LayerRecord> retired = base_.layers;
    for (const PublishLayers* publish : survey_.publishes()) {
      retired.insert(retired.end(), publish->layers.begin(), publish->layers.end());
    }
    for (const catalog::LayerRecord& record : retired) {
      if (!seeds_.contains(record.tenant.value)) continue;
      if (!read_.insert({record.open_count, record.sequence}).second) continue;
      Status added = co_await AddSeriesOfLayer(record, /*is_live=*/false);
      if (absl::IsDataLoss(added)) continue;
      NEXUS_CO_RETURN_IF_ERROR(added);
    }
    co_return OkStatus();
  }

  io::Task<Status> AddSeriesOfLayer(catalog::LayerRecord record, bool is_live = true) {
    io::Executor* executor = state_.environment->executor();
    auto open = [this, &record] {
      return OpenLayerFile(state_, LayerFileName(record), state_.pages.get());
    };
    auto reader = co_await executor->Run(io::Lane::kWorker, open);
    NEXUS_CO_RETURN_IF_ERROR(Annotate(reader.status(), "a layer that the catalog needs"));
    if ((*reader)->summary().identity.identity_seed != seeds_.at(record.tenant.value)) {
      co_return DataLoss("{}: the layer's identity seed is not that of its tenant",
                         (*reader)->path());
    }
    layer::SeriesCursor cursor(*reader);
    catalog::SeriesSet* seen = &seen_;
    size_t got = kCommitSeries;
    while (got == kCommitSeries) {
      auto next = [&cursor, tenant = record.tenant, seen] {
        return NextSeries(&cursor, tenant, seen);
      };
      auto definitions = co_await executor->Run(io::Lane::kWorker, next);
      NEXUS_CO_RETURN_IF_ERROR(definitions.status());
      got = definitions->size();
      std::vector<catalog::LayeredSeries> layered(is_live ? 1 : 0);
      for (catalog::LayeredSeries& series : layered) {
        series.tenant = record.tenant;
        for (const catalog::SeriesDefinition& one : *definitions) series.ids.Add(one.id);
      }
      NEXUS_CO_RETURN_IF_ERROR(co_await AddSeries(*std::move(definitions), std::move(layered)));
    }
    co_return OkStatus();
  }

  // Series that were in no layer at the image's LSN. Their definitions may be trimmed.
  io::Task<Status> AddSeriesOfImage() {
    NEXUS_CO_RETURN_IF_ERROR(co_await Gather(std::move(base_.unlayered)));
    co_return co_await AddSeries(std::exchange(gathered_, Definitions()));
  }

  // The definitions of a record that replay will not come to: those below the image, and those of
  // carries whose own are no longer in the log.
  StatusOr<Definitions> DefinitionsIn(const wal::RecordView& record) const {
    const auto kind = static_cast<RecordKind>(record.kind);
    Definitions found;
    if (kind == RecordKind::kDefinitions && record.end <= base_.lsn) {
      NEXUS_ASSIGN_OR_RETURN(found, DecodeDefinitions(record.body));
    } else if (kind == RecordKind::kCarry) {
      NEXUS_ASSIGN_OR_RETURN(const CarryView carry, CarryView::Parse(record.body));
      NEXUS_ASSIGN_OR_RETURN(found, DecodeDefinitions(carry.definitions));
      std::erase_if(found, [this](const catalog::SeriesDefinition& definition) {
        return survey_.defined().Contains(definition.id);
      });
    }
    std::erase_if(found, [this](const catalog::SeriesDefinition& definition) {
      return !seeds_.contains(definition.tenant.value);
    });
    return found;
  }

  io::Task<Status> AddSeriesOfLog() {
    wal::CursorOptions options;
    options.skip_damaged = true;
    wal::LogCursor cursor(state_.environment, scan_, options);
    while (true) {
      auto records = co_await cursor.Next();
      NEXUS_CO_RETURN_IF_ERROR(records.status());
      if (records->empty()) co_return co_await AddSeries(std::exchange(gathered_, Definitions()));
      for (const wal::RecordView& record : *records) {
        NEXUS_CO_ASSIGN_OR_RETURN(Definitions definitions, DefinitionsIn(record));
        NEXUS_CO_RETURN_IF_ERROR(co_await Gather(std::move(definitions)));
      }
    }
  }

  // Takes those that were not seen before into `gathered_`, and adds them whenever they are enough
  // for a commit.
  io::Task<Status> Gather(Definitions definitions) {
    for (catalog::SeriesDefinition& definition : definitions) {
      if (seen_.Contains(definition.id)) continue;
      seen_.Add(definition.id);
      gathered_.push_back(std::move(definition));
      if (gathered_.size() < kCommitSeries) continue;
      NEXUS_CO_RETURN_IF_ERROR(co_await AddSeries(std::exchange(gathered_, Definitions())));
    }
    co_return OkStatus();
  }

  // Series whose samples the log holds, but nothing their labels: there is no image, and the log
  // with their definition was trimmed before they were in a layer; or that part of the log is
  // damaged.
  void ReportUndefined() {
    catalog::SeriesSet undefined = survey_.sampled();
    undefined.Subtract(survey_.defined());
    undefined.Subtract(seen_);
    if (undefined.empty()) return;
    report_.damage.push_back(fmt::format(
        "{}: the log holds samples of {} series, the first of id {}, whose labels only the lost "
        "catalog knew; put a sound catalog/ back from a backup, or give them up with `nexus wal "
        "replay {} --skip-damaged`",
        state_.folder.wal, undefined.size(), undefined.ToVector().front().value,
        state_.folder.root));
  }

  io::Task<Status> Check() {
    ReportProgress("checking the new catalog", 0, 0);
    catalog::Catalog* catalog = state_.catalog.get();
    auto check = [catalog] { return catalog::CheckSeries(*catalog); };
    auto series = co_await state_.environment->executor()->Run(io::Lane::kWorker, check);
    NEXUS_CO_RETURN_IF_ERROR(series.status());
    if (*series == report_.series) co_return OkStatus();
    co_return DataLoss("the new catalog holds {} series of {}; nothing was changed", *series,
                       report_.series);
  }

  io::Task<Status> PutInPlace() {
    state_.catalog.reset();
    if (!hooks_.directory.empty()) {
      hooks_.adopt();
      co_return OkStatus();
    }
    NEXUS_CO_ASSIGN_OR_RETURN(
        report_.old_catalog, co_await PutCatalogInPlace(state_.environment->disk(), state_.folder));
    co_return OkStatus();
  }

  const CatalogRebuildOptions rebuild_;
  const CatalogRebuildHooks hooks_;
  DatabaseState state_;  // as far as layers and catalog need it
  CatalogRebuildReport report_;
  wal::LogScan scan_;
  LogSurvey survey_;
  catalog::ImageContents base_;
  std::map<uint32_t, uint64_t> seeds_;  // of the tenants of base_, by number
  catalog::SeriesSet seen_;
  std::set<layer::LayerKey> read_;  // layers whose labels were read; branches share files
  Definitions gathered_;            // of image or log, for the next commit
};

}  // namespace

io::Task<StatusOr<CatalogRebuildReport>> RebuildCatalog(io::Environment* environment,
                                                        Options options,
                                                        CatalogRebuildOptions rebuild,
                                                        CatalogRebuildHooks hooks) {
  options.create = false;
  CatalogRebuild run(environment, std::move(options), rebuild, std::move(hooks));
  co_return co_await run.Run();
}

io::Task<StatusOr<CatalogRebuildReport>> BuildCatalog(io::Environment* environment, Options options,
                                                      Identity identity,
                                                      catalog::ImageContents contents,
                                                      CatalogRebuildHooks hooks) {
  CatalogRebuild run(environment, std::move(options), CatalogRebuildOptions(), std::move(hooks));
  co_return co_await run.RunWith(identity, std::move(contents));
}

}  // namespace nexus::engine
