// Making, recycling and unlinking segment files. See segment_store.h.

#include "wal/segment_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/planted.h"
#include "io/file_util.h"

namespace nexus::wal {
namespace {

// One write of zeros; the task sleeps between them, so other work of the loop goes on.
constexpr uint64_t kZeroWriteBytes = uint64_t{1} << 20;

// What an append is told while no segment can be made.
Status NoSegment(const Status& why) {
  return ResourceExhausted(
      "no log segment can be made, writes are refused until one can (tried again by itself): {}",
      FromAbsl(why.message()));
}

std::unique_ptr<Segment> SegmentOf(const SegmentScan& scanned) {
  auto segment = std::make_unique<Segment>();
  segment->identity = {scanned.seed, static_cast<uint32_t>(scanned.sequence), scanned.base};
  segment->sequence = scanned.sequence;
  segment->path = scanned.path;
  segment->file_bytes = scanned.file_bytes;
  segment->end = scanned.end();
  // Accepted by the recovery, so its header and first frame are durable.
  segment->names_end = true;
  return segment;
}

}  // namespace

SegmentStore::SegmentStore(io::Environment* environment, const LogOptions& options,
                           const LogScan& scan, Listener* listener)
    : environment_(environment),
      disk_(environment->disk()),
      options_(options),
      listener_(listener),
      past_(scan.last),
      cuts_(scan.cuts),
      durable_(scan.tail_begin),
      next_sequence_(scan.next_sequence),
      retry_delay_ns_(options.retry_delay_ns),
      retry_timer_(this),
      scope_(environment->executor()) {
  uint64_t above = std::max(scan.next_base.value, options.base_above.value + 1);
  if (NEXUS_PLANTED("lsn-reused")) above = scan.records_end.value;
  next_base_ = Lsn{AlignUp(above, io::kSectorBytes)};
  for (const SegmentScan& segment : scan.segments) unsynced_past_.push_back(segment.path);
  for (const SegmentScan& segment : scan.confirmed) held_.push_back(SegmentOf(segment));
  for (const SpareFile& spare : scan.spares) {
    if (spare.bytes == options_.segment_bytes) {
      spares_.push_back(spare.path);
    } else {
      dead_.push_back(spare);
    }
  }
  // Second names go first: once their segment has no longer its own, nothing tells what they are.
  for (const SpareFile& file : scan.leftovers) {
    dead_.push_back({file.path, 0});  // of no segment's size: unlinked
  }
  // Segments that hold nothing but tail die when that has been written again.
  for (size_t i = scan.confirmed.size(); i < scan.segments.size(); i++) {
    dead_.push_back({scan.segments[i].path, scan.segments[i].file_bytes});
  }
  dead_.insert(dead_.end(), scan.dead.begin(), scan.dead.end());
}

SegmentStore::~SegmentStore() {
  if (retry_timer_.armed) environment_->executor()->CancelTimer(&retry_timer_);
}

io::Task<Status> SegmentStore::OpenFirst(LogScan* scan) {
  Status synced;
  if (!NEXUS_PLANTED("tail-applied-before-synced")) synced = co_await SyncPast();
  // A read-only file system is no failure of the past, which cannot change there.
  bool read_only = synced.code() == absl::StatusCode::kPermissionDenied;
  if (!synced.ok() && !read_only) co_return synced;
  NEXUS_CO_ASSIGN_OR_RETURN(tail_, co_await ReadTail(environment_, *scan));
  if (NEXUS_PLANTED("tail-dropped")) tail_ = Tail();
  Status made = synced;
  if (made.ok()) made = co_await MakeFirst();
  if (made.ok()) {
    MoveTail(scan);
  } else if (!absl::IsResourceExhausted(made) && !absl::IsPermissionDenied(made)) {
    co_return made;
  } else if (!tail_.empty()) {
    // It may hold what was acknowledged, so it must be shown; and a power cut may yet take it where
    // it stands (after a failed sync no later one vouches for it), so it must not.
    co_return Annotate(made, fmt::format("{}: the end of the log, {} bytes, must be written again "
                                         "before anything is shown; free some space",
                                         options_.directory, tail_.frame_bytes));
  } else {
    // Frames of the log's own are no loss.
    scan->segments = scan->confirmed;
    scan->end = scan->tail_begin;
  }
  NoteMade(made);
  co_return OkStatus();
}

// The scan as it is after the first segment was made.
void SegmentStore::MoveTail(LogScan* scan) const {
  scan->segments = scan->confirmed;
  if (tail_.empty()) return;
  SegmentScan first;
  first.path = current_->path;
  first.file_bytes = current_->file_bytes;
  first.sequence = current_->sequence;
  first.open_count = options_.open_count;
  first.seed = current_->identity.seed;
  first.base = current_->identity.base;
  first.range_end = current_->identity.LsnAt(current_->file_bytes);
  first.data_begin = kSegmentDataBegin;
  first.data_end = current_->written_end;
  first.last_hash = current_->written_hash;
  first.previous_hash = past_.hash;
  first.records = tail_.records.size();
  first.record_bytes = tail_.record_bytes;
  first.first_wall_ns = tail_.records.front().wall_ns;
  first.last_wall_ns = tail_.records.back().wall_ns;
  scan->segments.push_back(std::move(first));
  scan->end = scan->records_end = current_->identity.LsnAt(current_->written_end);
  scan->confirmed = scan->segments;
  scan->tail_begin = scan->end;
  scan->tail_frame_bytes = 0;
}

// What a killed process wrote is visible and not yet durable; nothing of it may be shown before it
// is. Done before the first segment says that it is.
io::Task<Status> SegmentStore::SyncPast() {
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk_, options_.directory));
  for (const std::string& path : unsynced_past_) {
    io::OpenFlags read_only;
    NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> file,
                              co_await io::OpenFile(disk_, path, read_only));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncFile(file.get()));
  }
  past_synced_ = true;
  unsynced_past_.clear();
  co_return OkStatus();
}

io::Task<Status> SegmentStore::MakeFirst() {
  if (!past_synced_ && !NEXUS_PLANTED("tail-applied-before-synced")) {
    Status synced = co_await SyncPast();
    if (!synced.ok()) {
      // A second attempt would believe a sync that has already told its failure (D3).
      bool read_only = synced.code() == absl::StatusCode::kPermissionDenied;
      if (!read_only) stopping_ = true;
      co_return synced;
    }
  }
  // A tail that spans several segments gets one that is larger, so that it has its name at once.
  uint64_t needed = kSegmentDataBegin + AlignUp(tail_.frame_bytes, io::kSectorBytes);
  uint64_t bytes = std::max(options_.segment_bytes, needed);
  if (bytes > kSegmentBytesMax) {
    co_return ResourceExhausted("the tail of the log, {} bytes, does not fit one segment", needed);
  }
  std::string spare;
  if (bytes == options_.segment_bytes && !spares_.empty()) {
    spare = TakeSpare();
  } else {
    NEXUS_CO_ASSIGN_OR_RETURN(spare, co_await CreateSpare(bytes));
  }
  Predecessor past = past_;
  if (NEXUS_PLANTED("appended-to-a-torn-tail")) past.kind = Predecessor::Kind::kOpen;
  co_return co_await MakeSegment(std::move(spare), bytes, past);
}

void SegmentStore::StartMaintenance() {
  maintaining_ = true;
  scope_.Spawn(Maintain());
}

void SegmentStore::Rotate(Lsn end) {
  NEXUS_CHECK(next_ != nullptr);
  current_->end = end;
  held_.push_back(std::move(current_));
  current_ = std::move(next_);
  wake_.Set();
}

io::Task<void> SegmentStore::Maintain() {
  while (!stopping_) {
    bool worked = co_await DoOne();
    if (worked || stopping_) continue;
    if (!space_.ok() && !retry_timer_.armed) {
      environment_->executor()->StartTimer(&retry_timer_, retry_at_ns_);
    }
    co_await wake_.Wait();
    wake_.Reset();
  }
  maintaining_ = false;
  EndTrims(Unavailable("the log is closed"));
}

// The next segment first, since appends may wait for it; then what frees space before what takes
// it.
io::Task<bool> SegmentStore::DoOne() {
  CloseIdleFiles();
  bool may_make = space_.ok() || environment_->MonotonicNanos() >= retry_at_ns_;
  bool next_possible = current_ == nullptr || (next_ == nullptr && !spares_.empty());
  if (may_make && next_possible) {
    co_await MakeSegmentAhead();
    co_return true;
  }
  // The dead go before any trim, so that no dead file is ever older than a hole in the chain.
  bool past_is_closed = current_ != nullptr;
  if (past_is_closed && !dead_.empty() && !dead_blocked_) {
    co_await DropDead();
    co_return true;
  }
  if (trims_done_ < trims_asked_) {
    co_await TrimFront();
    co_return true;
  }
  if (may_make && spares() < options_.spares_min) {
    co_await MakeSpare();
    co_return true;
  }
  co_return false;
}

// The next segment, or the first.
io::Task<void> SegmentStore::MakeSegmentAhead() {
  Status made;
  if (current_ == nullptr) {
    made = co_await MakeFirst();
  } else {
    Predecessor predecessor;
    predecessor.kind = Predecessor::Kind::kOpen;
    predecessor.sequence = current_->sequence;
    made = co_await MakeSegment(TakeSpare(), options_.segment_bytes, predecessor);
  }
  NoteMade(made);
}

io::Task<void> SegmentStore::MakeSpare() {
  StatusOr<std::string> path = co_await CreateSpare(options_.segment_bytes);
  const Status made = path.status();
  if (made.ok()) spares_.push_back(*std::move(path));
  NoteMade(made);
}

std::string SegmentStore::TakeSpare() {
  NEXUS_CHECK(!spares_.empty());
  std::string spare = std::move(spares_.front());
  spares_.erase(spares_.begin());
  return spare;
}

void SegmentStore::NoteMade(const Status& made) {
  if (made.ok()) {
    if (current_ != nullptr) tail_ = Tail();
    space_ = OkStatus();
    retry_delay_ns_ = options_.retry_delay_ns;
  } else {
    space_ = NoSegment(made);
    retry_at_ns_ = environment_->MonotonicNanos() + retry_delay_ns_;
    retry_delay_ns_ = std::min(retry_delay_ns_ * 2, options_.retry_delay_max_ns);
  }
  if (!stopping_) listener_->OnSegmentsChanged();
}

// A file of zeros under a name that says so. Zeros are written, not only reserved: overwriting
// reserved space changes the file's metadata at the first sync, which costs a second disk write.
io::Task<StatusOr<std::string>> SegmentStore::CreateSpare(uint64_t bytes) {
  uint64_t sequence = next_sequence_++;
  std::string path = NewPath(FileName::Kind::kSpare, sequence);
  std::string unfinished = NewPath(FileName::Kind::kSpareUnfinished, sequence);
  Status made = co_await WriteZeros(unfinished, bytes);
  if (made.ok()) made = co_await io::Rename(disk_, unfinished, path);
  if (made.ok()) made = co_await io::SyncDirectory(disk_, options_.directory);
  if (!made.ok()) {
    // Whichever name it has by now; a file that stays is found by the next start.
    co_await disk_->Unlink(unfinished);
    co_await disk_->Unlink(path);
    co_return made;
  }
  counts_.segments_created++;
  co_return path;
}

io::Task<Status> SegmentStore::WriteZeros(std::string path, uint64_t bytes) {
  io::OpenFlags flags;
  flags.write = flags.create = flags.truncate = flags.direct = true;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> file,
                            co_await io::OpenFile(disk_, path, flags));
  // A full disk is found here, before anything is written.
  int reserved = co_await file->Allocate(bytes);
  if (reserved != 0 && reserved != -EOPNOTSUPP) co_return ErrnoStatus(-reserved, "reserve", path);
  io::AlignedBuffer zeros(std::min(kZeroWriteBytes, bytes));
  for (uint64_t done = 0; done < bytes;) {
    if (stopping_) co_return Cancelled("the log is closing");
    uint64_t some = std::min(zeros.size(), bytes - done);
    NEXUS_CO_RETURN_IF_ERROR(co_await io::WriteAll(file.get(), done, zeros.span().first(some)));
    done += some;
  }
  co_return co_await io::SyncFile(file.get());
}

// Turns a spare into a segment: the next one, or the first.
io::Task<Status> SegmentStore::MakeSegment(std::string spare, uint64_t bytes,
                                           Predecessor predecessor) {
  SegmentHeader header = NextHeader(predecessor, bytes);
  auto segment = std::make_unique<Segment>();
  segment->identity = {header.seed, header.epoch(), header.base};
  segment->sequence = header.sequence;
  segment->path = NewPath(FileName::Kind::kSegment, header.sequence);
  segment->file_bytes = bytes;
  segment->names_end = predecessor.kind != Predecessor::Kind::kOpen;
  segment->written_hash = predecessor.hash;

  Status made = co_await WriteBeginning(spare, std::move(header), segment.get());
  if (made.ok()) made = co_await io::Rename(disk_, spare, segment->path);
  if (made.ok() && !NEXUS_PLANTED("segment-name-not-synced")) {
    made = co_await io::SyncDirectory(disk_, options_.directory);
  }
  if (!made.ok()) {
    // Under either name it holds no record: its range of LSNs is never given out again.
    co_await disk_->Unlink(spare);
    co_await disk_->Unlink(segment->path);
    co_return made;
  }
  (current_ == nullptr ? current_ : next_) = std::move(segment);
  co_return OkStatus();
}

SegmentHeader SegmentStore::NextHeader(Predecessor predecessor, uint64_t bytes) {
  SegmentHeader header;
  header.database = options_.database;
  header.open_count = options_.open_count;
  header.sequence = next_sequence_++;
  header.seed = environment_->random()->Next();
  if (NEXUS_PLANTED("stale-frame-accepted")) header.seed = 1;
  header.base = next_base_;
  header.segment_bytes = bytes;
  header.wall_ns = environment_->WallNanos();
  header.durable = durable_;
  header.predecessor = predecessor;
  uint64_t oldest = held_.empty() ? UINT64_MAX : held_.front()->sequence;
  for (const Cut& cut : cuts_) {
    if (cut.sequence >= oldest) header.cuts.push_back(cut);
  }
  next_base_ = header.range_end();
  return header;
}

// Writes and syncs what a segment begins with: its header, and the tail if it is the first.
io::Task<Status> SegmentStore::WriteBeginning(std::string spare, SegmentHeader header,
                                              Segment* segment) {
  io::OpenFlags flags;
  flags.write = flags.direct = true;
  NEXUS_CO_ASSIGN_OR_RETURN(segment->file, co_await io::OpenFile(disk_, spare, flags));
  if (current_ == nullptr && !tail_.empty()) {
    TailImage image = EncodeTail(tail_, segment->identity, segment->written_hash, header.durable);
    NEXUS_CO_RETURN_IF_ERROR(
        co_await io::WriteAll(segment->file.get(), kSegmentDataBegin, image.bytes.span()));
    segment->written_end = kSegmentDataBegin + image.frame_bytes;
    segment->written_hash = image.last_hash;
    // True as soon as the header is: one sync makes both durable, and the name comes after.
    header.durable = segment->identity.LsnAt(segment->written_end);
  }
  io::AlignedBuffer copies(kSegmentDataBegin);
  for (int copy = 0; copy < kHeaderCopies; copy++) {
    uint64_t offset = static_cast<uint64_t>(copy) * kHeaderCopyBytes;
    EncodeSegmentHeader(header, copy, copies.span().subspan(offset, kHeaderCopyBytes));
  }
  NEXUS_CO_RETURN_IF_ERROR(co_await io::WriteAll(segment->file.get(), 0, copies.span()));
  if (NEXUS_PLANTED("beginning-not-synced")) co_return OkStatus();
  co_return co_await io::SyncFile(segment->file.get());
}

io::Task<void> SegmentStore::DropDead() {
  std::string path = dead_.front().path;
  uint64_t bytes = dead_.front().bytes;
  Status given_up = co_await GiveUp(std::move(path), bytes);
  if (given_up.ok()) {
    dead_.pop_front();
  } else {
    dead_blocked_ = true;
    trim_status_ = given_up;
  }
}

// Makes a spare of a file that holds nothing any more, or unlinks it; for good on return.
io::Task<Status> SegmentStore::GiveUp(std::string path, uint64_t bytes) {
  bool recycle = bytes == options_.segment_bytes && spares() < options_.spares_max;
  std::string spare = NewPath(FileName::Kind::kSpare, next_sequence_++);
  Status gone;
  if (recycle) {
    gone = co_await io::Rename(disk_, path, spare);
  } else {
    gone = co_await io::Unlink(disk_, path);
  }
  // An earlier attempt may have come as far as here, and its directory sync have failed.
  bool gone_before = gone.code() == absl::StatusCode::kNotFound;
  if (!gone.ok() && !gone_before) co_return gone;
  if (!NEXUS_PLANTED("recycled-before-durable")) {
    NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk_, options_.directory));
  }
  if (!recycle || gone_before) {
    counts_.segments_unlinked++;
    co_return OkStatus();
  }
  spares_.push_back(std::move(spare));
  counts_.segments_recycled++;
  if (!stopping_) listener_->OnSegmentsChanged();
  co_return OkStatus();
}

io::Task<Status> SegmentStore::Trim(Lsn below) {
  if (stopping_ || !maintaining_) co_return Unavailable("the log takes no more changes");
  trim_below_ = std::max(trim_below_, below);
  trim_status_ = OkStatus();
  dead_blocked_ = false;
  uint64_t ticket = ++trims_asked_;
  wake_.Set();
  while (trims_done_ < ticket) co_await trimmed_.Wait();
  co_return trim_status_;
}

bool SegmentStore::MayTrimFront() const {
  if (held_.empty() || current_ == nullptr || !dead_.empty()) return false;
  const Segment& front = *held_.front();
  const Segment& following = held_.size() > 1 ? *held_[1] : *current_;
  bool end_is_named = following.names_end || durable_ > following.identity.base;
  return front.end <= trim_below_ && front.end <= durable_ && end_is_named;
}

io::Task<void> SegmentStore::TrimFront() {
  if (!MayTrimFront()) {
    EndTrims(trim_status_);
    co_return;
  }
  Segment* front = held_.front().get();
  NEXUS_CHECK(front->rounds == 0);
  front->file.reset();
  Status given_up = co_await GiveUp(front->path, front->file_bytes);
  if (given_up.ok()) {
    held_.pop_front();
  } else {
    EndTrims(given_up);
  }
}

void SegmentStore::EndTrims(Status status) {
  trim_status_ = std::move(status);
  trims_done_ = trims_asked_;
  trimmed_.Pulse();
}

// A segment that is no longer written needs no open file.
void SegmentStore::CloseIdleFiles() {
  for (const std::unique_ptr<Segment>& segment : held_) {
    if (segment->rounds == 0) segment->file.reset();
  }
}

void SegmentStore::Stop() {
  stopping_ = true;
  wake_.Set();
}

io::Task<void> SegmentStore::Close() {
  Stop();
  co_await scope_.Join();
}

std::string SegmentStore::NewPath(FileName::Kind kind, uint64_t sequence) const {
  FileName name;
  name.kind = kind;
  name.open_count = options_.open_count;
  name.sequence = sequence;
  return io::JoinPath(options_.directory, ToString(name));
}

void SegmentStore::AddStats(LogStats* stats) const {
  stats->segments_created = counts_.segments_created;
  stats->segments_recycled = counts_.segments_recycled;
  stats->segments_unlinked = counts_.segments_unlinked;
  stats->segments = held_.size() + (current_ != nullptr ? 1 : 0);
  stats->spares = static_cast<uint64_t>(spares());
  for (const auto& segment : held_) stats->bytes_on_disk += segment->file_bytes;
  if (current_ != nullptr) stats->bytes_on_disk += current_->file_bytes;
  stats->bytes_on_disk += stats->spares * options_.segment_bytes;
}

HeldLog SegmentStore::Held(Lsn durable) const {
  HeldLog held;
  auto add = [&](const Segment& segment, Lsn end) {
    const Lsn base = segment.identity.base;
    const uint64_t bytes = end > base ? end.value - base.value : 0;
    held.segments.push_back(
        {segment.path, segment.sequence, segment.identity.seed, base, kSegmentDataBegin + bytes});
  };
  for (const std::unique_ptr<Segment>& segment : held_) {
    if (segment->end > trim_below_) add(*segment, std::min(segment->end, durable));
  }
  if (current_ != nullptr) add(*current_, durable);
  for (const SpareFile& file : dead_) held.dead.push_back(file.path);
  // A segment that is being given up is still there under its name.
  for (const std::unique_ptr<Segment>& segment : held_) {
    if (segment->end <= trim_below_) held.dead.push_back(segment->path);
  }
  return held;
}

}  // namespace nexus::wal
