// Garbage: files of retired layers, unlinked when nothing can need them any more.
//
// A layer's file goes in this order, and a crash in between only leaves it for the next time:
//   1 the edit that retires it is durable and applied
//   2 the catalog that has it as garbage is persistent; if the layer is the last that has some
//     series, an image with their labels is, too (orphaned_series.h)
//   3 no version that a query holds has it, and the file is unlinked, the folder synced
//   4 an edit strikes it off the list
// After 2 nothing that a crash can bring back lists the layer as live: the log holds the edit until
// two images have it too. A query opens files as it comes to them (layer_file.h), so 3 waits for
// the end of every query that began before 1; one that goes on for ever is ended by its deadline.
// Failure: a file that cannot be read or unlinked stays on the list, and all of a tenant of which a
// live layer cannot be; others go. Threading: the task runs on the loop.

#ifndef NEXUS_ENGINE_GARBAGE_H_
#define NEXUS_ENGINE_GARBAGE_H_

#include "base/status.h"
#include "engine/catalog_keeper.h"
#include "engine/committer.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

// Removes what is garbage now and nobody can read; does nothing while `garbage_holders` hold it.
// Errors: those of the catalog, of reading, the disk and the log; what was not removed is still on
// the list.
io::Task<Status> RemoveGarbage(DatabaseState* state, Committer* committer, CatalogKeeper* keeper);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_GARBAGE_H_
