// Restore: a new database from a backup.
//
//   io::Task<StatusOr<RestoreResult>> RestoreBackup(environment, options, hooks);
//
// The new folder holds what the backup does: the layers (linked or copied; layers never change, so
// what one side does the other does not see), a catalog made from image and layers, the image, and
// an empty log. Its identity (identity.h) is new:
//   database id   its own: log, catalog and images of the original and of another copy are foreign
//                 to it, and whoever knows databases by their ids does not take one for the other
//   origin        that of the backup: the id in the layers
//   timeline      one above the backup's
// Later writes win over restored ones. Everything that is restored is ordered at or below (the
// backup's timeline, S), S being the LSN of the backup: layers, deletes. The log begins above S and
// its records belong to the timeline above, so each pair (timeline, LSN) of what is written, which
// is how layers, memtables and deletes are compared, is the greater one by its timeline; and so is
// each LSN where LSNs alone are compared: what a branch has flushed or inherited, where it was
// made, which deletes a layer has carried out, where a producer's last batch ends, what is applied.
// A log whose header names a predecessor is never taken for the whole story of its database: a
// catalog that is lost is not made from it alone.
//
// Steps, each durable before the next:
//   1 the empty folder is claimed by RESTORE.tmp      4 a log that begins above S
//   2 every layer is read and checked, and placed     5 IDENTITY: now the folder is a database
//   3 image and catalog                               6 RESTORE.tmp goes; or the first opening
//                                                       takes it away
// A crash before 5 leaves a folder that nothing opens, and that restoring again clears and fills.
// Failure: NotFound - no backup there; FailedPrecondition - the folder is not empty, or the first
// backup never ended; DataLoss names what is damaged of the backup. Threading: the task runs on the
// loop; layers are read by workers.

#ifndef NEXUS_ENGINE_RESTORE_H_
#define NEXUS_ENGINE_RESTORE_H_

#include "base/status.h"
#include "engine/backup_report.h"
#include "engine/catalog_rebuild.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::engine {

io::Task<StatusOr<RestoreResult>> RestoreBackup(io::Environment* environment,
                                                RestoreOptions options, CatalogRebuildHooks hooks);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RESTORE_H_
