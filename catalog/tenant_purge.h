// Purging deleted tenants: taking their rows out of the trees, a bounded number at a time.
//
// Rows go in the order in which they name each other: what is not yet purged never names what is.
// Each step is whole by itself, so a crash between two costs nothing. Threading: the committing
// thread.

#ifndef NEXUS_CATALOG_TENANT_PURGE_H_
#define NEXUS_CATALOG_TENANT_PURGE_H_

#include <cstdint>

#include "base/status.h"
#include "base/types.h"
#include "catalog/lmdb_env.h"

namespace nexus::catalog {

// Deletes at most `rows_max` rows of series, postings and symbols; true if there may be more. When
// there are none, the tenant's record goes if it `may_forget` and a tenant with a higher number is
// listed: the highest number must be known. Errors: FailedPrecondition - the tenant lives; of LMDB.
StatusOr<bool> PurgeTenantRows(const LmdbTxn& txn, TenantId tenant, uint64_t rows_max,
                               bool may_forget);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_TENANT_PURGE_H_
