// The lives of a run's database: openings, crashes, clean ends, and a catalog that is lost between
// two of them. See run_state.h.

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "tests/engine/simulated_rebuild.h"
#include "tests/sim/run_state.h"

namespace nexus::sim_test {
namespace {

// A buffered acknowledgement is at most 100 ms from durable; then come the write and the sync.
constexpr int64_t kBufferedNs = 150'000'000;
// Openings that faults may spoil before one without.
constexpr int kFaultyOpenings = 4;

sim::CrashKind KindOf(int64_t nested) {
  return nested % 2 == 1 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill;
}

}  // namespace

bool IsByFault(std::string_view message) {
  for (std::string_view reason :
       {"Input/output error", "No space left", "quota exceeded", "Read-only file system"}) {
    if (message.find(reason) != std::string_view::npos) return true;
  }
  return false;
}

// `crash_within`: see KindOf; after half so many steps.
Run::Opened Run::TryOpen(std::optional<int64_t> crash_within) {
  world_.Boot();
  if (crash_within.has_value()) {
    world_.CrashAfterSteps(static_cast<uint64_t>(*crash_within / 2), KindOf(*crash_within));
  }
  life_ = std::make_unique<Life>(&world_);
  const uint64_t errors_before = choices_.hits(Fault::kMetadataError);
  std::optional<Status> opened = life_->Open(tuned_, clients_->count() > 0, !catalog_rebuilt_);
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
  catalog_rebuilt_ = true;
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

}  // namespace nexus::sim_test
