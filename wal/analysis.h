// LogAnalysis: walks the chain frame by frame and decides where the log ends and what is damage.
//
// Fed with one link after the other, oldest first. Every place where frames are missing - the next
// frame does not name the hash of the last good one - is a gap, remembered with the state of the
// log before it. When all is walked the greatest durable LSN recorded anywhere is known, and with
// it what each gap was: the first at or above it is the torn tail, at which the log is cut; those
// below are damage. See scan.h for the rules.
//
// Memory: one record a gap. A gap needs a genuine frame behind it, so there are as many as writes
// were in flight at a crash, or as there is damage. Threading: Walk reads and waits, so a worker
// runs it; one thread at a time. Format: docs/format/wal.md.

#ifndef NEXUS_WAL_ANALYSIS_H_
#define NEXUS_WAL_ANALYSIS_H_

#include <algorithm>
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
  // The log as accepted up to a good frame.
  struct State {
    size_t segments = 0;  // entered so far, the one of `last` included
    SegmentScan last;     // as far as it was accepted
    Lsn end;              // of the log
    Lsn records_end;
    bool hash_known = true;    // whether last.last_hash names the frame before `end`
    uint64_t frame_bytes = 0;  // of frames seen, good or not
  };
  // A place where frames are missing, and the log before it.
  struct Gap {
    State before;
    Lsn until;  // where good frames go on
    std::string why;
  };

  void EnterSegment(const ChainLink& link);
  void WalkFrames(const io::File& file, const SegmentHeader& header, const Cut* cut);
  void TakeFrame(const SegmentReader::Step& step);
  void TakeBad(const SegmentReader::Step& step);
  void AddGap(Lsn until);
  void CheckCut(const Cut& cut);
  void LoseLink(const ChainLink& link, const std::string& why);
  void AddDamage(Damage damage);
  void RaiseDurable(Lsn lsn) { durable_ = std::max(durable_, lsn); }

  size_t CountDamagedGaps() const;
  void TakeSegments(const State& accepted, LogScan* scan);
  void CheckBeginning(const LogScan& scan);
  void CheckEnd(const State& accepted);
  void DescribeNext(LogScan* scan);
  void ListDamage(size_t damaged_gaps, LogScan* scan);

  io::Disk* const disk_;
  const std::string directory_;
  const Witness witness_;
  Chain chain_;

  std::vector<SegmentScan> segments_;  // all before state_.last
  State state_;
  Lsn durable_;
  uint64_t frame_bytes_seen_ = 0;
  // Bytes behind the last good frame that are neither frame nor padding, and what they are.
  bool bad_pending_ = false;
  std::string bad_why_;
  std::vector<Gap> gaps_;
  std::vector<Damage> damage_;
  uint64_t damage_count_ = 0;
  Predecessor before_first_;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_ANALYSIS_H_
