// UpdateWriter: carries an Update out within one LMDB write transaction.
//
// Every step is a set operation on the trees, so carrying an update out twice gives what once gave.
// Threading: the committing thread. How it fails: returns the error and leaves the transaction for
// the caller to abort; the caller must then Clear() the caches, which may hold what was never
// committed.

#ifndef NEXUS_CATALOG_UPDATE_WRITER_H_
#define NEXUS_CATALOG_UPDATE_WRITER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/label_batch.h"
#include "catalog/lmdb_env.h"
#include "catalog/records.h"
#include "catalog/symbol_writer.h"

namespace nexus::catalog {

class UpdateWriter {
 public:
  // Writes `update` and the meta record that follows from it and `before`; the new meta record
  // (`synced` as in `before`). Errors: those of Catalog::Commit.
  StatusOr<Meta> Write(const LmdbTxn& txn, const Update& update, const Meta& before);
  void Clear();

 private:
  using Definitions = std::vector<const SeriesDefinition*>;

  Status WriteTenant(const LmdbTxn& txn, const TenantRecord& record);
  Status WriteBranch(const LmdbTxn& txn, BranchRecord record);
  Status DeleteBranch(const LmdbTxn& txn, const BranchPlace& place);
  Status WriteSetting(const LmdbTxn& txn, const Setting& record);
  Status WriteProducer(const LmdbTxn& txn, const ProducerRecord& record);
  Status AddTombstone(const LmdbTxn& txn, const TombstoneRecord& record);
  Status AddLayer(const LmdbTxn& txn, LayerRecord record);
  Status ForgetLayered(const LmdbTxn& txn, const LayeredSeries& layered);
  Status ListUnlayered(const LmdbTxn& txn, const LayeredSeries& unlayered);
  Status ForgetSeries(const LmdbTxn& txn, const LayeredSeries& forgotten);
  Status RetireLayer(const LmdbTxn& txn, const LayerKey& layer);
  StatusOr<Definitions> GatherSeries(const Update& update) const;
  Status WriteSeries(const LmdbTxn& txn, TenantId tenant,
                     std::span<const SeriesDefinition* const> definitions);
  Status WriteRows(const LmdbTxn& txn, TenantId tenant, uint64_t identity_seed,
                   std::span<const SeriesDefinition* const> definitions, const LabelBatch& batch,
                   const BatchSymbols& symbols);
  Status WritePostings(const LmdbTxn& txn, TenantId tenant, const LabelBatch& batch,
                       const BatchSymbols& symbols);
  // FailedPrecondition if the tenant is not there.
  StatusOr<uint64_t> SeedOf(const LmdbTxn& txn, TenantId tenant);

  SymbolWriter symbols_;
  absl::flat_hash_map<TenantId, uint64_t> seeds_;  // a copy of what the tenants' records say
  ValueBuilder value_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_UPDATE_WRITER_H_
