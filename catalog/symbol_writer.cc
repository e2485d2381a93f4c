// Finding and making symbols. See symbol_writer.h.

#include "catalog/symbol_writer.h"

#include <algorithm>

namespace nexus::catalog {

void SymbolWriter::Clear() {
  cache_.clear();
  next_.clear();
}

StatusOr<BatchSymbols> SymbolWriter::Resolve(const LmdbTxn& txn, TenantId tenant,
                                             uint64_t identity_seed, const LabelBatch& batch) {
  BatchSymbols out;
  out.symbols.resize(batch.strings());
  out.fresh.resize(batch.strings());
  if (cache_.size() + batch.strings() > kCachedMax) cache_.clear();
  std::vector<Missing> missing;
  for (uint32_t i = 0; i < batch.strings(); i++) {
    Hash128 identity = SymbolIdentity(identity_seed, batch.string(i));
    auto found = cache_.find({tenant.value, identity});
    if (found == cache_.end()) {
      missing.push_back({identity, i});
    } else {
      out.symbols[i] = found->second;
    }
  }
  // In key order, so that neighbours share the pages of one descent.
  std::sort(missing.begin(), missing.end(),
            [](const Missing& a, const Missing& b) { return a.identity < b.identity; });
  std::vector<Missing> absent;
  NEXUS_RETURN_IF_ERROR(LookUp(txn, tenant, batch, missing, &absent, &out));
  NEXUS_RETURN_IF_ERROR(Make(txn, tenant, batch, absent, &out));
  for (const Missing& string : missing) {
    cache_.try_emplace({tenant.value, string.identity}, out.symbols[string.string]);
  }
  return out;
}

Status SymbolWriter::LookUp(const LmdbTxn& txn, TenantId tenant, const LabelBatch& batch,
                            const std::vector<Missing>& missing, std::vector<Missing>* absent,
                            BatchSymbols* out) {
  for (const Missing& string : missing) {
    const Key key = SymbolIdKey(tenant, string.identity);
    NEXUS_ASSIGN_OR_RETURN(auto found, txn.Get(Tree::kSymbolIds, key.view()));
    if (!found) {
      absent->push_back(string);
      continue;
    }
    if (found->size() != sizeof(Symbol)) return txn.env().Damaged(Tree::kSymbolIds, key.view());
    const Symbol symbol = LoadUnaligned<Symbol>(found->data());
    const Key back = SymbolKey(tenant, symbol);
    NEXUS_ASSIGN_OR_RETURN(auto stored, txn.Get(Tree::kSymbols, back.view()));
    if (!stored || *stored != batch.string(string.string)) {
      return txn.env().Damaged(Tree::kSymbols, back.view());
    }
    out->symbols[string.string] = symbol;
  }
  return OkStatus();
}

Status SymbolWriter::Make(const LmdbTxn& txn, TenantId tenant, const LabelBatch& batch,
                          const std::vector<Missing>& absent, BatchSymbols* out) {
  if (absent.empty()) return OkStatus();
  std::vector<uint64_t> uses(batch.strings());
  for (uint32_t i = 0; i < batch.labels(); i++) {
    uses[batch.label(i).name] += batch.ids_of(i).size();
    uses[batch.label(i).value] += batch.ids_of(i).size();
  }
  std::vector<uint32_t> by_use;
  for (const Missing& string : absent) by_use.push_back(string.string);
  std::sort(by_use.begin(), by_use.end(),
            [&](uint32_t a, uint32_t b) { return uses[a] != uses[b] ? uses[a] > uses[b] : a < b; });
  const bool looked_up = !next_.contains(tenant);
  NEXUS_ASSIGN_OR_RETURN(uint64_t next, NextSymbol(txn, tenant));
  if (looked_up && next > 1) out->highest_before = static_cast<Symbol>(next - 1);
  LmdbCursor symbols(txn, Tree::kSymbols);
  for (uint32_t string : by_use) {
    if (next > UINT32_MAX) {
      return ResourceExhausted("tenant {} has {} label strings; no more fit", tenant.value,
                               next - 1);
    }
    out->symbols[string] = static_cast<Symbol>(next++);
    out->fresh[string] = true;
    value_.Clear();
    value_.writer().Raw(batch.string(string));
    NEXUS_RETURN_IF_ERROR(symbols.Put(SymbolKey(tenant, out->symbols[string]).view(), &value_));
  }
  LmdbCursor ids(txn, Tree::kSymbolIds);
  for (const Missing& string : absent) {
    value_.Clear();
    value_.writer().U32(out->symbols[string.string]);
    NEXUS_RETURN_IF_ERROR(ids.Put(SymbolIdKey(tenant, string.identity).view(), &value_));
  }
  next_[tenant] = next;
  return OkStatus();
}

StatusOr<uint64_t> SymbolWriter::NextSymbol(const LmdbTxn& txn, TenantId tenant) {
  if (auto found = next_.find(tenant); found != next_.end()) {
    return found->second;
  }
  LmdbCursor cursor(txn, Tree::kSymbols);
  NEXUS_ASSIGN_OR_RETURN(bool found, cursor.SeekAtOrBefore(SymbolKey(tenant, UINT32_MAX).view()));
  if (!found) return 1;
  KeyReader last(cursor.key());
  if (last.U32() != tenant.value) return 1;
  NEXUS_RETURN_IF_ERROR(cursor.Payload().status());
  return uint64_t{last.U32()} + 1;
}

}  // namespace nexus::catalog
