// LogImpl: the append path and group commit behind Log. See log.h for what it promises.
//
// Records are copied into the buffer being filled; a buffer that is sealed becomes a round: one
// write with a linked sync. Rounds are queued in LSN order, several are in flight, and finish in
// any order; the watermark follows the queue's front. All hooks into the observer are made last,
// when the state is consistent, so it may call back. Threading: loop thread only.

#ifndef NEXUS_WAL_LOG_IMPL_H_
#define NEXUS_WAL_LOG_IMPL_H_

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "io/file_util.h"
#include "wal/format.h"
#include "wal/log.h"
#include "wal/segment_store.h"

namespace nexus::wal {

// A write buffer, and the write and sync that empty it.
struct Round : io::FileOp {
  // `pool_of`, if given, is told of the memory as long as it lives.
  Round(class LogImpl* owner, uint64_t bytes, Done completed, io::Disk* pool_of);
  ~Round();

  LogImpl* const log;
  io::AlignedBuffer memory;
  io::Disk* const registered_with;
  Segment* segment = nullptr;
  uint64_t file_offset = 0;
  uint64_t used = 0;
  Lsn frames_end;
  Lsn records_end;  // zero if there are only frames of the log's own
  bool finished = false;
};

class LogImpl final : public Log, SegmentStore::Listener {
 public:
  LogImpl(io::Environment* environment, LogOptions options, const LogScan& scan,
          LogObserver* observer);
  ~LogImpl() override;

  // Makes the past durable and the first segment, and starts the background work; moves the tail of
  // `scan` as Log::Start says. An error: the log cannot be used at all.
  io::Task<Status> Open(LogScan* scan);

  bool CanAppend(size_t bytes, Urgency urgency) override;
  StatusOr<AppendResult> Append(RecordKind kind, std::span<const Bytes> pieces,
                                Urgency urgency) override;
  Lsn durable() const override { return records_durable_; }
  Lsn end() const override { return records_end_; }
  Status writable() const override;
  uint64_t record_bytes_max() const override;
  io::Task<Status> Trim(Lsn below) override;
  io::Task<Status> Sync() override;
  io::Task<Status> Close() override;
  LogStats stats() const override;
  HeldLog Held() const override;

 private:
  // Where the next frame can go.
  enum class Room : uint8_t {
    kHere,        // in the buffer being filled
    kNewBuffer,   // in the next buffer, same segment
    kNewSegment,  // in the next buffer, at the start of the next segment
    kBuffersBusy,
    kNoSegment,  // the spare that it would take is missing or reserved
  };

  template <void (LogImpl::*method)()>
  struct Hook : io::Timer {  // serves as plain node, too
    explicit Hook(LogImpl* owner) : Timer(&Run), log(owner) {}
    static void Run(io::RunNode* node) { (static_cast<Hook*>(node)->log->*method)(); }
    LogImpl* log;
  };

  bool IsLarge(uint64_t frame_bytes) const;
  uint64_t NextOffset() const;
  Room RoomFor(uint64_t frame_bytes, Urgency urgency) const;
  void WantRoom();
  Status Refusal(Room room);
  void MakeRoom(Room room, uint64_t frame_bytes);
  Round* TakeRound(uint64_t frame_bytes);
  AppendResult AddFrame(uint8_t kind, std::span<const Bytes> pieces, uint64_t length);
  void AddSegmentStart(Lsn previous_end);
  bool AddMark();

  void ScheduleCommit();
  void Commit();
  void OnSealTimer();
  void OnMarkTimer();
  void Seal();
  void SubmitQueued();
  int InFlightMax(const Round& round) const;
  static void OnRoundDone(io::FileOp* op);
  void Finish(Round* round);
  void Release(Round* round);
  void Fail(Status why);
  void ArmMarkTimer();
  void TellObserver();
  void OnSegmentsChanged() override;
  void BeginFirstSegment();
  bool idle() const { return filling_ == nullptr && queue_.empty(); }

  io::Environment* const environment_;
  io::Executor* const executor_;
  const LogOptions options_;
  LogObserver* const observer_;
  SegmentStore store_;

  std::vector<std::unique_ptr<Round>> pool_;
  std::vector<Round*> free_;
  std::vector<std::unique_ptr<Round>> large_;  // in use
  uint64_t large_bytes_ = 0;

  Round* filling_ = nullptr;
  uint64_t write_offset_ = 0;  // in the current segment, where the next round begins
  std::deque<Round*> queue_;   // sealed, in LSN order
  size_t submitted_ = 0;       // of the queue, from its front
  int in_flight_ = 0;

  Lsn frames_end_;
  Lsn records_end_;
  uint64_t last_hash_ = 0;
  bool last_is_mark_ = true;  // nothing appended that a mark would have to vouch for
  Lsn frames_durable_;
  Lsn records_durable_;
  Lsn told_durable_;  // to the observer

  Hook<&LogImpl::Commit> commit_node_;
  bool commit_scheduled_ = false;
  Hook<&LogImpl::OnSealTimer> seal_timer_;
  bool seal_due_ = false;
  Hook<&LogImpl::OnMarkTimer> mark_timer_;
  int64_t idle_since_ns_ = 0;

  Status failed_;
  bool failure_told_ = false;
  bool closing_ = false;
  bool room_wanted_ = false;
  bool room_changed_ = false;
  io::Event progress_;
  LogStats counts_;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_LOG_IMPL_H_
