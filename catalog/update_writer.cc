// Carrying out updates. See update_writer.h.

#include "catalog/update_writer.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "catalog/delta.h"
#include "catalog/posting_writer.h"
#include "catalog/record_codec.h"
#include "catalog/series_removal.h"

namespace nexus::catalog {
namespace {

// The record under a key, or nullopt.
template <typename Record>
StatusOr<std::optional<Record>> ReadRecord(const LmdbTxn& txn, Tree tree, std::string_view key) {
  NEXUS_ASSIGN_OR_RETURN(auto payload, txn.Get(tree, key));
  if (!payload) return std::optional<Record>();
  Record record;
  ByteReader in(*payload);
  Decode(&in, &record);
  if (!in.ok() || !in.done()) return txn.env().Damaged(tree, key);
  return std::optional(std::move(record));
}

template <typename Record>
Status WriteRecord(const LmdbTxn& txn, Tree tree, std::string_view key, const Record& record,
                   ValueBuilder* value) {
  value->Clear();
  ByteWriter writer = value->writer();
  Encode(record, &writer);
  return txn.Put(tree, key, value);
}

bool BySeries(const SeriesDefinition* a, const SeriesDefinition* b) {
  return std::pair(a->tenant, a->id) < std::pair(b->tenant, b->id);
}

}  // namespace

void UpdateWriter::Clear() {
  symbols_.Clear();
  seeds_.clear();
}

StatusOr<Meta> UpdateWriter::Write(const LmdbTxn& txn, const Update& update, const Meta& before) {
  Meta after = before;
  if (update.applied >= before.applied) {
    for (const auto& record : update.tenants) NEXUS_RETURN_IF_ERROR(WriteTenant(txn, record));
    for (const auto& record : update.branches) NEXUS_RETURN_IF_ERROR(WriteBranch(txn, record));
    for (const auto& record : update.settings) NEXUS_RETURN_IF_ERROR(WriteSetting(txn, record));
    NEXUS_ASSIGN_OR_RETURN(Definitions series, GatherSeries(update));
    for (auto begin = series.begin(); begin != series.end();) {
      const TenantId tenant = (*begin)->tenant;
      auto end = std::find_if(begin, series.end(),
                              [&](const SeriesDefinition* s) { return s->tenant != tenant; });
      NEXUS_RETURN_IF_ERROR(WriteSeries(txn, tenant, {begin, end}));
      after.next_series_id = std::max(after.next_series_id, (*(end - 1))->id.value + 1);
      begin = end;
    }
    for (const auto& record : update.layers_added) NEXUS_RETURN_IF_ERROR(AddLayer(txn, record));
    for (const LayeredSeries& layered : update.series_layered) {
      NEXUS_RETURN_IF_ERROR(ForgetLayered(txn, layered));
    }
    for (const LayeredSeries& unlayered : update.series_unlayered) {
      NEXUS_RETURN_IF_ERROR(ListUnlayered(txn, unlayered));
    }
    for (const auto& layer : update.layers_retired) NEXUS_RETURN_IF_ERROR(RetireLayer(txn, layer));
    for (const ProducerKey& producer : update.producers_forgotten) {
      NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kProducers, KeyOfProducer(producer).view()));
    }
    for (const auto& record : update.producers) NEXUS_RETURN_IF_ERROR(WriteProducer(txn, record));
    for (const auto& record : update.tombstones_added) {
      NEXUS_RETURN_IF_ERROR(AddTombstone(txn, record));
    }
    for (const TombstoneKey& tombstone : update.tombstones_forgotten) {
      NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kTombstones, KeyOfTombstone(tombstone).view()));
    }
    for (const auto& place : update.branches_deleted) {
      NEXUS_RETURN_IF_ERROR(DeleteBranch(txn, place));
    }
    for (const LayeredSeries& forgotten : update.series_forgotten) {
      NEXUS_RETURN_IF_ERROR(ForgetSeries(txn, forgotten));
    }
    after.applied = update.applied;
    after.next_series_id = std::max(after.next_series_id, update.next_series_id.value_or(0));
    after.open_count = std::max(after.open_count, update.open_count.value_or(0));
  }
  for (const LayerKey& layer : update.garbage_removed) {
    NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kLayers, KeyOfLayer(layer).view()));
  }
  NEXUS_RETURN_IF_ERROR(WriteRecord(txn, Tree::kMeta, kMetaKey, after, &value_));
  return after;
}

Status UpdateWriter::WriteTenant(const LmdbTxn& txn, const TenantRecord& record) {
  NEXUS_RETURN_IF_ERROR(CheckRecord(record));
  const Key key = TenantKey(record.id);
  NEXUS_ASSIGN_OR_RETURN(auto stored, ReadRecord<TenantRecord>(txn, Tree::kTenants, key.view()));
  if (stored && stored->identity_seed != record.identity_seed) {
    return FailedPrecondition("tenant {} is known with another identity seed", record.id.value);
  }
  seeds_[record.id] = record.identity_seed;
  return WriteRecord(txn, Tree::kTenants, key.view(), record, &value_);
}

Status UpdateWriter::WriteBranch(const LmdbTxn& txn, BranchRecord record) {
  NEXUS_RETURN_IF_ERROR(CheckRecord(record));
  NEXUS_RETURN_IF_ERROR(SeedOf(txn, record.tenant).status());
  const Key key = BranchKey(record.tenant, record.id);
  NEXUS_ASSIGN_OR_RETURN(auto stored, ReadRecord<BranchRecord>(txn, Tree::kBranches, key.view()));
  if (stored) record.RaiseSealed(stored->sealed);
  return WriteRecord(txn, Tree::kBranches, key.view(), record, &value_);
}

Status UpdateWriter::DeleteBranch(const LmdbTxn& txn, const BranchPlace& place) {
  NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kBranches, BranchKey(place.tenant, place.branch).view()));
  LmdbCursor cursor(txn, Tree::kProducers);
  const Key first = KeyOfProducer({place.tenant, place.branch, ProducerId{}});
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(first.view()));
  while (here) {
    KeyReader key(cursor.key());
    const BranchPlace owner{TenantId{key.U32()}, BranchId{key.U32()}};
    if (owner != place) break;
    NEXUS_RETURN_IF_ERROR(cursor.DeleteHere());
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return OkStatus();
}

Status UpdateWriter::WriteSetting(const LmdbTxn& txn, const Setting& record) {
  NEXUS_RETURN_IF_ERROR(CheckRecord(record));
  return WriteRecord(txn, Tree::kSettings, record.name, record, &value_);
}

Status UpdateWriter::WriteProducer(const LmdbTxn& txn, const ProducerRecord& record) {
  NEXUS_RETURN_IF_ERROR(CheckRecord(record));
  const Key key = KeyOfProducer(record.key());
  return WriteRecord(txn, Tree::kProducers, key.view(), record, &value_);
}

Status UpdateWriter::AddTombstone(const LmdbTxn& txn, const TombstoneRecord& record) {
  NEXUS_RETURN_IF_ERROR(CheckRecord(record));
  const Key key = KeyOfTombstone(record.key());
  return WriteRecord(txn, Tree::kTombstones, key.view(), record, &value_);
}

Status UpdateWriter::AddLayer(const LmdbTxn& txn, LayerRecord record) {
  NEXUS_RETURN_IF_ERROR(CheckRecord(record));
  const Key key = KeyOfLayer(record.key());
  NEXUS_ASSIGN_OR_RETURN(auto stored, ReadRecord<LayerRecord>(txn, Tree::kLayers, key.view()));
  if (stored) record.state = stored->state;
  return WriteRecord(txn, Tree::kLayers, key.view(), record, &value_);
}

Status UpdateWriter::ForgetLayered(const LmdbTxn& txn, const LayeredSeries& layered) {
  LmdbCursor cursor(txn, Tree::kUnlayered);
  NEXUS_ASSIGN_OR_RETURN(bool here,
                         cursor.SeekAtOrAfter(SeriesKey(layered.tenant, SeriesId{0}).view()));
  while (here) {
    KeyReader key(cursor.key());
    if (key.U32() != layered.tenant.value) break;
    if (layered.ids.Contains(SeriesId{key.U64()})) {
      NEXUS_RETURN_IF_ERROR(cursor.DeleteHere());
    }
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return OkStatus();
}

Status UpdateWriter::ListUnlayered(const LmdbTxn& txn, const LayeredSeries& unlayered) {
  LmdbCursor list(txn, Tree::kUnlayered);
  for (const SeriesId id : unlayered.ids.ToVector()) {
    const Key key = SeriesKey(unlayered.tenant, id);
    NEXUS_ASSIGN_OR_RETURN(const auto row, txn.Get(Tree::kSeries, key.view()));
    if (!row.has_value()) continue;
    value_.Clear();
    NEXUS_RETURN_IF_ERROR(list.Put(key.view(), &value_));
  }
  return OkStatus();
}

Status UpdateWriter::ForgetSeries(const LmdbTxn& txn, const LayeredSeries& forgotten) {
  StatusOr<uint64_t> identity_seed = SeedOf(txn, forgotten.tenant);
  // Deleted since, and purged.
  if (absl::IsFailedPrecondition(identity_seed.status())) return OkStatus();
  NEXUS_RETURN_IF_ERROR(identity_seed.status());
  // It may hold symbols that go.
  symbols_.Clear();
  return RemoveSeries(txn, forgotten.tenant, *identity_seed, forgotten.ids);
}

Status UpdateWriter::RetireLayer(const LmdbTxn& txn, const LayerKey& layer) {
  const Key key = KeyOfLayer(layer);
  NEXUS_ASSIGN_OR_RETURN(auto stored, ReadRecord<LayerRecord>(txn, Tree::kLayers, key.view()));
  if (!stored) return OkStatus();
  stored->state = LayerState::kGarbage;
  return WriteRecord(txn, Tree::kLayers, key.view(), *stored, &value_);
}

StatusOr<UpdateWriter::Definitions> UpdateWriter::GatherSeries(const Update& update) const {
  Definitions series;
  for (const auto& segment : update.segments) {
    series.insert(series.end(), segment->definitions().begin(), segment->definitions().end());
  }
  for (const SeriesDefinition& definition : update.series) series.push_back(&definition);
  if (!std::is_sorted(series.begin(), series.end(), BySeries)) {
    std::stable_sort(series.begin(), series.end(), BySeries);
  }
  for (size_t i = 0; i < series.size(); i++) {
    const SeriesDefinition& s = *series[i];
    if (s.id.value == 0 || s.id.value == UINT64_MAX) {
      return InvalidArgument("{} is no series id", s.id.value);
    }
    if (i > 0 && !BySeries(series[i - 1], series[i]) && s.canonical != series[i - 1]->canonical) {
      return DataLoss("series id {} of tenant {} is defined twice, with different labels",
                      s.id.value, s.tenant.value);
    }
  }
  auto same = [](auto* a, auto* b) { return !BySeries(a, b); };
  series.erase(std::unique(series.begin(), series.end(), same), series.end());
  return series;
}

Status UpdateWriter::WriteSeries(const LmdbTxn& txn, TenantId tenant,
                                 std::span<const SeriesDefinition* const> definitions) {
  NEXUS_ASSIGN_OR_RETURN(uint64_t identity_seed, SeedOf(txn, tenant));
  LabelBatch batch(identity_seed);
  for (const SeriesDefinition* definition : definitions) {
    if (!batch.Add(definition->id, definition->canonical)) {
      return InvalidArgument("the labels of series id {} of tenant {} are malformed",
                             definition->id.value, tenant.value);
    }
  }
  batch.Finish();
  NEXUS_ASSIGN_OR_RETURN(BatchSymbols symbols, symbols_.Resolve(txn, tenant, identity_seed, batch));
  NEXUS_RETURN_IF_ERROR(WriteRows(txn, tenant, identity_seed, definitions, batch, symbols));
  NEXUS_RETURN_IF_ERROR(WritePostings(txn, tenant, batch, symbols));
  if (!symbols.highest_before.has_value()) return OkStatus();
  return RemoveUnusedSymbol(txn, tenant, identity_seed, *symbols.highest_before);
}

Status UpdateWriter::WriteRows(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                               std::span<const SeriesDefinition* const> definitions,
                               const LabelBatch& batch, const BatchSymbols& symbols) {
  LmdbCursor rows(txn, Tree::kSeries);
  LmdbCursor unlayered(txn, Tree::kUnlayered);
  std::vector<LabelSymbols> labels;
  for (size_t i = 0; i < definitions.size(); i++) {
    labels.clear();
    for (uint32_t number : batch.labels_of(i)) {
      LabelBatch::Label label = batch.label(number);
      labels.push_back({symbols.symbols[label.name], symbols.symbols[label.value]});
    }
    const Hash128 identity = SeriesIdentity(identity_seed, definitions[i]->canonical);
    const Key key = SeriesKey(tenant, definitions[i]->id);
    value_.Clear();
    ByteWriter writer = value_.writer();
    EncodeSeriesRow(identity, labels, &writer);
    std::optional<std::string_view> existing;
    NEXUS_RETURN_IF_ERROR(rows.PutIfAbsent(key.view(), &value_, &existing));
    Hash128 stored;
    if (!existing) {
      value_.Clear();
      NEXUS_RETURN_IF_ERROR(unlayered.Put(key.view(), &value_));
      continue;
    }
    if (!DecodeSeriesIdentity(*existing, &stored)) {
      return txn.env().Damaged(Tree::kSeries, key.view());
    }
    if (stored != identity) {
      return DataLoss("series id {} of tenant {} is defined twice, with different labels",
                      definitions[i]->id.value, tenant.value);
    }
  }
  return OkStatus();
}

Status UpdateWriter::WritePostings(const LmdbTxn& txn, TenantId tenant, const LabelBatch& batch,
                                   const BatchSymbols& symbols) {
  struct Entry {
    LabelSymbols label;
    uint32_t number = 0;
    bool fresh = false;
  };
  std::vector<Entry> entries;
  entries.reserve(batch.labels());
  for (uint32_t i = 0; i < batch.labels(); i++) {
    LabelBatch::Label label = batch.label(i);
    entries.push_back({{symbols.symbols[label.name], symbols.symbols[label.value]},
                       i,
                       symbols.fresh[label.name] || symbols.fresh[label.value]});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.label < b.label; });
  PostingWriter writer(txn, tenant);
  for (const Entry& entry : entries) {
    NEXUS_RETURN_IF_ERROR(writer.Add(entry.label, batch.ids_of(entry.number), entry.fresh));
  }
  return OkStatus();
}

StatusOr<uint64_t> UpdateWriter::SeedOf(const LmdbTxn& txn, TenantId tenant) {
  if (auto found = seeds_.find(tenant); found != seeds_.end()) return found->second;
  NEXUS_ASSIGN_OR_RETURN(auto stored,
                         ReadRecord<TenantRecord>(txn, Tree::kTenants, TenantKey(tenant).view()));
  if (!stored) return FailedPrecondition("tenant {} is not in the catalog", tenant.value);
  seeds_[tenant] = stored->identity_seed;
  return stored->identity_seed;
}

}  // namespace nexus::catalog
