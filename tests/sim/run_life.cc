// A run's operations on branches and snapshots, deletes, retention, tenants and backups, and their
// checks. See run_state.h.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/record.h"
#include "tests/sim/run_state.h"

namespace nexus::sim_test {

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
  branches_.Find(name)->LearnRefusals(*oracle_of_parent);
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

namespace {

Region RegionOf(int64_t series, int64_t more, int64_t from, int64_t length) {
  Region region;
  region.series_first = static_cast<uint32_t>(series);
  region.series_last = static_cast<uint32_t>(std::min(kSeries - 1, series + more));
  region.first = length == kAllOfTime ? INT64_MIN : from * kSecondNs;
  region.last = length == kAllOfTime ? INT64_MAX : (from + length) * kSecondNs;
  return region;
}

}  // namespace

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
  // What was too old for the rules that were in force up to now may have been rejected meanwhile.
  ExpireInOracles();
  if (!absl::IsUnavailable(*set)) retention_.Set(set->ok(), world_.now_ns());
  if (set->ok()) Count("retentions set");
  ObserveRetention(starts ? RetentionModel::Since::kAccepted : RetentionModel::Since::kRunning);
}

void Run::DoAcceptClock() {
  if (!scenario_.retention() || !retention_.clock_runs()) return;
  auto accepted = world_.TryRunTask(life_->core()->AcceptRetentionClock());
  NEXUS_CHECK(accepted.has_value());
  ObserveRetention(RetentionModel::Since::kAccepted);
}

// What it may fail with is the disk's doing; then either may be kept.
void Run::DoRollups(const Op& op) {
  std::vector<RollupRule> rules;
  if (op.arguments[0] > 0) rules.push_back({2 * kSecondNs, 0});
  if (op.arguments[0] > 1) rules.push_back({10 * kSecondNs, 0});
  // The clock by which they are kept begins to run with retention, which has a model.
  StatusOr<RetentionInfo> info = life_->core()->Retention("default");
  const bool for_a_while = op.arguments[0] > 2 && info.ok() && info->clock_runs;
  if (for_a_while) rules[0].keep_ns = info->clock_ns - kTimestamps / 2 * kSecondNs;
  auto set = world_.TryRunTask(life_->core()->SetRollups(std::move(rules), "default"));
  NEXUS_CHECK(set.has_value());
  Count("rollups set", set->ok() ? 1 : 0);
}

Status Run::TryRollups(const std::string& branch, const std::string& selector, TimeRange range) {
  uint64_t buckets = 0;
  auto wrong = CompareRollups(life_->core(), branch, selector, range, rollup_checks_++, &buckets);
  NEXUS_RETURN_IF_ERROR(wrong.status());
  if (wrong->has_value()) Fail(std::move(**wrong));
  Count("buckets of rollups used", buckets);
  return OkStatus();
}

Status Run::TryFrozen() {
  auto wrong = frozen_.Check(life_->core());
  NEXUS_RETURN_IF_ERROR(wrong.status());
  if (wrong->has_value()) Fail(std::move(**wrong));
  return OkStatus();
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

void Run::DoTenant(int64_t number) {
  auto created = world_.TryRunTask(life_->core()->CreateTenant(fmt::format("tenant{}", number)));
  NEXUS_CHECK(created.has_value());
  auto known = tenants_.find(number);
  const bool was_known = known != tenants_.end();
  if (was_known && known->second && (created->ok() || absl::IsNotFound(*created))) {
    return Fail("rule 1: a tenant is lost");
  }
  if (was_known && !known->second && absl::IsAlreadyExists(*created)) {
    return Fail("rule 1: a tenant that was deleted is there");
  }
  if (created->ok() || absl::IsAlreadyExists(*created)) tenants_[number] = true;
  if (absl::IsUnavailable(*created)) tenants_.erase(number);
  if (created->ok()) Count("tenants created");
}

void Run::DropTenant(int64_t number) {
  auto deleted = world_.TryRunTask(life_->core()->DeleteTenant(fmt::format("tenant{}", number)));
  NEXUS_CHECK(deleted.has_value());
  auto known = tenants_.find(number);
  if (absl::IsNotFound(*deleted) && known != tenants_.end() && known->second) {
    return Fail("rule 1: a tenant is lost");
  }
  if (deleted->ok() || absl::IsNotFound(*deleted)) tenants_[number] = false;
  if (absl::IsUnavailable(*deleted)) tenants_.erase(number);
  if (deleted->ok()) Count("tenants deleted");
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
  for (const auto& [number, is_there] : tenants_) {
    const auto view = life_->core()->SourcesOf(fmt::format("tenant{}", number), "main");
    if (is_there && !view.ok()) {
      Fail(fmt::format("rule 1: {}", FromAbsl(view.status().message())));
    } else if (!is_there && !absl::IsNotFound(view.status())) {
      Fail(fmt::format("rule 1: tenant{} was deleted and is there", number));
    }
  }
}

}  // namespace nexus::sim_test
