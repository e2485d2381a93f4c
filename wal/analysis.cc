// The decision between torn tail and damage. See analysis.h.

#include "wal/analysis.h"

#include <memory>
#include <utility>

#include "base/check.h"
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
  if (state_.segments == 1) {
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
  uint64_t previous_hash = state_.last.last_hash;
  if (state_.segments > 0) segments_.push_back(state_.last);
  state_.segments++;
  state_.last = SegmentScan();
  SegmentScan& segment = state_.last;
  segment.path = link.file.path;
  segment.file_bytes = link.file.bytes;
  segment.sequence = header.sequence;
  segment.open_count = header.open_count;
  segment.seed = header.seed;
  segment.base = header.base;
  segment.range_end = header.range_end();
  segment.data_begin = segment.data_end = kSegmentDataBegin;
  segment.last_hash = previous_hash;
  segment.blemishes = static_cast<uint64_t>(link.file.bad_copies);
  // A recovery decided all that lies before the segment it opened; a rotation decided nothing.
  if (header.predecessor.kind != Predecessor::Kind::kOpen) {
    state_.end = header.base;
    state_.hash_known = true;
    segment.last_hash = header.predecessor.hash;
  } else if (state_.segments == 1) {
    state_.end = header.base;
    state_.hash_known = false;
  }
}

void LogAnalysis::WalkFrames(const io::File& file, const SegmentHeader& header, const Cut* cut) {
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
    AddDamage(std::move(damage));
  }
  if (cut != nullptr) CheckCut(*cut);
}

void LogAnalysis::TakeFrame(const SegmentReader::Step& step) {
  const FrameHeader& frame = *step.frame;
  bool missing = state_.hash_known ? frame.previous != state_.last.last_hash : bad_pending_;
  if (missing) {
    AddGap(frame.lsn);
  } else if (bad_pending_) {
    // The hash of the frame before proves that nothing was between.
    state_.last.blemishes++;
  }
  bad_pending_ = false;
  RaiseDurable(frame.durable);
  frame_bytes_seen_ += frame.frame_bytes();
  SegmentScan& segment = state_.last;
  segment.data_end = step.end;
  segment.last_hash = frame.hash;
  state_.hash_known = true;
  state_.end = frame.end();
  state_.frame_bytes = frame_bytes_seen_;
  if (frame.is_record()) {
    state_.records_end = frame.end();
    if (segment.records == 0) segment.first_wall_ns = frame.wall_ns;
    segment.last_wall_ns = frame.wall_ns;
    segment.records++;
    segment.record_bytes += frame.length;
  }
  bool names_predecessor =
      frame.kind == kSegmentStartKind && step.body.size() >= kSegmentStartBytes;
  if (names_predecessor && state_.segments == 1) {
    before_first_.end.value = LoadUnaligned<uint64_t>(step.body.data() + 8);
  }
}

void LogAnalysis::TakeBad(const SegmentReader::Step& step) {
  if (step.frame.has_value()) {
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
  gap.before = state_;
  gap.until = until;
  gap.why = bad_pending_ ? bad_why_ : "a frame is missing: the next one names another before it";
  gaps_.push_back(std::move(gap));
}

// A recovery has recorded where this segment ends. What it recorded goes on holding, whatever the
// walk found.
void LogAnalysis::CheckCut(const Cut& cut) {
  RaiseDurable(cut.end);
  SegmentScan& segment = state_.last;
  if (state_.end != cut.end || segment.last_hash != cut.hash) AddGap(cut.end);
  bad_pending_ = false;
  state_.end = cut.end;
  state_.hash_known = true;
  segment.last_hash = cut.hash;
  if (cut.end >= segment.base && cut.end <= segment.range_end) {
    segment.data_end = segment.data_begin + (cut.end.value - segment.base.value);
  }
}

void LogAnalysis::LoseLink(const ChainLink& link, const std::string& why) {
  Damage damage;
  damage.path = link.file.path;
  damage.lsn = damage.until = state_.end;
  damage.why = why;
  // Where the lost frames ended is unknown, but that they were: everything up to here was named by
  // what came later.
  AddDamage(std::move(damage));
  state_.hash_known = false;
  bad_pending_ = false;
}

void LogAnalysis::AddDamage(Damage damage) {
  damage_count_++;
  if (damage_.size() < kDamageListedMax) damage_.push_back(std::move(damage));
}

LogScan LogAnalysis::Finish() {
  size_t damaged = CountDamagedGaps();
  const State accepted = damaged < gaps_.size() ? gaps_[damaged].before : state_;
  LogScan scan;
  scan.directory = directory_;
  scan.database = chain_.database;
  scan.end = accepted.end;
  scan.records_end = accepted.records_end;
  scan.durable = durable_;
  scan.torn_bytes = frame_bytes_seen_ - accepted.frame_bytes;
  scan.before_first = before_first_;
  scan.notes = std::move(chain_.notes);
  scan.dead = std::move(chain_.dead);
  TakeSegments(accepted, &scan);
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

// The chain up to the accepted end, without what was cut to nothing at its end.
void LogAnalysis::TakeSegments(const State& accepted, LogScan* scan) {
  if (accepted.segments > 0) {
    segments_.resize(accepted.segments - 1);
    segments_.push_back(accepted.last);
  }
  while (!segments_.empty() && !segments_.back().has_frames()) segments_.pop_back();
  size_t next = 0;
  for (const ChainLink& link : chain_.links) {
    bool taken = next < segments_.size() && segments_[next].path == link.file.path;
    if (taken) {
      next++;
    } else {
      scan->dead.push_back({link.file.path, link.file.bytes});
    }
  }
  scan->segments = std::move(segments_);
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
void LogAnalysis::CheckEnd(const State& accepted) {
  if (accepted.end >= durable_) return;
  Damage damage;
  damage.path = accepted.segments > 0 ? accepted.last.path : directory_;
  damage.offset = accepted.last.data_end;
  damage.lsn = accepted.end;
  damage.until = durable_;
  damage.why = bad_pending_ ? bad_why_ : "the log ends here";
  damage.why += fmt::format("; LSN {} was durable", durable_.value);
  AddDamage(std::move(damage));
}

void LogAnalysis::DescribeNext(LogScan* scan) {
  scan->last = before_first_;
  if (!scan->segments.empty()) {
    const SegmentScan& last = scan->segments.back();
    scan->last = {Predecessor::Kind::kClosed, last.sequence, last.end(), last.last_hash};
  } else if (before_first_.kind == Predecessor::Kind::kOpen) {
    scan->last.kind = Predecessor::Kind::kClosed;
  }
  for (size_t i = scan->segments.size(); i-- > 0 && scan->cuts.size() < kCutsMax;) {
    const SegmentScan& segment = scan->segments[i];
    scan->cuts.push_back({segment.sequence, segment.end(), segment.last_hash});
  }
  uint64_t above = std::max({chain_.range_end, durable_, Lsn{1}}).value;
  scan->next_base = Lsn{AlignUp(above, io::kSectorBytes)};
}

void LogAnalysis::ListDamage(size_t damaged_gaps, LogScan* scan) {
  for (size_t i = 0; i < damaged_gaps; i++) {
    const Gap& gap = gaps_[i];
    Damage damage;
    damage.path = gap.before.last.path;
    damage.offset = gap.before.last.data_end;
    damage.lsn = gap.before.end;
    damage.until = gap.until;
    damage.why = gap.why;
    AddDamage(std::move(damage));
  }
  for (Damage& damage : damage_) damage.acknowledged = damage.lsn < durable_;
  std::stable_sort(damage_.begin(), damage_.end(),
                   [](const Damage& a, const Damage& b) { return a.lsn < b.lsn; });
  scan->damage = std::move(damage_);
  scan->damage_count = damage_count_;
}

}  // namespace nexus::wal
