// RetentionSweep: what the compactor knows of retention - what layers hold, which are to go or to
// be written again, and what jobs drop.
//
// A layer is looked into once, when a rule may have come to concern it, and again when another rule
// does; what was found is kept in memory. With one rule for all series nothing is looked into.
// Snapshots are left alone. The clock is that of the log (retention.h).
// Failure: a layer that cannot be read is left as it is while its rules stay the same. Threading:
// loop; the reading on workers.

#ifndef NEXUS_ENGINE_RETENTION_SWEEP_H_
#define NEXUS_ENGINE_RETENTION_SWEEP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "compaction/sample_filter.h"
#include "engine/retention.h"
#include "engine/retention_plan.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

class RetentionSweep {
 public:
  explicit RetentionSweep(DatabaseState* state) : state_(state) {}

  // Whether samples of the branch may expire at all.
  bool Concerns(const TenantState& tenant, const BranchState& branch) const;
  // What is to be done with its layers, by their places. `eager_clock_ns`: what is expired by that
  // is worth writing again at once. REQUIRES: Concerns.
  RetentionPlan Plan(const TenantState& tenant, const BranchState& branch,
                     std::optional<int64_t> eager_clock_ns) const;
  // Looks into layers that a plan asked for. True if what is known has changed.
  io::Task<bool> Survey(TenantId tenant, BranchId branch, std::vector<size_t> layers);
  // By rule and for no rule: the cuts of a job with these inputs, places of layers.
  std::vector<int64_t> CutsOf(const TenantState& tenant, const BranchState& branch,
                              const std::vector<char>& is_input) const;

 private:
  struct Known {
    std::shared_ptr<const RetentionRules> rules;
    std::shared_ptr<const RetentionContents> contents;  // null: the layer could not be read
  };

  int64_t Clock() const;
  const Known* Find(const RetentionRules* rules, const catalog::LayerRecord& layer) const;
  RetentionSituation SituationOf(const TenantState& tenant, const BranchState& branch) const;
  void Prune();

  DatabaseState* const state_;
  std::map<layer::LayerKey, Known> known_;
  size_t prune_above_ = 1024;
};

// `filter`, which may be null, and besides what of a layer's samples in `range` lies below the
// cuts.
std::shared_ptr<const compaction::SampleFilter> WithRetention(
    std::shared_ptr<const compaction::SampleFilter> filter,
    std::shared_ptr<const RetentionRules> rules, std::vector<int64_t> cuts, TimeRange range);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RETENTION_SWEEP_H_
