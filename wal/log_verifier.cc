// Checking what a running log holds. See log_verifier.h.

#include "wal/log_verifier.h"

#include <algorithm>
#include <utility>

#include "io/file_util.h"

namespace nexus::wal {

std::vector<HeldSegment> HeldSegments(const LogScan& scan) {
  std::vector<HeldSegment> held;
  for (const SegmentScan& segment : scan.segments) {
    held.push_back({segment.path, segment.sequence, segment.seed, segment.base, segment.data_end});
  }
  return held;
}

LogVerifier::LogVerifier(io::Disk* disk, std::vector<HeldSegment> segments, Sink* sink)
    : disk_(disk), segments_(std::move(segments)), sink_(sink) {
  for (const HeldSegment& held : segments_) bytes_total_ += held.data_end;
}

bool LogVerifier::Step() {
  if (done()) return false;
  if (reader_ == nullptr) {
    OpenSegment();
    return true;
  }
  while (true) {
    std::optional<SegmentReader::Step> step = reader_->NextInWindow();
    if (!step.has_value()) {
      reader_->MoveWindow();
      return true;
    }
    switch (step->kind) {
      case SegmentReader::Step::Kind::kFrame:
        TakeFrame(*step);
        break;
      case SegmentReader::Step::Kind::kBad:
        TakeBad(*step);
        break;
      case SegmentReader::Step::Kind::kEnd:
        FinishSegment();
        return true;
    }
  }
}

void LogVerifier::OpenSegment() {
  StatusOr<std::unique_ptr<io::File>> file = io::OpenFileBlocking(disk_, segment().path);
  if (!file.ok()) return LoseSegment(std::string(FromAbsl(file.status().message())));
  file_ = *std::move(file);
  CheckHeader();
  reader_ = std::make_unique<SegmentReader>(file_.get(), segment().identity(), segment().data_end);
  frames_end_ = kSegmentDataBegin;
  bad_from_.reset();
}

// Two copies in two sectors: one that is lost harms nothing.
void LogVerifier::CheckHeader() {
  int good = 0;
  std::string why;
  for (int copy = 0; copy < kHeaderCopies; copy++) {
    io::AlignedBuffer bytes(kHeaderCopyBytes);
    const uint64_t offset = static_cast<uint64_t>(copy) * kHeaderCopyBytes;
    const Status read = io::ReadExactlyBlocking(*file_, offset, bytes.span());
    // Of one that cannot be read zeros are decoded, which are no header.
    StatusOr<SegmentHeader> header = DecodeSegmentHeader(bytes.span(), copy);
    const bool ours = header.ok() && header->seed == segment().seed &&
                      header->sequence == segment().sequence && header->base == segment().base;
    good += ours ? 1 : 0;
    if (ours) continue;
    const Status& status = read.ok() ? header.status() : read;
    why = status.ok() ? "it is another segment's" : std::string(FromAbsl(status.message()));
    sink_->OnNote(fmt::format("{} at offset {}: one of two copies of the header is bad: {}",
                              segment().path, offset, why));
  }
  if (good == 0) AddDamage(0, kSegmentDataBegin, fmt::format("no good header: {}", why));
}

void LogVerifier::TakeFrame(const SegmentReader::Step& step) {
  const FrameHeader& frame = *step.frame;
  const bool missing = previous_hash_ ? frame.previous != *previous_hash_ : bad_from_.has_value();
  if (missing) {
    AddDamage(frames_end_, step.offset, "frames are missing");
  } else if (bad_from_) {
    // The hash of the frame before proves that nothing was between.
    sink_->OnNote(
        fmt::format("{} at offset {}: bytes between records are not zero; nothing is "
                    "missing",
                    segment().path, *bad_from_));
  }
  bad_from_.reset();
  previous_hash_ = frame.hash;
  frames_end_ = step.end;
  if (!frame.is_record()) return;
  RecordView record;
  record.kind = static_cast<RecordKind>(frame.kind);
  record.begin = frame.lsn;
  record.end = frame.end();
  record.wall_ns = frame.wall_ns;
  record.body = step.body;
  sink_->OnRecord(record);
}

void LogVerifier::TakeBad(const SegmentReader::Step& step) {
  if (!step.frame.has_value()) {
    bad_from_ = step.offset;
    return;
  }
  // The header is genuine: only this record is lost, and what follows names its hash.
  if (previous_hash_ && step.frame->previous != *previous_hash_) {
    AddDamage(frames_end_, step.offset, "frames are missing");
  }
  AddDamage(step.offset, step.end, "the record fails its checksum");
  bad_from_.reset();
  previous_hash_ = step.frame->hash;
  frames_end_ = step.end;
}

void LogVerifier::FinishSegment() {
  if (frames_end_ < segment().data_end) {
    AddDamage(frames_end_, segment().data_end, "the frames up to the durable end are missing");
    previous_hash_.reset();
  }
  bytes_done_ += segment().data_end;
  reader_.reset();
  file_.reset();
  index_++;
}

void LogVerifier::LoseSegment(const std::string& why) {
  AddDamage(0, segment().data_end, why);
  previous_hash_.reset();
  bytes_done_ += segment().data_end;
  index_++;
}

void LogVerifier::AddDamage(uint64_t offset, uint64_t until, std::string why) {
  if (reader_ != nullptr) {
    for (const UnreadableStretch& stretch : reader_->unreadable()) {
      if (stretch.offset < until && stretch.offset + stretch.bytes > offset) why = stretch.why;
    }
  }
  const SegmentIdentity identity = segment().identity();
  Damage damage;
  damage.path = segment().path;
  damage.offset = offset;
  damage.lsn = identity.LsnAt(std::max(offset, kSegmentDataBegin));
  damage.until = identity.LsnAt(std::max(until, kSegmentDataBegin));
  damage.why = std::move(why);
  sink_->OnDamage(std::move(damage));
}

}  // namespace nexus::wal
