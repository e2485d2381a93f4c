// The scrub of an open database. See scrub.h.

#include "engine/scrub.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/scrub_pass.h"
#include "io/file_util.h"
#include "wal/format.h"

namespace nexus::engine {
namespace {

constexpr char kLogWayOut[] =
    "what it held is still in memory: nexus flush moves it to layers, and the segment is given up";
constexpr char kUnlistedWayOut[] = "restart: opening sets it aside in quarantine/";

class LiveScrub {
 public:
  LiveScrub(DatabaseCore* core, ScrubOptions options)
      : core_(core),
        state_(core->state()),
        pass_(state_->environment, state_->folder, std::move(options), [core] {
          return core->closing() ? FailedPrecondition("the database is closing") : OkStatus();
        }) {}

  io::Task<StatusOr<ScrubReport>> Run() {
    // Series that are known but not yet in the map would look like strangers.
    co_await core_->interner()->WaitLoaded();
    // So would series that were forgotten and are still in the catalog; no more are meanwhile
    // (series_forgetter.h). A log or a catalog that has failed says so elsewhere.
    (co_await core_->committer()->Drain()).IgnoreError();
    (co_await core_->keeper()->Commit()).IgnoreError();
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckRootAndImages());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckCatalog());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckLog());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckLayers());
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckLayerFiles());
    co_return pass_.Take();
  }

 private:
  // No checkpoint makes or removes images meanwhile.
  io::Task<Status> CheckRootAndImages() {
    co_await core_->keeper()->Acquire();
    Status status = co_await CheckRootAndImagesHeld();
    core_->keeper()->Release();
    co_return status;
  }

  io::Task<Status> CheckRootAndImagesHeld() {
    const std::vector<Lsn> listed = core_->keeper()->images();
    NEXUS_CO_ASSIGN_OR_RETURN(const std::vector<Lsn> found, co_await pass_.CheckRoot());
    for (Lsn lsn : found) {
      NEXUS_CO_ASSIGN_OR_RETURN(auto image, co_await pass_.CheckImage(lsn, state_->database));
      const bool known = std::binary_search(listed.begin(), listed.end(), lsn);
      if (image.has_value() && !known) {
        pass_.Note(fmt::format("{}: left by a checkpoint that failed; later ones remove it",
                               catalog::ImageFileName(lsn)));
      }
    }
    for (Lsn lsn : listed) {
      if (std::binary_search(found.begin(), found.end(), lsn)) continue;
      pass_.AddFile(io::JoinPath(state_->folder.root, catalog::ImageFileName(lsn)),
                    "the image is missing", "the next flush writes a new one");
    }
    co_return OkStatus();
  }

  io::Task<Status> CheckCatalog() {
    auto open = [this] { return pass_.PageOptions(); };
    auto options = co_await state_->environment->executor()->Run(io::Lane::kWorker, open);
    NEXUS_CO_RETURN_IF_ERROR(options.status());
    if (options->has_value()) {
      auto pages = state_->catalog->VerifyPages(**std::move(options));
      NEXUS_CO_ASSIGN_OR_RETURN(const bool sound, co_await pass_.CheckCatalogPages(pages.get()));
      if (!sound) co_return OkStatus();
    }
    labels_.catalog = state_->catalog.get();
    labels_.delta = [this] { return state_->published.Delta(); };
    auto find = [interner = core_->interner()](
                    const catalog::SeriesIdentityRow& row) -> StatusOr<SeriesId> {
      // Without the map nothing is found; that it could not be loaded, appends are told.
      if (!interner->load_status().ok()) return row.id;
      return interner->FindIdentity(row.tenant, row.identity);
    };
    NEXUS_CO_RETURN_IF_ERROR(
        co_await pass_.CheckCatalogAgreement(state_->catalog.get(), std::move(find)));
    co_return co_await CheckListedLayers();
  }

  std::vector<catalog::LayerRecord> LayersNow() const {
    std::vector<catalog::LayerRecord> layers;
    for (const auto& [number, tenant] : state_->tenants) {
      for (const auto& [branch_number, branch] : tenant->branches) {
        for (const OpenLayer& open : branch->layers) layers.push_back(open.record);
      }
    }
    return layers;
  }

  // The catalog follows what is applied at a distance: a layer that it lists is live now or was a
  // moment ago; one that was live is listed once the catalog has come as far.
  io::Task<Status> CheckListedLayers() {
    struct Listed {
      Lsn applied;
      std::vector<catalog::LayerRecord> layers;
    };
    const std::vector<catalog::LayerRecord> before = LayersNow();
    const Lsn applied = state_->applied;
    auto read = [catalog = state_->catalog.get()]() -> StatusOr<Listed> {
      NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog->BeginRead());
      NEXUS_ASSIGN_OR_RETURN(catalog::Meta meta, reader.GetMeta());
      Listed listed;
      listed.applied = meta.applied;
      NEXUS_ASSIGN_OR_RETURN(listed.layers, reader.Layers());
      return listed;
    };
    auto listed = co_await state_->environment->executor()->Run(io::Lane::kWorker, read);
    if (absl::IsDataLoss(listed.status())) co_return OkStatus();  // found before
    NEXUS_CO_RETURN_IF_ERROR(listed.status());
    std::vector<catalog::LayerRecord> live = LayersNow();
    live.insert(live.end(), before.begin(), before.end());
    for (const catalog::LayerRecord& layer : listed->layers) {
      if (layer.state == catalog::LayerState::kGarbage) {
        garbage_.insert(layer.file_name);
      } else if (state_->FindBranch(layer.tenant, layer.branch) == nullptr) {
        // Deleted, and the catalog has not come as far.
      } else if (!state_->garbage.contains(layer.key()) &&
                 std::find(live.begin(), live.end(), layer) == live.end()) {
        AddLayerDisagreement(layer, "the catalog lists a layer that is not live");
      }
    }
    for (const catalog::LayerRecord& layer : before) {
      auto same = [&layer](const catalog::LayerRecord& r) { return r.key() == layer.key(); };
      const bool there = std::any_of(listed->layers.begin(), listed->layers.end(), same);
      if (listed->applied < applied || there) continue;
      AddLayerDisagreement(layer, "the layer is live and the catalog does not list it");
    }
    co_return OkStatus();
  }

  void AddLayerDisagreement(const catalog::LayerRecord& layer, std::string what) {
    pass_.AddFile(io::JoinPath(state_->folder.layers, layer.file_name), std::move(what),
                  pass_.RebuildCatalog());
  }

  io::Task<Status> CheckLog() {
    wal::Log* log = core_->committer()->log();
    if (log == nullptr) co_return OkStatus();
    NEXUS_CO_RETURN_IF_ERROR(co_await CheckLogFiles(log));
    wal::HeldLog held = log->Held();
    NEXUS_CO_ASSIGN_OR_RETURN(const std::vector<wal::Damage> damage,
                              co_await pass_.CheckLog(std::move(held.segments), nullptr));
    // What was given up meanwhile may have been written over.
    held = log->Held();
    for (const wal::Damage& found : damage) {
      auto is = [&found](const wal::HeldSegment& segment) { return segment.path == found.path; };
      if (std::none_of(held.segments.begin(), held.segments.end(), is)) continue;
      pass_.AddLogDamage(found, kLogWayOut);
    }
    co_return co_await pass_.CheckLogSeries(labels_);
  }

  // Files with names of this opening come and go; those of older ones only go.
  io::Task<Status> CheckLogFiles(const wal::Log* log) {
    const wal::HeldLog held = log->Held();
    std::set<std::string> known(held.dead.begin(), held.dead.end());
    for (const wal::HeldSegment& segment : held.segments) known.insert(segment.path);
    NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await pass_.ListFolder(state_->folder.wal));
    for (const io::DirectoryEntry& entry : entries) {
      const std::string path = io::JoinPath(state_->folder.wal, entry.name);
      const std::optional<wal::FileName> name = wal::ParseFileName(entry.name);
      if (!name.has_value()) {
        pass_.AddFile(path, "no log has such a file", "move it out of the folder");
      } else if (name->kind == wal::FileName::Kind::kSegment &&
                 name->open_count < state_->open_count && !known.contains(path)) {
        pass_.AddFile(path, "the log does not hold this segment of an earlier opening",
                      "restart: opening looks at it again");
      }
    }
    co_return OkStatus();
  }

  io::Task<Status> CheckLayers() {
    std::vector<ScrubLayer> layers;
    for (const auto& [number, tenant] : state_->tenants) {
      for (const auto& [branch_number, branch] : tenant->branches) {
        for (const OpenLayer& open : branch->layers) {
          if (!pass_.IsFirstOfFile(open.record)) continue;
          ScrubLayer& layer = layers.emplace_back();
          layer.record = open.record;
          layer.identity_seed = tenant->record.identity_seed;
        }
      }
    }
    for (const ScrubLayer& layer : layers) {
      if (!state_->ListsLayerFile(layer.record.file_name)) continue;
      NEXUS_CO_RETURN_IF_ERROR(co_await pass_.CheckLayer(state_->origin, layer, labels_));
    }
    co_return OkStatus();
  }

  // Unlisted files of this opening are being written, or were left by a flush that failed: the next
  // opening removes them.
  io::Task<Status> CheckLayerFiles() {
    NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await pass_.ListFolder(state_->folder.layers));
    const std::string mine = fmt::format("{:08x}-", state_->open_count);
    const auto listed = state_->LayerFiles(DatabaseState::Garbage::kWith);
    for (const io::DirectoryEntry& entry : entries) {
      if (listed.contains(entry.name) || garbage_.contains(entry.name)) continue;
      const auto name = layer::ParseLayerFileName(entry.name);
      const bool being_written = entry.name.ends_with(".tmp") && entry.name.starts_with(mine);
      if (being_written || (name.ok() && name->key.open_count == state_->open_count)) continue;
      pass_.AddFile(io::JoinPath(state_->folder.layers, entry.name), "nothing lists this file",
                    kUnlistedWayOut);
    }
    co_return OkStatus();
  }

  DatabaseCore* const core_;
  DatabaseState* const state_;
  ScrubPass pass_;
  ScrubLabels labels_;
  std::set<std::string> garbage_;  // file names
};

}  // namespace

io::Task<StatusOr<ScrubReport>> Scrub(DatabaseCore* core, ScrubOptions scrub) {
  NEXUS_CO_RETURN_IF_ERROR(core->BeginScrub());
  LiveScrub run(core, std::move(scrub));
  StatusOr<ScrubReport> report = co_await run.Run();
  core->EndScrub();
  co_return report;
}

}  // namespace nexus::engine
