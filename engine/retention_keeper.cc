// The clock's steps, and the calls. See retention_keeper.h.

#include "engine/retention_keeper.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/time_text.h"
#include "compaction/windows.h"
#include "engine/retention.h"
#include "engine/rollups.h"

namespace nexus::engine {
namespace {

// A step of the clock is a record of 30 bytes and a flush of the log.
constexpr int64_t kStepMinNs = 1'000'000'000;
constexpr int64_t kStepMaxNs = 600 * kStepMinNs;
constexpr int64_t kStepsOfRetention = 100;
constexpr int64_t kHourNs = 3'600 * kStepMinNs;

}  // namespace

int64_t HeadWindowNs(const Options& options) {
  const auto windows = compaction::WindowSettings::Parse(options.compaction_windows);
  return options.flush_interval_ms * 1'000'000 + windows->width_ns(1);
}

RetentionKeeper::RetentionKeeper(DatabaseState* state, Committer* committer)
    : state_(state),
      committer_(committer),
      tick_(this, [](io::RunNode* node) { static_cast<Tick*>(node)->keeper->wake_.Set(); }) {}

std::string RetentionKeeper::TakeWall() {
  RetentionClock& clock = state_->retention_clock;
  if (!clock.applied_ns().has_value()) return {};
  const int64_t wall = state_->environment->WallNanos();
  const int64_t monotonic = state_->environment->MonotonicNanos();
  clock.TakeWall(wall, monotonic);
  if (ShortestNs() == 0 || clock.Waits(wall, monotonic) == 0) return {};
  return fmt::format(
      "retention waits: its clock stands at {}, the wall clock is at {}, more than 7 days ahead; "
      "nothing is dropped for it until it is accepted: nexus retention accept-clock",
      FormatTime(clock.Now(monotonic)), FormatTime(wall));
}

int64_t RetentionKeeper::ShortestNs() const {
  int64_t shortest = 0;
  for (const auto& [number, tenant] : state_->tenants) {
    if (tenant->retention->empty()) continue;
    const int64_t of_tenant = tenant->retention->shortest_ns();
    shortest = shortest == 0 ? of_tenant : std::min(shortest, of_tenant);
  }
  for (const auto& [number, tenant] : state_->tenants) {
    for (const RollupRule& rule : tenant->rollups) {
      if (rule.keep_ns == 0) continue;
      shortest = shortest == 0 ? rule.keep_ns : std::min(shortest, rule.keep_ns);
    }
  }
  return shortest;
}

int64_t RetentionKeeper::StepNs() const {
  return std::clamp(ShortestNs() / kStepsOfRetention, kStepMinNs, kStepMaxNs);
}

io::Task<void> RetentionKeeper::Run() {
  io::Executor* executor = state_->environment->executor();
  while (!stopping_) {
    wake_.Reset();
    const int64_t now = state_->environment->MonotonicNanos();
    const RetentionClock& clock = state_->retention_clock;
    const bool runs = clock.applied_ns().has_value() && ShortestNs() > 0;
    int64_t wait = StepNs();
    if (runs && clock.Now(now) - *clock.applied_ns() < wait) {
      wait -= clock.Now(now) - *clock.applied_ns();
    } else if (runs) {
      (co_await Advance()).IgnoreError();
    }
    if (wake_.is_set() || stopping_) continue;
    executor->CancelTimer(&tick_);
    if (runs) executor->StartTimer(&tick_, state_->environment->MonotonicNanos() + wait);
    co_await wake_.Wait();
  }
  executor->CancelTimer(&tick_);
}

void RetentionKeeper::Stop() {
  stopping_ = true;
  wake_.Set();
}

io::Task<Status> RetentionKeeper::MoveTo(int64_t clock_ns) {
  AcceptClock edit;
  edit.clock_ns = clock_ns;
  return committer_->CommitEdit(edit);
}

io::Task<Status> RetentionKeeper::Advance() {
  const RetentionClock& clock = state_->retention_clock;
  if (!clock.applied_ns().has_value() || ShortestNs() == 0) co_return OkStatus();
  const int64_t now = clock.Now(state_->environment->MonotonicNanos());
  if (now <= *clock.applied_ns()) co_return OkStatus();
  co_return co_await MoveTo(now);
}

StatusOr<RetentionInfo> RetentionKeeper::Describe(TenantId tenant) const {
  auto found = state_->tenants.find(tenant.value);
  if (found == state_->tenants.end()) {
    return NotFound("tenant number {} does not exist", tenant.value);
  }
  RetentionInfo info;
  info.rules = found->second->retention->rules();
  info.head_window_ns = HeadWindowNs(state_->options);
  info.wall_ns = state_->environment->WallNanos();
  const RetentionClock& clock = state_->retention_clock;
  info.clock_runs = clock.applied_ns().has_value();
  if (!info.clock_runs) return info;
  const int64_t monotonic = state_->environment->MonotonicNanos();
  info.clock_ns = clock.Now(monotonic);
  info.clock_waits = clock.Waits(info.wall_ns, monotonic) > 0;
  return info;
}

io::Task<Status> RetentionKeeper::Set(TenantId tenant, std::vector<RetentionRule> rules) {
  const std::vector<RetentionRule>* asked = &rules;
  auto check = [asked] { return RetentionRules::Make(*asked).status(); };
  // Compiling expressions takes milliseconds.
  NEXUS_CO_RETURN_IF_ERROR(co_await state_->environment->executor()->Run(io::Lane::kWorker, check));
  const int64_t head_window = HeadWindowNs(state_->options);
  for (const RetentionRule& rule : rules) {
    if (rule.duration_ns >= head_window) continue;
    co_return InvalidArgument(
        "retention rule {}: {:.2f} h are shorter than the head window of {:.2f} h, in which "
        "samples "
        "may still be in memory or in level 0 (flush_interval_ms, and the first of "
        "compaction_windows)",
        rule.selector, static_cast<double>(rule.duration_ns) / static_cast<double>(kHourNs),
        static_cast<double>(head_window) / static_cast<double>(kHourNs));
  }
  const auto found = state_->tenants.find(tenant.value);
  if (found != state_->tenants.end()) {
    for (const RetentionRule& rule : rules) {
      NEXUS_CO_RETURN_IF_ERROR(
          CheckRollupsInTime(found->second->rollups, rule.duration_ns, head_window));
    }
  }
  const RetentionClock& clock = state_->retention_clock;
  SetRetention edit;
  edit.tenant = tenant;
  edit.rules = std::move(rules);
  edit.clock_ns = clock.applied_ns().has_value() ? clock.Now(state_->environment->MonotonicNanos())
                                                 : state_->environment->WallNanos();
  Status status = co_await committer_->CommitEdit(edit);
  wake_.Set();
  co_return status;
}

io::Task<Status> RetentionKeeper::SetRollups(TenantId tenant, std::vector<RollupRule> rules) {
  NEXUS_CO_RETURN_IF_ERROR(CheckRollups(rules));
  const auto found = state_->tenants.find(tenant.value);
  if (found != state_->tenants.end() && !found->second->retention->empty()) {
    NEXUS_CO_RETURN_IF_ERROR(CheckRollupsInTime(rules, found->second->retention->shortest_ns(),
                                                HeadWindowNs(state_->options)));
  }
  const bool expire = std::any_of(rules.begin(), rules.end(),
                                  [](const RollupRule& rule) { return rule.keep_ns > 0; });
  std::vector<Edit> edits;
  SetTenant set;
  set.id = tenant;
  set.settings.push_back(RollupsToSetting(std::move(rules)));
  edits.emplace_back(std::move(set));
  // Buckets are kept by the clock of retention, which begins to run with the first who needs it.
  if (expire && !state_->retention_clock.applied_ns().has_value()) {
    AcceptClock start;
    start.clock_ns = state_->environment->WallNanos();
    edits.emplace_back(start);
  }
  Status status = co_await committer_->CommitEdit(EncodeEdits(edits));
  wake_.Set();
  co_return status;
}

io::Task<Status> RetentionKeeper::Accept() {
  const RetentionClock& clock = state_->retention_clock;
  if (!clock.applied_ns().has_value()) {
    co_return FailedPrecondition(
        "the retention clock does not run: no tenant has had a retention; set one first: nexus "
        "retention set");
  }
  const int64_t now = clock.Now(state_->environment->MonotonicNanos());
  co_return co_await MoveTo(std::max(now, state_->environment->WallNanos()));
}

}  // namespace nexus::engine
