// Removing series: their rows, their ids in the postings, and the label strings that nothing names
// any more.
//
// A symbol is in use while a posting block stands under it, as name or as value. Blocks are found
// by (name, value), so a value that has lost its blocks under one name is looked for under each of
// the tenant's names, or in one walk over the tenant's blocks, whichever is less. The highest
// symbol of a tenant stays until there is a higher one, so that numbers are never used again.
// Series that are not there are fine: doing it twice is doing it once. Threading: the committing
// thread.

#ifndef NEXUS_CATALOG_SERIES_REMOVAL_H_
#define NEXUS_CATALOG_SERIES_REMOVAL_H_

#include <cstdint>

#include "base/status.h"
#include "base/types.h"
#include "catalog/format.h"
#include "catalog/lmdb_env.h"
#include "catalog/series_set.h"

namespace nexus::catalog {

// About 10 us a series with 10 labels. Errors: DataLoss, ResourceExhausted (map full).
Status RemoveSeries(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                    const SeriesSet& ids);

// One that was the highest, unless something names it. About 1 us a name of the tenant's labels.
Status RemoveUnusedSymbol(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                          Symbol symbol);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_SERIES_REMOVAL_H_
