// What the commands `nexus wal verify|dump|replay` need of the log: a report of a scan, and the
// file moves of a replay. Nothing here deletes a file. Threading: loop thread.

#ifndef NEXUS_WAL_TOOL_H_
#define NEXUS_WAL_TOOL_H_

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/environment.h"
#include "io/task.h"
#include "wal/cursor.h"
#include "wal/scan.h"

namespace nexus::wal {

// The scan as lines for people: one for each segment, then the end, the torn tail, damage, notes.
std::vector<std::string> VerifyReport(const LogScan& scan);

// Calls `visit` for each record of the scan in LSN order, until it returns false. Errors: those of
// LogCursor::Next().
io::Task<Status> VisitRecords(io::Environment* environment, LogScan scan, CursorOptions options,
                              std::function<bool(const RecordView&)> visit);

// Copies each segment that has damage into `quarantine` (made if missing), synced, and leaves the
// original. A sector that cannot be read is copied as zeros. The names of the copies.
io::Task<StatusOr<std::vector<std::string>>> CopyDamagedSegments(io::Environment* environment,
                                                                 LogScan scan,
                                                                 std::string quarantine);

// Moves every segment of the scan, dead ones too, into `quarantine`, oldest first, and syncs both
// folders. Spares stay. A crash between leaves a log whose beginning is missing, which a scan with
// a witness refuses: call it only once what the log held is durable elsewhere. The names moved.
io::Task<StatusOr<std::vector<std::string>>> MoveSegmentsAside(io::Environment* environment,
                                                               LogScan scan,
                                                               std::string quarantine);

}  // namespace nexus::wal

#endif  // NEXUS_WAL_TOOL_H_
