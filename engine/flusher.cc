// Sealing and flushing. See flusher.h.

#include "engine/flusher.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/layer_writer.h"
#include "io/file_util.h"

namespace nexus::engine {
namespace {

// After a failed flush: long enough not to hammer a full disk, short enough that a healed one is
// used soon.
constexpr int64_t kRetryPauseNs = 1'000'000'000;
// Ages are looked at so often at most: with thousands of tenants a look is thousands of branches,
// and records are applied every few microseconds.
constexpr int64_t kLookPauseNs = 10'000'000;
// While more memtables wait for their flush, checkpoints keep this distance: each costs three
// flushes of the disk and an image, and a thousand small tenants may be flushed one after the
// other.
constexpr int64_t kCheckpointPauseNs = 100'000'000;

}  // namespace

Flusher::Flusher(DatabaseState* state, Applier* applier, Committer* committer,
                 CatalogKeeper* keeper)
    : state_(state),
      applier_(applier),
      committer_(committer),
      keeper_(keeper),
      reserve_(state->environment, state->folder.reserve, state->options.reserve_bytes),
      carrier_(state, committer),
      tick_(this, [](io::RunNode* node) { static_cast<Tick*>(node)->flusher->wake_.Set(); }) {}

void Flusher::Seal(TenantState* tenant, BranchState* branch) {
  if (!branch->active_first.has_value()) return;
  state_->Seal(tenant, branch, state_->applied);
  wake_.Set();
}

void Flusher::SealAll() {
  for (auto& [number, tenant] : state_->tenants) {
    for (auto& [branch_number, branch] : tenant->branches) Seal(tenant.get(), branch.get());
  }
}

// Keeps the active memtables below half of the budget, largest first: the other half is for what is
// being flushed.
void Flusher::SealForMemory() {
  // Sealed ones count here: too many at most.
  while (state_->memtable_bytes >= state_->options.memtable_bytes / 2) {
    uint64_t active_bytes = 0;
    uint64_t largest_bytes = 0;
    TenantState* largest_tenant = nullptr;
    BranchState* largest = nullptr;
    for (auto& [number, tenant] : state_->tenants) {
      for (auto& [branch_number, branch] : tenant->branches) {
        if (!branch->active_first.has_value()) continue;
        uint64_t bytes = branch->active->bytes();
        active_bytes += bytes;
        if (bytes < largest_bytes) continue;
        largest_bytes = bytes;
        largest_tenant = tenant.get();
        largest = branch.get();
      }
    }
    if (largest == nullptr || active_bytes < state_->options.memtable_bytes / 2) return;
    Seal(largest_tenant, largest);
  }
}

Flusher::Age Flusher::AgeOf(const BranchState& branch, int64_t now_ns, bool by_time) const {
  if (NEXUS_PLANTED("carry-beside-a-flush") && !branch.sealed.empty()) return Age::kDue;
  const int64_t interval_ns = by_time ? state_->options.flush_interval_ms * 1'000'000 : 0;
  const int64_t waited_ns = now_ns - branch.active_since_ns;
  const uint64_t behind = state_->applied.value - branch.active_first->value;
  const uint64_t bytes_max = state_->options.log_bytes_max;
  if ((interval_ns > 0 && waited_ns >= interval_ns) || behind > bytes_max) return Age::kDue;
  if ((interval_ns > 0 && waited_ns >= interval_ns / 2) || behind > bytes_max / 2) {
    return Age::kHalf;
  }
  return Age::kYoung;
}

Lsn Flusher::CurrentSegment() const {
  if (committer_->log() == nullptr) return Lsn{};
  const wal::HeldLog held = committer_->log()->Held();
  return held.segments.empty() ? Lsn{} : held.segments.back().base;
}

std::vector<Carrier::Candidate> Flusher::SealWhatIsOld() {
  const int64_t now = state_->environment->MonotonicNanos();
  const Lsn segment = CurrentSegment();
  std::vector<Carrier::Candidate> candidates;
  bool one_is_due = false;
  for (auto& [number, tenant] : state_->tenants) {
    for (auto& [branch_number, branch] : tenant->branches) {
      if (!branch->active_first.has_value()) continue;
      Age age = AgeOf(*branch, now, /*by_time=*/true);
      if (age == Age::kYoung) continue;
      const bool may_carry = carrier_.MayCarry(*tenant, *branch);
      const bool pins_nothing = *branch->active_first >= segment;
      if (may_carry && pins_nothing) age = AgeOf(*branch, now, /*by_time=*/false);
      if (may_carry && age != Age::kYoung) {
        candidates.push_back(Carrier::CandidateOf(*tenant, *branch, age == Age::kDue));
        one_is_due = one_is_due || age == Age::kDue;
      } else if (!may_carry && age == Age::kDue) {
        Seal(tenant.get(), branch.get());
      }
    }
  }
  if (!one_is_due) return {};
  for (const Carrier::Candidate& excess : carrier_.TakeExcess(&candidates)) {
    if (!excess.is_due) continue;
    TenantState* tenant = state_->tenants.at(excess.tenant.value).get();
    Seal(tenant, tenant->branches.at(excess.branch.value).get());
  }
  return candidates;
}

std::optional<int64_t> Flusher::NextDue() const {
  std::optional<int64_t> due;
  if (state_->options.flush_interval_ms == 0) return due;
  const Lsn segment = CurrentSegment();
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      if (!branch->active_first.has_value()) continue;
      int64_t at = branch->active_since_ns + state_->options.flush_interval_ms * 1'000'000;
      if (carrier_.MayCarry(*tenant, *branch)) {
        // The log has to grow before it is; then there is another look.
        if (*branch->active_first >= segment) continue;
        at = std::max(at, carry_again_ns_);
      }
      due = std::min(due.value_or(at), at);
    }
  }
  return due;
}

std::optional<Flusher::Waiting> Flusher::FindOldestSealed() const {
  std::optional<Waiting> oldest;
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      if (branch->sealed.empty()) continue;
      if (oldest.has_value() && oldest->sealed.first < branch->sealed.front().first) continue;
      oldest = {tenant->record.id, branch->sealed.front()};
    }
  }
  return oldest;
}

bool Flusher::IsWaitedFor(const Waiting& waiting) const {
  auto tenant = state_->tenants.find(waiting.tenant.value);
  if (tenant == state_->tenants.end()) return false;
  for (const auto& [number, branch] : tenant->second->branches) {
    for (const SealedMemtable& sealed : branch->sealed) {
      if (sealed.memtable == waiting.sealed.memtable) return true;
    }
  }
  return false;
}

void Flusher::DropFromBranches(const Waiting& waiting) {
  const TenantState& tenant = *state_->tenants.at(waiting.tenant.value);
  for (const auto& [number, branch] : tenant.branches) {
    std::erase_if(branch->sealed, [&](const SealedMemtable& sealed) {
      return sealed.memtable == waiting.sealed.memtable;
    });
  }
  state_->ReleaseMemtable(tenant, waiting.sealed.memtable.get());
}

void Flusher::MarkFlushedInReplay(const Waiting& waiting) {
  const TenantState& tenant = *state_->tenants.at(waiting.tenant.value);
  for (const auto& [number, branch] : tenant.branches) {
    const bool has_it = std::any_of(
        branch->sealed.begin(), branch->sealed.end(),
        [&](const SealedMemtable& sealed) { return sealed.memtable == waiting.sealed.memtable; });
    if (has_it) branch->flushed_in_replay = true;
  }
}

void Flusher::Kick() {
  SealForMemory();
  if (look_is_due_) return;
  look_is_due_ = true;
  io::Executor* executor = state_->environment->executor();
  executor->CancelTimer(&tick_);
  executor->StartTimer(&tick_, looked_at_ns_ + kLookPauseNs);
}

void Flusher::Stop() {
  stopping_ = true;
  wake_.Set();
}

io::Task<void> Flusher::Run() {
  io::Executor* executor = state_->environment->executor();
  // Space that is missing now will be asked for again after the next flush.
  (co_await reserve_.Restore()).IgnoreError();
  while (!stopping_) {
    wake_.Reset();
    look_is_due_ = false;
    int64_t now = state_->environment->MonotonicNanos();
    looked_at_ns_ = now;
    std::vector<Carrier::Candidate> small = SealWhatIsOld();
    if (!small.empty() && now >= carry_again_ns_) {
      co_await Carry(std::move(small));
      continue;
    }
    std::optional<Waiting> oldest = FindOldestSealed();
    if (oldest.has_value() && now >= retry_at_ns_) {
      co_await Attempt(*std::move(oldest));
      continue;
    }
    std::optional<int64_t> due = oldest.has_value() ? retry_at_ns_ : NextDue();
    if (!small.empty()) due = std::min(due.value_or(carry_again_ns_), carry_again_ns_);
    executor->CancelTimer(&tick_);
    if (due.has_value()) executor->StartTimer(&tick_, *due);
    co_await wake_.Wait();
  }
  look_is_due_ = true;
  executor->CancelTimer(&tick_);
  attempted_.Pulse();
}

io::Task<void> Flusher::Attempt(Waiting oldest) {
  state_->flush_status = co_await FlushOne(oldest);
  if (absl::IsResourceExhausted(state_->flush_status)) {
    bool released = co_await reserve_.Release();
    if (released) state_->flush_status = co_await FlushOne(oldest);
  }
  if (state_->flush_status.ok()) {
    co_await CheckpointUnlessBusy();
    (co_await reserve_.Restore()).IgnoreError();
  }
  retry_at_ns_ =
      state_->flush_status.ok() ? 0 : state_->environment->MonotonicNanos() + kRetryPauseNs;
  attempts_++;
  attempted_.Pulse();
  committer_->Pump();
}

io::Task<void> Flusher::Carry(std::vector<Carrier::Candidate> candidates) {
  const bool carried = co_await carrier_.Carry(std::move(candidates));
  if (carried) co_await CheckpointUnlessBusy();
  carry_again_ns_ = state_->environment->MonotonicNanos() + kLookPauseNs;
}

io::Task<void> Flusher::CheckpointUnlessBusy() {
  const int64_t now = state_->environment->MonotonicNanos();
  if (FindOldestSealed().has_value() && now < next_checkpoint_ns_) co_return;
  // The flush stands whether or not the checkpoint succeeds; the next one trims what this one
  // could not.
  (co_await keeper_->Checkpoint()).IgnoreError();
  next_checkpoint_ns_ = state_->environment->MonotonicNanos() + kCheckpointPauseNs;
}

io::Task<StatusOr<Flusher::Written>> Flusher::WriteOne(Waiting oldest) {
  Written result;
  PublishLayers& edit = result.edit;
  edit.tenant = oldest.tenant;
  edit.branch = oldest.sealed.writer;
  edit.sealed = NEXUS_PLANTED("flush-jumps-over-appends") ? state_->applied : oldest.sealed.sealed;
  uint64_t sequence = state_->next_layer_sequence++;
  const catalog::TenantRecord tenant = state_->tenants.at(oldest.tenant.value)->record;
  auto written = co_await WriteLayer(state_, tenant, oldest.sealed, sequence);
  NEXUS_CO_RETURN_IF_ERROR(written.status());
  if (written->has_value()) {
    const OpenLayer& layer = (*written)->layer;
    edit.layers.push_back(layer.record);
    flushed_bytes_ += layer.record.file_bytes;
    applier_->PrepareLayer(layer.record.key(), layer.file);
    result.series = std::move((*written)->series);
  }
  co_return std::move(result);
}

io::Task<Status> Flusher::FlushOne(Waiting oldest) {
  // Its layer could never be published.
  if (absl::IsUnavailable(committer_->write_status())) co_return committer_->write_status();
  if (!IsWaitedFor(oldest)) co_return OkStatus();
  StatusOr<Written> written = co_await WriteOne(oldest);
  NEXUS_CO_RETURN_IF_ERROR(written.status());
  if (NEXUS_PLANTED("unpublished-layer-trusted")) DropFromBranches(oldest);
  Status status = co_await Publish(*written);
  if (status.ok()) flushes_++;
  // Where nobody knows what became of the edit, the next opening decides about the file.
  const bool refused = !status.ok() && !absl::IsUnavailable(status);
  if (refused) co_await DropUnpublished(written->edit);
  if (refused && !IsWaitedFor(oldest)) status = OkStatus();
  co_return status;
}

io::Task<Status> Flusher::Publish(const Written& written) {
  const Edit edit(written.edit);
  NEXUS_CO_RETURN_IF_ERROR(co_await committer_->CommitEdit(edit));
  // Behind the layers in the catalog, never before them.
  state_->pending_update.series_layered.push_back(written.series);
  co_return OkStatus();
}

// The next attempt writes them anew.
io::Task<void> Flusher::DropUnpublished(PublishLayers edit) {
  for (const catalog::LayerRecord& record : edit.layers) {
    applier_->ForgetLayer(record.key());
    const std::string path = io::JoinPath(state_->folder.layers, record.file_name);
    (co_await io::Unlink(state_->environment->disk(), path)).IgnoreError();
  }
}

io::Task<Status> Flusher::FlushAll() {
  NEXUS_CO_RETURN_IF_ERROR(co_await committer_->Drain());
  SealAll();
  NEXUS_CO_RETURN_IF_ERROR(co_await AwaitFlushed(state_->applied));
  co_return co_await keeper_->Checkpoint();
}

io::Task<Status> Flusher::AwaitFlushed(Lsn target) {
  while (!stopping_) {
    bool done = true;
    for (const auto& [number, tenant] : state_->tenants) {
      for (const auto& [branch_number, branch] : tenant->branches) {
        done = done && (branch->sealed.empty() || branch->sealed.front().sealed > target);
      }
    }
    if (done) co_return OkStatus();
    wake_.Set();
    uint64_t before = attempts_;
    while (attempts_ == before && !stopping_) co_await attempted_.Wait();
    NEXUS_CO_RETURN_IF_ERROR(state_->flush_status);
  }
  co_return FailedPrecondition("the database is closing");
}

io::Task<Status> Flusher::MakeRoomDuringReplay() {
  SealForMemory();
  if (replay_found_no_space_) co_return OkStatus();
  Status status = co_await WriteSealed();
  if (absl::IsResourceExhausted(status)) {
    bool released = co_await reserve_.Release();
    if (released) status = co_await WriteSealed();
  }
  // Not tried again before the database is open: each try writes a layer up to where space ends.
  replay_found_no_space_ = absl::IsResourceExhausted(status);
  co_return replay_found_no_space_ ? OkStatus() : status;
}

io::Task<Status> Flusher::WriteEverything() {
  SealAll();
  return WriteSealed();
}

io::Task<Status> Flusher::WriteSealed() {
  for (auto oldest = FindOldestSealed(); oldest.has_value(); oldest = FindOldestSealed()) {
    StatusOr<Written> written = co_await WriteOne(*oldest);
    NEXUS_CO_RETURN_IF_ERROR(written.status());
    unpublished_.push_back(*std::move(written));
    state_->layers_unpublished = true;
    // Its samples are safe: the log holds them until the layer is published.
    MarkFlushedInReplay(*oldest);
    DropFromBranches(*oldest);
  }
  co_return OkStatus();
}

io::Task<Status> Flusher::PublishUnpublished() {
  for (const Written& written : unpublished_) NEXUS_CO_RETURN_IF_ERROR(co_await Publish(written));
  unpublished_.clear();
  state_->layers_unpublished = false;
  co_return OkStatus();
}

Status Flusher::ApplyUnpublished() {
  const Lsn applied = state_->applied;
  for (const Written& written : unpublished_) {
    const Edit edit(written.edit);
    const std::string body = EncodeEdits({&edit, 1});
    NEXUS_RETURN_IF_ERROR(applier_->Apply(RecordKind::kEdit, applied, applied, AsBytes(body)));
    state_->pending_update.series_layered.push_back(written.series);
  }
  unpublished_.clear();
  state_->layers_unpublished = false;
  return OkStatus();
}

}  // namespace nexus::engine
