// Backup: a consistent copy of an open database in another folder, while it goes on serving.
//
//   io::Task<StatusOr<BackupResult>> Backup(DatabaseCore* core, std::string destination, options);
//
// The copy is of one place S of the log (backup_cut.h): everything that was acknowledged before the
// call, and nothing above S. It needs no log. The folder holds
//   BACKUP               the manifest (backup_manifest.h)   lock   held while a backup is made
//   catalog-<S>.image    tenants, branches, producers, deletes, series in no layer, layers
//   layers/              the layers that the image lists, each file once
// Steps, each durable before the next; a crash between any two leaves the older backup usable:
//   1 an empty folder is claimed by a manifest without a backup        4 the image is written
//   2 what is in memory goes to layers                                 5 the manifest names it
//   3 layers that are not there are linked or copied, and synced       6 what only the older
//                                                                        one needed is removed
// Failure: FailedPrecondition - the folder is not empty and no backup of this database (named), or
// in use, or the database is closing, or a backup of it is under way; Cancelled; DataLoss - a layer
// is damaged or missing; ResourceExhausted; those of the disk. Threading: the task runs on the
// loop; checks of layers on workers. Garbage stays meanwhile.
// Format: docs/format/backup.md.

#ifndef NEXUS_ENGINE_BACKUP_H_
#define NEXUS_ENGINE_BACKUP_H_

#include <string>

#include "base/status.h"
#include "engine/backup_manifest.h"
#include "engine/backup_report.h"
#include "engine/core.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::engine {

// Paths below the folder of a backup.
struct BackupFolder {
  explicit BackupFolder(std::string at);
  std::string ImagePath(Lsn lsn) const;

  std::string root;
  std::string manifest;
  std::string layers;
};

io::Task<StatusOr<BackupResult>> Backup(DatabaseCore* core, std::string destination,
                                        BackupOptions options);

// Errors: NotFound - no manifest there; those of ParseBackupManifest.
io::Task<StatusOr<BackupManifest>> ReadBackupManifest(io::Disk* disk, BackupFolder folder);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_BACKUP_H_
