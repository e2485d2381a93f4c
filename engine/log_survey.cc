// Reading a log without applying it. See log_survey.h.

#include "engine/log_survey.h"

#include <algorithm>
#include <variant>

#include "engine/batch.h"

namespace nexus::engine {

Status LogSurvey::Take(RecordKind kind, Lsn begin, Bytes body) {
  switch (kind) {
    case RecordKind::kBatch:
      return TakeBatch(body);
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

Status LogSurvey::TakeBatch(Bytes body) {
  NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(body));
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
  return OkStatus();
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
    } else if (const auto* publish = std::get_if<PublishLayers>(&edit)) {
      named_.insert({publish->tenant.value, publish->branch.value});
      publishes_.emplace_back(begin, *publish);
    } else if (const auto* producer = std::get_if<OpenProducer>(&edit)) {
      named_.insert({producer->tenant.value, producer->branch.value});
    } else if (const auto* deleted = std::get_if<DeleteSamples>(&edit)) {
      named_.insert({deleted->tenant.value, deleted->branch.value});
    }
  }
  return OkStatus();
}

namespace {

class LayerMap {
 public:
  explicit LayerMap(const catalog::ImageContents& contents) {
    for (const catalog::BranchRecord& branch : contents.branches) {
      sealed_[{branch.tenant.value, branch.id.value}] = branch.sealed;
    }
    for (const catalog::LayerRecord& layer : contents.layers) {
      if (layer.state == catalog::LayerState::kLive) live_[layer.key()] = layer;
    }
  }

  void Apply(const PublishLayers& edit) {
    Lsn& sealed = sealed_[{edit.tenant.value, edit.branch.value}];
    if (edit.sealed.value != 0 && edit.sealed <= sealed) return;
    for (const catalog::LayerKey& key : edit.retired) {
      if (!live_.contains(key)) return;
    }
    for (const catalog::LayerRecord& layer : edit.layers) {
      if (live_.contains(layer.key())) return;
    }
    for (const catalog::LayerKey& key : edit.retired) live_.erase(key);
    for (const catalog::LayerRecord& layer : edit.layers) live_[layer.key()] = layer;
    sealed = std::max(sealed, edit.sealed);
  }

  std::map<catalog::LayerKey, catalog::LayerRecord> Take() { return std::move(live_); }

 private:
  std::map<BranchNumbers, Lsn> sealed_;
  std::map<catalog::LayerKey, catalog::LayerRecord> live_;
};

}  // namespace

std::map<catalog::LayerKey, catalog::LayerRecord> LiveLayers(const catalog::ImageContents& contents,
                                                             const LogSurvey& survey) {
  LayerMap layers(contents);
  for (const auto& [begin, edit] : survey.publishes()) {
    if (begin >= contents.lsn) layers.Apply(edit);
  }
  return layers.Take();
}

}  // namespace nexus::engine
