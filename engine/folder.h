// The folder of a database: what lies where, and the identity file that makes a folder a database.
//
//  - lock: held while the database is open; the holder's pid
//  - IDENTITY: database id, format version, feature words (identity.h)
//  - wal/: log segments
//  - layers/: layer files, and *.tmp while one is written
//  - catalog/: LMDB
//  - catalog.building/, catalog.rebuilt/: a new catalog on its way to its place
//    (catalog_folder.h)
//  - catalog-<lsn>.image: the two newest images of the catalog
//  - reserve: preallocated space, given up at ENOSPC
//  - quarantine/: what recovery would neither keep nor delete
//  - RESTORE.tmp: nexus restore has not come to its end (restore.h)
//
// The identity file is written once, atomically, before any other file but the lock; so a folder
// without it holds no data of ours.
// Threading: plain functions; the tasks run on the loop.

#ifndef NEXUS_ENGINE_FOLDER_H_
#define NEXUS_ENGINE_FOLDER_H_

#include <string>
#include <string_view>

#include "base/status.h"
#include "engine/identity.h"
#include "io/environment.h"

namespace nexus::engine {

inline constexpr std::string_view kRestoreMarkName = "RESTORE.tmp";

// Paths below the folder of a database.
struct Folder {
  explicit Folder(std::string at);

  std::string root;
  std::string identity;
  std::string wal;
  std::string layers;
  std::string catalog;
  std::string catalog_building;
  std::string catalog_rebuilt;
  std::string reserve;
  std::string quarantine;
};

struct OpenedFolder {
  OpenedFolder(Identity found, bool made) : identity(found), created(made) {}
  Identity identity;
  bool created;  // the identity file was written just now
};

// Reads the identity of the folder or, if `create` and the folder is missing or empty, makes the
// folder with its subfolders and a new random identity. Idempotent over crashes. Errors: NotFound
// (no database there), FailedPrecondition (not empty and not a database, or one that was not
// restored to the end), and those of ParseIdentity.
io::Task<StatusOr<OpenedFolder>> OpenFolder(io::Environment* environment, Folder folder,
                                            bool create);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_FOLDER_H_
