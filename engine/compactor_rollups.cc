// What the compactor does for rollups. See compactor.h, rollups.h, compaction/rollup_plan.h.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "base/planted.h"
#include "base/time_text.h"
#include "compaction/merge_job.h"
#include "engine/compactor.h"
#include "engine/deleted_source.h"
#include "engine/policy_maps.h"
#include "engine/record.h"
#include "engine/rollup_build.h"
#include "engine/rollups.h"

namespace nexus::engine {
namespace {

// What is to be done for a branch: buckets to let go of, or else a window to make.
struct RollupWork {
  std::vector<uint32_t> expired;
  std::optional<compaction::RollupPick> pick;
};

}  // namespace

io::Task<bool> Compactor::RollUp() {
  std::vector<BranchNumbers> branches;
  const int64_t now = state_->environment->MonotonicNanos();
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      const bool has_none = branch->RollupLayers().empty();
      const bool is_snapshot = branch->record.kind == catalog::BranchKind::kSnapshot;
      if (has_none && (is_snapshot || tenant->rollups.empty())) continue;
      const RollupLook& look = rollup_looks_[{number, branch_number}];
      if (now < look.let_be_until_ns && by_hand_ == 0) continue;
      const bool seen = look.layer_edits == branch->layer_edits && look.by_hand == (by_hand_ > 0) &&
                        now - look.at_ns < kLookAgainNs;
      if (!seen) branches.emplace_back(number, branch_number);
    }
  }
  // One job a turn: who had the last waits until the others were looked at.
  const auto next = std::upper_bound(branches.begin(), branches.end(), rolled_up_);
  std::rotate(branches.begin(), next, branches.end());
  for (const BranchNumbers& numbers : branches) {
    const bool had_work = co_await RollUpBranch(numbers);
    if (had_work) rolled_up_ = numbers;
    if (had_work) co_return true;
  }
  co_return false;
}

io::Task<bool> Compactor::RollUpBranch(BranchNumbers numbers) {
  BranchState* branch = state_->FindBranch(TenantId{numbers.first}, BranchId{numbers.second});
  if (branch == nullptr || give_up_) co_return false;
  const uint64_t layer_edits = branch->layer_edits;
  const compaction::RollupMap map = RollupMapOf(*state_, *branch);
  compaction::RollupOptions options =
      RollupOptionsOf(*state_, *state_->tenants.at(numbers.first), *branch);
  // Others share what their parent had made when they began. Retention takes their samples, too,
  // and what was not made by then nobody makes for them.
  const bool makes_its_own = IsCompacted(*branch);
  const bool is_snapshot = branch->record.kind == catalog::BranchKind::kSnapshot;
  const bool makes_any = makes_its_own || !is_snapshot;
  const bool by_hand = by_hand_ > 0;
  options.everything = by_hand && makes_its_own;
  if (!makes_its_own) options.only_in_a_hurry = true;
  RollupLook& before = rollup_looks_[numbers];
  options.nothing_left = before.nothing_left;
  const int64_t now = state_->environment->MonotonicNanos();
  std::erase_if(before.retry_at_ns, [now](const auto& one) { return one.second <= now; });
  // By hand all are tried: who asks wants to know.
  for (const auto& [window, at_ns] : before.retry_at_ns) {
    if (!by_hand) options.passed_over.insert(window);
  }
  options.layers_max = compaction::kMergeInputsMax;
  std::vector<catalog::LayerKey> keys;
  for (const OpenLayer& open : branch->RollupLayers()) keys.push_back(open.record.key());
  auto plan = [&map, &options, makes_any] {
    RollupWork work;
    work.expired = ExpiredRollups(map, options);
    if (work.expired.empty() && makes_any) work.pick = PickRollup(map, options);
    return work;
  };
  RollupWork work = co_await state_->environment->executor()->Run(io::Lane::kWorker, plan);
  branch = state_->FindBranch(TenantId{numbers.first}, BranchId{numbers.second});
  if (branch == nullptr || give_up_) co_return false;
  // Layers came or something was deleted meanwhile: what was planned names others, or would count
  // as carried out what is not. It is planned anew.
  if (branch->layer_edits != layer_edits) co_return true;
  if (work.expired.empty() && !work.pick.has_value()) {
    RollupLook& look = rollup_looks_[numbers];
    look.layer_edits = layer_edits;
    look.by_hand = by_hand;
    look.at_ns = state_->environment->MonotonicNanos();
    co_return false;
  }
  Status status;
  std::optional<compaction::RollupWindow> window;
  if (!work.expired.empty()) {
    std::vector<catalog::LayerKey> dropped;
    for (uint32_t r : work.expired) dropped.push_back(keys[r]);
    running_ = fmt::format("drop {} layers of rollups", dropped.size());
    status = co_await DropExpired(numbers, std::move(dropped));
  } else {
    running_ =
        fmt::format("rollups of {} s: the window from {}", work.pick->resolution_ns / 1'000'000'000,
                    FormatTime(work.pick->window.first));
    window = work.pick->name();
    status = co_await MakeRollups(numbers, *std::move(work.pick));
  }
  running_.clear();
  FinishedRollups(numbers, window, std::move(status));
  co_return true;
}

void Compactor::FinishedRollups(BranchNumbers branch,
                                std::optional<compaction::RollupWindow> window, Status status) {
  const bool failed = !status.ok() && !absl::IsCancelled(status);
  const bool is_gone =
      state_->FindBranch(TenantId{branch.first}, BranchId{branch.second}) == nullptr;
  if (!failed || is_gone) {
    Finished(branch, std::move(status), 0);
    return;
  }
  RollupLook& look = rollup_looks_[branch];
  const int64_t retry_at_ns = state_->environment->MonotonicNanos() + kLetBeNs;
  // A disk or a log that takes nothing is in the way of all windows; a damaged layer of its own.
  const bool of_all = absl::IsResourceExhausted(status) || absl::IsUnavailable(status);
  if (window.has_value() && !of_all) {
    look.retry_at_ns[*window] = retry_at_ns;
  } else {
    look.let_be_until_ns = retry_at_ns;
  }
  job_status_ = std::move(status);
  failures_++;
}

// REQUIRES: the branch is as it was planned with. Errors: FailedPrecondition - it is gone.
StatusOr<RollupJob> Compactor::RollupJobOf(BranchNumbers numbers,
                                           const compaction::RollupPick& pick,
                                           std::vector<catalog::LayerKey>* replaced) const {
  const BranchState* branch = state_->FindBranch(TenantId{numbers.first}, BranchId{numbers.second});
  if (branch == nullptr) return FailedPrecondition("the branch is gone");
  const TenantState& tenant = *state_->tenants.at(numbers.first);
  const std::span<const OpenLayer> layers = branch->SampleLayers();
  const std::span<const OpenLayer> rollups = branch->RollupLayers();
  RollupJob job;
  job.window = pick.window;
  job.stale = pick.stale;
  job.identity.order_low = job.identity.order_high = pick.high;
  auto tombstones = branch->tombstones;
  if (NEXUS_PLANTED("rollup-ignores-deletes")) tombstones = std::make_shared<Tombstones>();
  for (uint32_t i : pick.layers) {
    const OpenLayer& open = layers[i];
    job.inputs.push_back({open.file, WithoutDeleted(open.file, tombstones, MarkOf(open.record)),
                          open.record.samples});
    job.identity.order_low = std::min(job.identity.order_low, open.record.low);
  }
  job.old.tombstones = tombstones;
  job.old.complete_from = CompleteFrom(tenant, state_->retention_clock.applied_ns());
  for (uint32_t r : pick.rollups) {
    const OpenLayer& open = rollups[r];
    const catalog::LayerRecord& record = open.record;
    job.old.layers.push_back({open.file, record.range, record.resolution_ns, MarkOf(record)});
    job.identity.order_low = std::min(job.identity.order_low, record.low);
    replaced->push_back(record.key());
  }
  job.identity.database = state_->origin;
  job.identity.tenant = tenant.record.id;
  job.identity.branch = branch->record.id;
  job.identity.identity_seed = tenant.record.identity_seed;
  job.identity.resolution_ns = pick.resolution_ns;
  job.identity.deletes_applied = state_->applied;
  job.output_bytes_max = state_->options.compaction_output_bytes_max;
  return job;
}

io::Task<Status> Compactor::MakeRollups(BranchNumbers numbers, compaction::RollupPick pick) {
  PublishLayers edit = EditOf(numbers);
  StatusOr<RollupJob> job = RollupJobOf(numbers, pick, &edit.retired);
  NEXUS_CO_RETURN_IF_ERROR(job.status());
  CompactionJob running(
      state_, std::make_unique<RollupBuild>(*std::move(job)), Pace(),
      [](const compaction::MergeProgress&) {}, &give_up_);
  StatusOr<std::vector<OpenLayer>> outputs = co_await running.Run();
  NEXUS_CO_RETURN_IF_ERROR(outputs.status());
  if (outputs->empty()) rollup_looks_[numbers].nothing_left[pick.name()] = pick.high;
  if (outputs->empty() && edit.retired.empty()) co_return OkStatus();
  NEXUS_CO_RETURN_IF_ERROR(co_await Publish(&running, std::move(edit), *std::move(outputs)));
  figures_.rollups++;
  figures_.bytes_written += running.progress().bytes_written;
  co_return OkStatus();
}

}  // namespace nexus::engine
