// SymbolWriter: gives label strings their symbols, in LMDB and in a cache.
//
// A string's symbol is found by its seeded 128-bit identity; one found in LMDB is compared with the
// string itself, so a wrong one is seen. New strings get the next numbers, the most used first:
// rows hold symbols as varints, so that strings of many rows are short.
// The cache is bounded: 262,144 symbols in about 10 MiB, dropped whole when full (a batch brings
// the ones in use back at one look-up each).
// Threading: one thread. How it fails: DataLoss for a damaged value; after any failed commit the
// owner must Clear(), since the cache may hold symbols that were never committed.

#ifndef NEXUS_CATALOG_SYMBOL_WRITER_H_
#define NEXUS_CATALOG_SYMBOL_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/format.h"
#include "catalog/label_batch.h"
#include "catalog/lmdb_env.h"

namespace nexus::catalog {

// The symbols of a batch's strings, by their number there.
struct BatchSymbols {
  std::vector<Symbol> symbols;
  std::vector<bool> fresh;  // made for this batch: nothing else names it yet
  // The tenant's highest before these, told now and then: nothing may name it any more
  // (series_removal.h), and now that it is no longer the highest it can go.
  std::optional<Symbol> highest_before;
};

class SymbolWriter {
 public:
  // Finds or makes the symbol of each string of a finished batch. Errors: DataLoss,
  // ResourceExhausted (2^32 - 1 symbols in a tenant, map full).
  StatusOr<BatchSymbols> Resolve(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                                 const LabelBatch& batch);
  void Clear();

 private:
  static constexpr size_t kCachedMax = 262'144;

  struct Missing {
    Hash128 identity;
    uint32_t string = 0;
  };
  using CacheKey = std::pair<uint32_t, Hash128>;

  Status LookUp(const LmdbTxn& txn, TenantId tenant, const LabelBatch& batch,
                const std::vector<Missing>& missing, std::vector<Missing>* absent,
                BatchSymbols* out);
  Status Make(const LmdbTxn& txn, TenantId tenant, const LabelBatch& batch,
              const std::vector<Missing>& absent, BatchSymbols* out);
  StatusOr<uint64_t> NextSymbol(const LmdbTxn& txn, TenantId tenant);

  absl::flat_hash_map<CacheKey, Symbol> cache_;
  // The symbol that a tenant's next new string gets.
  absl::flat_hash_map<TenantId, uint64_t> next_;
  ValueBuilder value_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_SYMBOL_WRITER_H_
