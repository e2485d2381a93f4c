// The workload. See run.h.

#include "tests/sim/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "base/check.h"
#include "engine/batch.h"

namespace nexus::sim_test {
namespace {

using engine::CommitRequest;
using engine::DatabaseCore;
using sim::Stream;

constexpr char kFolder[] = "/db";
constexpr uint32_t kSeries = 24;
constexpr int64_t kSecondNs = 1'000'000'000;
// Timestamps come from a window this long in seconds, so that places are written again and out of
// order.
constexpr int64_t kTimestamps = 400;
// Within how many steps of an opening a crash strikes: recovery of these small databases takes
// about 300.
constexpr uint64_t kRecoverySteps = 400;

class Run {
 public:
  explicit Run(const RunOptions& options);
  RunResult Execute();

 private:
  // One append in flight; the request dies with its incarnation at the latest.
  class Append : public CommitRequest {
   public:
    Append(Run* owner, uint64_t number)
        : CommitRequest(Kind::kBatch, {}, &Done, &Release),
          encoder({}, {}),
          owner_(owner),
          number_(number) {}
    uint64_t number() const { return number_; }
    engine::BatchEncoder encoder;

   private:
    static void Done(CommitRequest* request, const Status& status);
    static void Release(CommitRequest* request);
    Run* const owner_;
    const uint64_t number_;
  };

  uint64_t Choose(uint64_t n) { return world_.choices()->Choose(Stream::kWorkload, n); }
  bool OneIn(uint64_t n) { return Choose(n) == n - 1; }
  void Trace(std::string_view line) {
    if (options_.trace_sink) options_.trace_sink(line);
  }
  void Fail(std::string what) {
    if (!result_.violation.has_value()) result_.violation = std::move(what);
  }
  bool failed() const { return result_.violation.has_value(); }

  void Tune();
  // False if the world crashed meanwhile, or the run has failed.
  bool Open(std::optional<sim::CrashKind> crash_within);
  bool Intern();
  void OpenSurely();
  void CloseCleanly();
  void DropDead();
  void Crash(sim::CrashKind kind);
  void Operate();
  void DoAppend();
  std::vector<Place> ChoosePlaces();
  void DoFlush();
  void DoQuery();
  void CheckAll(std::string_view when);
  void CheckRange(Oracle::Query query);

  const RunOptions options_;
  sim::World world_;
  Options tuned_;
  Oracle oracle_;
  RunResult result_;
  std::unique_ptr<DatabaseCore> core_;
  std::vector<SeriesId> ids_;
  std::vector<std::unique_ptr<Append>> appends_;
  std::vector<uint64_t> unknown_;  // appends that ended with the log's failure
  std::unique_ptr<io::TaskScope> background_;
};

sim::Options WorldOptions(const RunOptions& options) {
  sim::Options world;
  world.trace_sink = options.trace_sink;
  world.faults[sim::Fault::kGarbageSector] = 100'000;
  world.faults[sim::Fault::kShortRead] = 10'000;
  world.faults[sim::Fault::kInterrupted] = 10'000;
  return world;
}

Run::Run(const RunOptions& options)
    : options_(options), world_(options.seed, WorldOptions(options)), oracle_(options.seed) {}

void Run::Append::Done(CommitRequest* request, const Status& status) {
  auto* self = static_cast<Append*>(request);
  Oracle& oracle = self->owner_->oracle_;
  if (status.ok()) {
    oracle.Acknowledged(self->number_);
    self->owner_->result_.acknowledged++;
  } else if (absl::IsUnavailable(status)) {
    // The log failed. What became of the batch shows at the next opening, not before.
    self->owner_->unknown_.push_back(self->number_);
  } else {
    oracle.Refused(self->number_);
  }
}

void Run::Append::Release(CommitRequest* request) {
  auto* self = static_cast<Append*>(request);
  std::erase_if(self->owner_->appends_, [&](const auto& append) { return append.get() == self; });
}

// Settings small enough that everything that can happen does.
void Run::Tune() {
  auto pick = [&](std::initializer_list<uint64_t> values) {
    return values.begin()[world_.choices()->Choose(Stream::kTunable, values.size())];
  };
  tuned_.directory = kFolder;
  tuned_.memtable_bytes = pick({4 << 20, 256 << 10, 1 << 20});
  tuned_.log_segment_bytes = pick({1 << 20, 64 << 10, 256 << 10});
  tuned_.log_bytes_max = pick({4 << 20, 128 << 10});
  tuned_.flush_interval_ms = static_cast<int64_t>(pick({3'600'000, 500}));
  tuned_.page_cache_bytes = pick({1 << 20, 0});
  tuned_.reserve_bytes = pick({0, 1 << 20});
  tuned_.catalog_bytes_max = 64 << 20;
}

bool Run::Open(std::optional<sim::CrashKind> crash_within) {
  io::Environment* environment = world_.Boot();
  if (crash_within.has_value()) world_.CrashAfterSteps(Choose(kRecoverySteps), *crash_within);
  engine::CatalogHooks hooks;
  hooks.directory = world_.ScratchDirectory();
  world_.lmdb().Restore(hooks.directory);
  hooks.after_commit = [this, folder = hooks.directory](Lsn) { world_.lmdb().OnCommit(folder); };
  hooks.after_sync = [this, folder = hooks.directory](Lsn) { world_.lmdb().OnSynced(folder); };
  auto opened = world_.TryRunTask(DatabaseCore::Open(environment, tuned_, std::move(hooks)));
  if (!opened.has_value()) return false;
  if (!opened->ok()) {
    Fail(fmt::format("open failed: {}", FromAbsl(opened->status().message())));
    return false;
  }
  core_ = std::move(**opened);
  background_ = std::make_unique<io::TaskScope>(environment->executor());
  return Intern();
}

bool Run::Intern() {
  std::vector<std::string> labels;
  for (uint32_t series = 0; series < kSeries; series++) {
    auto made = Labels::Make("metric", {{"series", fmt::format("{:02}", series)}});
    NEXUS_CHECK(made.ok());
    labels.push_back(made->Canonical());
  }
  auto ids = world_.TryRunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
  if (!ids.has_value()) return false;
  if (!ids->ok()) {
    Fail(fmt::format("interning failed: {}", FromAbsl(ids->status().message())));
    return false;
  }
  ids_ = std::move(**ids);
  return true;
}

// Opens, with crashes on the way: recovery must bear them at any step.
void Run::OpenSurely() {
  while (!failed()) {
    std::optional<sim::CrashKind> crash_within;
    if (OneIn(3))
      crash_within = OneIn(2) ? sim::CrashKind::kProcessKill : sim::CrashKind::kPowerCut;
    bool opened = Open(crash_within);
    world_.CancelScheduledCrash();
    if (opened && world_.alive()) return;
    if (!failed()) result_.crashes_in_recovery++;
    DropDead();
  }
}

// Destroys what belonged to an incarnation that is over: the frames, then what they refer to.
void Run::DropDead() {
  if (world_.alive()) world_.Crash(sim::CrashKind::kProcessKill);
  background_.reset();
  core_.reset();
  for (const auto& append : appends_) oracle_.InDoubt(append->number());
  appends_.clear();
  for (uint64_t number : unknown_) oracle_.InDoubt(number);
  unknown_.clear();
  ids_.clear();
}

void Run::Crash(sim::CrashKind kind) {
  Trace(kind == sim::CrashKind::kPowerCut ? "== power cut" : "== kill");
  (kind == sim::CrashKind::kPowerCut ? result_.power_cuts : result_.kills)++;
  world_.Crash(kind);
  DropDead();
}

void Run::CloseCleanly() {
  Trace("== close");
  result_.clean_closes++;
  world_.RunTask(background_->Join());
  Status closed = world_.RunTask(core_->Close());
  if (!closed.ok()) Fail(fmt::format("close failed: {}", FromAbsl(closed.message())));
  if (!appends_.empty())
    Fail("an append was neither acknowledged nor refused when the database closed");
  world_.RunOnLoop([&] { core_.reset(); });
  world_.Crash(sim::CrashKind::kProcessKill);
  DropDead();
}

// A scrape (one instant, many series), a run of one series, or a scatter; each place once.
std::vector<Place> Run::ChoosePlaces() {
  std::set<Place> places;
  int64_t start = static_cast<int64_t>(Choose(kTimestamps));
  uint64_t form = Choose(3);
  uint64_t count = 1 + Choose(form == 0 ? kSeries : 40);
  auto series = static_cast<uint32_t>(Choose(kSeries));
  for (uint64_t i = 0; i < count; i++) {
    Place place;
    place.series = form == 0   ? static_cast<uint32_t>(i)
                   : form == 1 ? series
                               : static_cast<uint32_t>(Choose(kSeries));
    int64_t second = form == 0   ? start
                     : form == 1 ? start + static_cast<int64_t>(i)
                                 : static_cast<int64_t>(Choose(kTimestamps));
    place.timestamp = second * kSecondNs;
    places.insert(place);
  }
  return {places.begin(), places.end()};
}

void Run::DoAppend() {
  std::vector<Place> places = ChoosePlaces();
  uint64_t number = oracle_.Submit(places);
  Trace(fmt::format("== append {} of {} samples", number, places.size()));
  auto append = std::make_unique<Append>(this, number);
  std::vector<engine::SeriesSample> samples;
  for (size_t i = 0; i < places.size(); i++) {
    samples.push_back({ids_[places[i].series], places[i].timestamp,
                       std::bit_cast<double>(oracle_.ValueOf(number, i))});
  }
  append->encoder.Add(samples);
  append->body = append->encoder.Finish();
  CommitRequest* request = append.get();
  appends_.push_back(std::move(append));
  result_.appends++;
  world_.RunOnLoop([&] { core_->committer()->Submit(request); });
}

io::Task<void> FlushInBackground(DatabaseCore* core) {
  // What a flush may fail with is the disk's doing; the oracle judges what is there.
  (co_await core->Flush()).IgnoreError();
}

void Run::DoFlush() {
  Trace("== flush");
  result_.flushes++;
  world_.RunOnLoop([&] { background_->Spawn(FlushInBackground(core_.get())); });
}

void Run::CheckRange(Oracle::Query query) {
  query.acknowledged_at_start = oracle_.acknowledgements();
  auto view = core_->View("default", "main");
  if (!view.ok()) return Fail(fmt::format("view failed: {}", FromAbsl(view.status().message())));
  SelectQuery select;
  std::string choice;
  for (uint32_t series = query.series_first; series <= query.series_last; series++) {
    choice += fmt::format("{}{:02}", choice.empty() ? "" : "|", series);
  }
  select.selector = fmt::format("metric{{series=~\"{}\"}}", choice);
  select.range = {query.first, query.last};
  select.limits.deadline_ms = 0;
  auto cursor = engine::MakeSelectCursor(std::move(*view), select);
  if (!cursor.ok())
    return Fail(fmt::format("query failed: {}", FromAbsl(cursor.status().message())));
  std::vector<Observed> observed;
  SeriesChunk chunk;
  while (true) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    if (!more.ok()) return Fail(fmt::format("query failed: {}", FromAbsl(more.status().message())));
    if (!*more) break;
    auto series = static_cast<uint32_t>(std::stoul(chunk.labels->front().value));
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      observed.push_back({{series, chunk.timestamps[i]}, std::bit_cast<uint64_t>(chunk.values[i])});
    }
    // What others do meanwhile must not show in this cursor.
    if (OneIn(4)) world_.RunFor(static_cast<int64_t>(Choose(2'000'000)));
  }
  result_.queries++;
  if (!observed.empty()) result_.queries_with_data++;
  const QueryStatistics& statistics = (*cursor)->statistics();
  if (statistics.layers > 0 && statistics.memtables > 0) result_.queries_spanning++;
  if (auto wrong = oracle_.Check(query, observed)) Fail(std::move(*wrong));
}

void Run::DoQuery() {
  Oracle::Query query;
  query.series_first = static_cast<uint32_t>(Choose(kSeries));
  query.series_last = std::min(kSeries - 1, query.series_first + static_cast<uint32_t>(Choose(6)));
  query.first = static_cast<int64_t>(Choose(kTimestamps)) * kSecondNs;
  query.last = query.first + static_cast<int64_t>(Choose(kTimestamps)) * kSecondNs;
  Trace(fmt::format("== query series {} to {}", query.series_first, query.series_last));
  CheckRange(query);
}

void Run::CheckAll(std::string_view when) {
  if (failed()) return;
  Trace(fmt::format("== check {}", when));
  CheckRange({0, kSeries - 1, INT64_MIN, INT64_MAX, 0});
  if (failed()) result_.violation = fmt::format("{}: {}", when, *result_.violation);
}

void Run::Operate() {
  switch (Choose(20)) {
    case 0:
    case 1:
    case 2:
      DoQuery();
      break;
    case 3:
      DoFlush();
      break;
    case 4:
      world_.RunFor(static_cast<int64_t>(Choose(2 * kSecondNs)));
      break;
    case 5:
    case 6:
    case 7:
      world_.RunFor(static_cast<int64_t>(Choose(5'000'000)));
      break;
    case 8:
      if (OneIn(4)) {
        Crash(OneIn(2) ? sim::CrashKind::kProcessKill : sim::CrashKind::kPowerCut);
        OpenSurely();
        CheckAll("after a crash");
      } else if (OneIn(6)) {
        CloseCleanly();
        OpenSurely();
        CheckAll("after a clean close");
      }
      break;
    default:
      DoAppend();
  }
}

RunResult Run::Execute() {
  Tune();
  OpenSurely();
  for (; !failed() && result_.operations < options_.operations; result_.operations++) Operate();
  // Kill, reopen, read, power cut: what was read must still be there.
  if (!failed()) {
    Crash(sim::CrashKind::kProcessKill);
    OpenSurely();
    CheckAll("after the last kill");
  }
  if (!failed()) {
    Crash(sim::CrashKind::kPowerCut);
    OpenSurely();
    CheckAll("after the last power cut");
  }
  if (!failed()) {
    Status flushed = world_.RunTask(core_->Flush());
    if (!flushed.ok()) Fail(fmt::format("flush failed: {}", FromAbsl(flushed.message())));
    CheckAll("after the last flush");
  }
  if (!failed()) {
    CloseCleanly();
    OpenSurely();
    CheckAll("at the end");
  }
  result_.trace_hash = world_.trace_hash();
  result_.decided_present = oracle_.decided_present();
  result_.decided_absent = oracle_.decided_absent();
  DropDead();
  return result_;
}

}  // namespace

RunResult RunSeed(const RunOptions& options) { return Run(options).Execute(); }

}  // namespace nexus::sim_test
