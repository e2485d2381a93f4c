// Situations, surveys and filters. See retention_sweep.h.

#include "engine/retention_sweep.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/planted.h"
#include "engine/retention_survey.h"
#include "engine/tenant_contents.h"

namespace nexus::engine {
namespace {

// Layers looked into between two looks at what else there is to do.
constexpr size_t kSurveysAtOnce = 16;

class RetentionFilter : public compaction::SampleFilter {
 public:
  RetentionFilter(std::shared_ptr<const compaction::SampleFilter> filter,
                  std::shared_ptr<const RetentionRules> rules, std::vector<int64_t> cuts)
      : filter_(std::move(filter)), rules_(std::move(rules)), cuts_(std::move(cuts)) {}

  void AppendDropped(SeriesId series, std::string_view canonical_labels,
                     std::vector<TimeRange>* dropped) const override {
    const size_t begin = dropped->size();
    const int64_t cut = cuts_[rules_->RuleOf(canonical_labels)];
    if (cut != kKeepAll) {
      dropped->push_back({std::numeric_limits<int64_t>::min(), cut - 1});
    }
    if (filter_ == nullptr) return;
    const size_t others = dropped->size();
    filter_->AppendDropped(series, canonical_labels, dropped);
    if (others == begin) return;
    // What reaches below the cut begins there, or is a part of that already.
    auto kept = dropped->begin() + static_cast<ptrdiff_t>(others);
    for (auto at = kept; at != dropped->end(); ++at) {
      if (at->last < cut) continue;
      *kept++ = {std::max(at->first, cut), at->last};
    }
    dropped->erase(kept, dropped->end());
  }

 private:
  const std::shared_ptr<const compaction::SampleFilter> filter_;
  const std::shared_ptr<const RetentionRules> rules_;
  const std::vector<int64_t> cuts_;
};

// With one rule for all series.
std::shared_ptr<const RetentionContents> AllOfOneRule(const catalog::LayerRecord& layer) {
  auto contents = std::make_shared<RetentionContents>();
  contents->rules.resize(2);
  contents->rules[0] = {layer.samples, layer.range, /*is_exact=*/true};
  return contents;
}

}  // namespace

int64_t RetentionSweep::Clock() const {
  if (NEXUS_PLANTED("retention-by-wall-clock")) return state_->environment->WallNanos();
  return *state_->retention_clock.applied_ns();
}

bool RetentionSweep::Concerns(const TenantState& tenant, const BranchState& branch) const {
  if (tenant.retention->empty() || !state_->retention_clock.applied_ns().has_value()) return false;
  return branch.record.kind == catalog::BranchKind::kBranch ||
         NEXUS_PLANTED("retention-reaches-snapshots");
}

const RetentionSweep::Known* RetentionSweep::Find(const RetentionRules* rules,
                                                  const catalog::LayerRecord& layer) const {
  const auto found = known_.find({layer.open_count, layer.sequence});
  return found == known_.end() || found->second.rules.get() != rules ? nullptr : &found->second;
}

RetentionSituation RetentionSweep::SituationOf(const TenantState& tenant,
                                               const BranchState& branch) const {
  RetentionSituation situation;
  situation.cuts = tenant.retention->CutsAt(Clock());
  const int64_t newest_cut = *std::max_element(situation.cuts.begin(), situation.cuts.end());
  for (const OpenLayer& open : branch.SampleLayers()) {
    const catalog::LayerRecord& record = open.record;
    RetentionLayer& layer = situation.layers.emplace_back();
    layer.range = record.range;
    layer.low = record.low;
    layer.high = record.high;
    layer.level = record.level;
    layer.samples = record.samples;
    if (record.range.first >= newest_cut) continue;
    if (tenant.retention->one_for_all()) {
      layer.contents = AllOfOneRule(record);
    } else if (const Known* known = Find(tenant.retention.get(), record); known != nullptr) {
      layer.contents = known->contents;
    }
  }
  for (const InMemory& memtable : state_->InMemoryOf(branch)) {
    situation.memtables.push_back({memtable.range, memtable.first});
  }
  return situation;
}

RetentionPlan RetentionSweep::Plan(const TenantState& tenant, const BranchState& branch,
                                   std::optional<int64_t> eager_clock_ns) const {
  RetentionSituation situation = SituationOf(tenant, branch);
  if (eager_clock_ns.has_value()) {
    situation.eager_cuts = tenant.retention->CutsAt(*eager_clock_ns);
  }
  RetentionPlan plan = PlanRetention(situation);
  std::erase_if(plan.survey, [&](size_t layer) {
    const Known* known = Find(tenant.retention.get(), branch.layers[layer].record);
    return known != nullptr && known->contents == nullptr;
  });
  return plan;
}

io::Task<bool> RetentionSweep::Survey(TenantId tenant, BranchId branch,
                                      std::vector<size_t> layers) {
  Prune();
  BranchState* state = state_->FindBranch(tenant, branch);
  if (state == nullptr) co_return false;
  const std::shared_ptr<const RetentionRules> rules = state_->tenants.at(tenant.value)->retention;
  const std::vector<int64_t> cuts = rules->CutsAt(Clock());
  std::vector<std::pair<layer::LayerKey, LayerFilePtr>> wanted;
  for (size_t place : layers) {
    if (wanted.size() == kSurveysAtOnce) break;
    const OpenLayer& open = state->layers[place];
    wanted.emplace_back(open.file->name().key, open.file);
  }
  for (const auto& [key, layer] : wanted) {
    auto survey = [layer = layer, &rules, &cuts]() -> StatusOr<RetentionContents> {
      NEXUS_ASSIGN_OR_RETURN(LayerReaderPtr reader, HoldReader(layer));
      return SurveyLayer(std::move(reader), *rules, cuts);
    };
    auto contents = co_await state_->environment->executor()->Run(io::Lane::kWorker, survey);
    Known& known = known_[key];
    known.rules = rules;
    known.contents = nullptr;
    if (contents.ok()) {
      known.contents = std::make_shared<const RetentionContents>(*std::move(contents));
    }
  }
  co_return !wanted.empty();
}

std::vector<int64_t> RetentionSweep::CutsOf(const TenantState& tenant, const BranchState& branch,
                                            const std::vector<char>& is_input) const {
  return CutsForJob(SituationOf(tenant, branch), is_input);
}

// Forgets layers that are not live any more.
void RetentionSweep::Prune() {
  if (known_.size() <= prune_above_) return;
  std::set<layer::LayerKey> live;
  for (const auto& [number, tenant] : state_->tenants) {
    VisitLayers(*tenant, [&](const OpenLayer& open) {
      live.insert({open.record.open_count, open.record.sequence});
    });
  }
  std::erase_if(known_, [&](const auto& one) { return !live.contains(one.first); });
  prune_above_ = std::max<size_t>(1024, 2 * known_.size());
}

std::shared_ptr<const compaction::SampleFilter> WithRetention(
    std::shared_ptr<const compaction::SampleFilter> filter,
    std::shared_ptr<const RetentionRules> rules, std::vector<int64_t> cuts, TimeRange range) {
  if (NEXUS_PLANTED("retention-drops-young-chunk")) {
    // Up to the end of the layer where any of it is expired.
    for (int64_t& cut : cuts) {
      if (cut > range.first && cut <= range.last) cut = range.last + 1;
    }
  }
  if (*std::max_element(cuts.begin(), cuts.end()) <= range.first) return filter;
  return std::make_shared<RetentionFilter>(std::move(filter), std::move(rules), std::move(cuts));
}

}  // namespace nexus::engine
