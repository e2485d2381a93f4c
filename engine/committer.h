// Committer: the one door into the log. Takes requests in order, admits them while there is memory
// and log room, gives them their log position, and after their round is durable has them applied
// and acknowledged, in log order.
//
// Promises: a request that is refused before it got a position changes nothing (a definite
// refusal); an acknowledged one is durable and applied; after the log has failed nothing is
// acknowledged any more and what was in flight ends Unavailable, outcome unknown (D3). Definitions
// of new series go into the log just before the first request that follows their interning, so a
// record never names a series that the log does not define; where a full disk has no room for them,
// edits that go ahead of batches go without: they name only what was applied. Of a producer the log
// holds each sequence once, in order (producers.h). A batch beyond its tenant's quota is refused,
// not kept waiting: those of others behind it go on. So is one that names series that its tenant
// does not have (any more), and one that has nothing its tenant's retention keeps; of others the
// samples that are too old are rejected when they get their position (expired_samples.h). Bounds:
// requests in flight and queued are the caller's memory; admission charges them to the memtable
// budget (Options::memtable_bytes) before they enter the log. Threading: loop only.

#ifndef NEXUS_ENGINE_COMMITTER_H_
#define NEXUS_ENGINE_COMMITTER_H_

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "engine/applier.h"
#include "engine/expired_samples.h"
#include "engine/idle_series.h"
#include "engine/interner.h"
#include "engine/record.h"
#include "engine/state.h"
#include "wal/log.h"

namespace nexus::engine {

// An edit whose content is decided when it gets its place in the log, by what stands before it.
class DecidedEdit {
 public:
  virtual ~DecidedEdit() = default;
  // Its body; an error refuses it. May be asked again if the log has no room.
  virtual StatusOr<std::string> Decide() = 0;
  // It has its place: nothing that gets one later stands before it.
  virtual void Placed() = 0;
};

// One record on its way through the log. Owned by the caller, pinned until `release`.
class CommitRequest : public io::RunNode {
 public:
  enum class Kind : uint8_t {
    kBatch,        // a batch of samples: waits for memory
    kEdit,         // goes before batches: a flush must publish for their memory to become free
    kDefinitions,  // the committer's own
    kCarry,        // a small memtable (carrier.h): AppendAtOnce
    kBarrier,      // no record: done when everything submitted before is applied
  };
  // Both run on the loop, never inside Submit. `done` tells the outcome, once: of a buffered
  // request when it has its log position, of others when it is applied or refused. `release`
  // follows, once, when the committer needs the request and its body no more.
  using Done = void (*)(CommitRequest*, const Status&);
  using Release = void (*)(CommitRequest*);

  CommitRequest(Kind what, Bytes encoded, Done finished, Release released)
      : RunNode(nullptr), kind(what), body(encoded), done(finished), release(released) {}

  const Kind kind;
  Bytes body;
  const Done done;
  const Release release;
  bool buffered = false;
  // An edit that keeps its turn among the batches, because it concerns those before it.
  bool in_turn = false;
  int64_t deadline_ns =
      0;      // monotonic; ResourceExhausted if not admitted by then; 0: waits for ever
  Lsn begin;  // the log position, once it has one
  Lsn end;
  // Of a numbered batch, as its body says: what is judged at admission.
  std::optional<ExactlyOnce> once;
  TenantId tenant;
  BranchId branch;
  // Of a batch: DatabaseState::series_generation when its ids were last known to be series of its
  // tenant. They are checked again if that is not the newest; 0: they always are.
  uint64_t series_generation = 0;
  Status unknown_series;           // of that check
  DecidedEdit* decided = nullptr;  // of an edit: makes its body
  // It was in the log already: it is not written again, and done when the first copy is applied.
  bool duplicate = false;
  // Of a batch, when `done` is called: what of it was too old to be kept; null: nothing.
  std::unique_ptr<const ExpiredSamples> expired;
  bool age_judged = false;  // once, whatever it waits for then

  // Waits in the order of the log and has no record.
  bool waits_only() const { return kind == Kind::kBarrier || duplicate; }
  // The body of its record in the log.
  Bytes record() const { return expired == nullptr ? body : expired->body; }
};

class Committer : public wal::LogObserver {
 public:
  // `on_applied` is called after every group of applied records (flush triggers live behind it).
  Committer(DatabaseState* state, Interner* interner, Applier* applier,
            std::function<void()> on_applied);

  // From now on writes to the log.
  void Start(std::unique_ptr<wal::Log> log);
  // From now on refuses every request with `reason` (closing; no space for a log segment).
  void Refuse(Status reason);
  // Returns when nothing of it, or of the log, is on the stack or scheduled any more. REQUIRES:
  // nothing is submitted afterwards.
  io::Task<void> Stop();

  // Queues a request. It is done from a later turn of the loop.
  void Submit(CommitRequest* request);
  // Awaitable form for edits, one or several encoded: OK once the record is durable and applied.
  io::Task<Status> CommitEdit(std::string body);
  io::Task<Status> CommitEdit(const Edit& edit) { return CommitEdit(EncodeEdits({&edit, 1})); }
  // The same for an edit that everything submitted before precedes, and nothing submitted later.
  // ResourceExhausted if the log has no room for it within admission_timeout_ms.
  io::Task<Status> CommitInTurn(std::string body);
  // The same for an edit that is decided when it gets its place. `edit` outlives the task.
  io::Task<Status> CommitDecided(DecidedEdit* edit);
  // Waits until everything submitted before is durable and applied, or the log has failed.
  io::Task<Status> Drain();

  // From now on every batch that is submitted keeps there what it names; null: none does.
  void SetIdleSeries(IdleSeries* idle) { idle_ = idle; }

  // Whether an append to the branch waits or is on its way.
  bool HasAppendsTo(TenantId tenant, BranchId branch) const;

  // Gives the request its log position now, ahead of whatever waits; false if that cannot be.
  bool AppendAtOnce(CommitRequest* request);
  // What is in the log and not applied: branches (tenant, branch) with samples, and edits.
  struct Unapplied {
    std::set<std::pair<uint32_t, uint32_t>> branches;
    bool edits = false;
  };
  Unapplied InFlight() const;

  // Definitions of new series go into the log soon, though nothing follows them.
  void LogDefinitions() {
    definitions_wanted_ = true;
    SchedulePump();
  }

  // Looks again at what waits for memory, log room or the catalog.
  void Pump();

  // That were too old when they were appended, since the database was opened.
  uint64_t expired_samples() const { return expired_samples_; }

  // OK, or why nothing is written until the database is opened again.
  const Status& write_status() const { return write_status_; }
  // OK, or why writing is refused now; a full disk heals by itself.
  Status WriteState() const;
  wal::Log* log() { return log_.get(); }

  void OnDurable(Lsn durable) override;
  void OnFailed(Status reason) override;
  void OnRoom() override { Pump(); }

 private:
  // First in, first out, through RunNode::next.
  class Queue {
   public:
    bool empty() const { return head_ == nullptr; }
    CommitRequest* front() const { return static_cast<CommitRequest*>(head_); }
    bool HasAppendsTo(TenantId tenant, BranchId branch) const;
    template <typename Visit>
    void ForEach(Visit&& visit) const {
      for (const io::RunNode* node = head_; node != nullptr; node = node->next) {
        visit(*static_cast<const CommitRequest*>(node));
      }
    }
    void Push(CommitRequest* request);
    CommitRequest* Pop();

   private:
    io::RunNode* head_ = nullptr;
    io::RunNode* tail_ = nullptr;
  };

  static void RunPump(io::RunNode* node);
  static void RunDeadline(io::RunNode* node);
  struct PumpNode : io::RunNode {
    PumpNode(Committer* c, Function f) : RunNode(f), committer(c) {}
    Committer* committer;
    bool scheduled = false;
  };
  struct DeadlineTimer : io::Timer {
    DeadlineTimer(Committer* c, Function f) : Timer(f), committer(c) {}
    Committer* committer;
  };

  bool HasMemoryFor(const CommitRequest& request) const;
  bool HasMemoryFor(size_t body_bytes) const;
  // Why a batch for which there is no memory waits.
  Status NoMemory() const;
  // Gives the head of a queue its place in the log, or finishes it with its refusal. False: it
  // waits.
  bool AdmitFront(Queue* queue);
  // Deals with a numbered batch that is not its producer's next; false if it is, or has no number.
  bool AnswerOrRefuse(Queue* queue);
  ProducerTable* ProducersOf(const CommitRequest& request) const;
  // The tenant of a batch, if a quota bounds what it appends.
  TenantState* BoundedTenantOf(const CommitRequest& request) const;
  void AnswerDuplicate(CommitRequest* request) const;
  // Rejects what is too old in a batch. OutOfRange if nothing would be left; a numbered one takes
  // its number all the same.
  Status JudgeAge(CommitRequest* request);
  Status AppendDefinitions();
  void AppendWantedDefinitions();
  // Of a batch that is submitted: its ids.
  void LookAtSeries(CommitRequest* request);
  Status AppendToLog(CommitRequest* request);
  void FinishWaiting();
  void RefuseExpired();
  void SchedulePump();
  void ArmDeadline();

  DatabaseState* const state_;
  Interner* const interner_;
  Applier* const applier_;
  const std::function<void()> on_applied_;
  std::unique_ptr<wal::Log> log_;
  Status write_status_;
  IdleSeries* idle_ = nullptr;
  bool definitions_wanted_ = false;
  uint64_t expired_samples_ = 0;
  size_t refused_for_memory_ = 0;  // bytes of the last batch's body, if it was
  Queue edits_;
  Queue batches_;
  Queue in_flight_;  // in log order
  uint64_t in_flight_bytes_ = 0;
  PumpNode pump_;
  DeadlineTimer deadline_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_COMMITTER_H_
