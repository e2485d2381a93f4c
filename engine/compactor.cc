// Choosing, running and publishing jobs. See compactor.h.

#include "engine/compactor.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "base/planted.h"
#include "compaction/pick_check.h"
#include "engine/delete_edits.h"
#include "engine/garbage.h"
#include "engine/policy_maps.h"
#include "engine/record.h"
#include "io/file_util.h"

namespace nexus::engine {
namespace {

// How often the compactor looks whether a scrub or backup still holds what is garbage.
constexpr int64_t kLookForHoldersNs = 1'000'000'000;

// REQUIRES: options that DatabaseCore::Open has checked.
compaction::PolicyOptions PolicyOf(const Options& options) {
  compaction::PolicyOptions policy;
  policy.windows = *compaction::WindowSettings::Parse(options.compaction_windows);
  policy.fan_in = options.compaction_fan_in;
  policy.quiet_ns = options.compaction_quiet_ms * 1'000'000;
  policy.job_layers_max = compaction::kMergeInputsMax;
  return policy;
}

}  // namespace

Compactor::Compactor(DatabaseState* state, Applier* applier, Committer* committer,
                     CatalogKeeper* keeper)
    : state_(state),
      applier_(applier),
      committer_(committer),
      keeper_(keeper),
      retention_(state),
      tick_(this, [](io::RunNode* node) { static_cast<Tick*>(node)->compactor->wake_.Set(); }) {}

void Compactor::Stop() {
  stopping_ = give_up_ = true;
  wake_.Set();
}

void Compactor::Kick() {
  if (state_->layer_edits != edits_seen_) wake_.Set();
}

void Compactor::Pause() {
  paused_ = give_up_ = true;
  wake_.Set();
}

void Compactor::Resume() {
  paused_ = false;
  give_up_ = stopping_;
  wake_.Set();
}

std::string Compactor::state() const {
  if (!running_.empty()) return "running: " + running_;
  if (paused_) return "paused";
  if (!job_status_.ok()) return "failed: " + std::string(FromAbsl(job_status_.message()));
  if (!state_->options.compaction) return "off";
  return "idle";
}

io::Task<void> Compactor::Run() {
  policy_ = PolicyOf(state_->options);
  while (!stopping_) {
    wake_.Reset();
    if (edits_seen_ != state_->layer_edits) DropLooks();
    edits_seen_ = state_->layer_edits;
    co_await Turn();
    turned_.Pulse();
    if (!rested_ || stopping_) continue;
    WakeLater();
    co_await wake_.Wait();
  }
  state_->environment->executor()->CancelTimer(&tick_);
  turned_.Pulse();
}

io::Task<void> Compactor::Turn() {
  state_->query_leases->ReleaseOverdue(state_->environment->MonotonicNanos());
  // What cannot be removed now is tried again at the next turn.
  (co_await RemoveGarbage(state_, committer_, keeper_)).IgnoreError();
  co_await keeper_->ForgetTombstones();
  // What compaction and deletes left without a sample; it waits for files to be unlinked, so this
  // is its time.
  if (forgetter_ != nullptr) co_await forgetter_->Step(&give_up_);
  rested_ = true;
  const bool by_hand = by_hand_ > 0;
  if (give_up_ || (!state_->options.compaction && !by_hand)) co_return;
  policy_.everything = by_hand;
  // Rollups and merges take turns; by hand merges go first, so that each window is rolled up once.
  const bool rolls_first = !by_hand && !rolled_last_;
  rolled_last_ = false;
  if (rolls_first) rolled_last_ = co_await RollUp();
  bool swept = rolled_last_;
  if (!swept) swept = co_await Sweep();
  if (swept) {
    rested_ = false;
    co_return;
  }
  std::optional<Candidate> chosen = co_await Choose();
  if (!chosen.has_value()) {
    bool rolled = false;
    if (!rolls_first) rolled = co_await RollUp();
    rested_ = !rolled;
    if (by_hand && !rolled) rests_by_hand_++;
    co_return;
  }
  if (give_up_) co_return;
  rested_ = false;
  const BranchNumbers branch = chosen->branch;
  const uint64_t bytes = chosen->jobs.front().bytes;
  running_ = chosen->jobs.front().reason;
  Status status = co_await RunJob(*std::move(chosen));
  running_.clear();
  Finished(branch, std::move(status), bytes);
}

void Compactor::Finished(BranchNumbers branch, Status status, uint64_t bytes) {
  if (state_->FindBranch(TenantId{branch.first}, BranchId{branch.second}) == nullptr) {
    return;  // deleted meanwhile: what the job made of it is dropped
  }
  Look& look = looks_[branch];
  if (status.ok()) {
    job_status_ = status;
    look.bytes_served += bytes;
  } else if (!absl::IsCancelled(status)) {
    job_status_ = std::move(status);
    failures_++;
    look.let_be_until_ns = state_->environment->MonotonicNanos() + kLetBeNs;
  }
}

void Compactor::DropLooks() {
  auto is_deleted = [this](const auto& look) {
    const BranchNumbers& numbers = look.first;
    return state_->FindBranch(TenantId{numbers.first}, BranchId{numbers.second}) == nullptr;
  };
  std::erase_if(looks_, is_deleted);
  std::erase_if(rollup_looks_, is_deleted);
}

void Compactor::WakeLater() {
  io::Executor* executor = state_->environment->executor();
  const bool held = !state_->garbage.empty() && state_->garbage_holders > 0;
  executor->CancelTimer(&tick_);
  int64_t due_ns =
      state_->environment->MonotonicNanos() + (held ? kLookForHoldersNs : kLookAgainNs);
  if (forgetter_ != nullptr && !give_up_) due_ns = std::min(due_ns, forgetter_->due_ns());
  executor->StartTimer(&tick_, due_ns);
}

bool Compactor::NeedsLook(const Look& look, const BranchState& branch, int64_t now) const {
  if (branch.layers.empty()) return false;
  if (by_hand_ > 0) return true;
  if (now < look.let_be_until_ns) return false;
  return look.layer_edits != branch.layer_edits || now - look.at_ns >= kLookAgainNs;
}

std::vector<Compactor::Candidate> Compactor::Candidates() {
  std::vector<Candidate> candidates;
  const int64_t now = state_->environment->MonotonicNanos();
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      const Look& look = looks_[{number, branch_number}];
      if (!NeedsLook(look, *branch, now) || !IsCompacted(*branch)) continue;
      Candidate& candidate = candidates.emplace_back();
      candidate.branch = {number, branch_number};
      candidate.layer_edits = branch->layer_edits;
      candidate.bytes_served = look.bytes_served;
      std::vector<char> expired;
      if (retention_.Concerns(*tenant, *branch)) {
        expired = retention_.Plan(*tenant, *branch, by_hand_clock_ns_).rewrite;
      }
      candidate.map = MapOf(*state_, *branch, expired);
    }
  }
  return candidates;
}

io::Task<std::optional<Compactor::Candidate>> Compactor::Choose() {
  std::vector<Candidate> candidates = Candidates();
  if (candidates.empty()) co_return std::nullopt;
  auto pick = [&candidates, &policy = policy_]() -> std::optional<size_t> {
    std::vector<compaction::BranchJobs> all(candidates.size());
    for (size_t i = 0; i < candidates.size(); i++) {
      all[i].branch = i;
      all[i].bytes_served = candidates[i].bytes_served;
      all[i].jobs = candidates[i].jobs = compaction::PickJobs(candidates[i].map, policy, 1);
    }
    const std::vector<compaction::RankedJob> ranked = compaction::RankJobs(all, 1);
    if (ranked.empty()) return std::nullopt;
    return ranked.front().branch;
  };
  const std::optional<size_t> first =
      co_await state_->environment->executor()->Run(io::Lane::kWorker, pick);
  const int64_t now = state_->environment->MonotonicNanos();
  for (const Candidate& candidate : candidates) {
    if (!candidate.jobs.empty()) continue;
    Look& look = looks_[candidate.branch];
    look.layer_edits = candidate.layer_edits;
    look.at_ns = now;
  }
  if (!first.has_value()) co_return std::nullopt;
  co_return std::move(candidates[*first]);
}

// Errors: FailedPrecondition - an input is not live any more.
StatusOr<Compactor::Merge> Compactor::MergeOf(const Candidate& chosen) const {
  const auto tenant = state_->tenants.find(chosen.branch.first);
  if (tenant == state_->tenants.end()) return FailedPrecondition("the tenant is gone");
  const auto branch = tenant->second->branches.find(chosen.branch.second);
  if (branch == tenant->second->branches.end()) return FailedPrecondition("the branch is gone");
  std::map<layer::LayerKey, const OpenLayer*> live;
  for (const OpenLayer& open : branch->second->layers) {
    live[{open.record.open_count, open.record.sequence}] = &open;
  }
  const compaction::Job& job = chosen.jobs.front();
  Merge merge;
  std::optional<DeleteMark> oldest;
  for (uint32_t input : job.inputs) {
    const auto found = live.find(chosen.map.layers[input].key);
    if (found == live.end()) return FailedPrecondition("an input is not live any more");
    const catalog::LayerRecord& record = found->second->record;
    if (!oldest.has_value()) oldest = MarkOf(record);
    const DeleteMark mark = NEXUS_PLANTED("delete-after-merge") ? *oldest : MarkOf(record);
    std::shared_ptr<const compaction::SampleFilter> filter;
    if (!NEXUS_PLANTED("compaction-forgets-deletes")) {
      filter = SampleFilterFor(*branch->second->tombstones, mark, record.range);
    }
    merge.job.inputs.push_back({nullptr, std::move(filter)});
    merge.files.push_back(found->second->file);
    merge.ranges.push_back(record.range);
  }
  merge.job.deletes_applied = state_->applied;
  AddRetention(*tenant->second, *branch->second, &merge);
  if (NEXUS_PLANTED("compacted-layer-wins")) {
    std::reverse(merge.job.inputs.begin(), merge.job.inputs.end());
    std::reverse(merge.files.begin(), merge.files.end());
  }
  if (NEXUS_PLANTED("compaction-forgets-an-input") && merge.files.size() > 1) {
    merge.job.inputs.pop_back();
    merge.files.pop_back();
  }
  merge.job.output_bytes_max = state_->options.compaction_output_bytes_max;
  merge.job.database = state_->origin;
  merge.job.tenant = tenant->second->record.id;
  merge.job.branch = branch->second->record.id;
  merge.job.identity_seed = tenant->second->record.identity_seed;
  auto shared = std::make_shared<Candidate>(chosen);
  merge.job.place = [shared](int64_t ts) {
    const compaction::OutputWindow window =
        compaction::OutputWindowAt(shared->map, shared->jobs.front(), ts);
    return compaction::OutputPlace{window.window, window.level, window.order.low,
                                   window.order.high};
  };
  return merge;
}

// The readers hold the files: an input that retires meanwhile stays readable. Blocks.
StatusOr<std::unique_ptr<compaction::LayerSteps>> Compactor::MakerOf(Merge* merge) {
  for (size_t i = 0; i < merge->files.size(); i++) {
    NEXUS_ASSIGN_OR_RETURN(merge->job.inputs[i].layer, HoldReader(std::move(merge->files[i])));
  }
  NEXUS_ASSIGN_OR_RETURN(auto maker, compaction::LayerMerge::Create(std::move(merge->job)));
  return std::unique_ptr<compaction::LayerSteps>(std::move(maker));
}

PublishLayers Compactor::EditOf(BranchNumbers numbers) {
  PublishLayers edit;
  edit.tenant = TenantId{numbers.first};
  edit.branch = BranchId{numbers.second};
  return edit;
}

CompactionPace Compactor::Pace() const {
  const Options& options = state_->options;
  const bool by_hand = by_hand_ > 0;
  return CompactionPace(state_->environment, by_hand ? 0 : options.compaction_bytes_per_second,
                        by_hand ? 100 : options.compaction_cpu_percent);
}

io::Task<Status> Compactor::RunJob(Candidate chosen) {
  const compaction::Job& job = chosen.jobs.front();
  NEXUS_CO_RETURN_IF_ERROR(compaction::CheckPick(chosen.map, policy_, job));
  StatusOr<Merge> merge = MergeOf(chosen);
  NEXUS_CO_RETURN_IF_ERROR(merge.status());
  const CompactionPace pace = Pace();
  const uint64_t bytes = job.bytes;
  auto progress = [this, bytes](const compaction::MergeProgress& at) {
    if (!progress_ || at.samples_total == 0) return;
    const double part =
        static_cast<double>(at.samples_done) / static_cast<double>(at.samples_total);
    progress_({running_, static_cast<uint64_t>(part * static_cast<double>(bytes)), bytes});
  };
  auto make = [given = &*merge] { return MakerOf(given); };
  auto maker = co_await state_->environment->executor()->Run(io::Lane::kWorker, make);
  NEXUS_CO_RETURN_IF_ERROR(maker.status());
  CompactionJob running(state_, *std::move(maker), pace, progress, &give_up_);
  StatusOr<std::vector<OpenLayer>> outputs = co_await running.Run();
  NEXUS_CO_RETURN_IF_ERROR(outputs.status());
  PublishLayers edit = EditOf(chosen.branch);
  for (uint32_t input : job.inputs) {
    const layer::LayerKey& key = chosen.map.layers[input].key;
    edit.retired.push_back({edit.tenant, edit.branch, key.open_count, key.sequence});
  }
  NEXUS_CO_RETURN_IF_ERROR(co_await Publish(&running, std::move(edit), *std::move(outputs)));
  figures_.jobs++;
  figures_.bytes_read += bytes;
  figures_.bytes_written += running.progress().bytes_written;
  co_return OkStatus();
}

// A planted bug's.
io::Task<void> Compactor::UnlinkEarly(std::vector<catalog::LayerKey> layers) {
  for (const catalog::LayerKey& key : layers) {
    for (const OpenLayer& open : state_->FindBranch(key.tenant, key.branch)->layers) {
      if (open.record.key() != key) continue;
      (co_await io::Unlink(state_->environment->disk(),
                           io::JoinPath(state_->folder.layers, open.record.file_name)))
          .IgnoreError();
    }
  }
}

io::Task<Status> Compactor::Publish(CompactionJob* job, PublishLayers edit,
                                    std::vector<OpenLayer> outputs) {
  for (OpenLayer& output : outputs) {
    edit.layers.push_back(output.record);
    applier_->PrepareLayer(output.record.key(), std::move(output.file));
  }
  if (NEXUS_PLANTED("inputs-unlinked-before-the-edit")) co_await UnlinkEarly(edit.retired);
  const Edit publish(edit);
  Status status = co_await committer_->CommitEdit(publish);
  // Where nobody knows what became of the edit, the next opening decides about the files.
  if (status.ok() || absl::IsUnavailable(status)) co_return status;
  for (const catalog::LayerRecord& record : edit.layers) applier_->ForgetLayer(record.key());
  co_await job->Drop();
  co_return status;
}

io::Task<Status> Compactor::Compact(ProgressCallback progress) {
  const Status paused =
      FailedPrecondition("compaction is paused; let it go on first: nexus compact --resume");
  const Status closing = FailedPrecondition("the database is closing");
  if (stopping_) co_return closing;
  if (paused_) co_return paused;
  if (by_hand_++ == 0) by_hand_clock_ns_ = state_->retention_clock.applied_ns();
  progress_ = std::move(progress);
  const uint64_t rests = rests_by_hand_;
  const uint64_t failures = failures_;
  wake_.Set();
  while (rests_by_hand_ == rests && failures_ == failures && !give_up_) co_await turned_.Wait();
  if (--by_hand_ == 0) {
    progress_ = nullptr;
    by_hand_clock_ns_.reset();
  }
  if (failures_ != failures) co_return job_status_;
  if (stopping_) co_return closing;
  if (paused_) co_return paused;
  co_return OkStatus();
}

}  // namespace nexus::engine
