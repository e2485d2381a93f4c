// The embedded face: threads around a DatabaseCore. See nexus.h.
//
// Calls that only read work on the caller's thread over the published version. Calls that change
// something are handed to the loop; appends as caller-made nodes, many of which cost one wake.

#include <atomic>
#include <utility>

#include "base/mutex.h"
#include "catalog/label_index.h"
#include "engine/backup.h"
#include "engine/batch.h"
#include "engine/core.h"
#include "engine/cursors.h"
#include "engine/known_series.h"
#include "engine/nexus.h"
#include "engine/restore.h"
#include "engine/scrub.h"
#include "io/real.h"

namespace nexus {
namespace {

// Encoded batches handed over and not yet released: beyond it AppendAsync blocks. Enough to keep
// the disk busy (four writes of 1 MiB in flight) sixteen times over.
constexpr uint64_t kQueuedBytesMax = 64ull << 20;

Status ClosedError() { return FailedPrecondition("the database is closed"); }

// The lowest and highest id in a batch.
engine::SeriesIdRange IdsOf(const engine::BatchView& batch) {
  engine::SeriesIdRange range{UINT64_MAX, 0};
  engine::BatchView::Sections sections = batch.sections();
  engine::SectionView section;
  while (sections.Next(&section)) {
    if (section.ids_as_previous_row) continue;
    size_t count = section.ids.coding() == engine::IdCoding::kOne ? 1 : section.sample_count;
    for (size_t i = 0; i < count; i++) {
      uint64_t id = section.ids[i].value;
      range.first = std::min(range.first, id);
      range.last = std::max(range.last, id);
    }
  }
  return range;
}

}  // namespace

std::string_view Version() { return "0.1.0"; }

struct WriteBatch::Representation {
  Representation() : encoder(TenantId{}, BranchId{}) {}

  void FlushLoose() {
    if (loose.empty()) return;
    encoder.Add(loose);
    loose.clear();
  }

  engine::BatchEncoder encoder;
  std::vector<engine::SeriesSample> loose;  // added one by one, not yet encoded
};

WriteBatch::WriteBatch() : representation_(std::make_unique<Representation>()) {}
WriteBatch::WriteBatch(WriteBatch&&) noexcept = default;
WriteBatch& WriteBatch::operator=(WriteBatch&&) noexcept = default;
WriteBatch::~WriteBatch() = default;

void WriteBatch::Add(SeriesId series, int64_t timestamp, double value) {
  representation_->loose.push_back({series, timestamp, value});
}

void WriteBatch::AddRow(int64_t timestamp, std::span<const SeriesId> series,
                        std::span<const double> values) {
  representation_->FlushLoose();
  representation_->encoder.AddRow(timestamp, series, values);
}

void WriteBatch::AddSeries(SeriesId series, std::span<const int64_t> timestamps,
                           std::span<const double> values) {
  representation_->FlushLoose();
  representation_->encoder.AddSeries(series, timestamps, values);
}

uint64_t WriteBatch::samples() const {
  return representation_->encoder.sample_count() + representation_->loose.size();
}

uint64_t WriteBatch::bytes() const {
  return representation_->encoder.bytes() +
         representation_->loose.size() * sizeof(engine::SeriesSample);
}

void WriteBatch::Clear() {
  representation_->encoder.Reset(TenantId{}, BranchId{});
  representation_->loose.clear();
}

class Database::Implementation {
 public:
  // A call in progress; Close waits for those.
  class Call {
   public:
    explicit Call(Implementation* database) : database_(database->Enter() ? database : nullptr) {}
    ~Call() {
      if (database_ != nullptr) database_->Leave();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    bool open() const { return database_ != nullptr; }

   private:
    Implementation* database_;
  };

  static StatusOr<std::unique_ptr<Implementation>> Open(Options options);
  ~Implementation();

  StatusOr<std::vector<SeriesId>> Intern(std::span<const Labels> labels, std::string_view tenant);
  void Append(WriteBatch batch, const AppendOptions& options, AppendCallback done);
  StatusOr<ScrubReport> Scrub(const ScrubOptions& options);
  Status Close();

  template <typename T>
  T OnLoop(io::Task<T> task) {
    return environment_->BlockOn(std::move(task));
  }
  engine::DatabaseCore* core() { return core_.get(); }
  io::RealEnvironment* environment() { return environment_.get(); }

 private:
  class PendingAppend;

  bool Enter();
  void Leave();
  void Reserve(uint64_t bytes);
  void Release(uint64_t bytes);
  Status CheckLabels(const engine::PublishedState::Found& found, SeriesId id,
                     const std::string& canonical);

  std::unique_ptr<io::RealEnvironment> environment_;
  std::unique_ptr<engine::DatabaseCore> core_;
  Mutex mutex_;
  CondVar changed_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<bool>* scrub_ ABSL_GUARDED_BY(mutex_) = nullptr;  // stops the one under way
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A batch on its way; owns itself from Post until release.
class Database::Implementation::PendingAppend : public engine::CommitRequest {
 public:
  PendingAppend(Implementation* database, WriteBatch batch, AppendCallback callback)
      : CommitRequest(Kind::kBatch, {}, &Done, &Release),
        database_(database),
        batch_(std::move(batch)),
        callback_(std::move(callback)) {
    run = &SubmitOnLoop;
  }

  WriteBatch& batch() { return batch_; }
  engine::SeriesIdRange ids;

 private:
  static void SubmitOnLoop(io::RunNode* node) {
    auto* self = static_cast<PendingAppend*>(node);
    engine::DatabaseCore* core = self->database_->core();
    auto tenant = core->state()->tenants.find(self->tenant.value);
    Status known;
    if (tenant == core->state()->tenants.end()) {
      known = NotFound("the tenant was deleted meanwhile; nothing of the batch was kept");
    } else if (!tenant->second->HasIds(self->ids.first, self->ids.last)) {
      // They may be series of it all the same, with others between them.
      StatusOr<engine::BatchView> batch = engine::BatchView::Parse(self->body);
      known = batch.ok() ? engine::CheckSeriesKnown(*tenant->second, *batch) : batch.status();
    }
    if (!known.ok()) {
      Done(self, known);
      Release(self);
      return;
    }
    self->series_generation = core->state()->series_generation;
    core->committer()->Submit(self);
  }

  static void Done(CommitRequest* request, const Status& status) {
    auto* self = static_cast<PendingAppend*>(request);
    if (!self->callback_) return;
    if (status.ok()) {
      self->callback_(self->Outcome());
    } else {
      self->callback_(status);
    }
  }
  AppendOutcome Outcome() const {
    AppendOutcome outcome;
    outcome.end = end;
    outcome.duplicate = duplicate;
    if (expired != nullptr) {
      outcome.expired = expired->samples;
      outcome.reason = FromAbsl(expired->reason.message());
    }
    engine::BranchState* of = database_->core()->state()->FindBranch(tenant, branch);
    // None if it was deleted since.
    if (!duplicate || of == nullptr) return outcome;
    for (const catalog::SampleRange& range : of->producers.RejectedOf(*once)) {
      outcome.expired += range.count;
    }
    return outcome;
  }
  static void Release(CommitRequest* request) {
    auto* self = static_cast<PendingAppend*>(request);
    Implementation* database = self->database_;
    uint64_t bytes = self->body.size();
    delete self;
    database->Release(bytes);
    database->Leave();
  }

  Implementation* const database_;
  WriteBatch batch_;
  AppendCallback callback_;
};

StatusOr<std::unique_ptr<Database::Implementation>> Database::Implementation::Open(
    Options options) {
  io::RealOptions real;
  real.workers = options.workers;
  auto database = std::make_unique<Implementation>();
  NEXUS_ASSIGN_OR_RETURN(database->environment_, io::RealEnvironment::Start(real));
  io::RealEnvironment* environment = database->environment_.get();
  NEXUS_ASSIGN_OR_RETURN(database->core_,
                         environment->BlockOn(engine::DatabaseCore::Open(
                             environment, std::move(options), engine::CatalogHooks{})));
  return database;
}

Database::Implementation::~Implementation() {
  if (core_ == nullptr) return;
  // Who wants the status calls Close.
  Close().IgnoreError();
  environment_->RunOnLoop([this] { core_.reset(); });
}

bool Database::Implementation::Enter() {
  MutexLock lock(&mutex_);
  if (closing_) return false;
  calls_++;
  return true;
}

void Database::Implementation::Leave() {
  MutexLock lock(&mutex_);
  if (--calls_ == 0) changed_.NotifyAll();
}

void Database::Implementation::Reserve(uint64_t bytes) {
  MutexLock lock(&mutex_);
  while (queued_bytes_ > 0 && queued_bytes_ + bytes > kQueuedBytesMax) changed_.Wait(&mutex_);
  queued_bytes_ += bytes;
}

void Database::Implementation::Release(uint64_t bytes) {
  MutexLock lock(&mutex_);
  bool was_full = queued_bytes_ + bytes > kQueuedBytesMax;
  queued_bytes_ -= bytes;
  if (was_full || queued_bytes_ < kQueuedBytesMax) changed_.NotifyAll();
}

Status Database::Implementation::Close() {
  {
    MutexLock lock(&mutex_);
    if (closing_) return OkStatus();
    closing_ = true;
    if (scrub_ != nullptr) scrub_->store(true, std::memory_order_relaxed);
  }
  environment_->RunOnLoop([core = core_.get()] {
    core->StopCompaction();
    core->StopBackups();
  });
  {
    MutexLock lock(&mutex_);
    while (calls_ > 0) changed_.Wait(&mutex_);
  }
  return OnLoop(core_->Close());
}

// Close ends it, instead of waiting hours for it.
StatusOr<ScrubReport> Database::Implementation::Scrub(const ScrubOptions& options) {
  Call call(this);
  if (!call.open()) return ClosedError();
  std::atomic<bool> cancel = false;
  {
    MutexLock lock(&mutex_);
    if (scrub_ != nullptr) {
      return FailedPrecondition("a scrub of this database is under way; wait for it to end");
    }
    scrub_ = &cancel;
  }
  ScrubOptions watched = options;
  watched.progress = [&](const Progress& progress) {
    if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)) {
      cancel.store(true, std::memory_order_relaxed);
    }
    if (options.progress) options.progress(progress);
  };
  watched.cancel = &cancel;
  StatusOr<ScrubReport> report = OnLoop(engine::Scrub(core_.get(), std::move(watched)));
  MutexLock lock(&mutex_);
  scrub_ = nullptr;
  if (closing_ && absl::IsCancelled(report.status())) return ClosedError();
  return report;
}

void Database::Implementation::Append(WriteBatch batch, const AppendOptions& options,
                                      AppendCallback done) {
  if (!Enter()) {
    done(ClosedError());
    return;
  }
  auto refuse = [&](const Status& status) {
    done(status);
    Leave();
  };
  auto found = core_->state()->published.FindWritable(options.tenant, options.branch);
  if (!found.ok()) return refuse(found.status());
  if (batch.samples() == 0) return refuse(InvalidArgument("the batch is empty"));
  auto* pending = new PendingAppend(this, std::move(batch), std::move(done));
  WriteBatch::Representation* representation = pending->batch().representation_.get();
  representation->FlushLoose();
  representation->encoder.SetTarget(found->tenant, found->branch);
  if (options.once.has_value()) {
    const ProducerSequence& once = *options.once;
    pending->once =
        engine::ExactlyOnce{once.producer.high, once.producer.low, once.epoch, once.sequence};
    representation->encoder.SetExactlyOnce(*pending->once);
  }
  pending->body = representation->encoder.Finish();
  pending->tenant = found->tenant;
  pending->branch = found->branch;
  pending->buffered = options.ack == Ack::kBuffered;
  Status status;
  if (pending->body.size() > wal::kRecordBytesMax) {
    status = InvalidArgument("the batch has {} bytes encoded; at most {} are allowed: split it",
                             pending->body.size(), wal::kRecordBytesMax);
  }
  StatusOr<engine::BatchView> view = engine::BatchView::Parse(pending->body);
  if (status.ok()) status = view.status();
  if (!status.ok()) {
    pending->done(pending, status);
    delete pending;
    return Leave();
  }
  pending->ids = IdsOf(*view);
  pending->deadline_ns =
      environment_->MonotonicNanos() + core_->state()->options.admission_timeout_ms * 1'000'000;
  Reserve(pending->body.size());
  environment_->executor()->Post(pending);
}

// A hit in the identity map trusts 128 seeded bits; here, where ids are handed out, the labels are
// compared.
Status Database::Implementation::CheckLabels(const engine::PublishedState::Found& found,
                                             SeriesId id, const std::string& canonical) {
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, core_->state()->catalog->BeginRead());
  catalog::LabelIndex index(std::move(reader), found.delta);
  StatusOr<std::string> stored = index.Canonical(found.tenant, id);
  // Given a moment ago and not yet logged.
  if (absl::IsNotFound(stored.status())) return OkStatus();
  NEXUS_RETURN_IF_ERROR(stored.status());
  if (*stored == canonical) return OkStatus();
  return FailedPrecondition(
      "two series of this tenant have the same 128-bit identity (series id {}); change a "
      "label of the new one",
      id.value);
}

StatusOr<std::vector<SeriesId>> Database::Implementation::Intern(std::span<const Labels> labels,
                                                                 std::string_view tenant) {
  NEXUS_ASSIGN_OR_RETURN(engine::PublishedState::Found found,
                         core_->state()->published.Find(tenant, "main"));
  std::vector<SeriesId> ids(labels.size());
  std::vector<std::string> unknown;
  std::vector<size_t> places;
  for (size_t i = 0; i < labels.size(); i++) {
    std::string canonical = labels[i].Canonical();
    ids[i] = core_->interner()->Find(found.tenant, found.identity_seed, canonical);
    if (ids[i].value != 0) {
      NEXUS_RETURN_IF_ERROR(CheckLabels(found, ids[i], canonical));
      continue;
    }
    unknown.push_back(std::move(canonical));
    places.push_back(i);
  }
  if (unknown.empty()) return ids;
  NEXUS_ASSIGN_OR_RETURN(std::vector<SeriesId> made,
                         OnLoop(core_->interner()->Intern(found.tenant, std::move(unknown))));
  for (size_t k = 0; k < places.size(); k++) ids[places[k]] = made[k];
  return ids;
}

Database::Database(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

Database::~Database() = default;

StatusOr<std::unique_ptr<Database>> Database::Open(Options options) {
  NEXUS_ASSIGN_OR_RETURN(auto implementation, Implementation::Open(std::move(options)));
  return std::unique_ptr<Database>(new Database(std::move(implementation)));
}

StatusOr<SeriesId> Database::Series(std::string metric, std::vector<Label> labels,
                                    std::string_view tenant) {
  NEXUS_ASSIGN_OR_RETURN(Labels made, Labels::Make(std::move(metric), std::move(labels)));
  return Series(made, tenant);
}

StatusOr<SeriesId> Database::Series(const Labels& labels, std::string_view tenant) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<SeriesId> ids, Series(std::span(&labels, 1), tenant));
  return ids.front();
}

StatusOr<std::vector<SeriesId>> Database::Series(std::span<const Labels> labels,
                                                 std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->Intern(labels, tenant);
}

void Database::AppendAsync(WriteBatch batch, const AppendOptions& options, AppendCallback done) {
  implementation_->Append(std::move(batch), options, std::move(done));
}

StatusOr<AppendOutcome> Database::Append(WriteBatch batch, const AppendOptions& options) {
  Notification finished;
  StatusOr<AppendOutcome> outcome = Unavailable("pending");
  AppendAsync(std::move(batch), options, [&](StatusOr<AppendOutcome> result) {
    outcome = std::move(result);
    finished.Notify();
  });
  finished.Wait();
  return outcome;
}

Status Database::Sync() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->Sync());
}

Status Database::Flush() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->Flush());
}

Status Database::Compact(const ProgressCallback& progress) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->Compact(progress));
}

void Database::PauseCompaction() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return;
  implementation_->environment()->RunOnLoop(
      [core = implementation_->core()] { core->PauseCompaction(); });
}

void Database::ResumeCompaction() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return;
  implementation_->environment()->RunOnLoop(
      [core = implementation_->core()] { core->ResumeCompaction(); });
}

StatusOr<DeleteResult> Database::Delete(const DeleteRequest& request) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->Delete(request));
}

StatusOr<std::unique_ptr<Cursor>> Database::Select(const SelectQuery& query) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, implementation_->core()->View(query));
  return engine::MakeSelectCursor(std::move(view), query);
}

StatusOr<std::unique_ptr<Cursor>> Database::Aggregate(const AggregateQuery& query) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, implementation_->core()->View(query.select));
  return engine::MakeAggregateCursor(std::move(view), query);
}

StatusOr<std::unique_ptr<Cursor>> Database::Latest(const SelectQuery& query) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, implementation_->core()->View(query));
  return engine::MakeLatestCursor(std::move(view), query);
}

StatusOr<std::optional<Sample>> Database::Latest(SeriesId series, std::string_view tenant,
                                                 std::string_view branch) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->core()->LatestOf(series, tenant, branch);
}

StatusOr<std::vector<std::string>> Database::LabelNames(std::string_view selector,
                                                        std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, implementation_->core()->View(tenant, "main"));
  return engine::LabelNames(view.index.get(), selector);
}

StatusOr<std::vector<std::string>> Database::LabelValues(std::string_view label,
                                                         std::string_view selector,
                                                         std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, implementation_->core()->View(tenant, "main"));
  return engine::LabelValues(view.index.get(), label, selector);
}

StatusOr<std::vector<Labels>> Database::SeriesLabels(std::string_view selector, uint64_t limit,
                                                     std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  NEXUS_ASSIGN_OR_RETURN(engine::ReadView view, implementation_->core()->View(tenant, "main"));
  return engine::SeriesLabels(view.index.get(), selector, limit);
}

Status Database::CreateTenant(std::string_view name, const QuotaChanges& quotas) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->CreateTenant(std::string(name), quotas));
}

Status Database::SetTenant(std::string_view name, const QuotaChanges& changes) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->SetTenant(std::string(name), changes));
}

Status Database::DeleteTenant(std::string_view name) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->DeleteTenant(std::string(name)));
}

StatusOr<CardinalityReport> Database::Cardinality(std::string_view tenant, uint32_t top) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->Cardinality(std::string(tenant), top));
}

StatusOr<std::vector<TenantInfo>> Database::DescribeTenants() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->DescribeTenants());
}

Status Database::CreateBranch(std::string_view name, BranchKind kind, std::string_view from,
                              std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->CreateBranch(
      std::string(name), kind, std::string(from), std::string(tenant)));
}

Status Database::DeleteBranch(std::string_view name, BranchKind kind, std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(
      implementation_->core()->DeleteBranch(std::string(name), kind, std::string(tenant)));
}

StatusOr<std::vector<BranchInfo>> Database::Branches(std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->Branches(std::string(tenant)));
}

StatusOr<RetentionInfo> Database::Retention(std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  StatusOr<RetentionInfo> info = NotFound("tenant");
  implementation_->environment()->RunOnLoop(
      [&, core = implementation_->core()] { info = core->Retention(tenant); });
  return info;
}

Status Database::SetRetention(const std::vector<RetentionRule>& rules, std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->SetRetention(rules, std::string(tenant)));
}

StatusOr<std::vector<RollupRule>> Database::Rollups(std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  StatusOr<std::vector<RollupRule>> rules = NotFound("tenant");
  implementation_->environment()->RunOnLoop(
      [&, core = implementation_->core()] { rules = core->Rollups(tenant); });
  return rules;
}

Status Database::SetRollups(const std::vector<RollupRule>& rules, std::string_view tenant) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->SetRollups(rules, std::string(tenant)));
}

Status Database::AcceptRetentionClock() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->AcceptRetentionClock());
}

StatusOr<ProducerState> Database::OpenProducer(ProducerId producer, uint64_t epoch,
                                               std::string_view tenant, std::string_view branch) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(implementation_->core()->OpenProducer(
      producer, epoch, std::string(tenant), std::string(branch)));
}

std::vector<std::string> Database::Tenants() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return {};
  return implementation_->core()->state()->published.TenantNames();
}

StatusOr<Stats> Database::GetStats() {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  Stats stats = implementation_->OnLoop(implementation_->core()->LoopStats());
  NEXUS_RETURN_IF_ERROR(implementation_->core()->CompleteStats(&stats));
  return stats;
}

StatusOr<ScrubReport> Database::Scrub(const ScrubOptions& options) {
  return implementation_->Scrub(options);
}

StatusOr<BackupResult> Database::Backup(std::string_view destination,
                                        const BackupOptions& options) {
  Implementation::Call call(implementation_.get());
  if (!call.open()) return ClosedError();
  return implementation_->OnLoop(
      engine::Backup(implementation_->core(), std::string(destination), options));
}

StatusOr<RestoreResult> Restore(const RestoreOptions& options) {
  NEXUS_ASSIGN_OR_RETURN(auto environment, io::RealEnvironment::Start(io::RealOptions()));
  return environment->BlockOn(
      engine::RestoreBackup(environment.get(), options, engine::CatalogRebuildHooks()));
}

const RecoveryReport& Database::recovery() const { return implementation_->core()->recovery(); }

Status Database::Close() { return implementation_->Close(); }

}  // namespace nexus
