// ScanLog: reads all segments of a log and decides what of them is the past: where the log ends,
// what was a torn tail, what is damage. Writes nothing.
//
// How it decides (DESIGN section 4). Segments are chained by their headers: the newest names its
// predecessor, and so on down. A header written by Log::Start names the end (the cut) of its
// predecessor and of all segments held: bytes behind a cut are dead for ever. Behind the last such
// header frames are followed by place and by the hash of the previous frame. Every frame and header
// records the durable LSN known when it was written. A place where a frame is missing or bad is
//   a torn tail  if it lies at or above every durable LSN recorded anywhere, the witness included:
//                nothing acknowledged can be there; the log ends at the first such place;
//   damage       if it lies below one: acknowledged records are lost. So is any read error.
// A gap that the previous-frame hashes prove empty (a flipped bit in padding) is harmless.
//
// What is accepted falls in two: records below the greatest durable LSN recorded are on stable
// storage; those above, the unconfirmed tail (what was in flight at a crash), can be read but may
// yet be lost - if the sync that the dead process waited for failed, a sync by its successor can
// succeed without them (D3). Log::Start writes the tail again, to the head of its new segment.
//
// Failure: a damaged log is a successful scan whose status() is DataLoss; errors are for folders
// that cannot be listed or are not of this database or version. Threading: ScanLog on the loop (the
// reading is done by workers); LogScan is a value.
// Format: docs/format/wal.md.

#ifndef NEXUS_WAL_SCAN_H_
#define NEXUS_WAL_SCAN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::wal {

// What is known of the log from outside it.
struct Witness {
  // Segments of another database are refused. Absent (tools): that of the newest segment is taken.
  std::optional<DatabaseId> database;
  // The greatest LSN known to have been durable: applied, image and layer LSNs. A log that ends
  // below it is damaged.
  Lsn minimum_durable;
  // Replay will start here (the applied LSN of the synced catalog). A log whose first segment names
  // a predecessor that ended above it has lost records. Absent: not checked.
  std::optional<Lsn> replay_from;
};

// A stretch of acknowledged log that cannot be read back.
struct Damage {
  std::string path;     // of the segment, or of the folder if the segment itself is missing
  uint64_t offset = 0;  // in the file
  Lsn lsn;              // of the first byte lost
  Lsn until;            // of the next good frame; equal to `lsn` if there is none
  std::string why;
  // Below a durable LSN. False only for read errors above, where nothing can be said.
  bool acknowledged = true;
};
// Further damage is counted, not listed.
inline constexpr size_t kDamageListedMax = 1000;

// One segment of the chain.
struct SegmentScan {
  std::string path;
  uint64_t file_bytes = 0;
  uint64_t sequence = 0;  // rises by at least one from segment to segment; the frames' epoch
  uint64_t open_count = 0;
  uint64_t seed = 0;
  Lsn base;       // of the byte at `data_begin`
  Lsn range_end;  // above every LSN the segment could hold
  uint64_t data_begin = 0;
  uint64_t data_end = 0;       // offset after the last accepted frame
  uint64_t last_hash = 0;      // of that frame; of the predecessor's last if there is none here
  uint64_t previous_hash = 0;  // of the frame before the first of this segment
  uint64_t records = 0;        // accepted, without the log's own frames
  uint64_t record_bytes = 0;
  int64_t first_wall_ns = 0;  // of the first and last accepted record; 0 if none
  int64_t last_wall_ns = 0;
  // Bytes that should be zero and are not, or a bad copy of the header: nothing is missing.
  uint64_t blemishes = 0;

  bool has_frames() const { return data_end > data_begin; }
  Lsn end() const { return Lsn{base.value + (data_end - data_begin)}; }
};

// What a new segment says of the one before it.
struct Predecessor {
  enum class Kind : uint32_t {
    kNone = 0,    // the first segment of the database
    kClosed = 1,  // decided by a recovery: it ends at `end`, its last frame has `hash`
    kOpen = 2,    // rotated in full flight: the first frame says where it ended
  };
  Kind kind = Kind::kNone;
  uint64_t sequence = 0;
  Lsn end;
  uint64_t hash = 0;
};

// The end of a segment: what is behind is dead.
struct Cut {
  uint64_t sequence = 0;
  Lsn end;
  uint64_t hash = 0;  // of the last frame before it
};

struct SpareFile {
  std::string path;
  uint64_t bytes = 0;
};

struct LogScan {
  std::string directory;
  std::optional<DatabaseId> database;  // of the segments; absent if there are none
  // The chain, oldest first, as far as it was accepted. Empty for a new database - or a lost log,
  // see status().
  std::vector<SegmentScan> segments;
  // The same as far as it is known to be durable, and the unconfirmed tail behind it: the records
  // of `segments` that begin at or above `tail_begin`, and the bytes of their frames.
  std::vector<SegmentScan> confirmed;
  Lsn tail_begin;
  uint64_t tail_frame_bytes = 0;
  // Segment files that hold nothing of the past: cut to nothing, or never started. Log::Start
  // recycles them once the new segment is durable.
  std::vector<SpareFile> dead;
  std::vector<SpareFile> spares;
  // Spares that were being made, and second names of segments; Log::Start unlinks them.
  std::vector<SpareFile> leftovers;

  // Where the log ends: the end of the last accepted frame, or the base of the segment that the
  // last recovery opened, if nothing followed. Lsn 0 for an empty log.
  Lsn end;
  // The end of the last accepted record that is not a frame of the log's own; 0 if there is none.
  Lsn records_end;
  // The greatest durable LSN recorded anywhere, the witness included.
  Lsn durable;
  // The torn tail that was cut at `end`: bytes of frames dropped, as far as they can be told from
  // what an older use of the segment left behind.
  uint64_t torn_bytes = 0;
  // What the first segment says of its predecessor; kNone: the log is whole from its beginning.
  Predecessor before_first;
  // For the header of the next segment: the end of what is confirmed.
  Predecessor last;
  std::vector<Cut> cuts;
  uint64_t next_sequence = 1;
  uint64_t open_count_max = 0;  // in the name of any file of the log, 0 if there is none
  Lsn next_base;                // above every range seen and every durable LSN recorded

  std::vector<Damage> damage;  // in LSN order
  uint64_t damage_count = 0;
  // For people: never-started segments, header copies that went bad, files of wrong size.
  std::vector<std::string> notes;

  bool empty() const { return segments.empty() && dead.empty(); }
  bool from_the_beginning() const { return before_first.kind == Predecessor::Kind::kNone; }
  uint64_t records() const;
  // OK, or DataLoss naming the first damage and the way out: `nexus wal replay`.
  Status status() const;
};

struct ScanProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
};

// Reads every segment in `directory`. Errors: NotFound (no such folder), FailedPrecondition (a
// segment of another database, a version or a feature this program does not know), and those of
// listing. `progress`, if given, is called on the loop after each segment. Reads each byte once, in
// windows of 1 MiB.
io::Task<StatusOr<LogScan>> ScanLog(io::Environment* environment, std::string directory,
                                    Witness witness,
                                    std::function<void(const ScanProgress&)> progress);

}  // namespace nexus::wal

#endif  // NEXUS_WAL_SCAN_H_
