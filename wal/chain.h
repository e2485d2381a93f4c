// Reading the headers of all segment files, and following them from the newest down: which files
// are the past, which are dead, where a link is broken.
//
// A segment has its name only after its header is durable, so one without a header is damaged - but
// for the newest, if it is blank: that one holds nothing, it was never started.
//
// Never writes. Failure: errors only for what must stop every use of the folder (another database,
// an unknown version); a bad header is part of the result. Threading: ReadSegmentFiles reads and
// waits, so a worker runs it; BuildChain is pure.

#ifndef NEXUS_WAL_CHAIN_H_
#define NEXUS_WAL_CHAIN_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/file.h"
#include "wal/format.h"
#include "wal/scan.h"

namespace nexus::wal {

// A file named as a segment, and what its header says.
struct SegmentFile {
  FileName name;
  std::string path;
  uint64_t bytes = 0;
  std::optional<SegmentHeader> header;
  std::string header_error;  // why there is none
  int bad_copies = 0;        // beside a good one
  // Without a header: all of it was read, and nothing but zeros is behind the header's place.
  bool blank = false;
};

// All files of a log's folder that carry its names.
struct LogFiles {
  std::vector<SegmentFile> segments;  // by sequence
  std::vector<SpareFile> spares;
  std::vector<SpareFile> leftovers;  // spares that were being made, second names of segments
  uint64_t sequence_max = 0;         // over all names
  uint64_t open_count_max = 0;
};

LogFiles SortFiles(const std::string& directory, const std::vector<io::DirectoryEntry>& entries);

// Reads both header copies of each segment, and all of one that has no good copy. Errors:
// FailedPrecondition naming the file - a segment of another database than `database`, or two
// databases in one folder; a version or feature unknown.
Status ReadSegmentFiles(io::Disk* disk, std::optional<DatabaseId> database, LogFiles* files);

// Moves to the leftovers each spare that carries the header of a segment that is there, or whose
// header cannot be read: a crash may have left a rename half done, with both names for one file
// (D5), and a spare is overwritten.
void SetAsideSecondNames(io::Disk* disk, LogFiles* files);

struct ChainLink {
  SegmentFile file;
  // Set if what stands before this link cannot be followed: why. The hash of the frame before its
  // first one is then unknown.
  std::string broken;
  bool headless = false;  // its own header is bad: named by the next one, and unreadable
};

struct Chain {
  std::vector<ChainLink> links;  // oldest first
  std::vector<SpareFile> dead;   // cut to nothing, or never started
  std::map<uint64_t, Cut> cuts;  // by sequence; the newest header that has one wins
  Lsn range_end;                 // above every LSN that any of the files could hold
  std::optional<DatabaseId> database;
  std::vector<std::string> notes;
};

Chain BuildChain(std::vector<SegmentFile> segments);

}  // namespace nexus::wal

#endif  // NEXUS_WAL_CHAIN_H_
