// What the compactor does for retention. See compactor.h.

#include <set>
#include <utility>

#include "engine/compactor.h"

namespace nexus::engine {

void Compactor::AddRetention(const TenantState& tenant, const BranchState& branch,
                             Merge* merge) const {
  if (!retention_.Concerns(tenant, branch)) return;
  const std::set<LayerFilePtr> inputs(merge->files.begin(), merge->files.end());
  std::vector<char> is_input;
  for (const OpenLayer& open : branch.SampleLayers()) {
    is_input.push_back(inputs.contains(open.file) ? 1 : 0);
  }
  const std::vector<int64_t> cuts = retention_.CutsOf(tenant, branch, is_input);
  for (size_t i = 0; i < merge->files.size(); i++) {
    compaction::MergeInput& input = merge->job.inputs[i];
    input.filter = WithRetention(std::move(input.filter), tenant.retention, cuts, merge->ranges[i]);
  }
}

io::Task<bool> Compactor::Sweep() {
  const int64_t now = state_->environment->MonotonicNanos();
  for (const auto& [number, tenant] : state_->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      const BranchNumbers numbers{number, branch_number};
      if (!retention_.Concerns(*tenant, *branch)) continue;
      if (!NeedsLook(looks_[numbers], *branch, now)) continue;
      RetentionPlan plan = retention_.Plan(*tenant, *branch, by_hand_clock_ns_);
      if (!plan.survey.empty()) {
        running_ = "looking for what is expired";
        const bool looked = co_await retention_.Survey(tenant->record.id, branch->record.id,
                                                       std::move(plan.survey));
        running_.clear();
        co_return looked;
      }
      if (plan.drop.empty()) continue;
      running_ = fmt::format("drop {} expired layers", plan.drop.size());
      std::vector<catalog::LayerKey> dropped;
      for (size_t i : plan.drop) dropped.push_back(branch->layers[i].record.key());
      Status status = co_await DropExpired(numbers, std::move(dropped));
      running_.clear();
      Finished(numbers, std::move(status), 0);
      co_return true;
    }
  }
  co_return false;
}

io::Task<Status> Compactor::DropExpired(BranchNumbers numbers,
                                        std::vector<catalog::LayerKey> layers) {
  PublishLayers edit = EditOf(numbers);
  if (layers.size() > kPublishedLayersMax) layers.resize(kPublishedLayersMax);
  edit.retired = std::move(layers);
  const uint64_t retired = edit.retired.size();
  NEXUS_CO_RETURN_IF_ERROR(co_await committer_->CommitEdit(edit));
  figures_.layers_expired += retired;
  co_return OkStatus();
}

}  // namespace nexus::engine
