// SegmentStore: the segment files of a running log - the ones held, the current one, the next one
// with its header ready, and zero-filled spares - and the background task that makes, recycles and
// unlinks them.
//
// Invariants, each of which makes a crash at any instant harmless:
// - A file has a segment's name only after its whole header is durable: headers are written to
// files
//   named as spares, synced, renamed, and the directory is synced before the segment is used.
// - A spare's name is given after its zeros are durable (or after it was a segment).
// - A segment loses its name durably before its header is overwritten, and oldest first, one
//   directory sync each: what remains is always an unbroken run.
// - A rename that a crash left half done, with two names for one file (D5), is seen by the scan:
// the
//   spare carries the header of a segment that is there. Such a spare is unlinked, not used.
// - Ranges of LSNs are given out once: next_base_ only rises, also over attempts that fail.
// - A segment is given up only when the next one says durably where it ended.
//
// Failure: a file that cannot be made leaves space() with the reason and is tried again after a
// pause that doubles; a file that cannot be given up is tried again by the next Trim. Threading:
// loop thread only; one background task does all file operations, one at a time.

#ifndef NEXUS_WAL_SEGMENT_STORE_H_
#define NEXUS_WAL_SEGMENT_STORE_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/environment.h"
#include "io/task.h"
#include "wal/format.h"
#include "wal/log.h"
#include "wal/scan.h"
#include "wal/segment_reader.h"
#include "wal/tail.h"

namespace nexus::wal {

// A segment of the log that is held.
struct Segment {
  SegmentIdentity identity;
  uint64_t sequence = 0;
  std::string path;
  uint64_t file_bytes = 0;
  Lsn end;                 // of its last frame, once it is no longer the current one
  bool names_end = false;  // its header says where its predecessor ended
  // What was written before it had its name: the end of that in the file, and the last hash.
  uint64_t written_end = kSegmentDataBegin;
  uint64_t written_hash = 0;
  // Of a segment written by this log: open while there are rounds for it, from their first frame to
  // the end of their write.
  std::unique_ptr<io::File> file;
  int rounds = 0;
};

class SegmentStore {
 public:
  // Told when a segment or a spare has become available, or the making of one has failed.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnSegmentsChanged() = 0;
  };

  // The pointers outlive the store.
  SegmentStore(io::Environment* environment, const LogOptions& options, const LogScan& scan,
               Listener* listener);
  ~SegmentStore();

  // Makes all segments of the scan durable, then the first segment, whose header closes the past
  // and which begins with the records of the scan's tail; `scan` is changed to have them there. If
  // the first segment cannot be made, there is none, space() says why, and the background task goes
  // on trying. Errors: a sync of the past failed, and what it holds is unknown for ever (D3); the
  // tail has become unreadable.
  io::Task<Status> OpenFirst(LogScan* scan);
  // Starts the background task.
  void StartMaintenance();

  // Null until the first segment is made.
  Segment* current() { return current_.get(); }
  const Segment* current() const { return current_.get(); }
  bool has_next() const { return next_ != nullptr; }
  // Segments ready to be used beside the current one.
  int spares() const { return static_cast<int>(spares_.size()) + (next_ != nullptr ? 1 : 0); }
  // OK, or why the last attempt to make a file failed.
  const Status& space() const { return space_; }

  // Of the segment before the current one. REQUIRES: there was a Rotate.
  uint64_t previous_sequence() const { return held_.back()->sequence; }

  // Makes the next segment the current one; the old one ended at `end`. REQUIRES: has_next().
  void Rotate(Lsn end);
  // All frames below are durable.
  void SetDurable(Lsn durable) { durable_ = durable; }
  io::Task<Status> Trim(Lsn below);

  // Nothing is changed on disk from now on (the log has failed).
  void Stop();
  // Stops, and returns when the background task has ended.
  io::Task<void> Close();

  void AddStats(LogStats* stats) const;
  // What is held and needed, up to `durable`.
  HeldLog Held(Lsn durable) const;

 private:
  struct RetryTimer : io::Timer {
    explicit RetryTimer(SegmentStore* owner) : Timer(&Wake), store(owner) {}
    static void Wake(io::RunNode* node) { static_cast<RetryTimer*>(node)->store->wake_.Set(); }
    SegmentStore* store;
  };

  io::Task<void> Maintain();
  // Does the most urgent thing there is to do. False if there was none.
  io::Task<bool> DoOne();
  io::Task<void> MakeSegmentAhead();
  io::Task<void> MakeSpare();
  io::Task<void> DropDead();
  io::Task<void> TrimFront();

  io::Task<Status> SyncPast();
  io::Task<Status> MakeFirst();
  io::Task<StatusOr<std::string>> CreateSpare(uint64_t bytes);
  io::Task<Status> WriteZeros(std::string path, uint64_t bytes);
  io::Task<Status> MakeSegment(std::string spare, uint64_t bytes, Predecessor predecessor);
  io::Task<Status> WriteBeginning(std::string spare, SegmentHeader header, Segment* segment);
  io::Task<Status> GiveUp(std::string path, uint64_t bytes);

  SegmentHeader NextHeader(Predecessor predecessor, uint64_t bytes);
  std::string TakeSpare();
  void MoveTail(LogScan* scan) const;
  bool MayTrimFront() const;
  void CloseIdleFiles();
  void NoteMade(const Status& made);
  void EndTrims(Status status);
  std::string NewPath(FileName::Kind kind, uint64_t sequence) const;

  io::Environment* const environment_;
  io::Disk* const disk_;
  const LogOptions options_;
  Listener* const listener_;

  bool past_synced_ = false;
  std::vector<std::string> unsynced_past_;  // the segments that the scan read
  Tail tail_;                               // to be written to the first segment
  const Predecessor past_;                  // what the first segment says of the one before it
  const std::vector<Cut> cuts_;
  Lsn durable_;

  std::deque<std::unique_ptr<Segment>> held_;  // before the current one, oldest first
  std::unique_ptr<Segment> current_;
  std::unique_ptr<Segment> next_;
  std::vector<std::string> spares_;
  std::deque<SpareFile> dead_;  // to be recycled or unlinked
  uint64_t next_sequence_;
  Lsn next_base_;

  Status space_;
  int64_t retry_at_ns_ = 0;
  int64_t retry_delay_ns_;
  bool dead_blocked_ = false;  // none is given up before the next Trim

  Lsn trim_below_;
  uint64_t trims_asked_ = 0;
  uint64_t trims_done_ = 0;
  Status trim_status_;
  io::Event trimmed_;

  bool stopping_ = false;
  bool maintaining_ = false;
  io::Event wake_;
  RetryTimer retry_timer_;
  LogStats counts_;
  io::TaskScope scope_;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_SEGMENT_STORE_H_
