// Reader::State: the transaction of a reader and what it has met so far. See reader.h.

#ifndef NEXUS_CATALOG_READER_STATE_H_
#define NEXUS_CATALOG_READER_STATE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/format.h"
#include "catalog/lmdb_env.h"
#include "catalog/reader.h"
#include "catalog/record_codec.h"

namespace nexus::catalog {

struct Reader::State {
  explicit State(LmdbTxn begun) : txn(std::move(begun)) {}

  // nullopt: no such tenant.
  StatusOr<std::optional<uint64_t>> SeedOf(TenantId tenant);
  // Valid as long as the transaction. A symbol that is not there is damage.
  StatusOr<std::string_view> StringOf(TenantId tenant, Symbol symbol);
  // nullopt: no series of the tenant uses the string.
  StatusOr<std::optional<Symbol>> SymbolOf(TenantId tenant, std::string_view string);
  StatusOr<std::string> CanonicalOf(TenantId tenant, std::string_view row_key,
                                    std::string_view row);
  // Adds the posting block that the cursor stands on.
  Status AddBlock(const LmdbCursor& cursor, uint64_t first, SeriesSet* into);

  // 65,536 strings are about 3 MiB of table; the strings themselves are LMDB's pages.
  static constexpr size_t kStringsMax = 65'536;

  LmdbTxn txn;
  bool seed_known = false;
  TenantId seed_tenant;
  uint64_t seed = 0;
  absl::flat_hash_map<uint64_t, std::string_view> strings;  // by tenant << 32 | symbol
  std::vector<LabelSymbols> labels;                         // scratch
  std::vector<uint64_t> ids;                                // scratch
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_READER_STATE_H_
