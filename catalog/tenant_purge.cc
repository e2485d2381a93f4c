// Deleting the rows of a tenant. See tenant_purge.h.

#include "catalog/tenant_purge.h"

#include <limits>

#include "base/bytes.h"
#include "catalog/format.h"
#include "catalog/record_codec.h"

namespace nexus::catalog {
namespace {

// Takes from `rows_left` what it deletes.
Status PurgeTree(const LmdbTxn& txn, Tree tree, TenantId tenant, uint64_t* rows_left) {
  LmdbCursor cursor(txn, tree);
  NEXUS_ASSIGN_OR_RETURN(bool here, cursor.SeekAtOrAfter(TenantKey(tenant).view()));
  for (; here && *rows_left > 0; (*rows_left)--) {
    KeyReader key(cursor.key());
    if (key.U32() != tenant.value) break;
    NEXUS_RETURN_IF_ERROR(cursor.DeleteHere());
    NEXUS_ASSIGN_OR_RETURN(here, cursor.Next());
  }
  return OkStatus();
}

}  // namespace

StatusOr<bool> PurgeTenantRows(const LmdbTxn& txn, TenantId tenant, uint64_t rows_max,
                               bool may_forget) {
  const Key tenant_key = TenantKey(tenant);
  NEXUS_ASSIGN_OR_RETURN(auto payload, txn.Get(Tree::kTenants, tenant_key.view()));
  if (!payload) return false;
  TenantRecord record;
  ByteReader in(*payload);
  Decode(&in, &record);
  if (!in.ok() || !in.done()) return txn.env().Damaged(Tree::kTenants, tenant_key.view());
  if (record.deleted == Lsn{}) {
    return FailedPrecondition("tenant {} (\"{}\") is not deleted", tenant.value, record.name);
  }
  uint64_t rows_left = rows_max;
  for (Tree tree :
       {Tree::kUnlayered, Tree::kPostings, Tree::kSeries, Tree::kSymbolIds, Tree::kSymbols}) {
    NEXUS_RETURN_IF_ERROR(PurgeTree(txn, tree, tenant, &rows_left));
    if (rows_left == 0) return true;
  }
  if (!may_forget || tenant.value == std::numeric_limits<uint32_t>::max()) return false;
  LmdbCursor higher(txn, Tree::kTenants);
  NEXUS_ASSIGN_OR_RETURN(bool here,
                         higher.SeekAtOrAfter(TenantKey(TenantId{tenant.value + 1}).view()));
  if (here) NEXUS_RETURN_IF_ERROR(txn.Delete(Tree::kTenants, tenant_key.view()));
  return false;
}

}  // namespace nexus::catalog
