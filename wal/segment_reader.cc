// The walk over a segment's frames. See segment_reader.h.

#include "wal/segment_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/planted.h"
#include "base/status.h"
#include "io/file_util.h"

namespace nexus::wal {
namespace {

bool IsZero(const std::byte* bytes, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    if (bytes[i] != std::byte{0}) return false;
  }
  return true;
}

}  // namespace

SegmentReader::SegmentReader(const io::File* file, SegmentIdentity identity, uint64_t limit,
                             uint64_t window_bytes)
    : file_(file),
      identity_(identity),
      window_bytes_(AlignUp(std::max(window_bytes, io::kSectorBytes), io::kSectorBytes)),
      limit_(limit) {
  bytes_needed_ = kFrameHeaderBytes;
}

SegmentReader::Step SegmentReader::Next() {
  while (true) {
    if (std::optional<Step> step = NextInWindow(); step.has_value()) return *std::move(step);
    MoveWindow();
  }
}

std::optional<SegmentReader::Step> SegmentReader::NextInWindow() {
  while (!bad_from_.has_value()) {
    if (at_ + kFrameHeaderBytes > limit_) {
      bad_from_ = at_;
      break;
    }
    // With the header's bytes the window holds the rest of the sector as well.
    if (!Holds(at_, kFrameHeaderBytes)) return std::nullopt;
    if (std::optional<FrameHeader> header = HeaderAt(at_); header.has_value()) {
      return TakeFrame(*header);
    }
    uint64_t before = at_;
    SkipPadding();
    if (at_ == before) {
      bad_from_ = at_;
      at_ += kFrameAlignment;
    }
  }
  return Search();
}

bool SegmentReader::Holds(uint64_t at, uint64_t bytes) {
  if (at >= window_begin_ && at + bytes <= window_end_) return true;
  bytes_needed_ = bytes;
  return false;
}

std::optional<FrameHeader> SegmentReader::HeaderAt(uint64_t at) const {
  return DecodeFrameHeader(WindowAt(at), identity_.seed, identity_.epoch, identity_.LsnAt(at));
}

// The frame at at_, whose header is genuine: so is its length, and the walk goes on behind it
// whether the body is whole or not.
std::optional<SegmentReader::Step> SegmentReader::TakeFrame(const FrameHeader& header) {
  Step step;
  step.offset = at_;
  step.end = at_ + header.frame_bytes();
  step.frame = header;
  if (step.end > limit_) {
    step.kind = Step::Kind::kBad;
    step.end = limit_;
  } else {
    if (!Holds(at_, header.frame_bytes())) return std::nullopt;
    Bytes padded(WindowAt(at_) + kFrameHeaderBytes, header.frame_bytes() - kFrameHeaderBytes);
    bool whole = FrameBodyHash(padded, identity_.seed) == header.body_hash ||
                 NEXUS_PLANTED("checksum-by-length");
    step.kind = whole ? Step::Kind::kFrame : Step::Kind::kBad;
    if (whole) step.body = padded.first(header.length);
  }
  at_ = step.end;
  return step;
}

// Moves at_ to the end of its sector if only zeros are before that. A whole sector of zeros is no
// padding: nothing says that a frame follows.
void SegmentReader::SkipPadding() {
  uint64_t sector_end = AlignUp(at_, io::kSectorBytes);
  uint64_t end = std::min({sector_end, limit_, window_end_});
  if (end == sector_end && IsZero(WindowAt(at_), end - at_)) at_ = end;
}

// Looks from at_ on for a genuine header. A frame may stand at any multiple of 8.
std::optional<SegmentReader::Step> SegmentReader::Search() {
  Step step;
  step.offset = *bad_from_;
  while (at_ + kFrameHeaderBytes <= limit_) {
    if (!Holds(at_, kFrameHeaderBytes)) return std::nullopt;
    uint64_t last = std::min(window_end_, limit_) - kFrameHeaderBytes;
    for (; at_ <= last; at_ += kFrameAlignment) {
      if (!HeaderAt(at_).has_value()) continue;
      step.kind = Step::Kind::kBad;
      step.end = at_;
      bad_from_.reset();
      return step;
    }
  }
  step.kind = Step::Kind::kEnd;
  step.end = step.offset;
  return step;
}

void SegmentReader::MoveWindow() {
  uint64_t begin = at_ / io::kSectorBytes * io::kSectorBytes;
  uint64_t wanted = std::max(window_bytes_, AlignUp(at_ + bytes_needed_ - begin, io::kSectorBytes));
  wanted = std::min(wanted, limit_ - begin);
  if (wanted > window_capacity_) {
    window_.reset();
    window_ = std::make_unique_for_overwrite<std::byte[]>(wanted);
    window_capacity_ = wanted;
  }
  window_begin_ = begin;
  window_end_ = begin + wanted;
  MutableBytes into(window_.get(), wanted);
  StatusOr<uint64_t> got = io::ReadUpToBlocking(*file_, begin, into);
  if (!got.ok()) {
    ReadSectors(wanted);
  } else if (*got < wanted) {
    limit_ = window_end_ = begin + *got;
  }
}

// A read of the whole window failed: reads it sector by sector, so that only what is unreadable is
// lost. Such sectors read as zeros.
void SegmentReader::ReadSectors(uint64_t wanted) {
  for (uint64_t done = 0; done < wanted;) {
    uint64_t bytes = std::min(io::kSectorBytes, wanted - done);
    MutableBytes into(window_.get() + done, bytes);
    StatusOr<uint64_t> got = io::ReadUpToBlocking(*file_, window_begin_ + done, into);
    if (!got.ok()) {
      std::memset(into.data(), 0, bytes);
      NoteUnreadable(window_begin_ + done, bytes, got.status());
    } else if (*got < bytes) {
      limit_ = window_end_ = window_begin_ + done + *got;
      return;
    }
    done += bytes;
  }
}

void SegmentReader::NoteUnreadable(uint64_t offset, uint64_t bytes, const Status& why) {
  if (!unreadable_.empty()) {
    UnreadableStretch& last = unreadable_.back();
    // Windows overlap in the sector where the walk stood: it is noted once.
    if (offset < last.offset + last.bytes) return;
    if (offset == last.offset + last.bytes) {
      last.bytes += bytes;
      return;
    }
  }
  unreadable_.push_back({offset, bytes, std::string(FromAbsl(why.message()))});
}

}  // namespace nexus::wal
