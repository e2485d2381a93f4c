// Tail: the records of a log's unconfirmed tail, held in memory to be written again.
//
// Size: what was in flight when the log crashed, so at most its buffers: 40 MiB with the default
// options. Threading: loop thread.

#ifndef NEXUS_WAL_TAIL_H_
#define NEXUS_WAL_TAIL_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "io/environment.h"
#include "io/file_util.h"
#include "io/task.h"
#include "wal/record.h"
#include "wal/scan.h"
#include "wal/segment_reader.h"

namespace nexus::wal {

struct Tail {
  struct Record {
    RecordKind kind;
    int64_t wall_ns;
    std::string body;
  };
  std::vector<Record> records;
  uint64_t frame_bytes = 0;
  uint64_t record_bytes = 0;

  bool empty() const { return records.empty(); }
};

// Reads the records of `scan` from its tail_begin on. Errors: DataLoss if they have gone bad since
// the scan.
io::Task<StatusOr<Tail>> ReadTail(io::Environment* environment, LogScan scan);

// The tail as frames of another segment, from its beginning.
struct TailImage {
  io::AlignedBuffer bytes;  // whole sectors, zeros behind the last frame
  uint64_t frame_bytes = 0;
  uint64_t last_hash = 0;
};
// `previous_hash` is that of the frame before; `durable` is what the frames record as durable.
TailImage EncodeTail(const Tail& tail, const SegmentIdentity& identity, uint64_t previous_hash,
                     Lsn durable);

}  // namespace nexus::wal

#endif  // NEXUS_WAL_TAIL_H_
