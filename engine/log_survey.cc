// Reading a log without applying it. See log_survey.h.

#include "engine/log_survey.h"

#include <algorithm>
#include <variant>

#include "engine/batch.h"
#include "engine/branches.h"
#include "engine/carry_record.h"

namespace nexus::engine {

Status LogSurvey::Take(RecordKind kind, Lsn begin, Bytes body) {
  switch (kind) {
    case RecordKind::kBatch: {
      NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(body));
      TakeBatch(batch);
      return OkStatus();
    }
    case RecordKind::kCarry: {
      NEXUS_ASSIGN_OR_RETURN(CarryView carry, CarryView::Parse(body));
      TakeBatch(carry.batch);
      return DecodeDefinitions(carry.definitions).status();
    }
    case RecordKind::kDefinitions:
      return TakeDefinitions(body);
    case RecordKind::kEdit:
      return TakeEdits(begin, body);
    default:
      return FailedPrecondition(
          "a log record of kind {} is not known to this nexus; use the release that wrote it",
          static_cast<int>(kind));
  }
}

void LogSurvey::TakeBatch(const BatchView& batch) {
  named_.insert({batch.tenant().value, batch.branch().value});
  BatchView::Sections sections = batch.sections();
  SectionView section;
  while (sections.Next(&section)) {
    if (section.ids_as_previous_row) continue;
    size_t count = section.ids.coding() == IdCoding::kOne ? 1 : section.sample_count;
    SeriesId previous;
    for (size_t i = 0; i < count; i++) {
      const SeriesId id = section.ids[i];
      if (id == previous) continue;
      previous = id;
      series_id_max_ = std::max(series_id_max_, id.value);
      sampled_.Add(id);
    }
  }
}

Status LogSurvey::TakeDefinitions(Bytes body) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<catalog::SeriesDefinition> definitions,
                         DecodeDefinitions(body));
  for (const catalog::SeriesDefinition& definition : definitions) {
    named_.insert({definition.tenant.value, BranchId{}.value});
    series_id_max_ = std::max(series_id_max_, definition.id.value);
    defined_.Add(definition.id);
  }
  return OkStatus();
}

Status LogSurvey::TakeEdits(Lsn begin, Bytes body) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<Edit> edits, DecodeEdits(body));
  for (const Edit& edit : edits) {
    if (const auto* tenant = std::get_if<CreateTenant>(&edit)) {
      created_.emplace(tenant->id.value, tenant->name);
      shape_.emplace_back(begin, edit);
    } else if (const auto* publish = std::get_if<PublishLayers>(&edit)) {
      named_.insert({publish->tenant.value, publish->branch.value});
      shape_.emplace_back(begin, edit);
    } else if (const auto* branch = std::get_if<CreateBranch>(&edit)) {
      // What it is made from was there, even if nothing else names it.
      named_.insert({branch->tenant.value, branch->parent.value});
      created_branches_.emplace(BranchNumbers(branch->tenant.value, branch->id.value),
                                branch->name);
      shape_.emplace_back(begin, edit);
    } else if (std::holds_alternative<DeleteBranch>(edit)) {
      shape_.emplace_back(begin, edit);
    } else if (std::holds_alternative<DeleteTenant>(edit)) {
      shape_.emplace_back(begin, edit);
    } else if (const auto* set = std::get_if<SetTenant>(&edit)) {
      named_.insert({set->id.value, BranchId{}.value});
    } else if (const auto* producer = std::get_if<OpenProducer>(&edit)) {
      named_.insert({producer->tenant.value, producer->branch.value});
    } else if (const auto* deleted = std::get_if<DeleteSamples>(&edit)) {
      named_.insert({deleted->tenant.value, deleted->branch.value});
    } else if (const auto* forgets = std::get_if<ForgetSeries>(&edit)) {
      for (const ForgetSeries::Series& series : forgets->series) forgotten_.Add(series.id);
      series_id_max_ = std::max(series_id_max_, forgets->series.back().id.value);
    }
  }
  return OkStatus();
}

std::vector<const PublishLayers*> LogSurvey::publishes() const {
  std::vector<const PublishLayers*> publishes;
  for (const auto& [begin, edit] : shape_) {
    if (const auto* publish = std::get_if<PublishLayers>(&edit)) publishes.push_back(publish);
  }
  return publishes;
}

namespace {

// The shape of a database as records alone.
class LayerMap {
 public:
  explicit LayerMap(const catalog::ImageContents& contents) {
    for (const catalog::TenantRecord& tenant : contents.tenants) {
      if (tenant.deleted == Lsn{}) tenants_[tenant.id.value] = tenant;
    }
    for (const catalog::BranchRecord& branch : contents.branches) {
      branches_[{branch.tenant.value, branch.id.value}] = branch;
    }
    for (const catalog::LayerRecord& layer : contents.layers) {
      if (layer.state == catalog::LayerState::kLive) live_[layer.key()] = layer;
    }
  }

  void Apply(Lsn begin, const Edit& edit) {
    if (const auto* tenant = std::get_if<CreateTenant>(&edit)) return Make(*tenant);
    if (const auto* branch = std::get_if<CreateBranch>(&edit)) return Make(begin, *branch);
    if (const auto* branch = std::get_if<DeleteBranch>(&edit)) return Delete(*branch);
    if (const auto* tenant = std::get_if<DeleteTenant>(&edit)) return Delete(*tenant);
    if (const auto* publish = std::get_if<PublishLayers>(&edit)) return Publish(*publish);
  }

  std::map<catalog::LayerKey, catalog::LayerRecord> Take() { return std::move(live_); }

 private:
  std::vector<const catalog::BranchRecord*> BranchesOf(TenantId tenant) const {
    std::vector<const catalog::BranchRecord*> branches;
    for (const auto& [numbers, branch] : branches_) {
      if (branch.tenant == tenant) branches.push_back(&branch);
    }
    return branches;
  }

  std::vector<catalog::LayerRecord> LayersOf(TenantId tenant, BranchId branch) const {
    std::vector<catalog::LayerRecord> layers;
    for (auto at = live_.lower_bound({tenant, branch, 0, 0}); at != live_.end(); ++at) {
      if (at->first.tenant != tenant || at->first.branch != branch) break;
      layers.push_back(at->second);
    }
    return layers;
  }

  void Make(const CreateTenant& edit) {
    for (const auto& [number, tenant] : tenants_) {
      if (number == edit.id.value || tenant.name == edit.name) return;
    }
    catalog::TenantRecord& tenant = tenants_[edit.id.value];
    tenant.id = edit.id;
    tenant.name = edit.name;
    catalog::BranchRecord& main = branches_[{edit.id.value, BranchId{}.value}];
    main.tenant = edit.id;
    main.name = "main";
  }

  void Make(Lsn begin, const CreateBranch& edit) {
    auto tenant = tenants_.find(edit.tenant.value);
    if (tenant == tenants_.end()) return;
    if (!CheckCreation(tenant->second, BranchesOf(edit.tenant), edit).ok()) return;
    tenant->second.next_branch = edit.id.value + 1;
    const catalog::BranchRecord& parent = branches_.at({edit.tenant.value, edit.parent.value});
    branches_[{edit.tenant.value, edit.id.value}] = ChildOf(parent, edit, begin);
    for (catalog::LayerRecord& layer : LayersOf(edit.tenant, edit.parent)) {
      layer.branch = edit.id;
      live_[layer.key()] = std::move(layer);
    }
  }

  void Delete(const DeleteBranch& edit) {
    if (edit.id == BranchId{}) return;
    if (branches_.erase({edit.tenant.value, edit.id.value}) == 0) return;
    for (const catalog::LayerRecord& layer : LayersOf(edit.tenant, edit.id)) {
      live_.erase(layer.key());
    }
  }

  void Delete(const DeleteTenant& edit) {
    if (edit.id == TenantId{}) return;
    tenants_.erase(edit.id.value);
    std::erase_if(branches_, [&](const auto& entry) { return entry.second.tenant == edit.id; });
    std::erase_if(live_, [&](const auto& entry) { return entry.first.tenant == edit.id; });
  }

  static catalog::LayerRecord In(BranchId branch, catalog::LayerRecord layer) {
    layer.branch = branch;
    return layer;
  }

  void Publish(const PublishLayers& edit) {
    std::vector<catalog::BranchRecord*> takers;
    for (auto& [numbers, branch] : branches_) {
      if (branch.tenant != edit.tenant) continue;
      const bool takes = edit.sealed.value == 0 ? branch.id == edit.branch
                                                : Awaits(branch, edit.branch, edit.sealed);
      if (takes) takers.push_back(&branch);
    }
    if (takers.empty()) return;
    for (const catalog::LayerKey& key : edit.retired) {
      if (!live_.contains(key)) return;
    }
    for (const catalog::LayerRecord& layer : edit.layers) {
      for (const catalog::BranchRecord* branch : takers) {
        if (live_.contains(In(branch->id, layer).key())) return;
      }
    }
    for (const catalog::LayerKey& key : edit.retired) live_.erase(key);
    for (catalog::BranchRecord* branch : takers) {
      branch->RaiseSealed(edit.sealed);
      for (const catalog::LayerRecord& layer : edit.layers) {
        catalog::LayerRecord added = In(branch->id, layer);
        live_[added.key()] = std::move(added);
      }
    }
  }

  std::map<uint32_t, catalog::TenantRecord> tenants_;
  std::map<BranchNumbers, catalog::BranchRecord> branches_;
  std::map<catalog::LayerKey, catalog::LayerRecord> live_;
};

}  // namespace

std::map<catalog::LayerKey, catalog::LayerRecord> LiveLayers(const catalog::ImageContents& contents,
                                                             const LogSurvey& survey) {
  LayerMap layers(contents);
  for (const auto& [begin, edit] : survey.shape()) {
    if (begin >= contents.lsn) layers.Apply(begin, edit);
  }
  return layers.Take();
}

}  // namespace nexus::engine
