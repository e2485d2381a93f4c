// Log: appends records to the database's one log and makes them durable in groups.
//
// Effect: Append copies a record into the current buffer and gives it its LSN; buffers are written
// one write and one linked fdatasync each, several in flight; the durable watermark is the end of
// the longest run of finished writes, reported through LogObserver.
//
// Invariants.
// - No sector that holds a record is written twice: each write starts on a sector of its own and is
//   padded to the next (D7). A frame never spans two writes.
// - The watermark covers only what a completed sync covers (D2), in LSN order (D10).
// - LSNs are never re-used: a segment begins above every range that any older one had.
// - The file never grows in the hot path: segments are zero-filled and synced ahead of need by a
//   background task, and recycled by Trim.
// Why write + linked fdatasync and not O_DSYNC: without FUA in the block device an O_DSYNC write is
// finished by a kernel worker on the CPU of the disk's interrupt, and waits for a tick (4 ms)
// behind anything that computes there (measured, INGEST section 1).
//
// Failure: the first failed, short or unsynced write latches (D3): OnFailed once, every later
// append is Unavailable, the watermark stands still, nothing is retried; reopening recovers. A full
// disk is no failure: it shows where segments are created, refuses batches by name, and heals by
// itself. Threading: loop thread only. Format: docs/format/wal.md.

#ifndef NEXUS_WAL_LOG_H_
#define NEXUS_WAL_LOG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "io/environment.h"
#include "io/task.h"
#include "wal/log_verifier.h"
#include "wal/record.h"
#include "wal/scan.h"

namespace nexus::wal {

struct LogOptions {
  std::string directory;    // exists
  DatabaseId database;      // stands in every segment
  uint64_t open_count = 0;  // of the database; stands in segment names and headers
  // The new segment begins above this and above everything the scan saw. For a log created beside
  // layers that are newer than the log (a replayed or restored database).
  Lsn base_above;

  // Size of a segment file, a multiple of 4096 in [32 KiB, 1 GiB]. Larger: fewer rotations, coarser
  // trimming, more disk held while idle (the current segment and spares_min more).
  uint64_t segment_bytes = uint64_t{64} << 20;
  // Size of a write buffer, a multiple of 4096 in [8 KiB, 16 MiB]. At 1 MiB and 4 in flight the
  // disk measured here is saturated; larger only adds latency. A record that does not fit gets a
  // buffer of its own.
  uint64_t buffer_bytes = uint64_t{1} << 20;
  // Buffers in the pool, at least 2: those in flight, the one being filled, and as much again so
  // that appending goes on while completions wait for the loop.
  int buffers = 8;
  // Bound on the memory of buffers made for records larger than buffer_bytes; one such record is
  // always taken when none is in flight.
  uint64_t large_bytes_max = uint64_t{32} << 20;
  // Writes in flight, 1..64. Without direct I/O it is 1: the kernel reports a failed write-back to
  // one sync only, so two in flight could not both be believed.
  int writes_in_flight_max = 4;
  // Zero-filled segments kept ready beside the current one, at least 2 (the last is for edits
  // only), and the number above which trimmed segments are unlinked instead.
  int spares_min = 2;
  int spares_max = 4;

  // A buffer that is not full is written at once if no write is in flight, else after this long.
  int64_t seal_delay_ns = 100'000;
  // A mark with the durable LSN follows the last flush after this long without appends.
  int64_t mark_delay_ns = 10'000'000;
  // After a failed segment creation: the first pause before trying again; doubles up to the second.
  int64_t retry_delay_ns = 100'000'000;
  int64_t retry_delay_max_ns = 5'000'000'000;
};

// Called on the loop, never from inside Append, CanAppend or Start. May call the log, but not
// destroy it. Outlives the log.
class LogObserver {
 public:
  virtual ~LogObserver() = default;
  // Every record with end <= durable is on stable storage. Rises with each call.
  virtual void OnDurable(Lsn durable) = 0;
  // The log has failed; the outcome of records above durable() is unknown until the next recovery.
  // Called once, with the status that appends will now get.
  virtual void OnFailed(Status why) = 0;
  // CanAppend or Append gave a refusal that may no longer hold.
  virtual void OnRoom() = 0;
};

struct LogStats {
  uint64_t records = 0;
  uint64_t record_bytes = 0;   // bodies
  uint64_t written_bytes = 0;  // with headers, marks and padding
  uint64_t rounds = 0;         // writes, each with its sync
  uint64_t marks = 0;
  uint64_t refused_for_space = 0;
  uint64_t segments_created = 0;  // zero-filled anew
  uint64_t segments_recycled = 0;
  uint64_t segments_unlinked = 0;
  uint64_t segments = 0;          // held, with the current one
  uint64_t spares = 0;            // with the one that is next
  uint64_t bytes_on_disk = 0;     // segments and spares
  uint64_t rounds_in_flight = 0;  // now
};

class Log {
 public:
  // Begins writing after a scan without damage. Syncs every segment the scan read and the
  // directory, then creates the new segment: its header - two copies in separate sectors, naming
  // the predecessor, the cuts and the last confirmed frame - and its name are durable on return, so
  // what the scan accepted, and only that, is the past for ever. Only then may records be applied.
  //
  // The unconfirmed tail of the scan is written again: the same records, at the head of the new
  // segment, durable before it has a name. `scan` is changed to say so - replay reads from it what
  // holds from now on - which gives those records new, higher LSNs. Nobody can have built on the
  // old ones: no layer, image or catalog vouches for them.
  //
  // If the new segment cannot be created (no space, read-only file system) and there are no records
  // to write again, the log opens without one: writable() says why, appends are refused with that,
  // `scan` ends where it is confirmed, and the log heals by itself. Errors: DataLoss if the scan
  // found damage; ResourceExhausted or PermissionDenied if the unconfirmed tail cannot be written
  // again; FailedPrecondition for options that do not fit the folder; InvalidArgument for options
  // out of range; the error of a failed sync or directory operation. On an error `scan` is out of
  // date: scan again. `environment` and `observer` outlive the log.
  static io::Task<StatusOr<std::unique_ptr<Log>>> Start(io::Environment* environment,
                                                        LogOptions options, LogScan* scan,
                                                        LogObserver* observer);
  // REQUIRES: Close() has returned, or the simulated world has crashed.
  virtual ~Log() = default;

  // False if Append would be refused for a lack of room that passes by itself - buffers in flight,
  // a segment being prepared - and OnRoom will then be called. True means: call Append, it gives
  // the final answer (which on a full disk is a refusal).
  // NOLINTNEXTLINE(google-default-arguments): callers see this declaration alone
  virtual bool CanAppend(size_t bytes, Urgency urgency = Urgency::kBatch) = 0;

  // Copies the pieces, as one record, into the log buffer and gives it its place. Does not block
  // and does not allocate (except for a record larger than buffer_bytes). Every error is definite -
  // the record has no LSN and will never be seen:
  //  - ResourceExhausted: no room now (CanAppend was false), or the disk is full (see writable())
  //  - Unavailable: the log has failed; reopen
  //  - InvalidArgument: larger than record_bytes_max(), or a kind out of range
  // Records become durable in the order of their LSNs.
  // NOLINTNEXTLINE(google-default-arguments): likewise
  virtual StatusOr<AppendResult> Append(RecordKind kind, std::span<const Bytes> pieces,
                                        Urgency urgency = Urgency::kBatch) = 0;

  // The end of the last record known to be durable; at first the base of the new segment.
  virtual Lsn durable() const = 0;
  // The end of the last record appended.
  virtual Lsn end() const = 0;
  // OK, or why batches are refused: no space (heals), or the failure that latched (does not).
  virtual Status writable() const = 0;
  virtual uint64_t record_bytes_max() const = 0;

  // Gives up whole segments that end at or below `below`, oldest first, each for good (its
  // directory sync done) before the next: recycled as spares, or unlinked. REQUIRES: nothing below
  // `below` is needed for any recovery, durably so. Errors: that of the file operation; what was
  // not given up is tried again by the next Trim. Unavailable once the log has failed.
  virtual io::Task<Status> Trim(Lsn below) = 0;

  // Returns when everything appended before the call is durable. Unavailable if the log fails.
  virtual io::Task<Status> Sync() = 0;

  // Syncs, writes the closing mark, ends the background work. Appends are refused from the call on.
  // Must be called, and waited for, before the log is destroyed - also after a failure, which it
  // then returns.
  virtual io::Task<Status> Close() = 0;

  virtual LogStats stats() const = 0;

  // The segments that a recovery would need, as far as they are durable now: not those that a Trim
  // asked to give up.
  virtual HeldLog Held() const = 0;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_LOG_H_
