// Scrub: the physical check of a database, living or stopped. See scrub_report.h for what it is.
//
//   io::Task<StatusOr<ScrubReport>> Scrub(DatabaseCore* core, ScrubOptions options);
//       An open database, while it goes on serving. As an oracle, after an open:
//           auto report = world.RunTask(engine::Scrub(core, {}));
//           ok = report.ok() && report->clean();
//   io::Task<StatusOr<ScrubReport>> ScrubFolder(environment, options, scrub, hooks);
//       A stopped one. Takes the folder's lock and changes nothing, whatever it finds: nothing is
//       replayed, flushed, moved or mended.
//
// What agrees, in both: every layer that is listed is there, whole, and tells what the catalog
// tells of it; its labels are those of the catalog; every id that the log names is defined; the
// log reaches from what the catalog holds to what is durable; and the files of the folder are
// those that something lists, those that are being written, and known garbage.
// A living log is checked from the trim point to what was durable when the scrub came to it, so
// neither appends nor flushes disturb it, nor does it disturb them: the reading is done by workers,
// in pieces of about 1 MiB or 10 ms.
// Failure: damage is a finding in a report that is OK. Errors: Cancelled, DeadlineExceeded;
// FailedPrecondition - a scrub of this database is under way, it is closing, or its folder is in
// use (ScrubFolder); NotFound - no database there; and what keeps files from being listed. Memory:
// bounded by one page of each kind, 8 MiB of pages and a window of the log (1 MiB); a stopped
// database takes 32 bytes a series besides, and the definitions that its log holds above the
// catalog. Threading: the tasks run on the loop; one scrub of a database at a time.

#ifndef NEXUS_ENGINE_SCRUB_H_
#define NEXUS_ENGINE_SCRUB_H_

#include "base/status.h"
#include "engine/core.h"
#include "engine/options.h"
#include "engine/scrub_report.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::engine {

// `core` stays open or is closed meanwhile (its Close waits for the scrub, which ends at once).
io::Task<StatusOr<ScrubReport>> Scrub(DatabaseCore* core, ScrubOptions scrub);

// Of `options` counts what opening it would use: directory, lock_wait_ms.
io::Task<StatusOr<ScrubReport>> ScrubFolder(io::Environment* environment, Options options,
                                            ScrubOptions scrub, CatalogHooks hooks);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SCRUB_H_
