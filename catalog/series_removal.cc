// Rows, postings, symbols. See series_removal.h.

#include "catalog/series_removal.h"

#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catalog/format.h"
#include "catalog/posting_writer.h"
#include "catalog/record_codec.h"

namespace nexus::catalog {
namespace {

using IdsOfLabels = std::map<LabelSymbols, std::vector<uint64_t>>;

// Deletes the rows; which ids each label loses.
StatusOr<IdsOfLabels> RemoveRows(const LmdbTxn& txn, TenantId tenant, const SeriesSet& ids) {
  IdsOfLabels lost;
  std::vector<LabelSymbols> labels;
  for (const SeriesId id : ids.ToVector()) {
    const Key key = SeriesKey(tenant, id);
    NEXUS_ASSIGN_OR_RETURN(const auto row, txn.Get(Tree::kSeries, key.view()));
    if (!row.has_value()) continue;
    Hash128 identity;
    labels.clear();
    if (!DecodeSeriesRow(*row, &identity, &labels)) {
      return txn.env().Damaged(Tree::kSeries, key.view());
    }
    for (const LabelSymbols& label : labels) lost[label].push_back(id.value);
    NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kSeries, key.view()));
    NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kUnlayered, key.view()));
  }
  return lost;
}

StatusOr<std::vector<Symbol>> NamesOf(const LmdbTxn& txn, TenantId tenant) {
  std::vector<Symbol> names;
  LmdbCursor cursor(txn, Tree::kPostings);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(PostingKey(tenant, 0, 0, {0}).view()));
  while (here) {
    KeyReader key(cursor.key());
    if (key.U32() != tenant.value) break;
    names.push_back(key.U32());
    if (names.back() == std::numeric_limits<Symbol>::max()) break;
    const Key behind = PostingKey(tenant, names.back() + 1, 0, {0});
    NEXUS_ASSIGN_OR_RETURN(here, cursor.SeekAtOrAfter(behind.view()));
  }
  return names;
}

// Takes the values of all the tenant's blocks out of `loose`.
Status WalkValues(const LmdbTxn& txn, TenantId tenant, std::set<Symbol>* loose) {
  LmdbCursor cursor(txn, Tree::kPostings);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(PostingKey(tenant, 0, 0, {0}).view()));
  while (here && !loose->empty()) {
    KeyReader key(cursor.key());
    if (key.U32() != tenant.value) break;
    key.U32();
    loose->erase(key.U32());
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return OkStatus();
}

// Takes symbols that are in use out of `loose`.
Status KeepUsed(const LmdbTxn& txn, TenantId tenant, std::set<Symbol>* loose) {
  NEXUS_ASSIGN_OR_RETURN(const std::vector<Symbol> names, NamesOf(txn, tenant));
  for (Symbol name : names) loose->erase(name);
  LmdbCursor last(txn, Tree::kSymbols);
  NEXUS_ASSIGN_OR_RETURN(
      const bool found,
      last.SeekAtOrBefore(SymbolKey(tenant, std::numeric_limits<Symbol>::max()).view()));
  if (found) {
    KeyReader key(last.key());
    if (key.U32() == tenant.value) loose->erase(key.U32());
  }
  if (loose->size() * names.size() > txn.Entries(Tree::kPostings)) {
    return WalkValues(txn, tenant, loose);
  }
  PostingWriter postings(txn, tenant);
  for (auto symbol = loose->begin(); symbol != loose->end();) {
    bool used = false;
    for (Symbol name : names) {
      NEXUS_ASSIGN_OR_RETURN(used, postings.HasIds({name, *symbol}));
      if (used) break;
    }
    symbol = used ? loose->erase(symbol) : std::next(symbol);
  }
  return OkStatus();
}

Status RemoveSymbol(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed, Symbol symbol) {
  const Key key = SymbolKey(tenant, symbol);
  NEXUS_ASSIGN_OR_RETURN(const auto stored, txn.Get(Tree::kSymbols, key.view()));
  if (!stored.has_value()) return txn.env().Damaged(Tree::kSymbols, key.view());
  const Key back = SymbolIdKey(tenant, SymbolIdentity(identity_seed, *stored));
  NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kSymbolIds, back.view()));
  return txn.Delete(Tree::kSymbols, key.view());
}

// Of `loose`, what nothing names.
Status RemoveUnused(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                    std::set<Symbol> loose) {
  NEXUS_RETURN_IF_ERROR(KeepUsed(txn, tenant, &loose));
  for (Symbol symbol : loose) {
    NEXUS_RETURN_IF_ERROR(RemoveSymbol(txn, tenant, identity_seed, symbol));
  }
  return OkStatus();
}

}  // namespace

Status RemoveSeries(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                    const SeriesSet& ids) {
  NEXUS_ASSIGN_OR_RETURN(const IdsOfLabels lost, RemoveRows(txn, tenant, ids));
  std::set<Symbol> loose;
  PostingWriter postings(txn, tenant);
  for (const auto& [label, lost_ids] : lost) {
    NEXUS_RETURN_IF_ERROR(postings.Remove(label, lost_ids));
    NEXUS_ASSIGN_OR_RETURN(const bool used, postings.HasIds(label));
    if (used) continue;
    loose.insert(label.name);
    loose.insert(label.value);
  }
  return RemoveUnused(txn, tenant, identity_seed, std::move(loose));
}

Status RemoveUnusedSymbol(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                          Symbol symbol) {
  return RemoveUnused(txn, tenant, identity_seed, {symbol});
}

}  // namespace nexus::catalog
