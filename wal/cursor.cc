// Reading records back. See cursor.h.

#include "wal/cursor.h"

#include <utility>

#include "base/planted.h"
#include "io/file_util.h"

namespace nexus::wal {

LogCursor::LogCursor(io::Environment* environment, const LogScan& scan, CursorOptions options)
    : environment_(environment), options_(options), segments_(scan.segments) {
  for (const SegmentScan& segment : segments_) {
    if (segment.end() > options_.from) bytes_total_ += segment.data_end;
  }
}

io::Task<StatusOr<std::span<const RecordView>>> LogCursor::Next() {
  records_.clear();
  if (status_.ok() && index_ < segments_.size()) {
    status_ = co_await environment_->executor()->Run(io::Lane::kWorker, [this] { return Fill(); });
  }
  // What was read before a bad place is given first.
  if (!status_.ok() && records_.empty()) co_return status_;
  co_return std::span<const RecordView>(records_);
}

// Gathers records until the window must move while it holds some.
Status LogCursor::Fill() {
  while (index_ < segments_.size()) {
    if (segments_[index_].end() <= options_.from || segments_[index_].base >= options_.to) {
      index_++;
      continue;
    }
    if (reader_ == nullptr) NEXUS_RETURN_IF_ERROR(OpenSegment());
    std::optional<SegmentReader::Step> step = reader_->NextInWindow();
    if (!step.has_value()) {
      if (!records_.empty()) return OkStatus();
      reader_->MoveWindow();
    } else if (step->kind != SegmentReader::Step::Kind::kEnd) {
      NEXUS_RETURN_IF_ERROR(TakeStep(*step));
    } else {
      // The window holds what was gathered; the segment is closed by the next call.
      if (!records_.empty()) return OkStatus();
      NEXUS_RETURN_IF_ERROR(FinishSegment());
    }
  }
  return OkStatus();
}

Status LogCursor::OpenSegment() {
  const SegmentScan& segment = segments_[index_];
  NEXUS_ASSIGN_OR_RETURN(file_, io::OpenFileBlocking(environment_->disk(), segment.path));
  SegmentIdentity identity{segment.seed, static_cast<uint32_t>(segment.sequence), segment.base};
  reader_ = std::make_unique<SegmentReader>(file_.get(), identity, segment.data_end);
  frames_end_ = segment.data_begin;
  previous_hash_ = segment.previous_hash;
  return OkStatus();
}

Status LogCursor::TakeStep(const SegmentReader::Step& step) {
  if (step.kind == SegmentReader::Step::Kind::kBad) {
    // A stretch without a frame may be a blemish: the next frame's link tells.
    if (step.frame.has_value() && !options_.skip_damaged) {
      return Bad(step.offset, "the record fails its checksum");
    }
    return OkStatus();
  }
  const FrameHeader& frame = *step.frame;
  if (frame.previous != previous_hash_ && !options_.skip_damaged &&
      !NEXUS_PLANTED("stale-frame-accepted")) {
    return Bad(frames_end_, "frames are missing");
  }
  previous_hash_ = frame.hash;
  frames_end_ = step.end;
  if (!frame.is_record() || frame.lsn < options_.from || frame.end() > options_.to) {
    return OkStatus();
  }
  RecordView& record = records_.emplace_back();
  record.kind = static_cast<RecordKind>(frame.kind);
  record.begin = frame.lsn;
  record.end = frame.end();
  record.wall_ns = frame.wall_ns;
  record.body = step.body;
  return OkStatus();
}

Status LogCursor::FinishSegment() {
  const SegmentScan& segment = segments_[index_];
  bool whole = frames_end_ == segment.data_end && previous_hash_ == segment.last_hash;
  if (!whole && !options_.skip_damaged) return Bad(frames_end_, "frames are missing");
  bytes_done_ += segment.data_end;
  reader_.reset();
  file_.reset();
  index_++;
  return OkStatus();
}

Status LogCursor::Bad(uint64_t offset, std::string_view why) const {
  const SegmentScan& segment = segments_[index_];
  return DataLoss("{} at offset {}, LSN {}: {}; it was good when the log was scanned", segment.path,
                  offset, segment.base.value + (offset - segment.data_begin), why);
}

}  // namespace nexus::wal
