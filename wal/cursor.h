// LogCursor: streams the records of a scanned log in LSN order, in bounded memory.
//
// Reads the accepted part of each segment again, window by window, and checks every frame again:
// what changed since the scan is noticed. Memory: one window of 1 MiB, more only for a larger
// record (16 MiB at most). Failure: a bad place is DataLoss with segment, offset and LSN, unless
// skip_damaged, which goes on with the next good frame. Threading: loop thread; reading and hashing
// are done by a worker.

#ifndef NEXUS_WAL_CURSOR_H_
#define NEXUS_WAL_CURSOR_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "io/environment.h"
#include "io/task.h"
#include "wal/record.h"
#include "wal/scan.h"
#include "wal/segment_reader.h"

namespace nexus::wal {

struct CursorOptions {
  Lsn from;                   // records that begin below are passed over
  Lsn to{UINT64_MAX};         // and those that end above
  bool skip_damaged = false;  // go on behind bad places
};

class LogCursor {
 public:
  // `environment` outlives the cursor; the scan is copied as far as it is needed.
  LogCursor(io::Environment* environment, const LogScan& scan, CursorOptions options);

  // The next records, at least one; an empty span at the end. They point into the cursor's window
  // and stay until the next call. After an error the cursor gives the same error.
  // REQUIRES: the previous call's task has finished.
  io::Task<StatusOr<std::span<const RecordView>>> Next();

  // Bytes of segments passed, for progress.
  uint64_t bytes_done() const { return bytes_done_; }
  uint64_t bytes_total() const { return bytes_total_; }

 private:
  Status Fill();
  Status OpenSegment();
  Status TakeStep(const SegmentReader::Step& step);
  Status FinishSegment();
  Status Bad(uint64_t offset, std::string_view why) const;

  io::Environment* const environment_;
  const CursorOptions options_;
  const std::vector<SegmentScan> segments_;
  uint64_t bytes_total_ = 0;
  uint64_t bytes_done_ = 0;

  // Touched by the worker while Next() waits for it, by the loop otherwise.
  size_t index_ = 0;  // of the segment being read, or to be opened next
  std::unique_ptr<io::File> file_;
  std::unique_ptr<SegmentReader> reader_;  // none between segments
  uint64_t previous_hash_ = 0;
  uint64_t frames_end_ = 0;  // offset behind the last good frame
  std::vector<RecordView> records_;
  Status status_;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_CURSOR_H_
