// Commits, checkpoints and trimming. See catalog_keeper.h.

#include "engine/catalog_keeper.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/planted.h"
#include "catalog/image.h"
#include "engine/delete_edits.h"
#include "io/file_util.h"

namespace nexus::engine {
namespace {

// A commit flushes the disk once beside the log's own flushes: ten a second cost well under 1 % of
// its time, and what waits is found by queries all the same (the delta).
constexpr int64_t kCommitPauseNs = 100'000'000;
// Enough new series that waiting longer would only make a commit longer: 10,000 are best (INGEST.md
// 6).
constexpr uint64_t kCommitSeries = 10'000;
constexpr int64_t kRetryPauseNs = 1'000'000'000;
constexpr size_t kImagesKept = 2;
// Rows of a deleted tenant that go at a time: a commit that takes about as long as that of 10,000
// new series, so that what waits for it waits no longer than usual.
constexpr uint64_t kPurgedRowsMax = 20'000;
// Silent producers forgotten at one checkpoint, of each branch: 320 KB of an edit.
constexpr size_t kForgottenMax = 10'000;
// After opening nobody is forgotten for so long, and then only by a clock that agrees so far with
// the monotonic one.
constexpr int64_t kSilenceGraceNs = 3'600'000'000'000;

template <typename T>
void PutInFront(std::vector<T>* target, std::vector<T> front) {
  front.insert(front.end(), std::make_move_iterator(target->begin()),
               std::make_move_iterator(target->end()));
  target->swap(front);
}

// The changes of `failed`, then those that came after it.
void PutBack(catalog::Update failed, catalog::Update* pending) {
  PutInFront(&pending->tenants, std::move(failed.tenants));
  PutInFront(&pending->branches, std::move(failed.branches));
  PutInFront(&pending->settings, std::move(failed.settings));
  PutInFront(&pending->layers_added, std::move(failed.layers_added));
  PutInFront(&pending->series_layered, std::move(failed.series_layered));
  PutInFront(&pending->series_unlayered, std::move(failed.series_unlayered));
  PutInFront(&pending->series_forgotten, std::move(failed.series_forgotten));
  PutInFront(&pending->layers_retired, std::move(failed.layers_retired));
  PutInFront(&pending->garbage_removed, std::move(failed.garbage_removed));
  PutInFront(&pending->producers_forgotten, std::move(failed.producers_forgotten));
  PutInFront(&pending->branches_deleted, std::move(failed.branches_deleted));
  PutInFront(&pending->tombstones_added, std::move(failed.tombstones_added));
  PutInFront(&pending->tombstones_forgotten, std::move(failed.tombstones_forgotten));
}

}  // namespace

CatalogKeeper::CatalogKeeper(DatabaseState* state, Committer* committer)
    : state_(state),
      committer_(committer),
      begun_ns_(state->environment->MonotonicNanos()),
      begun_wall_ns_(state->environment->WallNanos()),
      tick_(this, [](io::RunNode* node) { static_cast<Tick*>(node)->keeper->wake_.Set(); }) {}

bool CatalogKeeper::HasChanges() const {
  const catalog::Update& update = state_->pending_update;
  return state_->delta.series() > 0 || !update.tenants.empty() || !update.branches.empty() ||
         !update.settings.empty() || !update.layers_added.empty() ||
         !update.layers_retired.empty() || !update.garbage_removed.empty() ||
         !update.producers_forgotten.empty() || !update.series_layered.empty() ||
         !update.series_unlayered.empty() || !update.series_forgotten.empty() ||
         !update.branches_deleted.empty() || !update.tombstones_added.empty() ||
         !update.tombstones_forgotten.empty();
}

void CatalogKeeper::Kick() {
  if (HasChanges() || TenantToPurge().has_value()) wake_.Set();
}

void CatalogKeeper::Stop() {
  stopping_ = true;
  wake_.Set();
}

void CatalogKeeper::WakeAt(int64_t deadline_ns) {
  io::Executor* executor = state_->environment->executor();
  executor->CancelTimer(&tick_);
  executor->StartTimer(&tick_, deadline_ns);
}

io::Task<void> CatalogKeeper::Run() {
  opened_ = state_->applied;
  while (!stopping_) {
    wake_.Reset();
    bool many = state_->delta.series() >= kCommitSeries && state_->commit_status.ok();
    const bool changes = HasChanges();
    const bool due = many || state_->environment->MonotonicNanos() >= next_commit_ns_;
    if ((changes || TenantToPurge().has_value()) && !busy_) {
      if (due) {
        // A failure is kept in commit_status and tried again after its pause.
        if (changes) (co_await Commit()).IgnoreError();
        const std::optional<TenantId> purged = TenantToPurge();
        const bool failed = changes && !state_->commit_status.ok();
        if (purged.has_value() && !failed) co_await PurgeSome(*purged);
      } else {
        WakeAt(next_commit_ns_);
      }
    }
    if (!wake_.is_set() && !stopping_) co_await wake_.Wait();
  }
  state_->environment->executor()->CancelTimer(&tick_);
}

// Only one that was deleted before the database was opened: what was on its way to the tenant then
// stands behind its deletion.
bool CatalogKeeper::MayForget(const DatabaseState::DeletedTenant& deleted) const {
  return deleted.at < opened_ && opened_ <= trimmed_;
}

std::optional<TenantId> CatalogKeeper::TenantToPurge() const {
  const Lsn committed = state_->catalog->meta().applied;
  for (const auto& [number, deleted] : state_->deleted_tenants) {
    const bool has_work =
        !deleted.purged || (MayForget(deleted) && number + 1 < state_->next_tenant);
    if (has_work && deleted.at < committed) return TenantId{number};
  }
  return std::nullopt;
}

io::Task<void> CatalogKeeper::PurgeSome(TenantId tenant) {
  co_await Acquire();
  auto found = state_->deleted_tenants.find(tenant.value);
  const bool forget = found != state_->deleted_tenants.end() && MayForget(found->second) &&
                      tenant.value + 1 < state_->next_tenant;
  catalog::Catalog* catalog = state_->catalog.get();
  auto purge = [catalog, tenant, forget] {
    return catalog->PurgeTenant(tenant, kPurgedRowsMax, forget);
  };
  StatusOr<bool> more = co_await state_->environment->executor()->Run(io::Lane::kCatalog, purge);
  state_->commit_status = more.status();
  next_commit_ns_ =
      state_->environment->MonotonicNanos() + (more.ok() ? kCommitPauseNs : kRetryPauseNs);
  found = state_->deleted_tenants.find(tenant.value);
  if (!more.ok()) {
    RefuseUnlessFull(more.status());
  } else if (!*more && found != state_->deleted_tenants.end()) {
    found->second.purged = true;
    if (forget) state_->deleted_tenants.erase(found);
  }
  Release();
}

io::Task<void> CatalogKeeper::Acquire() {
  while (busy_) co_await idle_.Wait();
  busy_ = true;
}

void CatalogKeeper::Release() {
  busy_ = false;
  idle_.Pulse();
  wake_.Set();
}

io::Task<Status> CatalogKeeper::Commit() {
  co_await Acquire();
  Status status = co_await DoCommit();
  Release();
  co_return status;
}

io::Task<Status> CatalogKeeper::Persist() {
  co_await Acquire();
  Status status = co_await DoPersist();
  Release();
  co_return status;
}

io::Task<Status> CatalogKeeper::Checkpoint() {
  co_await Acquire();
  Status status = co_await DoCheckpoint();
  Release();
  if (status.ok()) co_await ForgetSilentProducers();
  if (status.ok()) co_await ForgetTombstones();
  co_return status;
}

io::Task<void> CatalogKeeper::ForgetTombstones() {
  std::vector<Edit> edits = EditsToForgetTombstones(*state_);
  if (edits.empty()) co_return;
  // What is not forgotten now is at the next checkpoint.
  (co_await committer_->CommitEdit(EncodeEdits(edits))).IgnoreError();
}

std::vector<Edit> CatalogKeeper::SilentProducers() const {
  const int64_t before = state_->environment->WallNanos() - kProducerSilentNs;
  std::vector<Edit> edits;
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      std::vector<catalog::ProducerRecord> silent;
      branch->producers.AppendSilent(before, kForgottenMax, &silent);
      if (silent.empty()) continue;
      auto& edit =
          std::get<ForgetProducers>(edits.emplace_back(std::in_place_type<ForgetProducers>));
      edit.tenant = tenant->record.id;
      edit.branch = branch->record.id;
      for (const catalog::ProducerRecord& record : silent) {
        edit.producers.push_back({record.id, record.epoch, record.last_sequence});
      }
    }
  }
  return edits;
}

bool CatalogKeeper::CanJudgeSilence() const {
  const int64_t open_for = state_->environment->MonotonicNanos() - begun_ns_;
  const int64_t wall = state_->environment->WallNanos() - begun_wall_ns_;
  return open_for >= kSilenceGraceNs && std::abs(wall - open_for) <= kSilenceGraceNs;
}

io::Task<void> CatalogKeeper::ForgetSilentProducers() {
  if (!CanJudgeSilence()) co_return;
  std::vector<Edit> edits = SilentProducers();
  if (edits.empty()) co_return;
  // What is not forgotten now is at the next checkpoint.
  (co_await committer_->CommitEdit(EncodeEdits(edits))).IgnoreError();
}

io::Task<Status> CatalogKeeper::DoCommit() {
  catalog::Update update = std::exchange(state_->pending_update, {});
  update.applied = state_->applied;
  update.next_series_id = state_->next_series_id;
  update.open_count = state_->open_count;
  update.segments = state_->delta.Cut();
  // Producers alone are no reason for a commit: the log has them.
  state_->TakeChangedProducers(&update.producers);
  if (NEXUS_PLANTED("producers-not-persisted")) update.producers.clear();
  catalog::Catalog* catalog = state_->catalog.get();
  const catalog::Update* committing = &update;
  auto commit = [catalog, committing] { return catalog->Commit(*committing); };
  Status status = co_await state_->environment->executor()->Run(io::Lane::kCatalog, commit);
  state_->commit_status = status;
  next_commit_ns_ =
      state_->environment->MonotonicNanos() + (status.ok() ? kCommitPauseNs : kRetryPauseNs);
  if (status.ok()) {
    if (!update.series_unlayered.empty()) image_is_outdated_ = true;
    state_->delta.Committed(update.segments);
    state_->published.SetDelta(state_->delta.View());
  } else {
    OnCommitFailed(std::move(update), status);
  }
  committer_->Pump();
  co_return status;
}

void CatalogKeeper::OnCommitFailed(catalog::Update failed, const Status& status) {
  for (const catalog::ProducerRecord& record : failed.producers) {
    BranchState* branch = state_->FindBranch(record.tenant, record.branch);
    if (branch != nullptr) branch->producers.MarkChanged(record.id);
  }
  PutBack(std::move(failed), &state_->pending_update);
  RefuseUnlessFull(status);
}

void CatalogKeeper::RefuseUnlessFull(const Status& status) {
  if (absl::IsResourceExhausted(status)) return;
  committer_->Refuse(
      Unavailable("the catalog failed: {}; nothing more is written, reads go on; reopen the "
                  "database",
                  FromAbsl(status.message())));
}

io::Task<Status> CatalogKeeper::DoPersist() {
  if (HasChanges() || state_->catalog->meta().applied < state_->applied) {
    NEXUS_CO_RETURN_IF_ERROR(co_await DoCommit());
  }
  catalog::Catalog* catalog = state_->catalog.get();
  if (NEXUS_PLANTED("trim-before-catalog-sync")) co_return OkStatus();
  auto sync = [catalog] { return catalog->Sync(); };
  co_return co_await state_->environment->executor()->Run(io::Lane::kCatalog, sync);
}

io::Task<Status> CatalogKeeper::DoCheckpoint() {
  NEXUS_CO_RETURN_IF_ERROR(co_await DoPersist());
  NEXUS_CO_RETURN_IF_ERROR(co_await WriteImage());
  NEXUS_CO_RETURN_IF_ERROR(co_await RemoveOldImages());
  co_return co_await TrimLog();
}

io::Task<Status> CatalogKeeper::WriteImage() {
  catalog::Catalog* catalog = state_->catalog.get();
  auto read = [catalog]() -> StatusOr<catalog::ImageContents> {
    NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog->BeginRead());
    return reader.Image();
  };
  StatusOr<catalog::ImageContents> contents =
      co_await state_->environment->executor()->Run(io::Lane::kWorker, read);
  NEXUS_CO_RETURN_IF_ERROR(contents.status());
  Lsn lsn = contents->lsn;
  const bool is_there = !images_.empty() && images_.back() >= lsn;
  if (is_there && !image_is_outdated_) co_return OkStatus();
  NEXUS_CO_ASSIGN_OR_RETURN(std::string bytes, catalog::EncodeImage(std::move(*contents)));
  std::string path = io::JoinPath(state_->folder.root, catalog::ImageFileName(lsn));
  NEXUS_CO_RETURN_IF_ERROR(
      co_await io::ReplaceFile(state_->environment->disk(), path, std::move(bytes)));
  if (!is_there) images_.push_back(lsn);
  image_is_outdated_ = false;
  co_return OkStatus();
}

io::Task<Status> CatalogKeeper::RemoveOldImages() {
  bool removed = false;
  while (images_.size() > kImagesKept) {
    std::string path = io::JoinPath(state_->folder.root, catalog::ImageFileName(images_.front()));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::Unlink(state_->environment->disk(), path));
    images_.erase(images_.begin());
    removed = true;
  }
  if (!removed) co_return OkStatus();
  co_return co_await io::SyncDirectory(state_->environment->disk(), state_->folder.root);
}

io::Task<Status> CatalogKeeper::TrimLog() {
  if (images_.size() < kImagesKept || committer_->log() == nullptr) co_return OkStatus();
  Lsn below = std::min(images_.front(), state_->catalog->meta().synced);
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      if (NEXUS_PLANTED("trim-ignores-memtable")) continue;
      if (std::optional<Lsn> oldest = branch->OldestUnflushed()) below = std::min(below, *oldest);
    }
  }
  // A log that is cut back to the catalog (`wal replay --to`) has lost the carries behind it.
  auto& carries = state_->carries_unsynced;
  const Lsn synced = state_->catalog->meta().synced;
  while (!carries.empty() && carries.front().begin < synced) carries.pop_front();
  for (const DatabaseState::AppliedCarry& carry : carries) below = std::min(below, carry.since);
  if (NEXUS_PLANTED("trim-before-catalog-sync")) below = state_->applied;
  Status status = co_await committer_->log()->Trim(below);
  if (status.ok()) trimmed_ = std::max(trimmed_, below);
  co_return status;
}

}  // namespace nexus::engine
