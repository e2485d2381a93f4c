// Reading the catalog's trees. See reader.h.

#include "catalog/reader.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/labels.h"
#include "catalog/lmdb_env.h"
#include "catalog/posting_block.h"
#include "catalog/reader_state.h"
#include "catalog/record_codec.h"

namespace nexus::catalog {
namespace {

template <typename Record>
StatusOr<std::vector<Record>> ReadTable(const LmdbTxn& txn, Tree tree) {
  std::vector<Record> records;
  LmdbCursor cursor(txn, tree);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.First());
  while (here) {
    NEXUS_ASSIGN_OR_RETURN(std::string_view payload, cursor.Payload());
    ByteReader in(payload);
    Decode(&in, &records.emplace_back());
    if (!in.ok() || !in.done()) return txn.env().Damaged(tree, cursor.key());
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return records;
}

// The series that a row's key names, if it is one of `tenant`.
std::optional<SeriesId> SeriesOfKey(TenantId tenant, std::string_view key) {
  KeyReader reader(key);
  uint32_t key_tenant = reader.U32();
  SeriesId id{reader.U64()};
  return reader.complete() && key_tenant == tenant.value ? std::optional(id) : std::nullopt;
}

// A posting block's key, if it is one of `tenant`.
struct PostingPlace {
  LabelSymbols label;
  uint64_t first = 0;
};
std::optional<PostingPlace> PostingOfKey(TenantId tenant, std::string_view key) {
  KeyReader reader(key);
  uint32_t key_tenant = reader.U32();
  PostingPlace place;
  place.label.name = reader.U32();
  place.label.value = reader.U32();
  place.first = reader.U64();
  return reader.complete() && key_tenant == tenant.value ? std::optional(place) : std::nullopt;
}

// The key that follows every block of a label, or of a label name. False if there is none.
bool KeyBehindLabel(TenantId tenant, LabelSymbols label, Key* key) {
  if (label.value == UINT32_MAX) return false;
  *key = PostingKey(tenant, label.name, label.value + 1, {0});
  return true;
}
bool KeyBehindName(TenantId tenant, Symbol name, Key* key) {
  if (name == UINT32_MAX) return false;
  *key = PostingKey(tenant, name + 1, 0, {0});
  return true;
}

}  // namespace

Reader::Reader(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

StatusOr<std::optional<uint64_t>> Reader::State::SeedOf(TenantId tenant) {
  if (seed_known && seed_tenant == tenant) return std::optional(seed);
  const Key key = TenantKey(tenant);
  NEXUS_ASSIGN_OR_RETURN(auto payload, txn.Get(Tree::kTenants, key.view()));
  if (!payload) return std::optional<uint64_t>();
  TenantRecord record;
  ByteReader in(*payload);
  Decode(&in, &record);
  if (!in.ok()) return txn.env().Damaged(Tree::kTenants, key.view());
  seed_known = true;
  seed_tenant = tenant;
  seed = record.identity_seed;
  return std::optional(seed);
}

StatusOr<std::string_view> Reader::State::StringOf(TenantId tenant, Symbol symbol) {
  const uint64_t place = static_cast<uint64_t>(tenant.value) << 32 | symbol;
  if (auto found = strings.find(place); found != strings.end()) return found->second;
  const Key key = SymbolKey(tenant, symbol);
  NEXUS_ASSIGN_OR_RETURN(auto string, txn.Get(Tree::kSymbols, key.view()));
  // Rows and postings name only symbols that are there.
  if (!string) return txn.env().Damaged(Tree::kSymbols, key.view());
  if (strings.size() == kStringsMax) strings.clear();
  strings.emplace(place, *string);
  return *string;
}

StatusOr<std::optional<Symbol>> Reader::State::SymbolOf(TenantId tenant, std::string_view string) {
  NEXUS_ASSIGN_OR_RETURN(std::optional<uint64_t> identity_seed, SeedOf(tenant));
  if (!identity_seed) return std::optional<Symbol>();
  const Key key = SymbolIdKey(tenant, SymbolIdentity(*identity_seed, string));
  NEXUS_ASSIGN_OR_RETURN(auto payload, txn.Get(Tree::kSymbolIds, key.view()));
  if (!payload) return std::optional<Symbol>();
  if (payload->size() != sizeof(Symbol)) return txn.env().Damaged(Tree::kSymbolIds, key.view());
  const Symbol symbol = LoadUnaligned<Symbol>(payload->data());
  NEXUS_ASSIGN_OR_RETURN(std::string_view stored, StringOf(tenant, symbol));
  if (stored != string) return txn.env().Damaged(Tree::kSymbolIds, key.view());
  return std::optional(symbol);
}

StatusOr<std::string> Reader::State::CanonicalOf(TenantId tenant, std::string_view row_key,
                                                 std::string_view row) {
  Hash128 identity;
  if (!DecodeSeriesRow(row, &identity, &labels)) return txn.env().Damaged(Tree::kSeries, row_key);
  std::string canonical;
  for (size_t i = 0; i < labels.size(); i++) {
    NEXUS_ASSIGN_OR_RETURN(std::string_view name, StringOf(tenant, labels[i].name));
    NEXUS_ASSIGN_OR_RETURN(std::string_view value, StringOf(tenant, labels[i].value));
    if (i > 0) canonical.append(name) += '\xFE';
    canonical.append(value) += '\xFF';
  }
  return canonical;
}

Status Reader::State::AddBlock(const LmdbCursor& cursor, uint64_t first, SeriesSet* into) {
  ids.clear();
  NEXUS_ASSIGN_OR_RETURN(std::string_view payload, cursor.Payload());
  if (!DecodePostingBlock(first, payload, &ids)) {
    return txn.env().Damaged(Tree::kPostings, cursor.key());
  }
  into->AddSorted(ids);
  return OkStatus();
}

StatusOr<Meta> Reader::GetMeta() {
  NEXUS_ASSIGN_OR_RETURN(auto payload, state_->txn.Get(Tree::kMeta, kMetaKey));
  if (!payload) return state_->txn.env().Damaged(Tree::kMeta, kMetaKey);
  StatusOr<Meta> meta = DecodeMeta(*payload);
  if (!meta.ok()) {
    return Annotate(meta.status(), fmt::format("catalog {}", state_->txn.env().directory()));
  }
  return meta;
}

StatusOr<std::string> Reader::Canonical(TenantId tenant, SeriesId id) {
  const Key key = SeriesKey(tenant, id);
  NEXUS_ASSIGN_OR_RETURN(auto row, state_->txn.Get(Tree::kSeries, key.view()));
  if (!row) return NotFound("tenant {} has no series id {}", tenant.value, id.value);
  return state_->CanonicalOf(tenant, key.view(), *row);
}

Status Reader::AddPostings(TenantId tenant, std::string_view name, std::string_view value,
                           SeriesSet* into) {
  NEXUS_ASSIGN_OR_RETURN(auto name_symbol, state_->SymbolOf(tenant, name));
  if (!name_symbol) return OkStatus();
  NEXUS_ASSIGN_OR_RETURN(auto value_symbol, state_->SymbolOf(tenant, value));
  if (!value_symbol) return OkStatus();
  const LabelSymbols label{*name_symbol, *value_symbol};
  LmdbCursor cursor(state_->txn, Tree::kPostings);
  NEXUS_ASSIGN_OR_RETURN(
      bool here, cursor.SeekAtOrAfter(PostingKey(tenant, label.name, label.value, {0}).view()));
  while (here) {
    std::optional<PostingPlace> place = PostingOfKey(tenant, cursor.key());
    if (!place || place->label != label) break;
    NEXUS_RETURN_IF_ERROR(state_->AddBlock(cursor, place->first, into));
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return OkStatus();
}

Status Reader::AddPostingsWhere(TenantId tenant, std::string_view name,
                                absl::FunctionRef<bool(std::string_view)> accept, SeriesSet* into) {
  NEXUS_ASSIGN_OR_RETURN(auto name_symbol, state_->SymbolOf(tenant, name));
  if (!name_symbol) return OkStatus();
  LmdbCursor cursor(state_->txn, Tree::kPostings);
  NEXUS_ASSIGN_OR_RETURN(bool here,
                         cursor.SeekAtOrAfter(PostingKey(tenant, *name_symbol, 0, {0}).view()));
  std::optional<Symbol> accepted;
  while (here) {
    std::optional<PostingPlace> place = PostingOfKey(tenant, cursor.key());
    if (!place || place->label.name != *name_symbol) break;
    if (accepted != place->label.value) {
      // Checked although it may not be wanted: a damaged key would pass for another value.
      NEXUS_RETURN_IF_ERROR(cursor.Payload().status());
      NEXUS_ASSIGN_OR_RETURN(auto value, state_->StringOf(tenant, place->label.value));
      if (!accept(value)) {
        Key behind;
        if (!KeyBehindLabel(tenant, place->label, &behind)) break;
        NEXUS_ASSIGN_OR_RETURN(here, cursor.SeekAtOrAfter(behind.view()));
        continue;
      }
      accepted = place->label.value;
    }
    NEXUS_RETURN_IF_ERROR(state_->AddBlock(cursor, place->first, into));
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return OkStatus();
}

Status Reader::AddAllSeries(TenantId tenant, SeriesSet* into) {
  constexpr uint64_t kStep = 1024;  // ids added to the set at a time
  std::vector<uint64_t> ids;
  SeriesId from{0};
  uint64_t seen = kStep;
  while (seen == kStep) {
    ids.clear();
    NEXUS_ASSIGN_OR_RETURN(
        seen, VisitIdentities(tenant, from, kStep,
                              [&](const SeriesIdentityRow& row) { ids.push_back(row.id.value); }));
    into->AddSorted(ids);
    if (!ids.empty()) from.value = ids.back() + 1;
  }
  return OkStatus();
}

Status Reader::VisitLabelNames(TenantId tenant, absl::FunctionRef<void(std::string_view)> visit) {
  LmdbCursor cursor(state_->txn, Tree::kPostings);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(PostingKey(tenant, 0, 0, {0}).view()));
  while (here) {
    std::optional<PostingPlace> place = PostingOfKey(tenant, cursor.key());
    if (!place) break;
    NEXUS_RETURN_IF_ERROR(cursor.Payload().status());
    NEXUS_ASSIGN_OR_RETURN(std::string_view name, state_->StringOf(tenant, place->label.name));
    visit(name);
    Key behind;
    if (!KeyBehindName(tenant, place->label.name, &behind)) break;
    NEXUS_ASSIGN_OR_RETURN(here, cursor.SeekAtOrAfter(behind.view()));
  }
  return OkStatus();
}

Status Reader::VisitLabelValues(TenantId tenant, std::string_view name,
                                absl::FunctionRef<bool(std::string_view)> visit) {
  NEXUS_ASSIGN_OR_RETURN(auto name_symbol, state_->SymbolOf(tenant, name));
  if (!name_symbol) return OkStatus();
  LmdbCursor cursor(state_->txn, Tree::kPostings);
  NEXUS_ASSIGN_OR_RETURN(bool here,
                         cursor.SeekAtOrAfter(PostingKey(tenant, *name_symbol, 0, {0}).view()));
  while (here) {
    std::optional<PostingPlace> place = PostingOfKey(tenant, cursor.key());
    if (!place || place->label.name != *name_symbol) break;
    NEXUS_RETURN_IF_ERROR(cursor.Payload().status());
    NEXUS_ASSIGN_OR_RETURN(auto value, state_->StringOf(tenant, place->label.value));
    if (!visit(value)) break;
    Key behind;
    if (!KeyBehindLabel(tenant, place->label, &behind)) break;
    NEXUS_ASSIGN_OR_RETURN(here, cursor.SeekAtOrAfter(behind.view()));
  }
  return OkStatus();
}

StatusOr<uint64_t> Reader::VisitIdentities(
    TenantId tenant, SeriesId from, uint64_t limit,
    absl::FunctionRef<void(const SeriesIdentityRow&)> visit) {
  LmdbCursor cursor(state_->txn, Tree::kSeries);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(SeriesKey(tenant, from).view()));
  uint64_t seen = 0;
  while (here && seen < limit) {
    std::optional<SeriesId> id = SeriesOfKey(tenant, cursor.key());
    if (!id) break;
    NEXUS_ASSIGN_OR_RETURN(std::string_view payload, cursor.Payload());
    SeriesIdentityRow row{tenant, *id, {}};
    if (!DecodeSeriesIdentity(payload, &row.identity)) {
      return state_->txn.env().Damaged(Tree::kSeries, cursor.key());
    }
    visit(row);
    seen++;
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return seen;
}

StatusOr<uint64_t> Reader::VisitSeries(TenantId tenant, SeriesId from, uint64_t limit,
                                       absl::FunctionRef<void(const SeriesDefinition&)> visit) {
  LmdbCursor cursor(state_->txn, Tree::kSeries);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(SeriesKey(tenant, from).view()));
  uint64_t seen = 0;
  while (here && seen < limit) {
    std::optional<SeriesId> id = SeriesOfKey(tenant, cursor.key());
    if (!id) break;
    NEXUS_ASSIGN_OR_RETURN(std::string_view payload, cursor.Payload());
    SeriesDefinition definition{tenant, *id, {}};
    NEXUS_ASSIGN_OR_RETURN(definition.canonical,
                           state_->CanonicalOf(tenant, cursor.key(), payload));
    visit(definition);
    seen++;
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return seen;
}

StatusOr<std::vector<TenantRecord>> Reader::Tenants() {
  return ReadTable<TenantRecord>(state_->txn, Tree::kTenants);
}
StatusOr<std::vector<BranchRecord>> Reader::Branches() {
  return ReadTable<BranchRecord>(state_->txn, Tree::kBranches);
}
StatusOr<std::vector<LayerRecord>> Reader::Layers() {
  return ReadTable<LayerRecord>(state_->txn, Tree::kLayers);
}
StatusOr<std::vector<Setting>> Reader::Settings() {
  return ReadTable<Setting>(state_->txn, Tree::kSettings);
}

StatusOr<std::vector<ProducerRecord>> Reader::Producers() {
  return ReadTable<ProducerRecord>(state_->txn, Tree::kProducers);
}

StatusOr<std::vector<TombstoneRecord>> Reader::Tombstones() {
  return ReadTable<TombstoneRecord>(state_->txn, Tree::kTombstones);
}

StatusOr<std::vector<SeriesDefinition>> Reader::Unlayered() {
  std::vector<SeriesDefinition> definitions;
  LmdbCursor cursor(state_->txn, Tree::kUnlayered);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.First());
  while (here) {
    NEXUS_ASSIGN_OR_RETURN(std::string_view payload, cursor.Payload());
    KeyReader key(cursor.key());
    SeriesDefinition& definition = definitions.emplace_back();
    definition.tenant.value = key.U32();
    definition.id.value = key.U64();
    auto row = state_->txn.Get(Tree::kSeries, cursor.key());
    NEXUS_RETURN_IF_ERROR(row.status());
    if (!key.complete() || !payload.empty() || !row->has_value()) {
      return state_->txn.env().Damaged(Tree::kUnlayered, cursor.key());
    }
    NEXUS_ASSIGN_OR_RETURN(definition.canonical,
                           state_->CanonicalOf(definition.tenant, cursor.key(), **row));
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return definitions;
}

StatusOr<uint64_t> Reader::VisitUnlayered(TenantId tenant, SeriesId from, uint64_t limit,
                                          absl::FunctionRef<void(const SeriesIdentityRow&)> visit) {
  LmdbCursor cursor(state_->txn, Tree::kUnlayered);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(SeriesKey(tenant, from).view()));
  uint64_t seen = 0;
  while (here && seen < limit) {
    std::optional<SeriesId> id = SeriesOfKey(tenant, cursor.key());
    if (!id) break;
    NEXUS_ASSIGN_OR_RETURN(const auto payload, state_->txn.Get(Tree::kSeries, cursor.key()));
    SeriesIdentityRow row{tenant, *id, {}};
    if (!payload.has_value() || !DecodeSeriesIdentity(*payload, &row.identity)) {
      return state_->txn.env().Damaged(Tree::kSeries, cursor.key());
    }
    visit(row);
    seen++;
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return seen;
}

StatusOr<LayerRecord> Reader::Layer(const LayerKey& layer) {
  const Key key = KeyOfLayer(layer);
  NEXUS_ASSIGN_OR_RETURN(auto payload, state_->txn.Get(Tree::kLayers, key.view()));
  if (!payload) {
    return NotFound("layer (open count {}, sequence {}) is not listed in branch {} of tenant {}",
                    layer.open_count, layer.sequence, layer.branch.value, layer.tenant.value);
  }
  LayerRecord record;
  ByteReader in(*payload);
  Decode(&in, &record);
  if (!in.ok() || !in.done()) return state_->txn.env().Damaged(Tree::kLayers, key.view());
  return record;
}

StatusOr<ImageContents> Reader::Image() {
  NEXUS_ASSIGN_OR_RETURN(Meta meta, GetMeta());
  ImageContents image;
  image.database = meta.database;
  image.lsn = meta.applied;
  image.open_count = meta.open_count;
  image.next_series_id = meta.next_series_id;
  NEXUS_ASSIGN_OR_RETURN(image.tenants, Tenants());
  NEXUS_ASSIGN_OR_RETURN(image.branches, Branches());
  NEXUS_ASSIGN_OR_RETURN(image.layers, Layers());
  NEXUS_ASSIGN_OR_RETURN(image.settings, Settings());
  NEXUS_ASSIGN_OR_RETURN(image.producers, Producers());
  NEXUS_ASSIGN_OR_RETURN(image.unlayered, Unlayered());
  NEXUS_ASSIGN_OR_RETURN(image.tombstones, Tombstones());
  return image;
}

StatusOr<CatalogStats> Reader::Stats() {
  const LmdbTxn& txn = state_->txn;
  CatalogStats stats;
  stats.series = txn.Entries(Tree::kSeries);
  stats.symbols = txn.Entries(Tree::kSymbols);
  stats.posting_blocks = txn.Entries(Tree::kPostings);
  stats.layers = txn.Entries(Tree::kLayers);
  stats.bytes_in_use = txn.BytesInUse();
  stats.bytes_in_file = txn.BytesInFile();
  return stats;
}

}  // namespace nexus::catalog
