// The run. See run.h.

#include "tests/sim/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/batch.h"
#include "engine/nexus.h"
#include "engine/record.h"
#include "engine/scrub.h"
#include "tests/engine/simulated_rebuild.h"
#include "tests/sim/backups.h"
#include "tests/sim/branch_oracle.h"
#include "tests/sim/clients.h"
#include "tests/sim/life.h"
#include "tests/sim/oracle.h"
#include "tests/sim/retention_model.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {
namespace {

using engine::CommitRequest;
using sim::Fault;
using sim::Stream;

constexpr char kFolder[] = "/db";
// A buffered acknowledgement is at most 100 ms from durable; then come the write and the sync.
constexpr int64_t kBufferedNs = 150'000'000;
// Openings that faults may spoil before one without.
constexpr int kFaultyOpenings = 4;
// How long the calm phase waits for the clients: they notice a silent connection after half a
// minute.
constexpr int64_t kDrainNs = 300 * kSecondNs;

// Choices by seed, which keep count of the faults that hit.
class CountingChoices : public sim::SeededChoices {
 public:
  explicit CountingChoices(uint64_t seed) : SeededChoices(seed) {}
  bool Chance(Stream stream, uint32_t per_million) override {
    const bool hit = SeededChoices::Chance(stream, per_million);
    if (hit) hits_[static_cast<size_t>(stream)]++;
    return hit;
  }
  uint64_t hits(Fault fault) const { return hits_[static_cast<size_t>(sim::StreamOf(fault))]; }

 private:
  std::array<uint64_t, sim::kStreamCount> hits_{};
};

class Run {
 public:
  Run(const Scenario& scenario, const RunOptions& options);
  ~Run();
  RunResult Execute();

 private:
  // A batch, and the oracle of its branch.
  using Batch = std::pair<std::shared_ptr<Oracle>, uint64_t>;
  // One append, or delete, in flight; the request dies with its incarnation at the latest.
  class Append : public CommitRequest {
   public:
    Append(Run* owner, std::shared_ptr<Oracle> judge, uint64_t number, Kind what = Kind::kBatch)
        : CommitRequest(what, {}, &Done, &Release),
          encoder({}, {}),
          owner_(owner),
          batch_(std::move(judge), number) {}
    const Batch& batch() const { return batch_; }
    engine::BatchEncoder encoder;
    std::string edit;  // of a delete

   private:
    static void Done(CommitRequest* request, const Status& status);
    static void Release(CommitRequest* request);
    Run* const owner_;
    const Batch batch_;
  };

  void Trace(std::string_view line) {
    if (options_.trace_sink) options_.trace_sink(line);
  }
  void Fail(std::string what) {
    if (!result_.violation.has_value()) result_.violation = std::move(what);
  }
  bool failed() const { return result_.violation.has_value(); }
  void Count(std::string_view what, uint64_t n = 1);
  bool Has(Fault fault) const;

  void OpenSurely(const std::vector<int64_t>& nested);
  enum class Opened : uint8_t { kYes, kNo, kNoByFault };
  Opened TryOpen(std::optional<int64_t> crash_within);
  void EndLife();
  void Crash(sim::CrashKind kind);
  void CloseCleanly();
  void ReopenIfLogFailed();

  void Operate(const Op& op);
  void Restart(const Op& op);
  void LoseCatalog(const Op& op);
  void DoAppend(const Op& op);
  void Send(const std::vector<Place>& places, const std::string& branch, bool buffered);
  void DoBranchAppend(const Op& op);
  void DoBranchQuery(const Op& op);
  void MakeBranch(const std::string& name, BranchKind kind, int64_t from);
  void DropBranch(const Op& op);
  // Of those that are there for sure, number `which`; empty if there is none.
  enum class Which : uint8_t { kAny, kButMain, kBranchesButMain };
  std::string BranchNumber(int64_t which, Which among) const;
  void DoDelete(const Op& op);
  void DoBranchDelete(const Op& op);
  // Of the series that the selector chooses, which are those of the region.
  void SendDelete(const Region& region, std::string selector, const std::string& branch);
  void DoRetention(const Op& op);
  void DoAcceptClock();
  void ObserveRetention(RetentionModel::Since since);
  void ExpireInOracles();
  void CheckExpiredAreGone(int64_t clock_ns);
  void DoClientAppend(const Op& op);
  void DoQuery(const Op& op);
  void DoTenant(int64_t number);
  void DoBackup(const Op& op);
  void JudgeBackups();
  void SetFaults(bool on);
  void Calm();
  void Damage();

  void CheckAll(std::string_view when);
  void CheckTenants();
  void CheckBranches();
  void CheckFiles(std::string_view when);
  void CheckGarbage();
  // `damaged`: an error that names a file is right, too.
  void CheckRange(Oracle::Query query, int64_t pause, bool damaged = false,
                  const std::string& branch = "main");

  const Scenario scenario_;
  const RunOptions options_;
  CountingChoices choices_;
  sim::World world_;
  Options tuned_;
  BranchOracle branches_;
  Oracle& oracle_;  // of main
  RetentionModel retention_;
  RunResult result_;
  Backups backups_;
  std::unique_ptr<Clients> clients_;
  std::unique_ptr<Life> life_;
  std::vector<std::unique_ptr<Append>> appends_;
  std::vector<Batch> unknown_;   // appends that ended with the log's failure
  std::vector<Batch> buffered_;  // acknowledged as such in this life
  bool log_failed_ = false;      // in this life
  bool looked_ = false;          // at the branches, in this life
  // Number: known to be there. In doubt ones are not in it.
  std::set<int64_t> tenants_;
};

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
                                    "databases restored",
                                    "openings that faults spoilt",
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

// Whether an error tells of what the world injects, other than damage to data.
bool IsByFault(std::string_view message) {
  for (std::string_view reason :
       {"Input/output error", "No space left", "quota exceeded", "Read-only file system"}) {
    if (message.find(reason) != std::string_view::npos) return true;
  }
  return false;
}

sim::CrashKind KindOf(int64_t nested) {
  return nested % 2 == 1 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill;
}

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

std::string Run::BranchNumber(int64_t which, Which among) const {
  std::vector<std::string> names = branches_.Names();
  std::erase_if(names, [&](const std::string& name) {
    if (among != Which::kAny && name == "main") return true;
    return among == Which::kBranchesButMain && branches_.IsSnapshot(name);
  });
  if (names.empty()) return {};
  return names[static_cast<size_t>(which) % names.size()];
}

void Run::DoBranchAppend(const Op& op) {
  const std::string branch = BranchNumber(op.arguments[0], Which::kBranchesButMain);
  if (branch.empty()) return;
  const auto [which, form, series, start, count] = op.arguments;
  Count("appends to branches");
  oracle_.SubmittedElsewhere();
  Send(PlacesOf({OpKind::kAppend, {form, series, start, count, 0}}), branch, /*buffered=*/false);
}

void Run::DoBranchQuery(const Op& op) {
  const std::string branch = BranchNumber(op.arguments[0], Which::kButMain);
  if (branch.empty()) return;
  Oracle::Query query;
  query.series_first = static_cast<uint32_t>(op.arguments[1]);
  query.series_last =
      static_cast<uint32_t>(std::min(kSeries - 1, op.arguments[1] + op.arguments[2]));
  query.first = op.arguments[3] * kSecondNs;
  query.last = INT64_MAX;
  Count("queries of branches");
  CheckRange(query, op.arguments[4], /*damaged=*/false, branch);
}

void Run::MakeBranch(const std::string& name, BranchKind kind, int64_t from) {
  // One that is in doubt is decided by the next opening.
  if (branches_.Find(name) != nullptr) return;
  const std::string parent = BranchNumber(from, Which::kAny);
  branches_.Creating(name, kind, parent);
  const std::shared_ptr<Oracle> oracle_of_parent = branches_.Find(parent);
  auto made = world_.TryRunTask(life_->core()->CreateBranch(name, kind, parent, "default"));
  NEXUS_CHECK(made.has_value());
  // What expired up to now a snapshot may lack; what expires later it has.
  ExpireInOracles();
  branches_.Find(name)->ExpireAs(*oracle_of_parent);
  if (absl::IsNotFound(*made) || absl::IsAlreadyExists(*made)) {
    return Fail(fmt::format("rule 1: {}", FromAbsl(made->message())));
  }
  if (absl::IsUnavailable(*made)) {
    looked_ = true;
    return;
  }
  branches_.Created(name, made->ok());
  if (!made->ok()) return;
  Count(kind == BranchKind::kSnapshot ? "snapshots made" : "branches made");
  CheckRange({0, UINT32_MAX, INT64_MIN, INT64_MAX, 0}, 0, /*damaged=*/false, name);
}

void Run::DropBranch(const Op& op) {
  const std::string name = BranchNumber(op.arguments[0], Which::kButMain);
  if (name.empty()) return;
  const BranchKind kind = branches_.IsSnapshot(name) ? BranchKind::kSnapshot : BranchKind::kBranch;
  branches_.Deleting(name);
  auto deleted = world_.TryRunTask(life_->core()->DeleteBranch(name, kind, "default"));
  NEXUS_CHECK(deleted.has_value());
  if (absl::IsNotFound(*deleted)) {
    return Fail(fmt::format("rule 1: {}", FromAbsl(deleted->message())));
  }
  if (absl::IsUnavailable(*deleted)) {
    looked_ = true;
    return;
  }
  branches_.Deleted(name, deleted->ok());
  if (deleted->ok()) Count("branches deleted");
}

void Run::CheckBranches() {
  auto listed = world_.TryRunTask(life_->core()->Branches("default"));
  NEXUS_CHECK(listed.has_value());
  if (!listed->ok()) return Fail(fmt::format("rule 1: {}", FromAbsl(listed->status().message())));
  if (auto wrong = branches_.Check(**listed, /*decides=*/!looked_)) return Fail(std::move(*wrong));
  looked_ = true;
  for (const std::string& name : branches_.Names()) {
    if (failed() || name == "main") continue;
    CheckRange({0, UINT32_MAX, INT64_MIN, INT64_MAX, 0}, 0, /*damaged=*/false, name);
    if (failed()) result_.violation = fmt::format("branch {}: {}", name, *result_.violation);
  }
}

Region RegionOf(int64_t series, int64_t more, int64_t from, int64_t length) {
  Region region;
  region.series_first = static_cast<uint32_t>(series);
  region.series_last = static_cast<uint32_t>(std::min(kSeries - 1, series + more));
  region.first = length == kAllOfTime ? INT64_MIN : from * kSecondNs;
  region.last = length == kAllOfTime ? INT64_MAX : (from + length) * kSecondNs;
  return region;
}

// The embedded writer's series alone: what clients write is not ordered with a delete. Its fresh
// ones are chosen by an expression, which also chooses those that come into being later.
void Run::DoDelete(const Op& op) {
  const auto [series, more, from, length, fresh] = op.arguments;
  Region region = RegionOf(series, more, from, length);
  if (fresh != 0) {
    region.series_first = kFirstFresh;
    region.series_last = kFirstFresh + kFreshSeries - 1;
  }
  SendDelete(
      region,
      fresh != 0 ? "metric{series=~\"01.*\"}" : SelectorOf(region.series_first, region.series_last),
      "main");
}

void Run::DoBranchDelete(const Op& op) {
  const std::string branch = BranchNumber(op.arguments[0], Which::kBranchesButMain);
  if (branch.empty()) return;
  const auto [which, series, more, from, length] = op.arguments;
  const Region region = RegionOf(series, more, from, length);
  Count("deletes of branches");
  SendDelete(region, SelectorOf(region.series_first, region.series_last), branch);
}

void Run::SendDelete(const Region& region, std::string selector, const std::string& branch) {
  engine::DeleteSamples edit;
  edit.branch = life_->core()->state()->published.Find("default", branch)->branch;
  edit.range = {region.first, region.last};
  edit.selector = std::move(selector);
  std::shared_ptr<Oracle> judge = branches_.Find(branch);
  const uint64_t number = judge->SubmitDelete(region);
  auto remove =
      std::make_unique<Append>(this, std::move(judge), number, CommitRequest::Kind::kEdit);
  const engine::Edit edits[] = {std::move(edit)};
  remove->edit = engine::EncodeEdits(edits);
  remove->body = AsBytes(remove->edit);
  remove->in_turn = true;
  remove->deadline_ns =
      world_.environment()->MonotonicNanos() + tuned_.admission_timeout_ms * 1'000'000;
  CommitRequest* request = remove.get();
  appends_.push_back(std::move(remove));
  Count("deletes");
  world_.RunOnLoop([&] { life_->core()->committer()->Submit(request); });
}

// What is asked of the database, and what the model makes of it. Durations are such that places
// below the cuts, which are near the epoch, are too old now.
void Run::DoRetention(const Op& op) {
  if (!scenario_.retention()) return;
  const auto [form, series, more, cut, other] = op.arguments;
  StatusOr<RetentionInfo> info = life_->core()->Retention("default");
  if (!info.ok()) return Fail(fmt::format("rule 1: {}", FromAbsl(info.status().message())));
  const int64_t now = info->clock_runs ? info->clock_ns : info->wall_ns;
  const Region region = RegionOf(series, more, 0, 0);
  ModelRules rules = MakeRules(form, region, now - cut * kSecondNs, now - other * kSecondNs);
  std::vector<RetentionRule> asked;
  for (const ModelRule& rule : rules) asked.push_back(rule.rule);
  ExpireInOracles();
  retention_.Setting(std::move(rules));
  const bool starts = !info->clock_runs;
  auto set = world_.TryRunTask(life_->core()->SetRetention(std::move(asked), "default"));
  NEXUS_CHECK(set.has_value());
  if (!absl::IsUnavailable(*set)) retention_.Set(set->ok());
  if (set->ok()) Count("retentions set");
  ObserveRetention(starts ? RetentionModel::Since::kAccepted : RetentionModel::Since::kRunning);
}

void Run::DoAcceptClock() {
  if (!scenario_.retention() || !retention_.clock_runs()) return;
  auto accepted = world_.TryRunTask(life_->core()->AcceptRetentionClock());
  NEXUS_CHECK(accepted.has_value());
  ObserveRetention(RetentionModel::Since::kAccepted);
}

void Run::ObserveRetention(RetentionModel::Since since) {
  StatusOr<RetentionInfo> info = life_->core()->Retention("default");
  if (!info.ok()) return Fail(fmt::format("rule 1: {}", FromAbsl(info.status().message())));
  auto wrong = retention_.Observe(*info, life_->core()->state()->retention_clock.applied_ns(),
                                  world_.now_ns(), since, Has(Fault::kClockJump));
  if (wrong.has_value()) Fail(std::move(*wrong));
}

void Run::ExpireInOracles() {
  if (!retention_.clock_runs()) return;
  for (Oracle* oracle : branches_.Writable()) retention_.Expire(oracle, world_.now_ns());
}

// Rule 12: after a flush and a compaction by hand nothing is left that was expired before.
void Run::CheckExpiredAreGone(int64_t clock_ns) {
  if (failed() || !retention_.clock_runs()) return;
  for (uint32_t series = 0; series < kSeries; series++) {
    const std::optional<int64_t> gone_below = retention_.GoneBelow(series, clock_ns);
    if (!gone_below.has_value()) continue;
    auto view = life_->core()->View("default", "main");
    NEXUS_CHECK(view.ok());
    SelectQuery select;
    select.selector = SelectorOf(series, series);
    select.range = {INT64_MIN, *gone_below - 1};
    auto cursor = engine::MakeSelectCursor(std::move(*view), select);
    SeriesChunk chunk;
    StatusOr<bool> more = cursor.ok() ? (*cursor)->Next(&chunk) : cursor.status();
    if (!more.ok()) return Fail(fmt::format("query failed: {}", FromAbsl(more.status().message())));
    if (!*more) continue;
    return Fail(fmt::format("rule 12: series {} has a sample at {}, though {} and later is kept",
                            series, chunk.timestamps[0], *gone_below));
  }
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
  const std::shared_ptr<Oracle> oracle = branches_.Find(branch);
  ExpireInOracles();
  query.acknowledged_at_start = oracle->acknowledgements();
  auto failure = [&](const Status& status) {
    if (damaged && absl::IsDataLoss(status)) return Count("queries that met damage");
    Fail(fmt::format("query failed: {}", FromAbsl(status.message())));
  };
  auto view = life_->core()->View("default", branch);
  if (!view.ok()) return failure(view.status());
  SelectQuery select;
  select.selector = SelectorOf(query.series_first, query.series_last);
  select.range = {query.first, query.last};
  select.limits.deadline_ms = 0;
  auto cursor = engine::MakeSelectCursor(std::move(*view), select);
  if (!cursor.ok()) return failure(cursor.status());
  std::vector<Observed> observed;
  SeriesChunk chunk;
  for (int64_t chunks = 1;; chunks++) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    if (!more.ok()) return failure(more.status());
    if (!*more) break;
    const auto series = static_cast<uint32_t>(std::stoul(chunk.labels->front().value));
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      observed.push_back({{series, chunk.timestamps[i]}, std::bit_cast<uint64_t>(chunk.values[i])});
    }
    // What others do meanwhile must not show in this cursor.
    if (pause > 0 && chunks % pause == 0) world_.RunFor(pause * 300'000);
  }
  Count("queries");
  if (!observed.empty()) Count("queries with data");
  const QueryStatistics& statistics = (*cursor)->statistics();
  if (statistics.layers > 0 && statistics.memtables > 0) Count("queries over memtable and layers");
  if (auto wrong = oracle->Check(query, observed)) Fail(std::move(*wrong));
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

void Run::DoTenant(int64_t number) {
  auto created = world_.TryRunTask(life_->core()->CreateTenant(fmt::format("tenant{}", number)));
  NEXUS_CHECK(created.has_value());
  if (created->ok() || absl::IsAlreadyExists(*created)) tenants_.insert(number);
  if (created->ok()) Count("tenants created");
  if (tenants_.contains(number) && !created->ok() && !absl::IsAlreadyExists(*created) &&
      absl::IsNotFound(*created)) {
    Fail("rule 1: a tenant is lost");
  }
}

// A compaction that runs beside it retires what the backup has yet to copy.
void Run::DoBackup(const Op& op) {
  SetFaults(false);
  if (op.arguments[0] != 0) life_->CompactInBackground();
  ExpireInOracles();
  const Status made = backups_.Make(life_->core(), oracle_);
  if (made.ok() && retention_.clock_runs()) {
    retention_.Expire(backups_.oracle(), world_.now_ns());
  }
  const bool by_fault = IsByFault(FromAbsl(made.message())) || absl::IsUnavailable(made) ||
                        absl::IsResourceExhausted(made) || life_->log_failed();
  if (!made.ok() && !by_fault) Fail(fmt::format("backup: {}", FromAbsl(made.message())));
  SetFaults(true);
}

// REQUIRES: no faults.
void Run::JudgeBackups() {
  if (auto wrong = backups_.Judge(tuned_)) Fail("backup: " + *std::move(wrong));
  Count("backups", backups_.made());
  Count("databases restored", backups_.restored());
}

void Run::CheckTenants() {
  for (int64_t number : tenants_) {
    auto view = life_->core()->SourcesOf(fmt::format("tenant{}", number), "main");
    if (!view.ok()) Fail(fmt::format("rule 1: {}", FromAbsl(view.status().message())));
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
    result_.operations++;
    if (auto wrong = clients_->violation()) Fail(std::move(*wrong));
  }
  if (whole && !failed()) Calm();
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

}  // namespace

RunResult RunScenario(const Scenario& scenario, const RunOptions& options) {
  return Run(scenario, options).Execute();
}

}  // namespace nexus::sim_test
