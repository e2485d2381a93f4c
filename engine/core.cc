// Wiring, and the calls that cross several parts. See core.h.

#include "engine/core.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/planted.h"
#include "base/time_text.h"
#include "engine/catalog_index.h"
#include "engine/delete_edits.h"
#include "engine/recovery.h"
#include "engine/tenant_contents.h"

namespace nexus::engine {
namespace {

Status CheckOptions(const Options& options) {
  constexpr uint64_t kKiB = 1 << 10;
  constexpr uint64_t kMiB = 1 << 20;
  auto out_of_range = [](std::string_view name, auto value, std::string_view range) {
    return InvalidArgument("option {} is {}; it must be {}", name, value, range);
  };
  if (options.directory.empty())
    return InvalidArgument("option directory is empty; name the database's folder");
  if (options.memtable_bytes < 256 * kKiB) {
    return out_of_range("memtable_bytes", options.memtable_bytes, "at least 256 KiB");
  }
  uint64_t segment = options.log_segment_bytes;
  if (segment < 64 * kKiB || segment > 1024 * kMiB || segment % (64 * kKiB) != 0) {
    return out_of_range("log_segment_bytes", segment, "a multiple of 64 KiB from 64 KiB to 1 GiB");
  }
  if (options.catalog_bytes_max < kMiB) {
    return out_of_range("catalog_bytes_max", options.catalog_bytes_max, "at least 1 MiB");
  }
  if (options.flush_interval_ms < 0 || options.admission_timeout_ms < 0 ||
      options.lock_wait_ms < 0 || options.series_grace_ms < 0) {
    return InvalidArgument(
        "options flush_interval_ms, admission_timeout_ms, lock_wait_ms and series_grace_ms must "
        "not "
        "be negative");
  }
  if (options.workers < 1 || options.workers > 64) {
    return out_of_range("workers", options.workers, "from 1 to 64");
  }
  if (options.compaction_cpu_percent < 1 || options.compaction_cpu_percent > 100) {
    return out_of_range("compaction_cpu_percent", options.compaction_cpu_percent, "from 1 to 100");
  }
  if (options.compaction_fan_in < 2) {
    return out_of_range("compaction_fan_in", options.compaction_fan_in, "at least 2");
  }
  if (options.compaction_quiet_ms < 0) {
    return out_of_range("compaction_quiet_ms", options.compaction_quiet_ms, "at least 0");
  }
  if (options.compaction_output_bytes_max < 64 * kKiB) {
    return out_of_range("compaction_output_bytes_max", options.compaction_output_bytes_max,
                        "at least 64 KiB");
  }
  const auto windows = compaction::WindowSettings::Parse(options.compaction_windows);
  NEXUS_RETURN_IF_ERROR(Annotate(windows.status(), "option compaction_windows"));
  return OkStatus();
}

Status CheckProducerLimit(const TenantState& tenant) {
  size_t producers = 0;
  for (const auto& [number, branch] : tenant.branches) producers += branch->producers.size();
  if (producers < kProducersMax) return OkStatus();
  return ResourceExhausted(
      "tenant {} has {} producers, the most there may be; use one id for the life of a writer "
      "(silent ones are "
      "forgotten after 7 days)",
      tenant.record.name, producers);
}

void AddFigures(const TenantState& tenant, Stats* stats) {
  for (const auto& [number, branch] : tenant.branches) {
    for (const OpenLayer& layer : branch->layers) {
      stats->layer_metadata_bytes += sizeof(OpenLayer) + layer.record.file_name.capacity();
    }
  }
  stats->tombstones += CountTombstones(tenant);
  VisitLayers(tenant, [&](const OpenLayer& layer) {
    stats->layers++;
    stats->layer_metadata_bytes += layer.file->memory_bytes();
    stats->layer_bytes += layer.record.file_bytes;
    if (layer.record.is_rollup()) {
      stats->rollup_layers++;
      stats->rollup_bytes += layer.record.file_bytes;
    } else {
      stats->layer_samples += layer.record.samples;
    }
  });
  VisitMemtables(tenant,
                 [&](const Memtable& memtable) { stats->memtable_samples += memtable.samples(); });
}

io::Task<void> LoadIdentities(Interner* interner) {
  // A failure is kept and given to whoever interns.
  (co_await interner->Load()).IgnoreError();
}

}  // namespace

DatabaseCore::DatabaseCore(io::Environment* environment, Options options)
    : state_(environment, std::move(options)),
      interner_(&state_),
      applier_(&state_, &interner_),
      committer_(&state_, &interner_, &applier_, [this] { OnApplied(); }),
      keeper_(&state_, &committer_),
      flusher_(&state_, &applier_, &committer_, &keeper_),
      forgetter_(&state_, &interner_, &committer_, &keeper_),
      compactor_(&state_, &applier_, &committer_, &keeper_),
      retention_keeper_(&state_, &committer_),
      scope_(environment->executor()) {
  interner_.set_log_definitions([this] { committer_.LogDefinitions(); });
  compactor_.SetForgetter(&forgetter_);
}

DatabaseCore::~DatabaseCore() = default;

void DatabaseCore::OnApplied() {
  flusher_.Kick();
  compactor_.Kick();
  keeper_.Kick();
}

io::Task<StatusOr<std::unique_ptr<DatabaseCore>>> DatabaseCore::Open(io::Environment* environment,
                                                                     Options options,
                                                                     CatalogHooks hooks) {
  NEXUS_CO_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<DatabaseCore> core(new DatabaseCore(environment, std::move(options)));
  Recovery recovery(&core->state_, std::move(hooks), &core->applier_, &core->committer_,
                    &core->keeper_, &core->flusher_, &core->recovery_);
  Status status = co_await core->Recover(&recovery);
  if (!status.ok()) {
    (co_await core->Close()).IgnoreError();
    co_return status;
  }
  core->first_new_series_ = SeriesId{core->state_.next_series_id};
  core->scope_.Spawn(core->keeper_.Run());
  core->scope_.Spawn(core->flusher_.Run());
  core->scope_.Spawn(core->compactor_.Run());
  core->scope_.Spawn(core->retention_keeper_.Run());
  core->scope_.Spawn(LoadIdentities(&core->interner_));
  co_return core;
}

io::Task<Status> DatabaseCore::Recover(Recovery* recovery) {
  auto lock = co_await recovery->Run();
  NEXUS_CO_RETURN_IF_ERROR(lock.status());
  lock_ = std::move(*lock);
  std::string waits = retention_keeper_.TakeWall();
  if (!waits.empty()) recovery_.notes.push_back(std::move(waits));
  if (committer_.log() == nullptr) co_return OkStatus();
  NEXUS_CO_RETURN_IF_ERROR(co_await flusher_.PublishUnpublished());
  co_return co_await recovery->CleanUp();
}

io::Task<Status> DatabaseCore::Sync() { return committer_.Drain(); }

io::Task<Status> DatabaseCore::Flush() { return flusher_.FlushAll(); }

io::Task<Status> DatabaseCore::Compact(ProgressCallback progress) {
  // What is expired by now goes. If the log does not take it, then what was a while ago.
  (co_await retention_keeper_.Advance()).IgnoreError();
  co_return co_await compactor_.Compact(std::move(progress));
}

StatusOr<RetentionInfo> DatabaseCore::Retention(std::string_view tenant) const {
  NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, "main"));
  return retention_keeper_.Describe(found.tenant);
}

io::Task<Status> DatabaseCore::SetRetention(std::vector<RetentionRule> rules, std::string tenant) {
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, "main"));
  co_return co_await retention_keeper_.Set(found.tenant, std::move(rules));
}

StatusOr<std::vector<RollupRule>> DatabaseCore::Rollups(std::string_view tenant) const {
  NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, "main"));
  const auto owner = state_.tenants.find(found.tenant.value);
  if (owner == state_.tenants.end()) return NotFound("tenant \"{}\" was deleted", tenant);
  return owner->second->rollups;
}

io::Task<Status> DatabaseCore::SetRollups(std::vector<RollupRule> rules, std::string tenant) {
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, "main"));
  co_return co_await retention_keeper_.SetRollups(found.tenant, std::move(rules));
}

// A branch that is made meanwhile may be of one that was not come to yet, so the list is looked at
// until it has nothing new.
io::Task<StatusOr<DeleteResult>> DatabaseCore::Delete(DeleteRequest request) {
  if (!request.everywhere) co_return co_await DeleteOf(std::move(request));
  DeleteResult all;
  std::set<std::string> done;
  for (bool found_new = true; found_new;) {
    found_new = false;
    auto branches = co_await Branches(request.tenant);
    NEXUS_CO_RETURN_IF_ERROR(branches.status());
    for (const BranchInfo& branch : *branches) {
      if (!done.insert(branch.name).second) continue;
      found_new = true;
      request.branch = branch.name;
      StatusOr<DeleteResult> result = co_await DeleteOf(request);
      if (absl::IsNotFound(result.status())) continue;
      NEXUS_CO_RETURN_IF_ERROR(result.status());
      all.series = std::max(all.series, result->series);
      all.samples += result->samples;
      all.frozen_left += result->frozen_left;
      all.series_with_samples = std::max(all.series_with_samples, result->series_with_samples);
    }
  }
  co_return all;
}

io::Task<StatusOr<DeleteResult>> DatabaseCore::DeleteOf(DeleteRequest request) {
  auto target = request.everywhere ? state_.published.Find(request.tenant, request.branch)
                                   : state_.published.FindWritable(request.tenant, request.branch);
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found, std::move(target));
  // Series that were made just before are counted, too.
  NEXUS_CO_RETURN_IF_ERROR(co_await committer_.Drain());
  const DeleteRequest* asked = &request;
  auto count = [this, asked]() -> StatusOr<DeleteResult> {
    NEXUS_RETURN_IF_ERROR(CheckDelete(asked->selector, asked->range));
    NEXUS_ASSIGN_OR_RETURN(ReadView view, View(asked->tenant, asked->branch));
    return CountForDelete(std::move(view), *asked);
  };
  auto counted = co_await state_.environment->executor()->Run(io::Lane::kQuery, count);
  NEXUS_CO_RETURN_IF_ERROR(counted.status());
  if (!request.dry_run) {
    DeleteSamples edit;
    edit.tenant = found.tenant;
    edit.branch = found.branch;
    edit.range = request.range;
    edit.selector = request.selector;
    NEXUS_CO_RETURN_IF_ERROR(co_await CommitDelete(std::move(edit)));
  }
  co_return *counted;
}

io::Task<Status> DatabaseCore::CommitDelete(DeleteSamples edit) {
  BranchState* branch = state_.FindBranch(edit.tenant, edit.branch);
  if (branch == nullptr) co_return NotFound("the branch was deleted meanwhile");
  NEXUS_CO_ASSIGN_OR_RETURN(auto tombstone, Tombstone::Make({edit.tenant, edit.branch, WriteOrder{},
                                                             edit.range, edit.selector}));
  NEXUS_CO_RETURN_IF_ERROR(CheckTombstoneLimit(*branch, *tombstone));
  branch->deletes_in_flight++;
  const Edit edits[] = {edit};
  Status status = co_await committer_.CommitInTurn(EncodeEdits(edits));
  branch = state_.FindBranch(edit.tenant, edit.branch);
  if (branch != nullptr) branch->deletes_in_flight--;
  co_return status;
}

io::Task<StatusOr<ProducerState>> DatabaseCore::OpenProducer(ProducerId producer, uint64_t epoch,
                                                             std::string tenant,
                                                             std::string branch) {
  NEXUS_CO_ASSIGN_OR_RETURN(PublishedState::Found found,
                            state_.published.FindWritable(tenant, branch));
  TenantState* owner = state_.tenants.at(found.tenant.value).get();
  ProducerTable* producers = &owner->branches.at(found.branch.value)->producers;
  const uint64_t newest = producers->NewestEpoch(producer);
  if (epoch == 0) epoch = newest + 1;
  if (newest == 0) NEXUS_CO_RETURN_IF_ERROR(CheckProducerLimit(*owner));
  NEXUS_CO_RETURN_IF_ERROR(producers->BeginOpen(producer, epoch));
  std::optional<ProducerTable::Known> known = producers->Find(producer);
  if (!known.has_value() || known->epoch < epoch) {
    nexus::engine::OpenProducer edit;
    edit.tenant = found.tenant;
    edit.branch = found.branch;
    edit.producer = producer;
    edit.epoch = epoch;
    edit.wall_ns = state_.environment->WallNanos();
    Status status = co_await committer_.CommitEdit(edit);
    BranchState* now = state_.FindBranch(found.tenant, found.branch);
    if (!status.ok()) {
      if (now != nullptr) now->producers.CancelOpen(producer, epoch);
      co_return status;
    }
  }
  // What is in flight of the older epoch counts too: its sequences are taken.
  NEXUS_CO_RETURN_IF_ERROR(co_await committer_.Drain());
  BranchState* now = state_.FindBranch(found.tenant, found.branch);
  if (now == nullptr) co_return NotFound("branch \"{}\" was deleted meanwhile", branch);
  known = now->producers.Find(producer);
  if (!known.has_value() || known->epoch != epoch) {
    co_return FailedPrecondition(
        "epoch {} was fenced while it was opened: another writer took over", epoch);
  }
  co_return ProducerState{known->epoch, known->last_sequence};
}

Status DatabaseCore::BeginScrub() {
  if (closed_) return FailedPrecondition("the database is closed");
  if (scrubbing_) {
    return FailedPrecondition("a scrub of this database is under way; wait for it to end");
  }
  scrubbing_ = true;
  state_.garbage_holders++;
  return OkStatus();
}

void DatabaseCore::EndScrub() {
  scrubbing_ = false;
  state_.garbage_holders--;
  checked_.Pulse();
}

Status DatabaseCore::BeginBackup() {
  if (!may_back_up()) return FailedPrecondition("the database is closed");
  if (backing_up_) {
    return FailedPrecondition("a backup of this database is under way; wait for it to end");
  }
  backing_up_ = true;
  if (!NEXUS_PLANTED("backup-without-garbage-hold")) state_.garbage_holders++;
  return OkStatus();
}

void DatabaseCore::EndBackup() {
  backing_up_ = false;
  if (!NEXUS_PLANTED("backup-without-garbage-hold")) state_.garbage_holders--;
  checked_.Pulse();
}

io::Task<Status> DatabaseCore::Close() {
  if (std::exchange(closed_, true)) co_return OkStatus();
  while (scrubbing_ || backing_up_) co_await checked_.Wait();
  Status status;
  if (committer_.log() != nullptr) status = co_await committer_.Drain();
  compactor_.Stop();
  retention_keeper_.Stop();
  flusher_.Stop();
  keeper_.Stop();
  co_await scope_.Join();
  if (committer_.log() != nullptr) {
    if (status.ok()) status = co_await keeper_.Persist();
    committer_.Refuse(FailedPrecondition("the database is closed"));
    Status closed = co_await committer_.log()->Close();
    if (status.ok()) status = closed;
  }
  co_await committer_.Stop();
  lock_.reset();
  co_return status;
}

io::Task<Stats> DatabaseCore::LoopStats() {
  co_await interner_.WaitLoaded();
  Stats stats;
  for (const auto& [number, tenant] : state_.tenants) {
    stats.series += tenant->series;
    AddFigures(*tenant, &stats);
  }
  stats.layer_files_open = state_.files->counters().open;
  stats.layer_metadata_bytes += state_.layer_readers->counters().bytes;
  stats.memtable_bytes = state_.memtable_bytes;
  stats.samples = stats.layer_samples + stats.memtable_samples;
  stats.applied_lsn = state_.applied;
  stats.durable_lsn = state_.applied;
  stats.catalog_lsn = state_.catalog->meta().synced;
  stats.open_count = state_.open_count;
  stats.appended_batches = appended_batches();
  stats.appended_samples = applier_.applied_samples() - recovery_.replayed_samples;
  stats.flushes = flusher_.flushes();
  stats.flushed_bytes = flusher_.flushed_bytes();
  stats.carries = flusher_.carrier().carries();
  stats.carried_bytes = flusher_.carrier().carried_bytes();
  stats.compactions = compactor_.figures().jobs;
  stats.compacted_bytes = compactor_.figures().bytes_written;
  if (stats.flushed_bytes > 0) {
    stats.write_amplification = static_cast<double>(stats.flushed_bytes + stats.compacted_bytes) /
                                static_cast<double>(stats.flushed_bytes);
  }
  stats.compaction_state = compactor_.state();
  stats.series_forgotten = forgotten_series();
  stats.layers_expired = compactor_.figures().layers_expired;
  stats.samples_expired = committer_.expired_samples();
  const RetentionClock& clock = state_.retention_clock;
  if (clock.applied_ns().has_value()) {
    const int64_t monotonic = state_.environment->MonotonicNanos();
    stats.retention_clock = FormatTime(clock.Now(monotonic));
    const int64_t ahead = clock.Waits(state_.environment->WallNanos(), monotonic);
    stats.retention_waits_seconds = static_cast<uint64_t>(ahead / 1'000'000'000);
  }
  stats.garbage_layers = state_.garbage.size();
  if (wal::Log* log = committer_.log(); log != nullptr) {
    wal::LogStats log_stats = log->stats();
    stats.durable_lsn = std::max(log->durable(), state_.applied);
    stats.wal_bytes = log_stats.bytes_on_disk;
    stats.log_rounds = log_stats.rounds;
  }
  const Status writing = committer_.WriteState();
  stats.write_state = writing.ok() ? "ok" : std::string(FromAbsl(writing.message()));
  stats.io_backend = state_.environment->name();
  stats.io_fallback = state_.environment->fallback_reason();
  co_return stats;
}

Status DatabaseCore::CompleteStats(Stats* stats) const {
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, state_.catalog->BeginRead());
  NEXUS_ASSIGN_OR_RETURN(catalog::CatalogStats catalog, reader.Stats());
  stats->catalog_bytes = catalog.bytes_in_use;
  if (stats->samples > 0) {
    stats->bytes_per_sample = static_cast<double>(stats->layer_bytes + stats->catalog_bytes) /
                              static_cast<double>(stats->samples);
  }
  return OkStatus();
}

StatusOr<Sources> DatabaseCore::SourcesOf(std::string_view tenant, std::string_view branch) const {
  NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, branch));
  return found.sources();
}

StatusOr<std::optional<Sample>> DatabaseCore::LatestOf(SeriesId series, std::string_view tenant,
                                                       std::string_view branch) const {
  NEXUS_ASSIGN_OR_RETURN(Sources sources, SourcesOf(tenant, branch));
  const bool by_id = std::none_of(sources.begin(), sources.end(),
                                  [](const auto& source) { return source->asks_labels(); });
  if (by_id) return LatestSample(sources, {series, {}});
  NEXUS_ASSIGN_OR_RETURN(ReadView view, View(tenant, branch));
  StatusOr<std::string> canonical = view.index->Canonical(series);
  if (absl::IsNotFound(canonical.status())) return std::optional<Sample>();
  NEXUS_RETURN_IF_ERROR(canonical.status());
  return LatestSample(view.sources, {series, *canonical});
}

StatusOr<ReadView> DatabaseCore::View(std::string_view tenant, std::string_view branch) const {
  NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found, state_.published.Find(tenant, branch));
  return ViewOf(std::move(found));
}

StatusOr<ReadView> DatabaseCore::View(const SelectQuery& query) const {
  if (query.as_of.empty()) return View(query.tenant, query.branch);
  if (query.branch != "main" && query.branch != query.as_of) {
    return InvalidArgument(
        "a query reads branch \"{}\" or is as of snapshot \"{}\": name one of them", query.branch,
        query.as_of);
  }
  NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found,
                         state_.published.Find(query.tenant, query.as_of));
  if (found.kind != catalog::BranchKind::kSnapshot) {
    return FailedPrecondition("\"{}\" is a branch, not a snapshot: it is read as the branch",
                              query.as_of);
  }
  return ViewOf(std::move(found));
}

// The delta was taken before the catalog is read: what leaves the delta is in the catalog by then.
StatusOr<ReadView> DatabaseCore::ViewOf(PublishedState::Found found) const {
  ReadView view;
  NEXUS_ASSIGN_OR_RETURN(view.permit, QueryPermit::Take(found.query_budget));
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, state_.catalog->BeginRead());
  view.index = std::make_unique<CatalogIndex>(found.tenant, std::move(reader), found.delta);
  view.sources = found.sources();
  view.leases = state_.query_leases.get();
  view.rollups = found.view->rollups;
  view.monotonic_nanos = [environment = state_.environment] {
    return environment->MonotonicNanos();
  };
  return view;
}

}  // namespace nexus::engine
