// LogAnalysis: walks the chain frame by frame and decides where the log ends and what is damage.
//
// Fed with one link after the other, oldest first. Every place where frames are missing - the next
// frame does not name the hash of the last good one - is a gap, remembered with the state of the
// log before it. When all is walked the greatest durable LSN recorded anywhere is known, and with
// it what each gap was: the first at or above it is the torn tail, at which the log is cut; those
// below are damage. See scan.h for the rules.
//
// The last frame below that LSN ends what is confirmed; see scan.h.
//
// Memory: 80 bytes a gap and a frame of the unconfirmed tail. A gap needs a genuine frame behind
// it, so there are as many as writes were in flight at a crash, or as there is damage; the tail
// holds what was in flight. Threading: Walk reads and waits, so a worker runs it; one thread at a
// time. Format: docs/format/wal.md.

#ifndef NEXUS_WAL_ANALYSIS_H_
#define NEXUS_WAL_ANALYSIS_H_

#include <deque>
#include <string>
#include <vector>

#include "io/file.h"
#include "wal/chain.h"
#include "wal/scan.h"
#include "wal/segment_reader.h"

namespace nexus::wal {

class LogAnalysis {
 public:
  LogAnalysis(io::Disk* disk, std::string directory, Witness witness, Chain chain);

  size_t link_count() const { return chain_.links.size(); }
  uint64_t bytes_total() const;
  uint64_t link_bytes(size_t index) const { return chain_.links[index].file.bytes; }

  // Walks link `index`. REQUIRES: called once for each, in order.
  void Walk(size_t index);

  // What was found. REQUIRES: all links walked; called once.
  LogScan Finish();

 private:
  // A place in the chain: the end of a good frame, or the beginning of a segment.
  struct Place {
    Lsn end;
    Lsn records_end;
    size_t segments = 0;  // entered up to here; below, of the last of them:
    uint64_t data_end = 0;
    uint64_t last_hash = 0;
    uint64_t records = 0;
    uint64_t record_bytes = 0;
    int64_t first_wall_ns = 0;
    int64_t last_wall_ns = 0;
    uint64_t frame_bytes_seen = 0;    // of all frames, good or not
    uint64_t record_frame_bytes = 0;  // of the frame that ends here, if it is a record
  };
  // A place where frames are missing, and the log before it.
  struct Gap {
    Place before;
    Lsn until;  // where good frames go on
    std::string why;
  };

  void EnterSegment(const ChainLink& link);
  void WalkFrames(const io::File& file, const SegmentHeader& header, const Cut* cut);
  void TakeFrame(const SegmentReader::Step& step);
  void TakeRecord(const FrameHeader& frame);
  void TakeBad(const SegmentReader::Step& step);
  void AddGap(Lsn until);
  void CheckCut(const Cut& cut);
  void LoseLink(const ChainLink& link, const std::string& why);
  void AddDamage(Damage damage);
  void RaiseDurable(Lsn lsn);
  void ConfirmHere();

  std::vector<SegmentScan> ChainUpTo(const Place& place) const;
  size_t CountDamagedGaps() const;
  void TakeSegments(const Place& accepted, LogScan* scan);
  void DescribeTail(const Place& accepted, LogScan* scan) const;
  void CheckBeginning(const LogScan& scan);
  void CheckEnd(const Place& accepted);
  void DescribeNext(LogScan* scan) const;
  void ListDamage(size_t damaged_gaps, LogScan* scan);

  io::Disk* const disk_;
  const std::string directory_;
  const Witness witness_;
  Chain chain_;

  std::vector<SegmentScan> segments_;  // entered
  Place at_;
  bool hash_known_ = true;  // whether at_.last_hash names the frame before
  Lsn durable_;
  Place confirmed_;
  std::deque<Place> unconfirmed_;  // frame by frame
  uint64_t frame_bytes_seen_ = 0;
  // Bytes behind the last good frame that are neither frame nor padding, and what they are.
  bool bad_pending_ = false;
  // One of them has a genuine header: there was a frame, whatever the next one's link says.
  bool bad_frame_pending_ = false;
  std::string bad_why_;
  std::vector<Gap> gaps_;
  std::vector<Damage> damage_;
  uint64_t damage_count_ = 0;
  Predecessor before_first_;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_ANALYSIS_H_
