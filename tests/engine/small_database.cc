// The vocabulary, spelled out. See small_database.h.

#include "tests/engine/small_database.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "catalog/image.h"
#include "engine/cursors.h"

namespace nexus::engine {
namespace {

// Long enough for a commit of the catalog, its retries and the log's background work.
constexpr int64_t kSettleNs = 2'000'000'000;

std::string SeriesLabels(uint32_t series) {
  auto labels = Labels::Make("metric", {{"series", fmt::format("{:02}", series)}});
  NEXUS_CHECK(labels.ok());
  return labels->Canonical();
}

std::string SelectorOf(uint32_t first, uint32_t last) {
  std::string alternatives;
  for (uint32_t series = first; series <= last; series++) {
    alternatives += fmt::format("{}{:02}", alternatives.empty() ? "" : "|", series);
  }
  return fmt::format("metric{{series=~\"{}\"}}", alternatives);
}

}  // namespace

SmallDatabase::SmallDatabase(uint64_t seed, sim::Options world)
    : world_(seed, std::move(world)), branches_(seed) {
  SetUp();
}

SmallDatabase::SmallDatabase(sim::ChoiceSource* choices, sim::Options world)
    : world_(choices, /*seed=*/1, std::move(world)), branches_(1) {
  SetUp();
}

SmallDatabase::~SmallDatabase() { Crash(sim::CrashKind::kProcessKill); }

void SmallDatabase::SetUp() {
  options_.directory = kFolder;
  options_.memtable_bytes = 256 << 10;
  options_.log_segment_bytes = 64 << 10;
  options_.reserve_bytes = 0;
  options_.page_cache_bytes = 0;
  options_.catalog_bytes_max = 64 << 20;
  options_.admission_timeout_ms = 1000;
  options_.compaction = false;
}

// ---- Lives.

void SmallDatabase::Boot() {
  if (world_.alive()) return;
  world_.Boot();
  world_.lmdb().Restore(world_.ScratchDirectory());
}

CatalogHooks SmallDatabase::Hooks() {
  CatalogHooks hooks;
  hooks.directory = world_.ScratchDirectory();
  hooks.after_commit = [this, folder = hooks.directory](Lsn) {
    world_.lmdb().OnCommit(folder);
    catalog_changes_++;
  };
  hooks.after_sync = [this, folder = hooks.directory](Lsn) {
    world_.lmdb().OnSynced(folder);
    catalog_changes_++;
  };
  return hooks;
}

std::optional<Status> SmallDatabase::Open() {
  Boot();
  auto opened = world_.TryRunTask(DatabaseCore::Open(world_.environment(), options_, Hooks()));
  if (!opened.has_value()) return std::nullopt;
  if (!opened->ok()) return opened->status();
  core_ = std::move(**opened);
  return OkStatus();
}

std::optional<Status> SmallDatabase::Close() {
  std::optional<Status> closed = world_.TryRunTask(core_->Close());
  if (!closed.has_value()) return std::nullopt;
  EXPECT_TRUE(std::all_of(requests_.begin(), requests_.end(), [](const auto& request) {
    return request->answer.has_value();
  })) << "a batch was neither acknowledged nor refused when the database closed";
  world_.RunOnLoop([this] { core_.reset(); });
  return closed;
}

void SmallDatabase::Crash(sim::CrashKind kind) {
  if (world_.alive()) world_.Crash(kind);
  ForgetIncarnation();
}

void SmallDatabase::ForgetIncarnation() {
  core_.reset();
  for (const auto& request : requests_) {
    if (!request->answer.has_value()) request->oracle->InDoubt(request->batch);
  }
  requests_.clear();
  for (const auto& [oracle, batch] : unknown_) oracle->InDoubt(batch);
  unknown_.clear();
  ids_.clear();
  looked_ = false;
  branches_.EndLife();
}

// ---- Calls.

void SmallDatabase::Request::Done(CommitRequest* request, const Status& status) {
  auto* self = static_cast<Request*>(request);
  self->answer = status;
  if (self->once.has_value()) {
    self->owner->JudgeNumbered(*self);
  } else if (status.ok()) {
    self->oracle->Acknowledged(self->batch);
    self->owner->promises_++;
  } else if (absl::IsUnavailable(status)) {
    self->owner->unknown_.emplace_back(self->oracle, self->batch);
  } else {
    self->oracle->Refused(self->batch);
  }
}

void SmallDatabase::Request::Release(CommitRequest* request) {
  static_cast<Request*>(request)->released = true;
}

// Each copy of a numbered batch has values of its own, so what is read tells which was written: the
// first, if a later one was taken for a duplicate; the last, if nothing was there.
void SmallDatabase::JudgeNumbered(const Request& request) {
  std::vector<uint64_t>& copies = copies_[{request.once->producer_low, request.once->sequence}];
  const Status& status = *request.answer;
  if (absl::IsUnavailable(status)) {
    unknown_.emplace_back(request.oracle, request.batch);
    copies.push_back(request.batch);
  } else if (!status.ok()) {
    request.oracle->Refused(request.batch);
  } else if (request.duplicate) {
    request.oracle->Refused(request.batch);
    EXPECT_FALSE(copies.empty()) << "a batch that was never sent before is taken for a duplicate";
    if (copies.size() != 1) return;  // reading tells which it was
    request.oracle->Acknowledged(copies.front());
    promises_++;
    copies_present_.insert(copies.front());
  } else {
    for (uint64_t lost : copies) {
      EXPECT_FALSE(copies_present_.contains(lost)) << "a numbered batch is written twice";
      request.oracle->Refused(lost);
    }
    copies = {request.batch};
    request.oracle->Acknowledged(request.batch);
    promises_++;
    copies_present_.insert(request.batch);
  }
}

bool SmallDatabase::Intern(const std::vector<Place>& places) {
  std::vector<uint32_t> wanted;
  std::vector<std::string> labels;
  for (const Place& place : places) {
    NEXUS_CHECK(place.series < kSeries);
    if (!ids_.emplace(place.series, SeriesId{}).second) continue;
    wanted.push_back(place.series);
    labels.push_back(SeriesLabels(place.series));
  }
  if (wanted.empty()) return true;
  auto ids = world_.TryRunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
  const bool known = ids.has_value() && ids->ok();
  for (size_t i = 0; i < wanted.size(); i++) {
    if (known) {
      ids_[wanted[i]] = (**ids)[i];
    } else {
      ids_.erase(wanted[i]);
    }
  }
  return known;
}

SmallDatabase::Request* SmallDatabase::Send(std::vector<Place> places,
                                            std::optional<ExactlyOnce> number,
                                            const std::string& branch) {
  if (!Intern(places)) return nullptr;
  const auto target = core_->state()->published.FindWritable("default", branch);
  EXPECT_TRUE(target.ok()) << target.status();
  if (!target.ok()) return nullptr;
  const std::shared_ptr<sim_test::Oracle> oracle = branches_.Find(branch);
  const uint64_t batch = oracle->Submit(places);
  requests_.push_back(std::make_unique<Request>(this, oracle, batch));
  Request* request = requests_.back().get();
  std::vector<SeriesSample> samples;
  for (size_t i = 0; i < places.size(); i++) {
    const uint64_t bits = oracle->ValueOf(batch, i);
    if (number.has_value()) copy_by_value_[bits] = batch;
    samples.push_back(
        {ids_.at(places[i].series), places[i].timestamp, std::bit_cast<double>(bits)});
  }
  request->encoder.SetTarget(target->tenant, target->branch);
  request->tenant = target->tenant;
  request->branch = target->branch;
  request->encoder.Add(samples);
  if (number.has_value()) request->encoder.SetExactlyOnce(*number);
  request->body = request->encoder.Finish();
  request->once = number;
  request->deadline_ns =
      world_.environment()->MonotonicNanos() + options_.admission_timeout_ms * 1'000'000;
  world_.RunOnLoop([&] { core_->committer()->Submit(request); });
  return request;
}

std::optional<Status> SmallDatabase::Await(Request* request) {
  if (request == nullptr) return std::nullopt;
  const bool answered = world_.RunUntil([&] { return request->released; });
  EXPECT_TRUE(answered || !world_.alive()) << "a batch is never answered";
  return answered ? request->answer : std::nullopt;
}

std::optional<Status> SmallDatabase::Append(std::vector<Place> places, const std::string& branch) {
  return Await(Send(std::move(places), std::nullopt, branch));
}

std::optional<uint64_t> SmallDatabase::Submit(std::vector<Place> places,
                                              const std::string& branch) {
  const Request* request = Send(std::move(places), std::nullopt, branch);
  if (request == nullptr) return std::nullopt;
  return request->batch;
}

std::optional<Status> SmallDatabase::AppendOnce(ExactlyOnce number, std::vector<Place> places) {
  Request* request = Send(std::move(places), number, "main");
  std::optional<Status> answer = Await(request);
  if (request != nullptr && !request->answer.has_value()) {
    copies_[{number.producer_low, number.sequence}].push_back(request->batch);
  }
  return answer;
}

std::optional<StatusOr<ProducerState>> SmallDatabase::OpenProducer(ProducerId producer,
                                                                   uint64_t epoch) {
  return world_.TryRunTask(core_->OpenProducer(producer, epoch, "default", "main"));
}

std::optional<Status> SmallDatabase::KeepYoung() {
  for (sim_test::Oracle* oracle : branches_.Writable()) {
    for (uint32_t series = 0; series < kSeries; series++) oracle->Expire(series, kYoung);
  }
  // Half way to what is young, so that it does not matter what time it is.
  const int64_t now = core_->Retention("default")->wall_ns;
  const std::vector<RetentionRule> rules = {{"{}", now - kYoung / 2}};
  auto set = world_.TryRunTask(core_->SetRetention(rules, "default"));
  if (set.has_value() && set->ok()) promises_++;
  return set;
}

std::optional<Status> SmallDatabase::Compact() {
  return world_.TryRunTask(core_->Compact(nullptr));
}

std::optional<Status> SmallDatabase::Delete(uint32_t series_first, uint32_t series_last,
                                            int64_t from, int64_t to, const std::string& branch) {
  const std::shared_ptr<sim_test::Oracle> oracle = branches_.Find(branch);
  const uint64_t number = oracle->SubmitDelete({series_first, series_last, from, to});
  DeleteSamples edit;
  edit.branch = core_->state()->published.Find("default", branch)->branch;
  edit.range = {from, to};
  edit.selector = SelectorOf(series_first, series_last);
  std::optional<Status> answer = world_.TryRunTask(core_->CommitDelete(std::move(edit)));
  if (!answer.has_value() || absl::IsUnavailable(*answer)) {
    unknown_.emplace_back(oracle, number);
  } else if (answer->ok()) {
    oracle->Acknowledged(number);
  } else {
    oracle->Refused(number);
  }
  return answer;
}

std::optional<Status> SmallDatabase::Flush() { return world_.TryRunTask(core_->Flush()); }

std::optional<Status> SmallDatabase::CreateBranch(const std::string& name, const std::string& from,
                                                  BranchKind kind) {
  branches_.Creating(name, kind, from);
  auto created = world_.TryRunTask(core_->CreateBranch(name, kind, from, "default"));
  const bool answered = created.has_value() && !absl::IsUnavailable(*created);
  if (answered) branches_.Created(name, created->ok());
  if (answered) promises_++;
  // Only the next opening tells.
  if (!answered) looked_ = true;
  return created;
}

std::optional<Status> SmallDatabase::DeleteBranch(const std::string& name) {
  const BranchKind kind = branches_.IsSnapshot(name) ? BranchKind::kSnapshot : BranchKind::kBranch;
  branches_.Deleting(name);
  auto deleted = world_.TryRunTask(core_->DeleteBranch(name, kind, "default"));
  const bool answered = deleted.has_value() && !absl::IsUnavailable(*deleted);
  if (answered) branches_.Deleted(name, deleted->ok());
  if (answered) promises_++;
  if (!answered) looked_ = true;
  return deleted;
}

void SmallDatabase::AwaitAnswers() {
  for (const auto& request : requests_) {
    if (!world_.alive()) return;
    Await(request.get());
  }
}

void SmallDatabase::RunFor(int64_t ns) { world_.RunFor(ns); }

// ---- Judging.

Status SmallDatabase::Query(uint32_t series_first, uint32_t series_last, int64_t from, int64_t to) {
  return QueryBranch("main", {series_first, series_last, from, to, 0});
}

Status SmallDatabase::QueryBranch(const std::string& branch, sim_test::Oracle::Query query) {
  const std::shared_ptr<sim_test::Oracle> oracle = branches_.Find(branch);
  query.acknowledged_at_start = oracle->acknowledgements();
  NEXUS_ASSIGN_OR_RETURN(ReadView view, core_->View("default", branch));
  SelectQuery select;
  select.selector = SelectorOf(query.series_first, query.series_last);
  select.range = {query.first, query.last};
  select.limits.deadline_ms = 0;
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor, MakeSelectCursor(std::move(view), select));
  std::vector<sim_test::Observed> observed;
  SeriesChunk chunk;
  while (true) {
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
    if (!more) break;
    const auto series = static_cast<uint32_t>(std::stoul(chunk.labels->front().value));
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      const auto bits = std::bit_cast<uint64_t>(chunk.values[i]);
      observed.push_back({{series, chunk.timestamps[i]}, bits});
      if (auto copy = copy_by_value_.find(bits); copy != copy_by_value_.end()) {
        copies_present_.insert(copy->second);
      }
    }
  }
  if (auto wrong = oracle->Check(query, observed)) ADD_FAILURE() << branch << ": " << *wrong;
  return OkStatus();
}

void SmallDatabase::ExpectRight() {
  const auto listed = world_.TryRunTask(core_->Branches("default"));
  ASSERT_TRUE(listed.has_value() && listed->ok()) << listed->status();
  if (auto wrong = branches_.Check(**listed, /*decides=*/!looked_)) ADD_FAILURE() << *wrong;
  looked_ = true;
  for (const std::string& branch : branches_.Names()) {
    const Status read = QueryBranch(branch, {0, kSeries - 1, INT64_MIN, INT64_MAX, 0});
    EXPECT_TRUE(read.ok()) << branch << ": " << read;
  }
}

void SmallDatabase::ExpectOnlyKnownFiles() {
  RunFor(kSettleNs);
  std::set<std::string> layers;
  for (const auto& [tenant_number, tenant] : core_->state()->tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      for (const OpenLayer& layer : branch->layers) layers.insert(layer.record.file_name);
    }
  }
  const wal::LogStats log = core_->committer()->log()->stats();
  uint64_t segments = log.segments + log.spares;
  // One more than are kept: the oldest goes at the next checkpoint.
  int images = 3;
  for (const std::string& path : world_.disk().VisibleFiles()) {
    const std::string name = path.substr(path.rfind('/') + 1);
    if (path.starts_with("/db/wal/") && !name.ends_with(".tmp") && segments > 0) {
      segments--;
    } else if (catalog::ParseImageFileName(name).has_value() && images > 0) {
      images--;
    } else if (path.starts_with("/db/quarantine/") && name.ends_with(".layer")) {
      // Left over by a flush, its records moved by one opening and, before that could clean up,
      // the log trimmed by the next: nothing proves any more that the log holds them.
    } else if (!path.starts_with("/db/layers/") || layers.erase(name) == 0) {
      EXPECT_TRUE(name == "IDENTITY" || name == "lock") << path << " is nobody's";
    }
  }
  EXPECT_EQ(segments, 0u) << "the log counts files that are not there";
  EXPECT_TRUE(layers.empty()) << "a layer is listed and not there: " << *layers.begin();
}

void SmallDatabase::ExpectRecovers() {
  const std::optional<Status> opened = Open();
  ASSERT_TRUE(opened.has_value() && opened->ok()) << *opened;
  ExpectRight();
  const std::optional<Status> appended = Append({{0, INT64_MAX}, {kSeries - 1, INT64_MIN}});
  ASSERT_TRUE(appended.has_value() && appended->ok()) << *appended;
  Crash(sim::CrashKind::kPowerCut);
  const std::optional<Status> again = Open();
  ASSERT_TRUE(again.has_value() && again->ok()) << *again;
  ExpectRight();
  ExpectOnlyKnownFiles();
}

uint64_t SmallDatabase::CatalogHash() {
  std::ifstream file(world_.ScratchDirectory() + "/data.mdb", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return XxHash64(AsBytes(bytes));
}

}  // namespace nexus::engine
