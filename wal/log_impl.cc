// The append path and group commit. See log_impl.h.

#include "wal/log_impl.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/planted.h"

namespace nexus::wal {
namespace {

constexpr uint64_t kSegmentStartFrameBytes = kFrameHeaderBytes + kSegmentStartBytes;
static_assert(kSegmentStartFrameBytes % kFrameAlignment == 0);

// Why a round failed, or OK.
Status RoundStatus(const Round& round) {
  const std::string& path = round.segment->path;
  if (round.result < 0) return ErrnoStatus(static_cast<int>(-round.result), "write", path);
  if (static_cast<uint64_t>(round.result) != round.buffer.size()) {
    if (NEXUS_PLANTED("short-write-accepted")) return OkStatus();
    return Unavailable("write {}: {} of {} bytes at offset {}", path, round.result,
                       round.buffer.size(), round.offset);
  }
  if (round.sync_result < 0 && !NEXUS_PLANTED("sync-error-ignored"))
    return ErrnoStatus(static_cast<int>(-round.sync_result), "sync", path);
  return OkStatus();
}

// Planted bugs.

// True if a sync was submitted once more after it had failed.
bool RetrySync(Round* round) {
  if (round->kind == io::FileOp::Kind::kSync) {
    round->sync_result = round->result;
    round->result = static_cast<int64_t>(round->buffer.size());
    round->kind = io::FileOp::Kind::kWriteThenSync;
    return false;
  }
  if (round->result < 0 || round->sync_result >= 0) return false;
  round->kind = io::FileOp::Kind::kSync;
  round->segment->file->Submit(round);
  return true;
}

// True if a write was submitted behind its sync, which did not cover it.
bool WriteAfterSync(Round* round) {
  if (round->kind != io::FileOp::Kind::kSync) return false;
  round->kind = io::FileOp::Kind::kWrite;
  round->segment->file->Submit(round);
  return true;
}

}  // namespace

Round::Round(LogImpl* owner, uint64_t bytes, Done completed, io::Disk* pool_of)
    : FileOp(Kind::kWriteThenSync, 0, {}, completed),
      log(owner),
      memory(bytes),
      registered_with(pool_of) {
  if (registered_with != nullptr) registered_with->RegisterBuffer(memory.span());
}

Round::~Round() {
  // A backend that still knew the memory would write its old pages for whoever gets the address
  // next.
  if (registered_with != nullptr) registered_with->UnregisterBuffer(memory.span());
}

LogImpl::LogImpl(io::Environment* environment, LogOptions options, const LogScan& scan,
                 LogObserver* observer)
    : environment_(environment),
      executor_(environment->executor()),
      options_(std::move(options)),
      observer_(observer),
      store_(environment, options_, scan, this),
      frames_end_(scan.end),
      records_end_(scan.end),
      frames_durable_(scan.end),
      records_durable_(scan.end),
      told_durable_(scan.end),
      commit_node_(this),
      seal_timer_(this),
      mark_timer_(this) {
  for (int i = 0; i < options_.buffers; i++) {
    pool_.push_back(
        std::make_unique<Round>(this, options_.buffer_bytes, &OnRoundDone, environment->disk()));
    free_.push_back(pool_.back().get());
  }
}

LogImpl::~LogImpl() {
  if (seal_timer_.armed) executor_->CancelTimer(&seal_timer_);
  if (mark_timer_.armed) executor_->CancelTimer(&mark_timer_);
}

io::Task<Status> LogImpl::Open(LogScan* scan) {
  NEXUS_CO_RETURN_IF_ERROR(co_await store_.OpenFirst(scan));
  store_.StartMaintenance();
  co_return OkStatus();
}

void LogImpl::BeginFirstSegment() {
  const Segment& first = *store_.current();
  write_offset_ = AlignUp(first.written_end, io::kSectorBytes);
  last_hash_ = first.written_hash;
  Lsn end = first.identity.LsnAt(first.written_end);
  frames_end_ = records_end_ = end;
  frames_durable_ = records_durable_ = told_durable_ = end;
  store_.SetDurable(end);
}

uint64_t LogImpl::record_bytes_max() const {
  // In a new segment a write of its own, holding the start frame, stands before a large record.
  uint64_t capacity = options_.segment_bytes - kSegmentDataBegin - io::kSectorBytes;
  return std::min(kFrameBytesMax, capacity) - kFrameHeaderBytes;
}

// ---- Appending

bool LogImpl::IsLarge(uint64_t frame_bytes) const {
  return frame_bytes + kSegmentStartFrameBytes > options_.buffer_bytes;
}

uint64_t LogImpl::NextOffset() const {
  uint64_t filled = filling_ == nullptr ? 0 : AlignUp(filling_->used, io::kSectorBytes);
  return write_offset_ + filled;
}

LogImpl::Room LogImpl::RoomFor(uint64_t frame_bytes, Urgency urgency) const {
  const Segment* segment = store_.current();
  if (segment == nullptr) return Room::kNoSegment;
  bool in_buffer = filling_ != nullptr && filling_->used + frame_bytes <= filling_->memory.size() &&
                   write_offset_ + filling_->used + frame_bytes <= segment->file_bytes;
  bool in_segment = in_buffer || NextOffset() + frame_bytes <= segment->file_bytes;
  // The last spare is for edits, also while the disk is not (yet) known to be full.
  int spares_left = store_.spares() - (in_segment ? 0 : 1);
  int spares_needed = urgency == Urgency::kBatch ? 1 : 0;
  bool next_ready = in_segment || store_.has_next();
  if (spares_left < spares_needed || !next_ready) return Room::kNoSegment;
  if (in_buffer) return Room::kHere;
  bool needs_pool = !IsLarge(frame_bytes) || !in_segment;
  if (needs_pool && free_.empty()) return Room::kBuffersBusy;
  bool too_many_large = large_bytes_ > 0 && large_bytes_ + frame_bytes > options_.large_bytes_max;
  if (IsLarge(frame_bytes) && too_many_large) return Room::kBuffersBusy;
  return in_segment ? Room::kNewBuffer : Room::kNewSegment;
}

bool LogImpl::CanAppend(size_t bytes, Urgency urgency) {
  if (!failed_.ok() || closing_ || bytes > record_bytes_max()) return true;
  Room room = RoomFor(FrameBytes(bytes), urgency);
  bool wait = room == Room::kBuffersBusy || (room == Room::kNoSegment && store_.space().ok());
  if (wait) WantRoom();
  return !wait;
}

// What changed before somebody asked is no news to him.
void LogImpl::WantRoom() {
  if (!room_wanted_) room_changed_ = false;
  room_wanted_ = true;
}

Status LogImpl::Refusal(Room room) {
  WantRoom();
  if (room == Room::kBuffersBusy) {
    return ResourceExhausted("all {} log buffers are being written: wait for room",
                             options_.buffers);
  }
  counts_.refused_for_space++;
  if (!store_.space().ok()) return store_.space();
  return ResourceExhausted("the next log segment is being prepared: wait for room");
}

StatusOr<AppendResult> LogImpl::Append(RecordKind kind, std::span<const Bytes> pieces,
                                       Urgency urgency) {
  uint64_t length = 0;
  for (Bytes piece : pieces) length += piece.size();
  if (length > record_bytes_max()) {
    return InvalidArgument("a record of {} bytes is larger than the {} that the log takes", length,
                           record_bytes_max());
  }
  auto kind_value = static_cast<uint8_t>(kind);
  if (kind_value == 0 || kind_value > kRecordKindMax) {
    return InvalidArgument("record kind {} is not in [1, {}]", kind_value, kRecordKindMax);
  }
  if (!failed_.ok()) return failed_;
  if (closing_) return Unavailable("the log is closing");
  uint64_t frame_bytes = FrameBytes(length);
  Room room = RoomFor(frame_bytes, urgency);
  if (room == Room::kBuffersBusy || room == Room::kNoSegment) return Refusal(room);
  MakeRoom(room, frame_bytes);
  AppendResult result = AddFrame(kind_value, pieces, length);
  records_end_ = filling_->records_end = result.end;
  last_is_mark_ = false;
  counts_.records++;
  counts_.record_bytes += length;
  ScheduleCommit();
  return result;
}

void LogImpl::MakeRoom(Room room, uint64_t frame_bytes) {
  if (room == Room::kHere) return;
  if (filling_ != nullptr) Seal();
  if (room == Room::kNewSegment) {
    Lsn previous_end = frames_end_;
    store_.Rotate(previous_end);
    write_offset_ = kSegmentDataBegin;
    filling_ = TakeRound(kSegmentStartFrameBytes);
    AddSegmentStart(previous_end);
    if (filling_->used + frame_bytes > filling_->memory.size()) Seal();
  }
  if (filling_ == nullptr) filling_ = TakeRound(frame_bytes);
  SubmitQueued();
}

Round* LogImpl::TakeRound(uint64_t frame_bytes) {
  Round* round = nullptr;
  if (IsLarge(frame_bytes)) {
    uint64_t bytes = AlignUp(frame_bytes, io::kSectorBytes);
    large_.push_back(std::make_unique<Round>(this, bytes, &OnRoundDone, nullptr));
    large_bytes_ += bytes;
    round = large_.back().get();
  } else {
    NEXUS_CHECK(!free_.empty());
    round = free_.back();
    free_.pop_back();
  }
  round->segment = store_.current();
  round->segment->rounds++;
  round->offset = write_offset_;
  round->used = 0;
  round->records_end = Lsn();
  round->finished = false;
  return round;
}

AppendResult LogImpl::AddFrame(uint8_t kind, std::span<const Bytes> pieces, uint64_t length) {
  Round* round = filling_;
  const SegmentIdentity& identity = round->segment->identity;
  std::byte* at = round->memory.data() + round->used;
  std::byte* to = at + kFrameHeaderBytes;
  for (Bytes piece : pieces) {
    if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
  FrameHeader header;
  header.kind = kind;
  header.length = static_cast<uint32_t>(length);
  header.epoch = identity.epoch;
  header.lsn = identity.LsnAt(round->offset + round->used);
  header.wall_ns = environment_->WallNanos();
  header.durable = frames_durable_;
  header.previous = last_hash_;
  FinishFrame(&header, identity.seed, at);
  last_hash_ = header.hash;
  round->used += header.frame_bytes();
  frames_end_ = round->frames_end = header.end();
  return {header.lsn, header.end()};
}

// The header of a rotated segment was written before its predecessor's end was known.
void LogImpl::AddSegmentStart(Lsn previous_end) {
  uint64_t body[2] = {store_.previous_sequence(), previous_end.value};
  static_assert(sizeof(body) == kSegmentStartBytes);
  Bytes piece = std::as_bytes(std::span(body));
  AddFrame(kSegmentStartKind, {&piece, 1}, sizeof(body));
}

// A mark is a convenience: where there is no room for it, it is left out.
bool LogImpl::AddMark() {
  Room room = RoomFor(kFrameHeaderBytes, Urgency::kBatch);
  if (room == Room::kBuffersBusy || room == Room::kNoSegment) return false;
  MakeRoom(room, kFrameHeaderBytes);
  AddFrame(kMarkKind, {}, 0);
  last_is_mark_ = true;
  counts_.marks++;
  return true;
}

// ---- Committing

// Appends of one turn of the loop share a round: the commit runs after what is ready now.
void LogImpl::ScheduleCommit() {
  if (commit_scheduled_) return;
  commit_scheduled_ = true;
  executor_->Schedule(&commit_node_);
}

void LogImpl::Commit() {
  commit_scheduled_ = false;
  if (!failed_.ok() || filling_ == nullptr) return;
  bool backlog = submitted_ < queue_.size();
  bool slot_free = in_flight_ == 0 || (seal_due_ && in_flight_ < InFlightMax(*filling_));
  if (!backlog && slot_free) {
    Seal();
    SubmitQueued();
  } else if (!seal_due_ && !seal_timer_.armed) {
    executor_->StartTimer(&seal_timer_, executor_->MonotonicNanos() + options_.seal_delay_ns);
  }
}

// A failed write-back of the page cache is told to one sync only, so without direct I/O two rounds
// in flight could not both be believed.
int LogImpl::InFlightMax(const Round& round) const {
  return round.segment->file->direct() ? options_.writes_in_flight_max : 1;
}

void LogImpl::OnSealTimer() {
  seal_due_ = true;
  // A commit that is scheduled sees it. Committing here would make the node look free while it is
  // still in the run queue, and scheduling it twice breaks the queue.
  if (!commit_scheduled_) Commit();
}

// Closes the buffer being filled: its last sector is padded, nothing will be added to it.
void LogImpl::Seal() {
  Round* round = std::exchange(filling_, nullptr);
  uint64_t bytes = AlignUp(round->used, io::kSectorBytes);
  std::memset(round->memory.data() + round->used, 0, bytes - round->used);
  round->buffer = round->memory.span().first(bytes);
  write_offset_ += bytes;
  if (NEXUS_PLANTED("tail-sector-rewritten") && bytes > io::kSectorBytes) {
    write_offset_ -= io::kSectorBytes;
  }
  queue_.push_back(round);
  seal_due_ = false;
  if (seal_timer_.armed) executor_->CancelTimer(&seal_timer_);
}

void LogImpl::SubmitQueued() {
  while (failed_.ok() && submitted_ < queue_.size()) {
    Round* round = queue_[submitted_];
    if (in_flight_ >= InFlightMax(*round)) return;
    submitted_++;
    in_flight_++;
    counts_.rounds++;
    counts_.written_bytes += round->buffer.size();
    if (NEXUS_PLANTED("ack-on-write")) round->kind = io::FileOp::Kind::kWrite;
    if (NEXUS_PLANTED("sync-before-write")) round->kind = io::FileOp::Kind::kSync;
    round->segment->file->Submit(round);
  }
}

void LogImpl::OnRoundDone(io::FileOp* op) {
  Round* round = static_cast<Round*>(op);
  LogImpl* log = round->log;
  // An interrupted write did nothing, and its sync did not run: this is no failure, and nothing in
  // its sectors is acknowledged, so it is simply submitted again.
  if (round->result == -EINTR) {
    round->segment->file->Submit(round);
    return;
  }
  if (NEXUS_PLANTED("sync-retried") && RetrySync(round)) return;
  if (NEXUS_PLANTED("sync-before-write") && WriteAfterSync(round)) return;
  log->in_flight_--;
  round->segment->rounds--;
  round->finished = true;
  log->Finish(round);
  log->progress_.Pulse();
  log->TellObserver();
}

void LogImpl::Finish(Round* round) {
  Status status = RoundStatus(*round);
  if (!status.ok()) Fail(status);
  // After a failure nothing is believed any more, not even a sync that reports success: the kernel
  // may have told its failure to another one (D3).
  if (!failed_.ok()) return;
  while (!queue_.empty() && queue_.front()->finished) {
    Round* first = queue_.front();
    queue_.pop_front();
    submitted_--;
    frames_durable_ = first->frames_end;
    records_durable_ = std::max(records_durable_, first->records_end);
    Release(first);
  }
  if (NEXUS_PLANTED("watermark-skips-a-hole")) {
    records_durable_ = std::max(records_durable_, round->records_end);
  }
  store_.SetDurable(frames_durable_);
  SubmitQueued();
  if (filling_ != nullptr) ScheduleCommit();
  if (idle()) ArmMarkTimer();
}

void LogImpl::Release(Round* round) {
  room_changed_ = true;
  if (round->registered_with != nullptr) {
    free_.push_back(round);
    return;
  }
  large_bytes_ -= round->memory.size();
  std::erase_if(large_, [round](const std::unique_ptr<Round>& at) { return at.get() == round; });
}

void LogImpl::Fail(Status why) {
  if (!failed_.ok()) return;
  failed_ = Unavailable(
      "the log has failed: {}; the outcome of appends in flight is unknown, reads go on, reopen "
      "the "
      "database to recover",
      FromAbsl(why.message()));
  store_.Stop();
}

// ---- Marks

void LogImpl::ArmMarkTimer() {
  idle_since_ns_ = executor_->MonotonicNanos();
  if (last_is_mark_ || mark_timer_.armed || closing_) return;
  executor_->StartTimer(&mark_timer_, idle_since_ns_ + options_.mark_delay_ns);
}

void LogImpl::OnMarkTimer() {
  if (last_is_mark_ || closing_ || !failed_.ok() || !idle()) return;
  // Appends have come and gone since the timer was armed: the pause counts from the last.
  int64_t due_ns = idle_since_ns_ + options_.mark_delay_ns;
  if (executor_->MonotonicNanos() < due_ns) {
    executor_->StartTimer(&mark_timer_, due_ns);
  } else if (AddMark()) {
    ScheduleCommit();
  }
}

// ---- The rest

void LogImpl::OnSegmentsChanged() {
  if (write_offset_ == 0 && store_.current() != nullptr) BeginFirstSegment();
  room_changed_ = true;
  TellObserver();
}

void LogImpl::TellObserver() {
  if (!failed_.ok() && !failure_told_) {
    failure_told_ = true;
    observer_->OnFailed(failed_);
    return;
  }
  if (records_durable_ > told_durable_) {
    told_durable_ = records_durable_;
    observer_->OnDurable(told_durable_);
  }
  if (room_wanted_ && room_changed_) {
    room_wanted_ = room_changed_ = false;
    observer_->OnRoom();
  }
}

Status LogImpl::writable() const { return failed_.ok() ? store_.space() : failed_; }

io::Task<Status> LogImpl::Trim(Lsn below) {
  if (!failed_.ok()) co_return failed_;
  co_return co_await store_.Trim(below);
}

io::Task<Status> LogImpl::Sync() {
  Lsn target = records_end_;
  if (filling_ != nullptr) {
    seal_due_ = true;
    ScheduleCommit();
  }
  while (failed_.ok() && records_durable_ < target) co_await progress_.Wait();
  co_return failed_;
}

io::Task<Status> LogImpl::Close() {
  closing_ = true;
  Status synced = co_await Sync();
  if (synced.ok() && !last_is_mark_ && AddMark()) ScheduleCommit();
  // A mark may be on its way: this one, or one that the timer has just added.
  while (commit_scheduled_ || in_flight_ > 0 || (failed_.ok() && !idle())) {
    if (commit_scheduled_) {
      co_await executor_->Yield();
    } else {
      co_await progress_.Wait();
    }
  }
  co_await store_.Close();
  co_return failed_;
}

LogStats LogImpl::stats() const {
  LogStats stats = counts_;
  stats.rounds_in_flight = static_cast<uint64_t>(in_flight_);
  store_.AddStats(&stats);
  return stats;
}

HeldLog LogImpl::Held() const { return store_.Held(frames_durable_); }

}  // namespace nexus::wal
