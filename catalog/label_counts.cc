// Counting the series of labels. See reader.h.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "catalog/lmdb_env.h"
#include "catalog/posting_block.h"
#include "catalog/reader.h"
#include "catalog/reader_state.h"

namespace nexus::catalog {

StatusOr<bool> Reader::VisitLabelCounts(TenantId tenant, SeriesId newer_from, uint64_t blocks_max,
                                        LabelPlace* from,
                                        absl::FunctionRef<void(const LabelCount&)> visit) {
  LmdbCursor cursor(state_->txn, Tree::kPostings);
  NEXUS_ASSIGN_OR_RETURN(
      bool here, cursor.SeekAtOrAfter(PostingKey(tenant, from->name, from->value, {0}).view()));
  std::vector<uint64_t>& ids = state_->ids;
  std::optional<LabelCount> counting;
  for (uint64_t blocks = 0; here; blocks++) {
    KeyReader key(cursor.key());
    const TenantId owner{key.U32()};
    if (owner != tenant) break;
    const LabelPlace place{key.U32(), key.U32()};
    const uint64_t first = key.U64();
    const bool same = counting.has_value() && counting->place.name == place.name &&
                      counting->place.value == place.value;
    if (!same) {
      if (counting.has_value()) visit(*counting);
      counting.reset();
      *from = place;
      if (blocks >= blocks_max) return true;
      counting = LabelCount{place};
    }
    ids.clear();
    NEXUS_ASSIGN_OR_RETURN(std::string_view payload, cursor.Payload());
    if (!key.complete() || !DecodePostingBlock(first, payload, &ids)) {
      return state_->txn.env().Damaged(Tree::kPostings, cursor.key());
    }
    counting->series += ids.size();
    const auto newer = std::lower_bound(ids.begin(), ids.end(), newer_from.value);
    counting->newer += static_cast<uint64_t>(ids.end() - newer);
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  if (counting.has_value()) visit(*counting);
  return false;
}

StatusOr<std::string> Reader::LabelText(TenantId tenant, uint32_t number) {
  NEXUS_ASSIGN_OR_RETURN(auto text,
                         state_->txn.Get(Tree::kSymbols, SymbolKey(tenant, number).view()));
  if (!text) return NotFound("tenant {} has no symbol {}", tenant.value, number);
  return std::string(*text);
}

}  // namespace nexus::catalog
