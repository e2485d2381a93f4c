// Opening, serving, closing. See life.h.

#include "tests/sim/life.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "catalog/catalog.h"
#include "io/file_util.h"
#include "tests/sim/clients.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {
namespace {

constexpr int64_t kStopPatienceNs = 1'000'000'000;

// What these may fail with is the disk's doing; the oracle judges what is there.
io::Task<void> Flush(engine::DatabaseCore* core) { (co_await core->Flush()).IgnoreError(); }
io::Task<void> Compact(engine::DatabaseCore* core) {
  (co_await core->Compact(nullptr)).IgnoreError();
}
io::Task<void> Sync(engine::DatabaseCore* core) { (co_await core->Sync()).IgnoreError(); }

// A file may go when the synced catalog no longer lists it, whatever the log holds: one that it
// lists and that is not there is an error.
Status CheckListedLayers(sim::World* world, const std::string& catalog_folder,
                         const std::string& layers_folder) {
  const StatusOr<catalog::Presence> presence = catalog::Catalog::Probe(catalog_folder);
  if (!presence.ok() || *presence != catalog::Presence::kPresent) return OkStatus();
  catalog::CatalogOptions options;
  options.directory = catalog_folder;
  options.mode = catalog::OpenMode::kReadOnly;
  NEXUS_ASSIGN_OR_RETURN(const auto catalog, catalog::Catalog::Open(std::move(options)));
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog->BeginRead());
  NEXUS_ASSIGN_OR_RETURN(const std::vector<catalog::LayerRecord> layers, reader.Layers());
  const std::vector<std::string> visible = world->disk().VisibleFiles();
  const std::set<std::string> files(visible.begin(), visible.end());
  for (const catalog::LayerRecord& layer : layers) {
    const bool is_live = layer.state == catalog::LayerState::kLive;
    if (!is_live || files.contains(io::JoinPath(layers_folder, layer.file_name))) continue;
    return FailedPrecondition("rule 16: the catalog lists layer {}, whose file is gone",
                              layer.file_name);
  }
  return OkStatus();
}

io::Task<void> StopServing(server::Server* server, server::Service* service) {
  co_await server->Stop(kStopPatienceNs);
  co_await service->Drain();
}

}  // namespace

Life::~Life() {
  server_.reset();
  service_.reset();
  background_.reset();
  core_.reset();
}

std::optional<Status> Life::Open(const Options& options, bool serve, bool check_catalog) {
  io::Environment* environment = world_->environment();
  engine::CatalogHooks hooks;
  hooks.directory = world_->ScratchDirectory();
  world_->lmdb().Restore(hooks.directory);
  if (check_catalog) {
    NEXUS_RETURN_IF_ERROR(
        CheckListedLayers(world_, hooks.directory, io::JoinPath(options.directory, "layers")));
  }
  sim::World* world = world_;
  hooks.after_commit = [world, folder = hooks.directory](Lsn) { world->lmdb().OnCommit(folder); };
  hooks.after_sync = [world, folder = hooks.directory](Lsn) { world->lmdb().OnSynced(folder); };
  auto opened =
      world_->TryRunTask(engine::DatabaseCore::Open(environment, options, std::move(hooks)));
  if (!opened.has_value()) return std::nullopt;
  if (!opened->ok()) return opened->status();
  core_ = std::move(**opened);
  background_ = std::make_unique<io::TaskScope>(environment->executor());
  if (serve) Serve();
  return OkStatus();
}

void Life::Serve() {
  service_ = std::make_unique<server::Service>(core_.get(), world_->environment());
  world_->RunOnLoop([this] {
    server::ServerOptions options;
    options.listen = kServerAddress;
    server_ = std::make_unique<server::Server>(service_.get(), options,
                                               [](server::LogLevel, std::string_view) {});
    const Status listens = server_->Listen();
    NEXUS_CHECK(listens.ok());
  });
}

std::optional<Status> Life::Intern(const std::vector<uint32_t>& series) {
  // All ids may be forgotten while some are asked for.
  while (true) {
    std::vector<uint32_t> wanted;
    std::vector<std::string> labels;
    for (uint32_t number : series) {
      if (ids_.contains(number)) continue;
      wanted.push_back(number);
      labels.push_back(CanonicalOf(number));
    }
    if (wanted.empty()) return OkStatus();
    auto ids = world_->TryRunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
    if (!ids.has_value()) return std::nullopt;
    if (!ids->ok()) return ids->status();
    for (size_t i = 0; i < wanted.size(); i++) ids_[wanted[i]] = (**ids)[i];
  }
}

void Life::FlushInBackground() {
  world_->RunOnLoop([this] { background_->Spawn(Flush(core_.get())); });
}

void Life::SyncInBackground() {
  world_->RunOnLoop([this] { background_->Spawn(Sync(core_.get())); });
}

void Life::CompactInBackground() {
  world_->RunOnLoop([this] { background_->Spawn(Compact(core_.get())); });
}

Status Life::Close() {
  if (server_ != nullptr) {
    world_->RunTask(StopServing(server_.get(), service_.get()));
    world_->RunOnLoop([this] { server_.reset(); });
  }
  world_->RunTask(background_->Join());
  Status closed = world_->RunTask(core_->Close());
  appended_before_close_ = core_->appended_batches();
  compactions_before_close_ = core_->compactions();
  carries_before_close_ = core_->flusher()->carrier().carries();
  forgotten_before_close_ = core_->forgotten_series();
  world_->RunOnLoop([this] { core_.reset(); });
  return closed;
}

uint64_t Life::appended_batches() const {
  return core_ == nullptr ? appended_before_close_ : core_->appended_batches();
}

uint64_t Life::compactions() const {
  return core_ == nullptr ? compactions_before_close_ : core_->compactions();
}

uint64_t Life::carries() const {
  return core_ == nullptr ? carries_before_close_ : core_->flusher()->carrier().carries();
}

uint64_t Life::forgotten_series() const {
  return core_ == nullptr ? forgotten_before_close_ : core_->forgotten_series();
}

bool Life::log_failed() const { return absl::IsUnavailable(core_->committer()->write_status()); }

}  // namespace nexus::sim_test
