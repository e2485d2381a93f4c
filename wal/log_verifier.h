// LogVerifier: reads the durable part of segments again, frame by frame, while the log runs.
//
// ScanLog decides what a stopped log is; it cannot look at one that grows and is trimmed under its
// eyes. A running log says itself what it holds (Log::Held) and how far that is durable; here
// every frame up to there is checked: header copies, checksums, and the chain of hashes from the
// first segment to the last, so that nothing can be missing between two good frames.
// Failure: never; what is bad is told to the sink. A segment that the log gives up meanwhile may
// look bad: the caller asks Log::Held again before it believes. Memory: one window of 1 MiB, more
// only for a larger record. Threading: one thread at a time, not the loop's (it reads and waits).
// Format: docs/format/wal.md.

#ifndef NEXUS_WAL_LOG_VERIFIER_H_
#define NEXUS_WAL_LOG_VERIFIER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "io/file.h"
#include "wal/format.h"
#include "wal/record.h"
#include "wal/scan.h"
#include "wal/segment_reader.h"

namespace nexus::wal {

// A segment as it is known to whoever wrote or scanned it.
struct HeldSegment {
  std::string path;
  uint64_t sequence = 0;
  uint64_t seed = 0;
  Lsn base;
  uint64_t data_end = 0;  // offset: the frames before it are durable and whole

  SegmentIdentity identity() const { return {seed, static_cast<uint32_t>(sequence), base}; }
};

// What is held of a log, oldest first, and files that hold nothing and will be given up.
struct HeldLog {
  std::vector<HeldSegment> segments;
  std::vector<std::string> dead;  // paths
};

// The segments that a scan accepted.
std::vector<HeldSegment> HeldSegments(const LogScan& scan);

class LogVerifier {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    // A good record; its body stays until the call returns.
    virtual void OnRecord(const RecordView& record) = 0;
    virtual void OnDamage(Damage damage) = 0;
    // Harmless: nothing is missing.
    virtual void OnNote(std::string note) = 0;
  };

  // `disk` and `sink` outlive the verifier.
  LogVerifier(io::Disk* disk, std::vector<HeldSegment> segments, Sink* sink);

  // Reads and checks about a window (1 MiB). False at the end.
  bool Step();

  bool done() const { return index_ == segments_.size(); }
  // The one being read. REQUIRES: not done().
  const HeldSegment& segment() const { return segments_[index_]; }
  uint64_t bytes_done() const { return bytes_done_ + (reader_ ? reader_->position() : 0); }
  uint64_t bytes_total() const { return bytes_total_; }

 private:
  void OpenSegment();
  void CheckHeader();
  void TakeFrame(const SegmentReader::Step& step);
  void TakeBad(const SegmentReader::Step& step);
  void FinishSegment();
  void LoseSegment(const std::string& why);
  void AddDamage(uint64_t offset, uint64_t until, std::string why);

  io::Disk* const disk_;
  const std::vector<HeldSegment> segments_;
  Sink* const sink_;
  uint64_t bytes_total_ = 0;
  uint64_t bytes_done_ = 0;

  size_t index_ = 0;
  std::unique_ptr<io::File> file_;
  std::unique_ptr<SegmentReader> reader_;  // none between segments
  std::optional<uint64_t> previous_hash_;  // of the frame before, if it is known
  uint64_t frames_end_ = 0;                // offset behind the last frame
  std::optional<uint64_t> bad_from_;       // bytes that are no frame, not yet judged
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_LOG_VERIFIER_H_
