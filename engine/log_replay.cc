// Replaying a log aside. See log_replay.h.

#include "engine/log_replay.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "engine/batch.h"
#include "engine/carry_record.h"
#include "engine/record.h"
#include "engine/recovery.h"
#include "io/file_util.h"
#include "wal/tool.h"

namespace nexus::engine {
namespace {

const char* KindOf(const Edit& edit) {
  struct Names {
    const char* operator()(const PublishLayers&) const { return "publish of layers"; }
    const char* operator()(const CreateTenant&) const { return "creation of a tenant"; }
    const char* operator()(const SetTenant&) const { return "settings of a tenant"; }
    const char* operator()(const DeleteTenant&) const { return "deletion of a tenant"; }
    const char* operator()(const CreateBranch&) const { return "creation of a branch"; }
    const char* operator()(const GarbageRemoved&) const { return "removal of garbage"; }
    const char* operator()(const OpenProducer&) const { return "opening of a producer"; }
    const char* operator()(const ForgetProducers&) const { return "forgetting of producers"; }
    const char* operator()(const DeleteBranch&) const { return "deletion of a branch"; }
    const char* operator()(const DeleteSamples&) const { return "delete"; }
    const char* operator()(const TombstonesForgotten&) const { return "forgetting of deletes"; }
    const char* operator()(const ForgetSeries&) const { return "forgetting of series"; }
    const char* operator()(const SetRetention&) const { return "setting of a retention"; }
    const char* operator()(const AcceptClock&) const { return "step of the retention clock"; }
  };
  return std::visit(Names(), edit);
}

// Adds the samples to `samples`, their series and times to the totals.
void CountSamples(const BatchView& batch, uint64_t* samples, RecordTotals* totals) {
  VisitAccepted(batch, [&](const SectionView& section, size_t first, size_t count) {
    *samples += count;
    for (size_t i = first; i < first + count; i++) {
      totals->series.insert(section.ids[i].value);
      int64_t timestamp = section.timestamps[i];
      totals->range.first = std::min(totals->range.first, timestamp);
      totals->range.last = std::max(totals->range.last, timestamp);
    }
  });
}

// The parts of a database without the loops of an open one.
class ReplayRun {
 public:
  ReplayRun(io::Environment* environment, Options options, LogReplayOptions replay,
            CatalogHooks hooks)
      : replay_(replay),
        state_(environment, std::move(options)),
        interner_(&state_),
        applier_(&state_, &interner_),
        committer_(&state_, &interner_, &applier_, [] {}),
        keeper_(&state_, &committer_),
        flusher_(&state_, &applier_, &committer_, &keeper_),
        recovery_(&state_, std::move(hooks), &applier_, &committer_, &keeper_, &flusher_,
                  &recovery_report_) {}

  io::Task<StatusOr<LogReplayReport>> Run() {
    auto lock = co_await recovery_.LockFolder();
    NEXUS_CO_RETURN_IF_ERROR(lock.status());
    NEXUS_CO_RETURN_IF_ERROR(co_await recovery_.ReadFolder());
    NEXUS_CO_RETURN_IF_ERROR(co_await recovery_.OpenCatalog());
    NEXUS_CO_RETURN_IF_ERROR(co_await recovery_.ScanTheLog());
    NEXUS_CO_RETURN_IF_ERROR(CheckRequest());
    NEXUS_CO_RETURN_IF_ERROR(co_await Count());
    if (!replay_.dry_run) NEXUS_CO_RETURN_IF_ERROR(co_await Rebuild());
    co_return std::move(report_);
  }

 private:
  Status CheckRequest() {
    const wal::LogScan& scan = recovery_.scan();
    for (const wal::Damage& damage : scan.damage) {
      report_.damage.push_back({damage.path, damage.offset, damage.lsn, damage.until, damage.why});
    }
    report_.torn_tail_bytes = scan.torn_bytes;
    if (!scan.damage.empty() && !replay_.skip_damaged) {
      return Annotate(scan.status(),
                      "give --skip-damaged to keep what is good on both sides of the damage");
    }
    Lsn applied = state_.catalog->meta().applied;
    if (replay_.to.has_value() && *replay_.to < applied) {
      return InvalidArgument(
          "--to {}: the catalog has applied the log up to LSN {}, which cannot be taken back",
          replay_.to->value, applied.value);
    }
    return OkStatus();
  }

  wal::CursorOptions CursorFor(Lsn to) const {
    wal::CursorOptions options;
    options.to = to;
    options.skip_damaged = replay_.skip_damaged;
    return options;
  }

  io::Task<Status> Count() {
    Status counted;
    const Lsn to = replay_.to.value_or(Lsn{UINT64_MAX});
    auto visit = [&](const wal::RecordView& record) {
      RecordTotals* totals = record.end <= to ? &report_.kept : &report_.lost;
      counted = CountRecord(static_cast<RecordKind>(record.kind), record.body, totals);
      return counted.ok();
    };
    wal::CursorOptions all = CursorFor(Lsn{UINT64_MAX});
    NEXUS_CO_RETURN_IF_ERROR(
        co_await wal::VisitRecords(state_.environment, recovery_.scan(), all, visit));
    co_return counted;
  }

  io::Task<Status> Rebuild() {
    state_.pass_over_undefined_series = replay_.skip_damaged;
    NEXUS_CO_RETURN_IF_ERROR(co_await recovery_.LoadCatalog());
    wal::CursorOptions options = CursorFor(replay_.to.value_or(Lsn{UINT64_MAX}));
    NEXUS_CO_RETURN_IF_ERROR(co_await recovery_.Replay(options));
    NEXUS_CO_RETURN_IF_ERROR(co_await flusher_.WriteEverything());
    report_.undefined_series = state_.undefined_series;
    report_.unusable_records = state_.unusable_records;
    // Above every place the old log could have used: the new one begins there.
    state_.applied = std::max(state_.applied, recovery_.scan().next_base);
    NEXUS_CO_RETURN_IF_ERROR(flusher_.ApplyUnpublished());
    NEXUS_CO_RETURN_IF_ERROR(co_await keeper_.Checkpoint());
    NEXUS_CO_ASSIGN_OR_RETURN(report_.moved,
                              co_await wal::MoveSegmentsAside(state_.environment, recovery_.scan(),
                                                              state_.folder.quarantine));
    NEXUS_CO_RETURN_IF_ERROR(co_await StartNewLog());
    NEXUS_CO_RETURN_IF_ERROR(co_await recovery_.QuarantineUnlisted());
    for (const std::string& note : recovery_report_.notes) report_.moved.push_back(note);
    co_return OkStatus();
  }

  io::Task<Status> StartNewLog() {
    wal::Witness witness;
    witness.database = state_.database;
    NEXUS_CO_ASSIGN_OR_RETURN(
        wal::LogScan empty,
        co_await wal::ScanLog(state_.environment, state_.folder.wal, witness, nullptr));
    NEXUS_CO_RETURN_IF_ERROR(co_await recovery_.StartLog(&empty, state_.applied));
    co_return co_await recovery_.TakeLog()->Close();
  }

  const LogReplayOptions replay_;
  LogReplayReport report_;
  RecoveryReport recovery_report_;
  DatabaseState state_;
  Interner interner_;
  Applier applier_;
  Committer committer_;
  CatalogKeeper keeper_;
  Flusher flusher_;
  Recovery recovery_;
};

}  // namespace

Status CountRecord(RecordKind kind, Bytes body, RecordTotals* totals) {
  if (kind == RecordKind::kBatch) {
    NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(body));
    totals->batches++;
    CountSamples(batch, &totals->samples, totals);
    return OkStatus();
  }
  if (kind == RecordKind::kCarry) {
    NEXUS_ASSIGN_OR_RETURN(CarryView carry, CarryView::Parse(body));
    totals->carries++;
    CountSamples(carry.batch, &totals->carried_samples, totals);
    return OkStatus();
  }
  if (kind == RecordKind::kDefinitions) {
    NEXUS_ASSIGN_OR_RETURN(auto definitions, DecodeDefinitions(body));
    totals->definitions += definitions.size();
    return OkStatus();
  }
  NEXUS_ASSIGN_OR_RETURN(std::vector<Edit> edits, DecodeEdits(body));
  for (const Edit& edit : edits) totals->edits[KindOf(edit)]++;
  return OkStatus();
}

io::Task<StatusOr<LogReplayReport>> ReplayLog(io::Environment* environment, Options options,
                                              LogReplayOptions replay, CatalogHooks hooks) {
  options.create = false;
  ReplayRun run(environment, std::move(options), replay, std::move(hooks));
  co_return co_await run.Run();
}

}  // namespace nexus::engine
