// The bytes of a log segment: file names, the segment header, the frame header. The one place that
// knows offsets; docs/format/wal.md is the same in prose, with worked examples.
//
// Encoding is total. Decoding is of untrusted bytes: nothing is believed before its checksum
// agrees, and then every field is checked, reserved ones for zero. Threading: pure functions.

#ifndef NEXUS_WAL_FORMAT_H_
#define NEXUS_WAL_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "io/file.h"
#include "wal/record.h"
#include "wal/scan.h"

namespace nexus::wal {

// ---- A segment file: two copies of the header, a sector each, then frames.

inline constexpr uint64_t kHeaderCopyBytes = io::kSectorBytes;
inline constexpr int kHeaderCopies = 2;
inline constexpr uint64_t kSegmentDataBegin = kHeaderCopyBytes * kHeaderCopies;
inline constexpr uint64_t kSegmentBytesMin = 32 << 10;
inline constexpr uint64_t kSegmentBytesMax = uint64_t{1} << 30;

inline constexpr char kSegmentMagic[8] = {'n', 'e', 'x', 'u', 's', 'l', 'o', 'g'};
// Version 0: any change is allowed until the first release; an older folder is refused by name.
inline constexpr uint32_t kFormatVersion = 0;

// Cuts a header holds: the newest ones. Each new segment's predecessor field is the full truth
// about one cut, the table repeats it so that one lost header does not lose it; 128 openings
// without a trim between them are beyond any crash loop that a person would watch.
inline constexpr size_t kCutsMax = 128;

struct SegmentHeader {
  DatabaseId database;
  uint64_t open_count = 0;
  uint64_t sequence = 0;
  uint64_t seed = 0;  // of every hash in the segment; random, new at each use of the file
  Lsn base;           // of the byte at kSegmentDataBegin; a multiple of the sector
  uint64_t segment_bytes = 0;
  int64_t wall_ns = 0;
  Lsn durable;  // known when the header was written
  Predecessor predecessor;
  std::vector<Cut> cuts;  // of older segments held, newest first, at most kCutsMax

  uint32_t epoch() const { return static_cast<uint32_t>(sequence); }
  Lsn range_end() const { return Lsn{base.value + (segment_bytes - kSegmentDataBegin)}; }
};

// Fills `out` (kHeaderCopyBytes) with copy number `copy` of the header.
void EncodeSegmentHeader(const SegmentHeader& header, int copy, MutableBytes out);

// Errors: DataLoss - no header, or a damaged one; FailedPrecondition - a good one of a version or
// with a feature that this program does not know.
StatusOr<SegmentHeader> DecodeSegmentHeader(Bytes bytes, int copy);

// ---- Frames: a header, the body, zeros to a multiple of 8. Behind the last frame of a write,
// zeros to the next sector.

inline constexpr uint64_t kFrameAlignment = 8;
inline constexpr uint64_t kFrameHeaderBytes = 64;
inline constexpr uint32_t kFrameMagic = 0x72464c4e;  // "NLFr"
static_assert(kRecordBytesMax + kFrameHeaderBytes == kFrameBytesMax);

// Frames of the log's own. Their kinds are above all record kinds.
inline constexpr uint8_t kMarkKind = 64;          // no body: records the durable LSN
inline constexpr uint8_t kSegmentStartKind = 65;  // first of a rotated segment; see below
static_assert(kMarkKind > kRecordKindMax);

// The body of a kSegmentStartKind frame: u64 sequence of the predecessor, u64 LSN where it ended.
inline constexpr uint32_t kSegmentStartBytes = 16;

// Bytes of the frame of a record.
constexpr uint64_t FrameBytes(uint64_t record_bytes) {
  return kFrameHeaderBytes + AlignUp(record_bytes, kFrameAlignment);
}

struct FrameHeader {
  uint8_t kind = 0;
  uint32_t length = 0;  // of the body
  uint32_t epoch = 0;
  Lsn lsn;
  int64_t wall_ns = 0;
  Lsn durable;            // known when the frame was written; never above `lsn`
  uint64_t previous = 0;  // hash of the previous frame
  uint64_t body_hash = 0;
  uint64_t hash = 0;  // of the header, which covers body_hash: it names the frame

  bool is_record() const { return kind <= kRecordKindMax; }
  uint64_t frame_bytes() const { return FrameBytes(length); }
  Lsn end() const { return Lsn{lsn.value + frame_bytes()}; }
};

// Makes a frame of the body that stands at `at` + kFrameHeaderBytes: writes the zeros behind it and
// the header before it, and sets both hashes of `header`. `at` has room for frame_bytes().
void FinishFrame(FrameHeader* header, uint64_t seed, std::byte* at);

// The header at `bytes` (kFrameHeaderBytes readable), or nothing unless magic, place, epoch and
// hash agree and each field is in its range. Cheap where there is no frame: two loads.
std::optional<FrameHeader> DecodeFrameHeader(const std::byte* bytes, uint64_t seed, uint32_t epoch,
                                             Lsn place);

// The hash of a body with its zeros to the multiple of 8.
uint64_t FrameBodyHash(Bytes padded_body, uint64_t seed);

// ---- Names. Sortable: open count and sequence in fixed-width hex.

struct FileName {
  enum class Kind : uint8_t { kSegment, kSpare, kSpareUnfinished };
  Kind kind = Kind::kSegment;
  uint64_t open_count = 0;
  uint64_t sequence = 0;
};

// segment-<open count, 8+ hex>-<sequence, 16 hex>.log, spare-....log, spare-....log.tmp
std::string ToString(const FileName& name);
std::optional<FileName> ParseFileName(std::string_view name);

}  // namespace nexus::wal

#endif  // NEXUS_WAL_FORMAT_H_
