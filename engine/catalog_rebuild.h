// RebuildCatalog: makes the catalog of a database anew - `nexus catalog rebuild` (DESIGN section
// 6).
//
// The newest image that is whole says what there was at its LSN - tenants, branches, layers,
// producers, series in no layer; the labels of the other series come from the layers and from the
// definitions that the log still holds. The new catalog stands at the image's LSN: opening the
// database replays the log from there on, as after any crash. So nothing of the log is applied
// here, and nothing but the catalog changes. A log that is whole from its beginning needs no image.
// Without either, `without_image` goes on with a guess (catalog_guess.h).
//
// The damaged catalog is never opened: LMDB can crash on it. It is moved to quarantine/, and at
// every moment the old one or the new one is in its place (catalog_folder.h). Failure: nothing has
// changed. FailedPrecondition - in use, or no image, with the list of what cannot be known;
// DataLoss - a layer that is needed cannot be read. A damaged log is no failure: what is good of it
// is used, and the report says so. Threading: the task runs on the loop.

#ifndef NEXUS_ENGINE_CATALOG_REBUILD_H_
#define NEXUS_ENGINE_CATALOG_REBUILD_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/image.h"
#include "engine/identity.h"
#include "engine/options.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::engine {

struct CatalogRebuildOptions {
  bool without_image = false;
};

// What stands beside the seam: LMDB works on a real folder, also in the simulator.
struct CatalogRebuildHooks {
  // Empty: the new catalog is made in the database's folder and put in its place there. Else an
  // empty real folder to make it in.
  std::string directory;
  // With `directory`: takes what is in it for the catalog from now on.
  std::function<void()> adopt;
};

struct CatalogRebuildReport {
  std::string image;  // the image it began with; empty if there was none to begin with
  Lsn applied;        // what of the log the new catalog contains; opening replays the rest
  uint64_t tenants = 0;
  uint64_t layers = 0;  // live; those published later are not counted
  uint64_t series = 0;
  uint64_t producers = 0;
  // Images that could not be used; the log's damage, and samples without labels, with their ways
  // out.
  std::vector<std::string> damage;
  // Without an image: what could not be known, or was invented.
  std::vector<std::string> unknown;
  std::string old_catalog;  // where it lies now; empty if there was none
};

io::Task<StatusOr<CatalogRebuildReport>> RebuildCatalog(io::Environment* environment,
                                                        Options options,
                                                        CatalogRebuildOptions rebuild,
                                                        CatalogRebuildHooks hooks);

// Makes the catalog of a folder that is to become a database: the same, with `contents` for the
// image and no log. The layers are in place; the folder's lock is the caller's.
io::Task<StatusOr<CatalogRebuildReport>> BuildCatalog(io::Environment* environment, Options options,
                                                      Identity identity,
                                                      catalog::ImageContents contents,
                                                      CatalogRebuildHooks hooks);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CATALOG_REBUILD_H_
