// The course of a run: what it counts, its operations one by one, the calm and the damage at its
// end. See run.h and run_state.h.

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "engine/scrub.h"
#include "tests/sim/run_state.h"

namespace nexus::sim_test {
namespace {

constexpr char kFolder[] = "/db";
// How long the calm phase waits for the clients: they notice a silent connection after half a
// minute.
constexpr int64_t kDrainNs = 300 * kSecondNs;

sim::Options WorldOptions(const Scenario& scenario, const RunOptions& options) {
  sim::Options world;
  world.trace_sink = options.trace_sink;
  world.faults = scenario.faults;
  world.mask = options.mask;
  return world;
}

constexpr const char* kBuckets[] = {"operations",
                                    "appends",
                                    "appends acknowledged",
                                    "appends acknowledged as buffered",
                                    "appends refused",
                                    "appends whose log failed",
                                    "appends of new series",
                                    "deletes",
                                    "deletes of branches",
                                    "deletes acknowledged",
                                    "places found deleted",
                                    "batches of clients acknowledged",
                                    "batches of clients answered as duplicates",
                                    "queries",
                                    "queries with data",
                                    "queries over memtable and layers",
                                    "flushes",
                                    "compactions by hand",
                                    "compactions",
                                    "carries",
                                    "tenants created",
                                    "tenants deleted",
                                    "series forgotten",
                                    "appends refused for forgotten series",
                                    "samples rejected as expired",
                                    "branches made",
                                    "snapshots made",
                                    "retentions set",
                                    "branches deleted",
                                    "appends to branches",
                                    "queries of branches",
                                    "power cuts",
                                    "process kills",
                                    "crashes within recovery",
                                    "crashes within a recovery after one",
                                    "clean closes",
                                    "catalogs rebuilt",
                                    "crashes within a rebuild",
                                    "scrubs",
                                    "backups",
                                    "rollups set",
                                    "buckets of rollups used",
                                    "databases restored",
                                    "openings that faults spoilt",
                                    "queries that faults spoilt",
                                    "reopenings after the log failed",
                                    "full disks",
                                    "damaged files",
                                    "queries that met damage",
                                    "in-doubt batches found present",
                                    "in-doubt batches found absent"};

constexpr Fault kCountedFaults[] = {
    Fault::kWriteError,      Fault::kNoSpace,        Fault::kQuota,
    Fault::kReadOnlyError,   Fault::kShortWrite,     Fault::kShortRead,
    Fault::kInterrupted,     Fault::kSyncError,      Fault::kDirectorySyncError,
    Fault::kMetadataError,   Fault::kSlowOperation,  Fault::kGarbageSector,
    Fault::kClockJump,       Fault::kConnectRefused, Fault::kConnectionReset,
    Fault::kConnectionSilent};

std::string FaultBucket(Fault fault) { return fmt::format("faults: {}", sim::FaultName(fault)); }

}  // namespace

Run::Run(const Scenario& scenario, const RunOptions& options)
    : scenario_(scenario),
      options_(options),
      choices_(scenario.seed),
      world_(&choices_, scenario.seed, WorldOptions(scenario, options)),
      branches_(scenario.seed),
      oracle_(*branches_.main()),
      backups_(&world_) {
  for (const char* bucket : kBuckets) result_.exercised[bucket] = 0;
  tuned_.directory = kFolder;
  tuned_.catalog_bytes_max = 64 << 20;
  ApplyTunables(scenario_, &tuned_);
  clients_ = std::make_unique<Clients>(&world_, &oracle_, scenario_.clients());
}

Run::~Run() {
  if (world_.alive()) world_.Crash(sim::CrashKind::kProcessKill);
  life_.reset();
  clients_.reset();
}

void Run::Count(std::string_view what, uint64_t n) {
  auto bucket = result_.exercised.find(what);
  NEXUS_CHECK(bucket != result_.exercised.end());
  bucket->second += n;
}

bool Run::Has(Fault fault) const { return scenario_.faults[fault] > 0 && options_.mask.Has(fault); }

void Run::SetFaults(bool on) {
  world_.options()->mask = on ? options_.mask : sim::FaultMask::None();
  // What is normal life on any disk stays.
  for (Fault fault : {Fault::kGarbageSector, Fault::kShortRead, Fault::kInterrupted}) {
    world_.options()->mask.Set(fault, options_.mask.Has(fault));
  }
}

void Run::CheckAll(std::string_view when) {
  if (failed()) return;
  Trace(fmt::format("== check {}", when));
  ObserveRetention(RetentionModel::Since::kRunning);
  CheckTenants();
  CheckBranches();
  CheckRange({0, UINT32_MAX, INT64_MIN, INT64_MAX, 0}, 0);
  if (auto wrong = oracle_.CheckApplied()) Fail(std::move(*wrong));
  Judge(TryFrozen(), [this] { return TryFrozen(); });
  if (failed()) result_.violation = fmt::format("{}: {}", when, *result_.violation);
}

// Rule 9. REQUIRES: no faults.
void Run::CheckFiles(std::string_view when) {
  if (failed()) return;
  Trace("== scrub");
  Count("scrubs");
  StatusOr<ScrubReport> report = world_.RunTask(engine::Scrub(life_->core(), {}));
  if (!report.ok()) {
    Fail(fmt::format("{}: rule 9: {}", when, FromAbsl(report.status().message())));
  } else if (!report->clean()) {
    const ScrubFinding& first = report->findings.front();
    Fail(fmt::format("{}: rule 9: {} findings; {}: {}", when, report->finding_count, first.file,
                     first.what));
  }
}

// Rule 10: what was replaced is gone.
void Run::CheckGarbage() {
  if (failed()) return;
  const uint64_t left = life_->core()->state()->garbage.size();
  if (left > 0) Fail(fmt::format("rule 10: {} retired layers were not removed", left));
}

void Run::Operate(const Op& op) {
  if (options_.trace_sink) Trace("== " + ToText(op));
  Count("operations");
  switch (op.kind) {
    case OpKind::kAppend:
      return DoAppend(op);
    case OpKind::kClientAppend:
      return DoClientAppend(op);
    case OpKind::kQuery:
      return DoQuery(op);
    case OpKind::kFlush:
      Count("flushes");
      return life_->FlushInBackground();
    case OpKind::kSync:
      return life_->SyncInBackground();
    case OpKind::kDropTenant:
      return DropTenant(op.arguments[0]);
    case OpKind::kTenant:
      return DoTenant(op.arguments[0]);
    case OpKind::kWait:
      return world_.RunFor(op.arguments[0]);
    case OpKind::kKill:
    case OpKind::kPowerCut:
    case OpKind::kClose:
      return Restart(op);
    case OpKind::kLoseCatalog:
      return LoseCatalog(op);
    case OpKind::kDelete:
      return DoDelete(op);
    case OpKind::kBranchDelete:
      return DoBranchDelete(op);
    case OpKind::kJump:
      return world_.JumpWallClock(op.arguments[0] * kSecondNs);
    case OpKind::kFillDisk:
      Count("full disks");
      return world_.disk().SetCapacity(world_.disk().used_bytes() +
                                       static_cast<uint64_t>(op.arguments[0]));
    case OpKind::kFreeDisk:
      return world_.disk().SetCapacity(sim::Options().capacity_bytes);
    case OpKind::kCompact:
      Count("compactions by hand");
      return life_->CompactInBackground();
    case OpKind::kBranch:
      return MakeBranch(fmt::format("b{}", op.arguments[0]), BranchKind::kBranch, op.arguments[1]);
    case OpKind::kSnapshot:
      return MakeBranch(fmt::format("s{}", op.arguments[0]), BranchKind::kSnapshot,
                        op.arguments[1]);
    case OpKind::kDropBranch:
      return DropBranch(op);
    case OpKind::kBranchAppend:
      return DoBranchAppend(op);
    case OpKind::kBranchQuery:
      return DoBranchQuery(op);
    case OpKind::kBackup:
      return DoBackup(op);
    case OpKind::kRetention:
      return DoRetention(op);
    case OpKind::kAcceptClock:
      return DoAcceptClock();
    case OpKind::kRollups:
      return DoRollups(op);
    case OpKind::kScrub:
      SetFaults(false);
      CheckFiles("scrub");
      return SetFaults(true);
  }
}

// Faults have stopped: everything drains and everything is there.
void Run::Calm() {
  SetFaults(false);
  Trace("== calm");
  world_.disk().SetCapacity(sim::Options().capacity_bytes);
  ReopenIfLogFailed();
  SetFaults(false);
  const int64_t patience = world_.now_ns() + kDrainNs;
  while (!failed() && clients_->waiting() > 0 && world_.now_ns() < patience) {
    world_.RunFor(kSecondNs / 10);
    // What was in flight when the faults stopped may still have failed.
    ReopenIfLogFailed();
    SetFaults(false);
  }
  if (!failed() && clients_->waiting() > 0) {
    engine::Committer* committer = life_->core()->committer();
    Fail(fmt::format("rule 10: {} batches of clients were never answered; writing: {}; log: {}",
                     clients_->waiting(), FromAbsl(committer->write_status().message()),
                     FromAbsl(committer->log()->writable().message())));
  }
  // Kill, reopen, read, power cut: what was read must still be there.
  for (OpKind kind : {OpKind::kKill, OpKind::kPowerCut}) {
    if (failed()) return;
    Restart({kind, {}});
    SetFaults(false);
  }
  if (failed()) return;
  // An attempt to flush that was in flight when the faults stopped may still fail.
  world_.RunFor(kSecondNs);
  Status flushed = world_.RunTask(life_->core()->Flush());
  if (!flushed.ok()) Fail(fmt::format("flush failed: {}", FromAbsl(flushed.message())));
  CheckAll("after the last flush");
  CheckFiles("after the last flush");
  if (failed()) return;
  StatusOr<RetentionInfo> info = life_->core()->Retention("default");
  NEXUS_CHECK(info.ok());
  Status compacted = world_.RunTask(life_->core()->Compact(nullptr));
  if (!compacted.ok()) Fail(fmt::format("compaction failed: {}", FromAbsl(compacted.message())));
  CheckAll("after the last compaction");
  CheckExpiredAreGone(info->clock_ns);
  CheckFiles("after the last compaction");
  CheckGarbage();
  if (!failed()) Restart({OpKind::kClose, {}});
  SetFaults(false);
}

// Rule 8: with damaged layers, right data or DataLoss; and a scrub finds the damage.
void Run::Damage() {
  std::vector<std::string> layers;
  for (const std::string& path : world_.disk().VisibleFiles()) {
    if (path.starts_with("/db/layers/")) layers.push_back(path);
  }
  if (layers.empty()) return;
  CloseCleanly();
  const uint64_t hits = 1 + choices_.Choose(Stream::kWorkload, 3);
  for (uint64_t i = 0; i < hits; i++) {
    const std::string& path = layers[choices_.Choose(Stream::kWorkload, layers.size())];
    const uint64_t offset = world_.disk().FlipRandomBit(path);
    Trace(fmt::format("== damage {} at {}", path, offset));
    if (choices_.Choose(Stream::kWorkload, 3) == 0) world_.disk().MakeUnreadable(path, offset);
    Count("damaged files");
  }
  world_.Boot();
  life_ = std::make_unique<Life>(&world_);
  std::optional<Status> opened = life_->Open(tuned_, /*serve=*/false, !catalog_rebuilt_);
  NEXUS_CHECK(opened.has_value());
  if (!opened->ok()) {
    if (!absl::IsDataLoss(*opened))
      Fail(fmt::format("open failed: {}", FromAbsl(opened->message())));
    return;
  }
  ObserveRetention(RetentionModel::Since::kOpened);
  for (uint32_t series = 0; series < kSeries && !failed(); series++) {
    CheckRange({series, series, INT64_MIN, INT64_MAX, 0}, 0, /*damaged=*/true);
  }
  if (failed()) return;
  StatusOr<ScrubReport> report = world_.RunTask(engine::Scrub(life_->core(), {}));
  if (report.ok() && report->clean()) Fail("rule 9: a scrub does not find the damage");
}

RunResult Run::Execute() {
  OpenSurely({});
  bool whole = true;
  for (const Op& op : scenario_.ops) {
    if (failed()) break;
    if (world_.now_ns() >= options_.until_ns) {
      whole = false;
      break;
    }
    ReopenIfLogFailed();
    if (!failed()) Operate(op);
    CheckRejected();
    result_.operations++;
    if (auto wrong = clients_->violation()) Fail(std::move(*wrong));
  }
  if (whole && !failed()) Calm();
  CheckRejected();
  if (whole && !failed()) JudgeBackups();
  if (whole && !failed() && scenario_.seed % 4 == 0) Damage();
  if (auto wrong = clients_->violation()) Fail(std::move(*wrong));
  result_.trace_hash = world_.trace_hash();
  result_.end_ns = world_.now_ns();
  Count("batches of clients acknowledged", clients_->acknowledged());
  Count("batches of clients answered as duplicates", clients_->duplicates());
  Count("in-doubt batches found present", oracle_.decided_present());
  Count("in-doubt batches found absent", oracle_.decided_absent());
  Count("places found deleted", oracle_.deleted_places_seen());
  for (Fault fault : kCountedFaults) result_.exercised[FaultBucket(fault)] = choices_.hits(fault);
  return result_;
}

RunResult RunScenario(const Scenario& scenario, const RunOptions& options) {
  return Run(scenario, options).Execute();
}

}  // namespace nexus::sim_test
