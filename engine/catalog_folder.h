// How a rebuilt catalog gets to its place: the old one or the new one is there at every moment.
//
//   catalog.building/                     the new catalog while it is made
//   catalog.building/ -> catalog.rebuilt/ it is whole and synced
//   catalog/ -> quarantine/catalog-<n>/   the old one is kept as evidence
//   catalog.rebuilt/ -> catalog/
// Each rename is durable before the next. A crash between the last two leaves no catalog/, but a
// catalog.rebuilt/ that is known to be whole: opening does the last step (SettleCatalogFolder).
// Nothing is deleted: what is in the way goes to quarantine/. Threading: the tasks run on the loop.

#ifndef NEXUS_ENGINE_CATALOG_FOLDER_H_
#define NEXUS_ENGINE_CATALOG_FOLDER_H_

#include <string>

#include "base/status.h"
#include "engine/folder.h"
#include "io/file.h"
#include "io/task.h"

namespace nexus::engine {

// Ends what a crash has interrupted. What was done, for people; empty if there was nothing to do.
// A rebuilt catalog beside one that is in its place is of no use any more and is set aside.
io::Task<StatusOr<std::string>> SettleCatalogFolder(io::Disk* disk, Folder folder);

// Makes an empty catalog.building/; one that is there is set aside. After SettleCatalogFolder.
io::Task<Status> MakeBuildingFolder(io::Disk* disk, Folder folder);

// Puts catalog.building/, whose files are synced, in the place of catalog/. Where the old one lies
// now, empty if there was none.
io::Task<StatusOr<std::string>> PutCatalogInPlace(io::Disk* disk, Folder folder);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CATALOG_FOLDER_H_
