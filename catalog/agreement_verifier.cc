// The trees against each other. See agreement_verifier.h.

#include "catalog/agreement_verifier.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/labels.h"
#include "catalog/lmdb_env.h"
#include "catalog/posting_block.h"
#include "catalog/reader_state.h"

namespace nexus::catalog {
namespace {

// Look-ups of a piece, some 10 ms: a row has ten labels or so, a posting block up to 900 ids.
constexpr uint64_t kLookUpsPerStep = 10'000;

enum class Stage : uint8_t { kTables, kRows, kPostings, kSymbols, kSymbolIds, kUnlayered, kDone };

std::string LabelsText(std::string_view canonical) {
  StatusOr<Labels> labels = Labels::FromCanonical(canonical);
  return labels.ok() ? labels->ToString() : std::string();
}

std::string SeriesText(TenantId tenant, SeriesId id) {
  return fmt::format("series id {} of tenant {}", id.value, tenant.value);
}

}  // namespace

class AgreementVerifier::Impl {
 public:
  Impl(const Catalog* catalog, AgreementVisitor visitor)
      : catalog_(catalog), visitor_(std::move(visitor)) {}

  StatusOr<bool> Step() {
    NEXUS_ASSIGN_OR_RETURN(Reader reader, catalog_->BeginRead());
    const LmdbTxn& txn = reader.state_->txn;
    txn_ = &txn;
    Status status;
    switch (stage_) {
      case Stage::kTables:
        status = CheckTables();
        break;
      case Stage::kRows:
        status = CheckRows(reader.state_.get());
        break;
      case Stage::kPostings:
        status = CheckPostings();
        break;
      case Stage::kSymbols:
        status = CheckSymbols();
        break;
      case Stage::kSymbolIds:
        status = CheckSymbolIds();
        break;
      case Stage::kUnlayered:
        status = CheckUnlayered();
        break;
      case Stage::kDone:
        break;
    }
    NEXUS_RETURN_IF_ERROR(status);
    return stage_ != Stage::kDone;
  }

  uint64_t entries() const { return entries_; }
  uint64_t entries_total() const { return entries_total_; }

 private:
  // A label of a row, to be found in the postings.
  struct RowLabel {
    TenantId tenant;
    LabelSymbols label;
    uint64_t id = 0;
    auto operator<=>(const RowLabel&) const = default;
  };

  Status CheckTables();
  Status CheckRows(Reader::State* state);
  void CheckRow(Reader::State* state, TenantId tenant, SeriesId id, std::string_view row_key,
                std::string_view row, std::vector<RowLabel>* labels);
  Status FindInPostings(std::vector<RowLabel> labels);
  Status CheckPostings();
  Status CheckBlock(std::string_view key, std::string_view payload);
  Status CheckSymbols();
  Status CheckSymbolIds();
  Status CheckUnlayered();

  template <typename Record, typename KeyOfRecord, typename Use>
  Status CheckTable(Tree tree, KeyOfRecord key_of, Use use);
  // Entries of a tree behind `at_`, until there were kLookUpsPerStep; the next stage after the
  // last.
  template <typename Check>
  Status Walk(Tree tree, Check check);
  // A payload whose checksum holds; nullopt if it is missing or damaged, `missing` tells which.
  std::optional<std::string_view> Find(Tree tree, std::string_view key, bool* missing) const;
  std::optional<TenantRecord> RecordOf(TenantId tenant) const;
  std::optional<uint64_t> SeedOf(TenantId tenant) const;
  // Whether the rows of a key's tenant are being purged: what is left of them need not agree.
  bool IsDeleted(std::string_view key) const;
  std::string TextOf(TenantId tenant, SeriesId id);
  void NextStage() {
    stage_ = static_cast<Stage>(static_cast<uint8_t>(stage_) + 1);
    at_.clear();
    label_before_.reset();
  }
  void ReportValue(Tree tree, std::string_view key) {
    if (visitor_.report_values) Report(tree, key, {}, "the value fails its checksum");
  }
  void Report(Tree tree, std::string_view key, std::string series, std::string_view what) {
    std::string hex;
    for (char c : key) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
    const std::string& directory = catalog_->directory();
    visitor_.damage(
        {std::nullopt, std::move(series),
         fmt::format("catalog {}: tree {}, key {}: {}; run nexus catalog rebuild {}", directory,
                     NameOf(tree), hex, what, DatabaseDirectory(directory))});
  }

  const Catalog* const catalog_;
  const AgreementVisitor visitor_;
  const LmdbTxn* txn_ = nullptr;  // of the piece
  Stage stage_ = Stage::kTables;
  std::string at_;  // the last key that was checked
  std::set<uint32_t> tenants_;
  std::set<std::pair<uint32_t, uint32_t>> branches_;
  // The label of the posting block before, and its last id.
  std::optional<RowLabel> label_before_;
  uint64_t look_ups_ = 0;  // of the piece
  uint64_t entries_ = 0;
  uint64_t entries_total_ = 0;
};

template <typename Record, typename KeyOfRecord, typename Use>
Status AgreementVerifier::Impl::CheckTable(Tree tree, KeyOfRecord key_of, Use use) {
  LmdbCursor cursor(*txn_, tree);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.First());
  for (; here; entries_++) {
    const std::string key(cursor.key());
    StatusOr<std::string_view> payload = cursor.Payload();
    if (!payload.ok()) {
      ReportValue(tree, key);
    } else {
      Record record;
      ByteReader in(*payload);
      Decode(&in, &record);
      if (!in.ok() || !in.done()) {
        Report(tree, key, {}, "the record is malformed");
      } else if (key_of(record) != key) {
        Report(tree, key, {}, "the record is another key's");
      } else {
        use(key, record);
      }
    }
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return OkStatus();
}

Status AgreementVerifier::Impl::CheckTables() {
  for (Tree tree : {Tree::kTenants, Tree::kBranches, Tree::kLayers, Tree::kSettings,
                    Tree::kProducers, Tree::kSeries, Tree::kPostings, Tree::kSymbols,
                    Tree::kSymbolIds, Tree::kUnlayered, Tree::kTombstones}) {
    entries_total_ += txn_->Entries(tree);
  }
  auto text = [](const Key& key) { return std::string(key.view()); };
  NEXUS_RETURN_IF_ERROR(CheckTable<TenantRecord>(
      Tree::kTenants, [&](const TenantRecord& r) { return text(TenantKey(r.id)); },
      [&](std::string_view, const TenantRecord& r) { tenants_.insert(r.id.value); }));
  NEXUS_RETURN_IF_ERROR(CheckTable<BranchRecord>(
      Tree::kBranches, [&](const BranchRecord& r) { return text(BranchKey(r.tenant, r.id)); },
      [&](std::string_view key, const BranchRecord& r) {
        branches_.insert({r.tenant.value, r.id.value});
        if (!tenants_.contains(r.tenant.value)) {
          Report(Tree::kBranches, key, {}, "it is a branch of a tenant that is not there");
        }
      }));
  auto in_branch = [&](Tree tree, std::string_view key, TenantId tenant, BranchId branch) {
    if (branches_.contains({tenant.value, branch.value})) return;
    Report(tree, key, {}, "it belongs to a branch that is not there");
  };
  NEXUS_RETURN_IF_ERROR(CheckTable<LayerRecord>(
      Tree::kLayers, [&](const LayerRecord& r) { return text(KeyOfLayer(r.key())); },
      [&](std::string_view key, const LayerRecord& r) {
        // A deleted branch leaves garbage behind.
        if (r.state == LayerState::kLive) in_branch(Tree::kLayers, key, r.tenant, r.branch);
      }));
  NEXUS_RETURN_IF_ERROR(CheckTable<Setting>(
      Tree::kSettings, [](const Setting& r) { return r.name; },
      [](std::string_view, const Setting&) {}));
  NEXUS_RETURN_IF_ERROR(CheckTable<ProducerRecord>(
      Tree::kProducers, [&](const ProducerRecord& r) { return text(KeyOfProducer(r.key())); },
      [&](std::string_view key, const ProducerRecord& r) {
        in_branch(Tree::kProducers, key, r.tenant, r.branch);
      }));
  NEXUS_RETURN_IF_ERROR(CheckTable<TombstoneRecord>(
      Tree::kTombstones, [&](const TombstoneRecord& r) { return text(KeyOfTombstone(r.key())); },
      [&](std::string_view key, const TombstoneRecord& r) {
        in_branch(Tree::kTombstones, key, r.tenant, r.branch);
      }));
  NextStage();
  return OkStatus();
}

template <typename Check>
Status AgreementVerifier::Impl::Walk(Tree tree, Check check) {
  LmdbCursor cursor(*txn_, tree);
  NEXUS_ASSIGN_OR_RETURN(bool here, at_.empty() ? cursor.First() : cursor.SeekAtOrAfter(at_));
  if (here && !at_.empty() && cursor.key() == at_) {
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  look_ups_ = 0;
  for (; here && look_ups_ < kLookUpsPerStep; look_ups_++, entries_++) {
    at_ = std::string(cursor.key());
    StatusOr<std::string_view> payload = cursor.Payload();
    if (!payload.ok()) {
      ReportValue(tree, at_);
    } else if (!IsDeleted(at_)) {
      NEXUS_RETURN_IF_ERROR(check(at_, *payload));
    }
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  if (!here) NextStage();
  return OkStatus();
}

std::optional<std::string_view> AgreementVerifier::Impl::Find(Tree tree, std::string_view key,
                                                              bool* missing) const {
  auto found = txn_->Get(tree, key);
  *missing = found.ok() && !found->has_value();
  return found.ok() ? *found : std::nullopt;
}

std::optional<TenantRecord> AgreementVerifier::Impl::RecordOf(TenantId tenant) const {
  bool missing = false;
  const auto payload = Find(Tree::kTenants, TenantKey(tenant).view(), &missing);
  TenantRecord record;
  if (!payload.has_value()) return std::nullopt;
  ByteReader in(*payload);
  Decode(&in, &record);
  return in.ok() ? std::optional(std::move(record)) : std::nullopt;
}

std::optional<uint64_t> AgreementVerifier::Impl::SeedOf(TenantId tenant) const {
  const std::optional<TenantRecord> record = RecordOf(tenant);
  return record.has_value() ? std::optional(record->identity_seed) : std::nullopt;
}

bool AgreementVerifier::Impl::IsDeleted(std::string_view key) const {
  const std::optional<TenantRecord> record = RecordOf(TenantId{KeyReader(key).U32()});
  return record.has_value() && record->deleted != Lsn{};
}

Status AgreementVerifier::Impl::CheckRows(Reader::State* state) {
  std::vector<RowLabel> labels;
  NEXUS_RETURN_IF_ERROR(Walk(Tree::kSeries, [&](std::string_view key, std::string_view payload) {
    KeyReader fields(key);
    const TenantId tenant{fields.U32()};
    const SeriesId id{fields.U64()};
    if (!fields.complete()) {
      Report(Tree::kSeries, key, {}, "it is no key of a series");
    } else {
      CheckRow(state, tenant, id, key, payload, &labels);
    }
    return OkStatus();
  }));
  return FindInPostings(std::move(labels));
}

void AgreementVerifier::Impl::CheckRow(Reader::State* state, TenantId tenant, SeriesId id,
                                       std::string_view row_key, std::string_view row,
                                       std::vector<RowLabel>* labels) {
  SeriesIdentityRow found{tenant, id, {}};
  std::vector<LabelSymbols> symbols;
  const std::string text = SeriesText(tenant, id);
  if (!DecodeSeriesRow(row, &found.identity, &symbols)) {
    return Report(Tree::kSeries, row_key, text, "the row is malformed");
  }
  for (const LabelSymbols& label : symbols) {
    for (Symbol symbol : {label.name, label.value}) {
      bool missing = false;
      if (Find(Tree::kSymbols, SymbolKey(tenant, symbol).view(), &missing)) continue;
      if (missing) {
        Report(Tree::kSeries, row_key, text,
               fmt::format("it names symbol {}, which is missing", symbol));
      }
      return;
    }
  }
  StatusOr<std::string> canonical = state->CanonicalOf(tenant, row_key, row);
  const std::optional<uint64_t> seed = SeedOf(tenant);
  if (!canonical.ok()) return;
  const std::string name = LabelsText(*canonical);
  if (name.empty()) return Report(Tree::kSeries, row_key, text, "its labels are malformed");
  if (!seed.has_value()) {
    return Report(Tree::kSeries, row_key, name, "it is a series of a tenant that is not there");
  }
  if (SeriesIdentity(*seed, *canonical) != found.identity) {
    return Report(Tree::kSeries, row_key, name, "its identity is not that of its labels");
  }
  look_ups_ += symbols.size();
  for (const LabelSymbols& label : symbols) labels->push_back({tenant, label, id.value});
  if (visitor_.series) visitor_.series(found, *canonical);
}

// Walks the blocks of each label once, whatever the number of rows that have it.
Status AgreementVerifier::Impl::FindInPostings(std::vector<RowLabel> labels) {
  std::sort(labels.begin(), labels.end());
  LmdbCursor cursor(*txn_, Tree::kPostings);
  std::vector<uint64_t> ids;
  RowLabel block;  // whose ids these are
  bool damaged = false;
  for (const RowLabel& wanted : labels) {
    const bool same = !ids.empty() && block.tenant == wanted.tenant && block.label == wanted.label;
    if (!same || wanted.id > ids.back()) {
      const Key key = PostingKey(wanted.tenant, wanted.label.name, wanted.label.value, {wanted.id});
      NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrBefore(key.view()));
      ids.clear();
      KeyReader fields(here ? cursor.key() : std::string_view());
      block.tenant.value = fields.U32();
      block.label.name = fields.U32();
      block.label.value = fields.U32();
      const uint64_t first = fields.U64();
      const bool right =
          fields.complete() && block.tenant == wanted.tenant && block.label == wanted.label;
      StatusOr<std::string_view> payload = std::string_view();
      if (right) payload = cursor.Payload();
      damaged = !payload.ok() || (right && !DecodePostingBlock(first, *payload, &ids));
      if (!right) ids.clear();
    }
    if (damaged || std::binary_search(ids.begin(), ids.end(), wanted.id)) continue;
    Report(Tree::kPostings,
           PostingKey(wanted.tenant, wanted.label.name, wanted.label.value, {0}).view(),
           TextOf(wanted.tenant, SeriesId{wanted.id}),
           "a series has this label and is not in its postings");
  }
  return OkStatus();
}

std::string AgreementVerifier::Impl::TextOf(TenantId tenant, SeriesId id) {
  // The reader of the piece is in use by the caller alone; a second one is rare and short.
  StatusOr<Reader> reader = catalog_->BeginRead();
  if (reader.ok()) {
    StatusOr<std::string> canonical = reader->Canonical(tenant, id);
    if (canonical.ok() && !LabelsText(*canonical).empty()) return LabelsText(*canonical);
  }
  return SeriesText(tenant, id);
}

Status AgreementVerifier::Impl::CheckPostings() {
  return Walk(Tree::kPostings, [&](std::string_view key, std::string_view payload) {
    return CheckBlock(key, payload);
  });
}

Status AgreementVerifier::Impl::CheckBlock(std::string_view key, std::string_view payload) {
  KeyReader fields(key);
  RowLabel label;
  label.tenant.value = fields.U32();
  label.label.name = fields.U32();
  label.label.value = fields.U32();
  const uint64_t first = fields.U64();
  std::vector<uint64_t> ids;
  if (!fields.complete() || !DecodePostingBlock(first, payload, &ids)) {
    Report(Tree::kPostings, key, {}, "the block is malformed");
    return OkStatus();
  }
  const bool same =
      label_before_ && label_before_->tenant == label.tenant && label_before_->label == label.label;
  if (same && label_before_->id >= first) {
    Report(Tree::kPostings, key, {}, "the block begins before the one before ends");
  }
  label.id = ids.back();
  label_before_ = label;
  look_ups_ += ids.size();
  Hash128 identity;
  std::vector<LabelSymbols> symbols;
  for (uint64_t id : ids) {
    bool missing = false;
    const Key row_key = SeriesKey(label.tenant, SeriesId{id});
    const auto row = Find(Tree::kSeries, row_key.view(), &missing);
    if (!row.has_value() && !missing) continue;
    if (missing) {
      Report(Tree::kPostings, key, SeriesText(label.tenant, SeriesId{id}),
             fmt::format("it holds id {}, which is no series", id));
    } else if (DecodeSeriesRow(*row, &identity, &symbols) &&
               std::find(symbols.begin(), symbols.end(), label.label) == symbols.end()) {
      Report(Tree::kPostings, key, TextOf(label.tenant, SeriesId{id}),
             fmt::format("it holds id {}, a series that has not this label", id));
    }
  }
  return OkStatus();
}

Status AgreementVerifier::Impl::CheckSymbols() {
  return Walk(Tree::kSymbols, [&](std::string_view key, std::string_view payload) {
    KeyReader fields(key);
    const TenantId tenant{fields.U32()};
    const Symbol symbol = fields.U32();
    const std::optional<uint64_t> seed = SeedOf(tenant);
    if (!fields.complete() || !seed.has_value()) return OkStatus();
    bool missing = false;
    const Key id_key = SymbolIdKey(tenant, SymbolIdentity(*seed, payload));
    const auto found = Find(Tree::kSymbolIds, id_key.view(), &missing);
    if (!found.has_value() && !missing) return OkStatus();
    const bool agrees = found.has_value() && found->size() == sizeof(Symbol) &&
                        LoadUnaligned<Symbol>(found->data()) == symbol;
    if (!agrees) Report(Tree::kSymbols, key, {}, "its string does not lead to it");
    return OkStatus();
  });
}

Status AgreementVerifier::Impl::CheckSymbolIds() {
  return Walk(Tree::kSymbolIds, [&](std::string_view key, std::string_view payload) {
    KeyReader fields(key);
    const TenantId tenant{fields.U32()};
    const Hash128 identity{fields.U64(), fields.U64()};
    const std::optional<uint64_t> seed = SeedOf(tenant);
    if (!seed.has_value()) return OkStatus();
    if (!fields.complete() || payload.size() != sizeof(Symbol)) {
      Report(Tree::kSymbolIds, key, {}, "the entry is malformed");
      return OkStatus();
    }
    bool missing = false;
    const auto symbol = LoadUnaligned<Symbol>(payload.data());
    const auto string = Find(Tree::kSymbols, SymbolKey(tenant, symbol).view(), &missing);
    if (missing || (string && SymbolIdentity(*seed, *string) != identity)) {
      Report(Tree::kSymbolIds, key, {},
             fmt::format("symbol {} has not the string that leads to it", symbol));
    }
    return OkStatus();
  });
}

Status AgreementVerifier::Impl::CheckUnlayered() {
  return Walk(Tree::kUnlayered, [&](std::string_view key, std::string_view payload) {
    bool missing = false;
    Find(Tree::kSeries, key, &missing);
    if (missing) Report(Tree::kUnlayered, key, {}, "there is no such series");
    if (!payload.empty()) Report(Tree::kUnlayered, key, {}, "the entry is malformed");
    return OkStatus();
  });
}

AgreementVerifier::AgreementVerifier(const Catalog* catalog, AgreementVisitor visitor)
    : impl_(std::make_unique<Impl>(catalog, std::move(visitor))) {}
AgreementVerifier::~AgreementVerifier() = default;
StatusOr<bool> AgreementVerifier::Step() { return impl_->Step(); }
uint64_t AgreementVerifier::entries() const { return impl_->entries(); }
uint64_t AgreementVerifier::entries_total() const { return impl_->entries_total(); }

}  // namespace nexus::catalog
