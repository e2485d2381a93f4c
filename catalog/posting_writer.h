// PostingWriter: merges new ids of a label into its posting blocks, and takes ids out of them.
//
// New series have the highest ids, so the common case reads the label's last block, appends to it
// and fills new ones: blocks are then full, and the cost does not depend on how many there are. Ids
// between existing ones go to the block that spans them; a block that overflows in its middle is
// split evenly, so that repeated inserts in one place do not leave a trail of tiny blocks.
// Ids that are there already change nothing. A block whose last id is taken out goes; others may
// stay small, which costs room only where few of a label's series are left of many. Threading: one
// thread, one write transaction.

#ifndef NEXUS_CATALOG_POSTING_WRITER_H_
#define NEXUS_CATALOG_POSTING_WRITER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/format.h"
#include "catalog/lmdb_env.h"
#include "catalog/record_codec.h"

namespace nexus::catalog {

class PostingWriter {
 public:
  PostingWriter(const LmdbTxn& txn, TenantId tenant)
      : txn_(txn), tenant_(tenant), cursor_(txn, Tree::kPostings) {}

  // Adds ids (ascending, without repetition, not empty) to a label. `fresh`: the label has no
  // blocks yet, so none are looked for. Errors: DataLoss, ResourceExhausted.
  Status Add(LabelSymbols label, std::span<const uint64_t> ids, bool fresh);
  // Takes ids (likewise) out; those that are not there are fine. Errors: DataLoss,
  // ResourceExhausted.
  Status Remove(LabelSymbols label, std::span<const uint64_t> ids);
  // Whether the label has ids.
  StatusOr<bool> HasIds(LabelSymbols label);

 private:
  // Loads the block that `id` belongs to into block_ and the first id behind it into end_; nullopt
  // if the label has no block.
  StatusOr<std::optional<uint64_t>> LoadBlockFor(LabelSymbols label, uint64_t id);
  Status DeleteBlock(LabelSymbols label, uint64_t first);
  Status WriteBlocks(LabelSymbols label, std::span<const uint64_t> ids);
  // Whether the cursor's key is one of the label's blocks, and then its first id.
  std::optional<uint64_t> FirstIdHere(LabelSymbols label) const;

  const LmdbTxn& txn_;
  const TenantId tenant_;
  LmdbCursor cursor_;
  std::vector<uint64_t> block_;   // ids of the block that was loaded
  std::optional<uint64_t> end_;   // the first id of the block behind it
  std::vector<uint64_t> merged_;  // what the block is to hold
  ValueBuilder value_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_POSTING_WRITER_H_
