// The decision between torn tail and damage. See analysis.h.

#include "wal/analysis.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/planted.h"
#include "io/file_util.h"

namespace nexus::wal {
namespace {

SegmentIdentity IdentityOf(const SegmentHeader& header) {
  return {header.seed, header.epoch(), header.base};
}

// Where the walk of a segment must stop: at its cut, or where the file ends.
uint64_t WalkLimit(const SegmentHeader& header, const Cut* cut) {
  if (cut == nullptr || cut->end < header.base || cut->end > header.range_end()) {
    return header.segment_bytes;
  }
  return kSegmentDataBegin + (cut->end.value - header.base.value);
}

}  // namespace

LogAnalysis::LogAnalysis(io::Disk* disk, std::string directory, Witness witness, Chain chain)
    : disk_(disk),
      directory_(std::move(directory)),
      witness_(witness),
      chain_(std::move(chain)),
      durable_(witness.minimum_durable) {}

uint64_t LogAnalysis::bytes_total() const {
  uint64_t total = 0;
  for (const ChainLink& link : chain_.links) total += link.file.bytes;
  return total;
}

void LogAnalysis::Walk(size_t index) {
  const ChainLink& link = chain_.links[index];
  if (!link.broken.empty()) LoseLink(link, link.broken);
  if (link.headless) return;
  EnterSegment(link);
  if (segments_.size() == 1) {
    before_first_ = link.file.header->predecessor;
    if (index > 0) before_first_.kind = Predecessor::Kind::kOpen;
    if (before_first_.kind == Predecessor::Kind::kOpen) before_first_.end = link.file.header->base;
  }
  StatusOr<std::unique_ptr<io::File>> file = io::OpenFileBlocking(disk_, link.file.path);
  if (!file.ok()) {
    LoseLink(link, std::string(FromAbsl(file.status().message())));
    return;
  }
  auto cut = chain_.cuts.find(link.file.name.sequence);
  WalkFrames(**file, *link.file.header, cut == chain_.cuts.end() ? nullptr : &cut->second);
}

void LogAnalysis::EnterSegment(const ChainLink& link) {
  const SegmentHeader& header = *link.file.header;
  RaiseDurable(header.durable);
  SegmentScan& segment = segments_.emplace_back();
  segment.path = link.file.path;
  segment.file_bytes = link.file.bytes;
  segment.sequence = header.sequence;
  segment.open_count = header.open_count;
  segment.seed = header.seed;
  segment.base = header.base;
  segment.range_end = header.range_end();
  segment.data_begin = segment.data_end = kSegmentDataBegin;
  segment.last_hash = at_.last_hash;
  segment.blemishes = static_cast<uint64_t>(link.file.bad_copies);

  at_.segments = segments_.size();
  at_.data_end = kSegmentDataBegin;
  at_.records = at_.record_bytes = at_.record_frame_bytes = 0;
  at_.first_wall_ns = at_.last_wall_ns = 0;
  // A recovery decided all that lies before the segment it opened; a rotation decided nothing.
  if (header.predecessor.kind != Predecessor::Kind::kOpen) {
    at_.end = header.base;
    at_.last_hash = segment.last_hash = header.predecessor.hash;
    hash_known_ = true;
    ConfirmHere();
  } else if (segments_.size() == 1) {
    at_.end = header.base;
    hash_known_ = false;
    ConfirmHere();
  }
  segment.previous_hash = segment.last_hash;
}

void LogAnalysis::WalkFrames(const io::File& file, const SegmentHeader& header, const Cut* cut) {
  if (cut != nullptr) RaiseDurable(cut->end);
  SegmentReader reader(&file, IdentityOf(header), WalkLimit(header, cut));
  while (true) {
    SegmentReader::Step step = reader.Next();
    if (step.kind == SegmentReader::Step::Kind::kEnd) break;
    if (step.kind == SegmentReader::Step::Kind::kFrame) {
      TakeFrame(step);
    } else {
      TakeBad(step);
    }
  }
  for (const UnreadableStretch& stretch : reader.unreadable()) {
    Damage damage;
    damage.path = file.path();
    damage.offset = stretch.offset;
    damage.lsn = IdentityOf(header).LsnAt(stretch.offset);
    damage.until = Lsn{damage.lsn.value + stretch.bytes};
    damage.why = stretch.why;
    damage.acknowledged = false;  // unless it turns out to lie below a durable LSN
    AddDamage(std::move(damage));
  }
  if (cut != nullptr) CheckCut(*cut);
}

void LogAnalysis::TakeFrame(const SegmentReader::Step& step) {
  const FrameHeader& frame = *step.frame;
  SegmentScan& segment = segments_.back();
  bool missing =
      bad_frame_pending_ || (hash_known_ ? frame.previous != at_.last_hash : bad_pending_);
  if (missing && !NEXUS_PLANTED("stale-frame-accepted")) {
    AddGap(frame.lsn);
  } else if (bad_pending_) {
    // The hash of the frame before proves that nothing was between.
    segment.blemishes++;
  }
  bad_pending_ = bad_frame_pending_ = false;
  if (!hash_known_ && !segment.has_frames()) segment.previous_hash = frame.previous;
  bool opens_the_log = segments_.size() == 1 && !segment.has_frames();
  if (opens_the_log && before_first_.kind == Predecessor::Kind::kOpen) {
    before_first_.hash = frame.previous;
    if (frame.kind == kSegmentStartKind && step.body.size() >= kSegmentStartBytes) {
      before_first_.end.value = LoadUnaligned<uint64_t>(step.body.data() + 8);
    }
  }
  frame_bytes_seen_ += frame.frame_bytes();
  hash_known_ = true;
  at_.end = frame.end();
  at_.data_end = segment.data_end = step.end;
  at_.last_hash = segment.last_hash = frame.hash;
  at_.frame_bytes_seen = frame_bytes_seen_;
  at_.record_frame_bytes = 0;
  if (frame.is_record()) TakeRecord(frame);
  unconfirmed_.push_back(at_);
  RaiseDurable(frame.durable);
}

void LogAnalysis::TakeRecord(const FrameHeader& frame) {
  SegmentScan& segment = segments_.back();
  at_.records_end = frame.end();
  at_.record_frame_bytes = frame.frame_bytes();
  at_.records = ++segment.records;
  at_.record_bytes = segment.record_bytes += frame.length;
  if (segment.records == 1) at_.first_wall_ns = segment.first_wall_ns = frame.wall_ns;
  at_.last_wall_ns = segment.last_wall_ns = frame.wall_ns;
}

void LogAnalysis::TakeBad(const SegmentReader::Step& step) {
  if (step.frame.has_value()) {
    bad_frame_pending_ = true;
    RaiseDurable(step.frame->durable);
    frame_bytes_seen_ += step.frame->frame_bytes();
  }
  if (bad_pending_) return;
  bad_pending_ = true;
  bad_why_ = step.frame.has_value()
                 ? fmt::format("the record at offset {} fails its checksum", step.offset)
                 : fmt::format("no good frame at offset {}", step.offset);
}

void LogAnalysis::AddGap(Lsn until) {
  Gap gap;
  gap.before = at_;
  gap.until = until;
  gap.why = bad_pending_ ? bad_why_ : "a frame is missing: the next one names another before it";
  gaps_.push_back(std::move(gap));
}

// A recovery has recorded where this segment ends. What it recorded goes on holding, whatever the
// walk found.
void LogAnalysis::CheckCut(const Cut& cut) {
  SegmentScan& segment = segments_.back();
  if (at_.end != cut.end || at_.last_hash != cut.hash) AddGap(cut.end);
  bad_pending_ = bad_frame_pending_ = false;
  hash_known_ = true;
  at_.end = cut.end;
  at_.last_hash = segment.last_hash = cut.hash;
  if (cut.end >= segment.base && cut.end <= segment.range_end) {
    at_.data_end = segment.data_end = kSegmentDataBegin + (cut.end.value - segment.base.value);
  }
  ConfirmHere();
}

void LogAnalysis::RaiseDurable(Lsn lsn) {
  durable_ = std::max(durable_, lsn);
  while (!unconfirmed_.empty() && unconfirmed_.front().end <= durable_) {
    confirmed_ = unconfirmed_.front();
    unconfirmed_.pop_front();
  }
}

void LogAnalysis::ConfirmHere() {
  confirmed_ = at_;
  unconfirmed_.clear();
}

void LogAnalysis::LoseLink(const ChainLink& link, const std::string& why) {
  Damage damage;
  damage.path = link.file.path;
  damage.lsn = damage.until = at_.end;
  damage.why = why;
  // Where the lost frames ended is unknown, but that they were: everything up to here was named by
  // what came later.
  AddDamage(std::move(damage));
  hash_known_ = false;
  bad_pending_ = bad_frame_pending_ = false;
}

void LogAnalysis::AddDamage(Damage damage) {
  damage_count_++;
  if (damage_.size() < kDamageListedMax) damage_.push_back(std::move(damage));
}

LogScan LogAnalysis::Finish() {
  size_t damaged = CountDamagedGaps();
  const Place accepted = damaged < gaps_.size() ? gaps_[damaged].before : at_;
  LogScan scan;
  scan.directory = directory_;
  scan.database = chain_.database;
  scan.end = accepted.end;
  scan.records_end = accepted.records_end;
  scan.durable = durable_;
  scan.torn_bytes = frame_bytes_seen_ - accepted.frame_bytes_seen;
  scan.before_first = before_first_;
  scan.notes = std::move(chain_.notes);
  scan.dead = std::move(chain_.dead);
  TakeSegments(accepted, &scan);
  DescribeTail(accepted, &scan);
  CheckBeginning(scan);
  CheckEnd(accepted);
  DescribeNext(&scan);
  ListDamage(damaged, &scan);
  return scan;
}

// How many gaps, from the first, lie below a durable LSN. They are in LSN order.
size_t LogAnalysis::CountDamagedGaps() const {
  size_t count = 0;
  while (count < gaps_.size() && gaps_[count].before.end < durable_) count++;
  return count;
}

// The segments up to a place, without what is cut to nothing at their end.
std::vector<SegmentScan> LogAnalysis::ChainUpTo(const Place& place) const {
  auto end = segments_.begin() + static_cast<ptrdiff_t>(place.segments);
  std::vector<SegmentScan> chain(segments_.begin(), end);
  if (!chain.empty()) {
    SegmentScan& last = chain.back();
    last.data_end = place.data_end;
    last.last_hash = place.last_hash;
    last.records = place.records;
    last.record_bytes = place.record_bytes;
    last.first_wall_ns = place.first_wall_ns;
    last.last_wall_ns = place.last_wall_ns;
  }
  while (!chain.empty() && !chain.back().has_frames()) chain.pop_back();
  return chain;
}

void LogAnalysis::TakeSegments(const Place& accepted, LogScan* scan) {
  scan->segments = ChainUpTo(accepted);
  size_t next = 0;
  for (const ChainLink& link : chain_.links) {
    bool taken = next < scan->segments.size() && scan->segments[next].path == link.file.path;
    if (taken) {
      next++;
    } else {
      scan->dead.push_back({link.file.path, link.file.bytes});
    }
  }
}

void LogAnalysis::DescribeTail(const Place& accepted, LogScan* scan) const {
  scan->confirmed = ChainUpTo(confirmed_);
  scan->tail_begin = confirmed_.end;
  for (const Place& frame : unconfirmed_) {
    if (frame.end <= accepted.end) scan->tail_frame_bytes += frame.record_frame_bytes;
  }
}

// Records from the point where replay starts must be here.
void LogAnalysis::CheckBeginning(const LogScan& scan) {
  if (!witness_.replay_from.has_value() || before_first_.kind == Predecessor::Kind::kNone) return;
  if (before_first_.end <= *witness_.replay_from) return;
  Damage damage;
  damage.path = scan.segments.empty() ? directory_ : scan.segments.front().path;
  damage.lsn = *witness_.replay_from;
  damage.until = before_first_.end;
  damage.why = fmt::format("older segments, up to LSN {}, are missing", before_first_.end.value);
  AddDamage(std::move(damage));
}

// The log must reach every LSN that is known to have been durable.
void LogAnalysis::CheckEnd(const Place& accepted) {
  if (accepted.end >= durable_) return;
  Damage damage;
  damage.path = accepted.segments > 0 ? segments_[accepted.segments - 1].path : directory_;
  damage.offset = accepted.data_end;
  damage.lsn = accepted.end;
  damage.until = durable_;
  damage.why = bad_pending_ ? bad_why_ : "the log ends here";
  damage.why += fmt::format("; LSN {} was durable", durable_.value);
  AddDamage(std::move(damage));
}

void LogAnalysis::DescribeNext(LogScan* scan) const {
  scan->last = before_first_;
  if (!scan->confirmed.empty()) {
    const SegmentScan& last = scan->confirmed.back();
    scan->last = {Predecessor::Kind::kClosed, last.sequence, last.end(), last.last_hash};
  } else if (before_first_.kind == Predecessor::Kind::kOpen) {
    scan->last.kind = Predecessor::Kind::kClosed;
  }
  for (size_t i = scan->confirmed.size(); i-- > 0 && scan->cuts.size() < kCutsMax;) {
    const SegmentScan& segment = scan->confirmed[i];
    scan->cuts.push_back({segment.sequence, segment.end(), segment.last_hash});
  }
  uint64_t above = std::max({chain_.range_end, durable_, Lsn{1}}).value;
  if (NEXUS_PLANTED("log-below-applied")) above = 1;
  scan->next_base = Lsn{AlignUp(above, io::kSectorBytes)};
}

void LogAnalysis::ListDamage(size_t damaged_gaps, LogScan* scan) {
  for (size_t i = 0; i < damaged_gaps; i++) {
    const Gap& gap = gaps_[i];
    Damage damage;
    damage.path = gap.before.segments > 0 ? segments_[gap.before.segments - 1].path : directory_;
    damage.offset = gap.before.data_end;
    damage.lsn = gap.before.end;
    damage.until = gap.until;
    damage.why = gap.why;
    AddDamage(std::move(damage));
  }
  for (Damage& damage : damage_) damage.acknowledged |= damage.lsn < durable_;
  std::stable_sort(damage_.begin(), damage_.end(),
                   [](const Damage& a, const Damage& b) { return a.lsn < b.lsn; });
  scan->damage = std::move(damage_);
  scan->damage_count = damage_count_;
}

}  // namespace nexus::wal
