// From records to state. See applier.h.

#include "engine/applier.h"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

#include "base/planted.h"
#include "engine/branches.h"

namespace nexus::engine {
Status Applier::Apply(RecordKind kind, Lsn begin, Lsn end, Bytes body) {
  Status failed;
  Status status = ApplyRecord(kind, begin, end, body, Edits::kAll, &failed);
  return status.ok() ? failed : status;
}

Status Applier::Replay(RecordKind kind, Lsn begin, Lsn end, Bytes body, Edits edits) {
  Status failed;
  return ApplyRecord(kind, begin, end, body, edits, &failed);
}

Status Applier::ApplyRecord(RecordKind kind, Lsn begin, Lsn end, Bytes body, Edits edits,
                            Status* failed) {
  Status status;
  switch (kind) {
    case RecordKind::kBatch:
      status = ApplyBatch(begin, end, body, failed);
      break;
    case RecordKind::kDefinitions:
      status = ApplyDefinitions(body);
      break;
    case RecordKind::kEdit:
      status = ApplyEdits(begin, body, edits, failed);
      break;
    case RecordKind::kCarry:
      status = ApplyCarry(begin, body, edits == Edits::kInPlace);
      break;
    default:
      return FailedPrecondition(
          "a log record of kind {} is not known to this nexus; use the release that "
          "wrote it",
          static_cast<int>(kind));
  }
  state_->applied = end;
  return status;
}

Status Applier::ApplyBatch(Lsn begin, Lsn end, Bytes body, Status* failed) {
  NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(body));
  BranchState* branch = state_->FindBranch(batch.tenant(), batch.branch());
  if (branch == nullptr && state_->WasDeleted(batch.tenant(), batch.branch())) {
    *failed = NotFound("the branch was deleted; nothing of the batch was kept");
    return OkStatus();
  }
  if (branch == nullptr || branch->record.kind == catalog::BranchKind::kSnapshot) {
    return DataLoss("a batch names tenant {} branch {}, which the log never made",
                    batch.tenant().value, batch.branch().value);
  }
  // Judged when it got its position; counts also where its samples are in a layer already.
  std::optional<ExactlyOnce> once = batch.exactly_once();
  if (once.has_value() && !branch->stands_in) {
    branch->producers.ApplyBatch(*once, end, batch.rejected(), state_->environment->WallNanos());
  }
  if (begin < branch->record.sealed) return OkStatus();
  const uint64_t accepted = batch.sample_count() - batch.rejected_samples();
  if (accepted == 0) {
    applied_batches_++;
    return OkStatus();
  }
  if (!branch->active_first.has_value()) {
    branch->active_first = begin;
    branch->active_since_ns = state_->environment->MonotonicNanos();
  }
  uint64_t before = branch->active->bytes();
  branch->active->Apply(batch);
  state_->memtable_bytes += branch->active->bytes() - before;
  applied_batches_++;
  applied_samples_ += accepted;
  return OkStatus();
}

Status Applier::ApplyDefinitions(Bytes body) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<catalog::SeriesDefinition> definitions,
                         DecodeDefinitions(body));
  for (catalog::SeriesDefinition& definition : definitions) {
    auto tenant = state_->tenants.find(definition.tenant.value);
    if (state_->deleted_tenants.contains(definition.tenant.value)) {
      // It got its id before the tenant was deleted.
      state_->next_series_id = std::max(state_->next_series_id, definition.id.value + 1);
      continue;
    }
    if (tenant == state_->tenants.end()) {
      return DataLoss("a definition names tenant {}, which the log never made",
                      definition.tenant.value);
    }
    uint64_t id = definition.id.value;
    state_->next_series_id = std::max(state_->next_series_id, id + 1);
    tenant->second->AddIds({id, id});
    interner_->AddKnown(*tenant->second, definition.id, definition.canonical);
    state_->delta.Add(std::move(definition));
  }
  state_->published.SetDelta(state_->delta.View());
  return OkStatus();
}

// `failed` becomes the first failure of an edit's expectation: that edit changes nothing, those
// beside it stand.
Status Applier::ApplyEdits(Lsn begin, Bytes body, Edits which, Status* failed) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<Edit> edits, DecodeEdits(body));
  edits_begin_ = begin;
  edits_ = which;
  for (const Edit& edit : edits) {
    const bool of_producers =
        std::holds_alternative<OpenProducer>(edit) || std::holds_alternative<ForgetProducers>(edit);
    const bool is_delete = std::holds_alternative<DeleteSamples>(edit);
    if (!is_delete && which == (of_producers ? Edits::kShape : Edits::kInPlace)) continue;
    Status applied = std::visit([this](const auto& e) { return this->ApplyEdit(e); }, edit);
    if (absl::IsDataLoss(applied)) return applied;
    failed->Update(applied);
  }
  return OkStatus();
}

std::vector<BranchState*> Applier::TakersOf(const PublishLayers& edit) {
  std::vector<BranchState*> takers;
  auto tenant = state_->tenants.find(edit.tenant.value);
  if (tenant == state_->tenants.end()) return takers;
  for (const auto& [number, branch] : tenant->second->branches) {
    const bool takes = edit.sealed.value == 0 ? branch->record.id == edit.branch
                                              : Awaits(branch->record, edit.branch, edit.sealed);
    if (takes) takers.push_back(branch.get());
  }
  return takers;
}

Status Applier::CheckExpectations(const BranchState& branch, const PublishLayers& edit) {
  std::set<catalog::LayerKey> live;
  if (!edit.retired.empty() || !edit.layers.empty()) {
    for (const OpenLayer& open : branch.layers) live.insert(open.record.key());
  }
  for (const catalog::LayerKey& key : edit.retired) {
    if (live.contains(key)) continue;
    return FailedPrecondition("publish: layer {} of opening {} is not live", key.sequence,
                              key.open_count);
  }
  for (const catalog::LayerRecord& record : edit.layers) {
    catalog::LayerKey key = record.key();
    key.branch = branch.record.id;
    if (!live.contains(key)) continue;
    return FailedPrecondition("publish: layer {} of opening {} is listed already", record.sequence,
                              record.open_count);
  }
  return OkStatus();
}

void Applier::Retire(BranchState* branch, const std::vector<catalog::LayerKey>& retired) {
  if (retired.empty()) return;
  const std::set<catalog::LayerKey> keys(retired.begin(), retired.end());
  for (const OpenLayer& open : branch->layers) {
    const catalog::LayerKey key = open.record.key();
    if (keys.contains(key)) state_->garbage[key] = {open.record.file_name, open.file};
  }
  std::erase_if(branch->layers,
                [&](const OpenLayer& open) { return keys.contains(open.record.key()); });
  auto& pending = state_->pending_update.layers_retired;
  pending.insert(pending.end(), retired.begin(), retired.end());
}

Status Applier::ApplyEdit(const PublishLayers& edit) {
  const std::vector<BranchState*> takers = TakersOf(edit);
  if (takers.empty()) {
    return FailedPrecondition(
        "publish: branch {} does not exist, or is already flushed up to LSN {}", edit.branch.value,
        edit.sealed.value);
  }
  for (const BranchState* branch : takers) {
    NEXUS_RETURN_IF_ERROR(CheckExpectations(*branch, edit));
  }
  Retire(takers.front(), edit.retired);
  for (const catalog::LayerRecord& record : edit.layers) {
    auto prepared = prepared_.extract(record.key());
    const LayerFilePtr file = prepared.empty() ? nullptr : std::move(prepared.mapped());
    for (BranchState* branch : takers) AddLayer(branch, record, file);
    state_->next_layer_sequence = std::max(state_->next_layer_sequence, record.sequence + 1);
  }
  for (BranchState* branch : takers) {
    branch->SortLayers();
    branch->layer_edits++;
    if (edit.sealed.value != 0) {
      branch->record.RaiseSealed(edit.sealed);
      DropSealed(branch, edit.sealed);
      if (edits_ == Edits::kAll) state_->SettleInherited(branch);
      state_->pending_update.branches.push_back(branch->record);
    }
    state_->Publish(*state_->tenants.at(edit.tenant.value), *branch);
  }
  state_->layer_edits++;
  if (state_->on_published) state_->on_published(edit);
  return OkStatus();
}

// In replay there is no file yet: Recovery makes them all at once.
void Applier::AddLayer(BranchState* branch, catalog::LayerRecord record, LayerFilePtr file) {
  record.branch = branch->record.id;
  state_->pending_update.layers_added.push_back(record);
  branch->layers.push_back(
      {std::move(record), std::move(file), state_->environment->MonotonicNanos()});
}

// Memtables whose samples are now in layers. Queries that hold them keep them.
void Applier::DropSealed(BranchState* branch, Lsn sealed) {
  const TenantState& tenant = *state_->tenants.at(branch->record.tenant.value);
  while (!branch->sealed.empty() && branch->sealed.front().sealed <= sealed) {
    const std::shared_ptr<Memtable> flushed = std::move(branch->sealed.front().memtable);
    branch->sealed.pop_front();
    state_->ReleaseMemtable(tenant, flushed.get());
  }
}

Status Applier::ApplyEdit(const CreateTenant& edit) {
  if (NEXUS_PLANTED("edit-applied-twice")) state_->tenants.erase(edit.id.value);
  for (const auto& [number, tenant] : state_->tenants) {
    if (number == edit.id.value || tenant->record.name == edit.name) {
      return AlreadyExists("tenant \"{}\" exists", edit.name);
    }
  }
  if (state_->deleted_tenants.contains(edit.id.value)) {
    return AlreadyExists("tenant number {} was used before", edit.id.value);
  }
  catalog::TenantRecord record;
  record.id = edit.id;
  record.name = edit.name;
  record.identity_seed = edit.identity_seed;
  TenantState* tenant = state_->AddTenant(record);
  catalog::BranchRecord main;
  main.tenant = edit.id;
  main.name = "main";
  state_->AddBranch(tenant, main);
  if (NEXUS_PLANTED("tenant-not-persisted")) return OkStatus();
  state_->pending_update.tenants.push_back(record);
  state_->pending_update.branches.push_back(main);
  return OkStatus();
}

Status Applier::ApplyEdit(const GarbageRemoved& edit) {
  for (const catalog::LayerKey& key : edit.layers) {
    state_->garbage.erase(key);
    state_->pending_update.garbage_removed.push_back(key);
  }
  return OkStatus();
}

// What is in memory was done already where the edit is new (series_forgetter.h).
Status Applier::ApplyEdit(const ForgetSeries& edit) {
  auto tenant = state_->tenants.find(edit.tenant.value);
  if (tenant == state_->tenants.end()) return NotFound("the tenant was deleted meanwhile");
  interner_->Forget(tenant->second.get(), edit.series);
  catalog::LayeredSeries forgotten;
  forgotten.tenant = edit.tenant;
  for (const ForgetSeries::Series& series : edit.series) forgotten.ids.Add(series.id);
  state_->pending_update.series_forgotten.push_back(std::move(forgotten));
  return OkStatus();
}

Status Applier::ApplyEdit(const OpenProducer& edit) {
  BranchState* branch = state_->FindBranch(edit.tenant, edit.branch);
  if (branch == nullptr) {
    return FailedPrecondition("open a producer: branch {} does not exist", edit.branch.value);
  }
  branch->producers.ApplyOpen(edit.producer, edit.epoch, edit.wall_ns);
  return OkStatus();
}

Status Applier::ApplyEdit(const ForgetProducers& edit) {
  BranchState* branch = state_->FindBranch(edit.tenant, edit.branch);
  if (branch == nullptr) {
    return FailedPrecondition("forget producers: branch {} does not exist", edit.branch.value);
  }
  for (const ForgetProducers::Silent& silent : edit.producers) {
    if (!branch->producers.ApplyForget(silent.producer, silent.epoch, silent.last_sequence)) {
      continue;
    }
    state_->pending_update.producers_forgotten.push_back(
        {edit.tenant, edit.branch, silent.producer});
  }
  return OkStatus();
}

void Applier::PrepareLayer(const catalog::LayerKey& key, LayerFilePtr file) {
  prepared_[key] = std::move(file);
}

}  // namespace nexus::engine
