// SegmentReader: walks the frames of one segment in order, past damage, in bounded memory.
//
// Each step is a frame that is whole, a bad stretch with a frame of this segment behind it, or the
// end: the place from which on nothing more of this segment's life can be found. A frame counts
// only if seed, epoch and place agree, so old lives of a recycled file and bytes of clients that
// look like frames are passed over. Padding is zeros to the end of a sector; anything else between
// frames is a bad stretch, which the caller, who knows the hash of the frame before, may find
// harmless.
//
// Failure: never; unreadable sectors are remembered and walked as bad. Memory: the window, grown
// only for a frame whose header is proved genuine, to kFrameBytesMax at most.
// Threading: one thread at a time, not the loop's (it reads and waits). Format: docs/format/wal.md.

#ifndef NEXUS_WAL_SEGMENT_READER_H_
#define NEXUS_WAL_SEGMENT_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"
#include "io/file.h"
#include "wal/format.h"

namespace nexus::wal {

// Large enough that a read's fixed cost vanishes, small enough to stay in the cache.
inline constexpr uint64_t kReadWindowBytes = uint64_t{1} << 20;

// What proves that a frame belongs to a segment.
struct SegmentIdentity {
  uint64_t seed = 0;
  uint32_t epoch = 0;
  Lsn base;  // of the byte at kSegmentDataBegin

  Lsn LsnAt(uint64_t offset) const { return Lsn{base.value + (offset - kSegmentDataBegin)}; }
};

// Neighbouring sectors that cannot be read.
struct UnreadableStretch {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  std::string why;
};

class SegmentReader {
 public:
  struct Step {
    enum class Kind : uint8_t { kFrame, kBad, kEnd };
    Kind kind = Kind::kEnd;
    uint64_t offset = 0;  // where the frame or bad stretch begins; for kEnd, where nothing follows
    uint64_t end = 0;     // offset behind it
    // The frame; with kBad, that of a frame whose header is genuine and whose body is not.
    std::optional<FrameHeader> frame;
    Bytes body;  // of kFrame: in the window, until the window moves
  };

  // Walks [kSegmentDataBegin, limit) of `file`, which outlives the reader.
  SegmentReader(const io::File* file, SegmentIdentity identity, uint64_t limit,
                uint64_t window_bytes = kReadWindowBytes);

  // The next step. kEnd is given for ever once reached. May move the window.
  Step Next();

  // The next step if it lies in the window, else nothing: the bodies given so far stay until
  // MoveWindow(), after which the step can be had.
  std::optional<Step> NextInWindow();
  void MoveWindow();

  // In order of offset. Complete once the end is reached.
  const std::vector<UnreadableStretch>& unreadable() const { return unreadable_; }
  uint64_t position() const { return at_; }

 private:
  // True if [at, at + bytes) is in the window; else notes what the window must hold next.
  bool Holds(uint64_t at, uint64_t bytes);
  const std::byte* WindowAt(uint64_t at) const { return window_.get() + (at - window_begin_); }
  std::optional<FrameHeader> HeaderAt(uint64_t at) const;
  std::optional<Step> TakeFrame(const FrameHeader& header);
  std::optional<Step> Search();
  void SkipPadding();
  void ReadSectors(uint64_t wanted);
  void NoteUnreadable(uint64_t offset, uint64_t bytes, const Status& why);

  const io::File* const file_;
  const SegmentIdentity identity_;
  const uint64_t window_bytes_;
  uint64_t limit_;  // comes down to the end of a file that is shorter

  uint64_t at_ = kSegmentDataBegin;
  // Set while searching for the next frame behind a place where there was none.
  std::optional<uint64_t> bad_from_;

  std::unique_ptr<std::byte[]> window_;
  uint64_t window_capacity_ = 0;
  uint64_t window_begin_ = 0;
  uint64_t window_end_ = 0;
  uint64_t bytes_needed_ = 0;  // from at_, before the walk can go on
  std::vector<UnreadableStretch> unreadable_;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_SEGMENT_READER_H_
