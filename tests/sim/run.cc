// The course of a run. See run.h and run_state.h.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/scrub.h"
#include "tests/engine/simulated_rebuild.h"
#include "tests/sim/listings.h"
#include "tests/sim/run_state.h"

namespace nexus::sim_test {
namespace {

constexpr char kFolder[] = "/db";
// A buffered acknowledgement is at most 100 ms from durable; then come the write and the sync.
constexpr int64_t kBufferedNs = 150'000'000;
// Openings that faults may spoil before one without.
constexpr int kFaultyOpenings = 4;
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

void Run::Append::Done(CommitRequest* request, const Status& status) {
  auto* self = static_cast<Append*>(request);
  Run* run = self->owner_;
  if (request->kind == Kind::kEdit) {
    if (status.ok()) {
      self->batch_.first->Acknowledged(self->batch_.second);
      run->Count("deletes acknowledged");
    } else if (absl::IsUnavailable(status)) {
      run->unknown_.push_back(self->batch_);
    } else {
      self->batch_.first->Refused(self->batch_.second);
    }
    return;
  }
  if (status.ok() && request->expired != nullptr) {
    for (const batch::RejectedRange& range : request->expired->rejected) {
      self->batch_.first->Rejected(self->batch_.second, range.first, range.count);
      for (uint32_t i = 0; i < range.count; i++) {
        run->rejected_.push_back(
            self->batch_.first->PlaceOf(self->batch_.second, range.first + i).timestamp);
      }
    }
  }
  if (status.ok() && request->buffered) {
    self->batch_.first->Buffered(self->batch_.second, run->world_.now_ns());
    run->buffered_.push_back(self->batch_);
    run->Count("appends acknowledged as buffered");
  } else if (status.ok()) {
    self->batch_.first->Acknowledged(self->batch_.second);
    run->Count("appends acknowledged");
  } else if (absl::IsUnavailable(status)) {
    // The log failed. What became of the batch shows at the next opening, not before.
    run->unknown_.push_back(self->batch_);
    run->Count("appends whose log failed");
  } else {
    self->batch_.first->Refused(self->batch_.second);
    run->Count("appends refused");
    if (IsExpired(status))
      run->rejected_.push_back(self->batch_.first->NewestOf(self->batch_.second));
    if (IsUnknownSeries(status)) {
      run->Count("appends refused for forgotten series");
      run->life_->ForgetIds();
    }
  }
}

void Run::Append::Release(CommitRequest* request) {
  auto* self = static_cast<Append*>(request);
  std::erase_if(self->owner_->appends_, [&](const auto& append) { return append.get() == self; });
}

void Run::SetFaults(bool on) {
  world_.options()->mask = on ? options_.mask : sim::FaultMask::None();
  // What is normal life on any disk stays.
  for (Fault fault : {Fault::kGarbageSector, Fault::kShortRead, Fault::kInterrupted}) {
    world_.options()->mask.Set(fault, options_.mask.Has(fault));
  }
}

bool IsByFault(std::string_view message) {
  for (std::string_view reason :
       {"Input/output error", "No space left", "quota exceeded", "Read-only file system"}) {
    if (message.find(reason) != std::string_view::npos) return true;
  }
  return false;
}

namespace {

sim::CrashKind KindOf(int64_t nested) {
  return nested % 2 == 1 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill;
}

}  // namespace

// `crash_within`: see KindOf; after half so many steps.
Run::Opened Run::TryOpen(std::optional<int64_t> crash_within) {
  world_.Boot();
  if (crash_within.has_value()) {
    world_.CrashAfterSteps(static_cast<uint64_t>(*crash_within / 2), KindOf(*crash_within));
  }
  life_ = std::make_unique<Life>(&world_);
  const uint64_t errors_before = choices_.hits(Fault::kMetadataError);
  std::optional<Status> opened = life_->Open(tuned_, clients_->count() > 0);
  world_.CancelScheduledCrash();
  if (!opened.has_value() || !world_.alive()) return Opened::kNo;
  if (opened->ok()) return Opened::kYes;
  const std::string message(FromAbsl(opened->message()));
  // A file that could not be opened for a moment looks like one that is missing for good.
  const bool met_error = choices_.hits(Fault::kMetadataError) > errors_before;
  Trace("== open failed: " + message);
  if (!IsByFault(message) && !met_error) Fail(fmt::format("open failed: {}", message));
  return Opened::kNoByFault;
}

// Opens, with crashes on the way: recovery must bear them at any step.
void Run::OpenSurely(const std::vector<int64_t>& nested) {
  int crashes = 0;
  for (int64_t crash : nested) {
    if (crash == 0 || failed()) continue;
    // Opening may end before the crash is due: then it is over, and the process dies.
    if (TryOpen(crash) == Opened::kNo) {
      Count(crashes++ == 0 ? "crashes within recovery" : "crashes within a recovery after one");
    }
    EndLife();
  }
  for (int i = 0; !failed(); i++) {
    if (i == kFaultyOpenings) {
      SetFaults(false);
      world_.disk().SetCapacity(sim::Options().capacity_bytes);
    }
    const Opened opened = TryOpen(std::nullopt);
    if (opened == Opened::kYes) {
      ObserveRetention(RetentionModel::Since::kOpened);
      break;
    }
    Count("openings that faults spoilt");
    if (i >= kFaultyOpenings) Fail("the database does not open after the faults have stopped");
    EndLife();
  }
  SetFaults(true);
}

// Destroys what belonged to an incarnation that is over: the frames, then what they refer to.
void Run::EndLife() {
  if (world_.alive()) world_.Crash(sim::CrashKind::kProcessKill);
  oracle_.Applied(life_->appended_batches());
  Count("compactions", life_->compactions());
  Count("carries", life_->carries());
  Count("series forgotten", life_->forgotten_series());
  life_.reset();
  const bool timely = !log_failed_ && !Has(Fault::kSlowOperation);
  const int64_t durable_before = timely ? world_.now_ns() - kBufferedNs : INT64_MIN;
  for (const auto& append : appends_) append->batch().first->InDoubt(append->batch().second);
  for (const auto& [oracle, number] : buffered_) oracle->InDoubt(number, durable_before);
  for (const auto& [oracle, number] : unknown_) oracle->InDoubt(number);
  appends_.clear();
  buffered_.clear();
  unknown_.clear();
  log_failed_ = false;
  looked_ = false;
  branches_.EndLife();
}

void Run::Crash(sim::CrashKind kind) {
  Count(kind == sim::CrashKind::kPowerCut ? "power cuts" : "process kills");
  world_.Crash(kind);
  EndLife();
}

void Run::CloseCleanly() {
  Count("clean closes");
  world_.disk().SetCapacity(sim::Options().capacity_bytes);
  const bool may_fail =
      log_failed_ || life_->log_failed() || world_.options()->mask.Has(Fault::kWriteError);
  Status closed = life_->Close();
  if (!closed.ok() && !may_fail) {
    Fail(fmt::format("close failed: {}", FromAbsl(closed.message())));
  }
  if (!appends_.empty()) {
    Fail("an append was neither acknowledged nor refused when the database closed");
  }
  // After a clean end nothing that was buffered is in doubt.
  if (closed.ok()) {
    for (const auto& [oracle, number] : buffered_) oracle->InDoubt(number, INT64_MAX);
  }
  EndLife();
}

void Run::ReopenIfLogFailed() {
  if (!life_->log_failed()) return;
  log_failed_ = true;
  Trace("== reopen, the log has failed");
  Count("reopenings after the log failed");
  life_->Close().IgnoreError();
  EndLife();
  OpenSurely({});
  CheckAll("after the log had failed");
}

std::vector<Place> PlacesOf(const Op& op) {
  const auto [form, series, start, count, buffered] = op.arguments;
  std::set<Place> places;
  sim::Rng rng(sim::MixBits(static_cast<uint64_t>(series * kTimestamps + start)));
  for (int64_t i = 0; i < count; i++) {
    int64_t number = series;
    int64_t second = start;
    switch (form) {
      case kScrape:
        number = i % kSeries;
        break;
      case kRun:
        second = start + i;
        break;
      case kFresh:
        number = kFirstFresh + (series + i % 3) % kFreshSeries;
        second = start + i / 3;
        break;
      default:
        number = static_cast<int64_t>(rng.Below(kSeries));
        second = static_cast<int64_t>(rng.Below(kTimestamps));
    }
    places.insert({static_cast<uint32_t>(number), second * kSecondNs});
  }
  return {places.begin(), places.end()};
}

void Run::DoAppend(const Op& op) {
  if (op.arguments[0] == kFresh) Count("appends of new series");
  Send(PlacesOf(op), "main", op.arguments[4] != 0);
}

void Run::Send(const std::vector<Place>& places, const std::string& branch, bool buffered) {
  if (places.empty()) return;
  std::vector<uint32_t> series;
  for (const Place& place : places) {
    if (std::find(series.begin(), series.end(), place.series) == series.end()) {
      series.push_back(place.series);
    }
  }
  std::optional<Status> interned = life_->Intern(series);
  if (!interned.has_value() || !interned->ok()) {
    // The catalog could not be asked; nothing was submitted.
    if (!world_.options()->mask.Has(Fault::kWriteError)) Fail("interning failed");
    return;
  }
  const auto target = life_->core()->state()->published.FindWritable("default", branch);
  if (!target.ok()) return Fail(fmt::format("rule 1: {}", FromAbsl(target.status().message())));
  const std::shared_ptr<Oracle> oracle = branches_.Find(branch);
  const uint64_t number = oracle->Submit(places);
  auto append = std::make_unique<Append>(this, oracle, number);
  append->tenant = target->tenant;
  append->branch = target->branch;
  append->encoder.SetTarget(target->tenant, target->branch);
  std::vector<engine::SeriesSample> samples;
  for (size_t i = 0; i < places.size(); i++) {
    samples.push_back({life_->IdOf(places[i].series), places[i].timestamp,
                       std::bit_cast<double>(oracle->ValueOf(number, i))});
  }
  append->encoder.Add(samples);
  append->body = append->encoder.Finish();
  append->buffered = buffered;
  append->deadline_ns =
      world_.environment()->MonotonicNanos() + tuned_.admission_timeout_ms * 1'000'000;
  CommitRequest* request = append.get();
  appends_.push_back(std::move(append));
  Count("appends");
  world_.RunOnLoop([&] { life_->core()->committer()->Submit(request); });
}

void Run::DoClientAppend(const Op& op) {
  if (clients_->count() == 0) return;
  const int64_t client = op.arguments[0] % clients_->count();
  const auto series =
      static_cast<uint32_t>(kFirstClientSeries + client * kClientStride + op.arguments[1]);
  std::vector<Place> places;
  for (int64_t i = 0; i < op.arguments[3]; i++) {
    places.push_back({series, (op.arguments[2] + i) * kSecondNs});
  }
  if (!places.empty()) clients_->Append(client, std::move(places));
}

void Run::CheckRange(Oracle::Query query, int64_t pause, bool damaged, const std::string& branch) {
  const Status status = TryRange(query, pause, branch);
  if (damaged && absl::IsDataLoss(status)) return Count("queries that met damage");
  if (damaged) return Judge(status, nullptr);
  Judge(status, [&] { return TryRange(query, 0, branch); });
  if (failed()) return;
  auto rollups = [&] {
    return TryRollups(branch, SelectorOf(query.series_first, query.series_last),
                      {query.first, query.last});
  };
  Judge(rollups(), rollups);
}

// Opening a file may fail where faults hit; without them the same query must succeed.
void Run::Judge(const Status& status, const std::function<Status()>& again) {
  if (status.ok()) return;
  const bool by_fault = Has(Fault::kMetadataError) && IsByFault(FromAbsl(status.message()));
  if (again == nullptr || !by_fault) {
    return Fail(fmt::format("query failed: {}", FromAbsl(status.message())));
  }
  Count("queries that faults spoilt");
  const sim::FaultMask mask = world_.options()->mask;
  SetFaults(false);
  const Status second = again();
  world_.options()->mask = mask;
  if (!second.ok()) Fail(fmt::format("query failed again: {}", FromAbsl(second.message())));
}

// A query that rests at this chunk does so until what it reads may have been compacted away.
constexpr int64_t kLongPause = 4;

Status Run::TryRange(Oracle::Query query, int64_t pause, const std::string& branch) {
  const std::shared_ptr<Oracle> oracle = branches_.Find(branch);
  ExpireInOracles();
  query.acknowledged_at_start = oracle->acknowledgements();
  auto view = life_->core()->View("default", branch);
  NEXUS_RETURN_IF_ERROR(view.status());
  SelectQuery select;
  select.selector = SelectorOf(query.series_first, query.series_last);
  select.range = {query.first, query.last};
  select.limits.deadline_ms = 0;
  auto cursor = engine::MakeSelectCursor(std::move(*view), select);
  NEXUS_RETURN_IF_ERROR(cursor.status());
  std::vector<Observed> observed;
  SeriesChunk chunk;
  for (int64_t chunks = 1;; chunks++) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    NEXUS_RETURN_IF_ERROR(more.status());
    if (!*more) break;
    const auto series = static_cast<uint32_t>(std::stoul(chunk.labels->front().value));
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      observed.push_back({{series, chunk.timestamps[i]}, std::bit_cast<uint64_t>(chunk.values[i])});
    }
    // What others do meanwhile must not show in this cursor.
    if (pause > 0 && chunks % pause == 0) {
      world_.RunFor(chunks == kLongPause ? 2 * kSecondNs : pause * 300'000);
    }
  }
  Count("queries");
  if (!observed.empty()) Count("queries with data");
  const QueryStatistics& statistics = (*cursor)->statistics();
  if (statistics.layers > 0 && statistics.memtables > 0) Count("queries over memtable and layers");
  if (auto wrong = oracle->Check(query, observed)) Fail(std::move(*wrong));
  if (failed() || query.series_last != UINT32_MAX) return OkStatus();
  if (auto wrong = CheckListings(life_->core(), observed)) Fail(std::move(*wrong));
  return OkStatus();
}

// Rule 15: nothing is rejected for its age that some rule keeps. What is known of rules and clock
// must be up to date.
void Run::CheckRejected() {
  for (const std::vector<int64_t>& some :
       {std::exchange(rejected_, {}), clients_->TakeRejected()}) {
    Count("samples rejected as expired", some.size());
    for (int64_t timestamp : some) {
      if (retention_.MayReject(timestamp, world_.now_ns())) continue;
      Fail(fmt::format("rule 15: a sample at {} was rejected as expired, and is kept", timestamp));
    }
  }
}

void Run::DoQuery(const Op& op) {
  Oracle::Query query;
  query.series_first = static_cast<uint32_t>(op.arguments[0]);
  query.series_last =
      static_cast<uint32_t>(std::min(kSeries - 1, op.arguments[0] + op.arguments[1]));
  query.first = op.arguments[2] * kSecondNs;
  query.last = query.first + op.arguments[3] * kSecondNs;
  CheckRange(query, op.arguments[4]);
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

void Run::Restart(const Op& op) {
  switch (op.kind) {
    case OpKind::kKill:
      Crash(sim::CrashKind::kProcessKill);
      break;
    case OpKind::kPowerCut:
      Crash(sim::CrashKind::kPowerCut);
      break;
    default:
      CloseCleanly();
  }
  OpenSurely({op.arguments[0], op.arguments[1]});
  CheckAll(fmt::format("after a {}", OpName(op.kind)));
}

// Rebuilt from the newest image, layers and log, the catalog gives the same answers.
void Run::LoseCatalog(const Op& op) {
  frozen_.Forget();
  Crash(op.arguments[0] == 1 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill);
  SetFaults(false);
  world_.disk().SetCapacity(sim::Options().capacity_bytes);
  if (op.arguments[1] != 0) {
    const engine::RebuildCrash crash = {static_cast<uint64_t>(op.arguments[1] / 2),
                                        KindOf(op.arguments[1])};
    if (!engine::SimulateRebuild(&world_, tuned_, {}, crash)) Count("crashes within a rebuild");
  }
  auto report = *engine::SimulateRebuild(&world_, tuned_, {}, std::nullopt);
  if (!report.ok()) return Fail(fmt::format("rebuild: {}", FromAbsl(report.status().message())));
  if (!report->damage.empty()) return Fail("rebuild: " + report->damage.front());
  Count("catalogs rebuilt");
  OpenSurely({});
  CheckAll("after the catalog was rebuilt");
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
  std::optional<Status> opened = life_->Open(tuned_, /*serve=*/false);
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
