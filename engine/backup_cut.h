// BackupCut: the state of an open database at one place S of its log, as an image of its catalog
// would tell it if every record below S were in layers - and none above.
//
// It is taken in one step of the loop, with everything sealed: the records that are in memory, the
// layers that are live, and which sealed memtables are still on their way. The layers of those are
// added as their flushes are published. So the cut is exact - a batch is in its layers if and only
// if its number is in its producers, and a delete beside what it left - whatever is appended,
// compacted or deleted meanwhile. The files of its layers stay while garbage is held
// (DatabaseState::garbage_holders), which must be so before the cut is taken.
// Threading: loop only.

#ifndef NEXUS_ENGINE_BACKUP_CUT_H_
#define NEXUS_ENGINE_BACKUP_CUT_H_

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/image.h"
#include "engine/record.h"
#include "engine/state.h"

namespace nexus::engine {

class BackupCut {
 public:
  // REQUIRES: every active memtable is empty (Flusher::SealAll).
  explicit BackupCut(const DatabaseState& state);

  Lsn lsn() const { return contents_.lsn; }
  // Layers were published (DatabaseState::on_published).
  void OnPublished(const PublishLayers& edit);
  // What the catalog alone knows: settings, and series in no layer. `catalog` is an image of it
  // that contains everything below the cut.
  void AddFromCatalog(catalog::ImageContents catalog);
  // Once everything sealed at the cut is in layers. Branches whose flush had become needless
  // because they were deleted are left out. FailedPrecondition if layers are missing otherwise.
  StatusOr<catalog::ImageContents> Take(const DatabaseState& state);

 private:
  // A memtable that was sealed and not yet in a layer: by whom and up to where its records were
  // written, which is as a publish names it.
  struct Awaited {
    TenantId tenant;
    BranchId writer;
    Lsn sealed;
    auto operator<=>(const Awaited&) const = default;
  };

  void AddBranch(const TenantState& tenant, const BranchState& branch);
  void LeaveOut(const catalog::BranchPlace& place);

  catalog::ImageContents contents_;
  std::map<Awaited, std::vector<BranchId>> awaited_;  // and which branches have it
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_BACKUP_CUT_H_
