// The calls of a Client. See client.h.

#include "client/client.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "client/client_core.h"
#include "client/protocol/format.h"

namespace nexus::client {
namespace {

uint32_t DeadlineMs(const Scope& scope) {
  return static_cast<uint32_t>(
      std::clamp<int64_t>(scope.timeout_ms, 1, std::numeric_limits<uint32_t>::max()));
}

protocol::Query QueryOf(const SelectQuery& select, protocol::QueryKind kind) {
  protocol::Query query;
  query.kind = kind;
  query.selector = select.selector;
  query.range = select.range;
  query.as_of = select.as_of;
  query.deadline_ms = DeadlineMs(select.scope);
  return query;
}

template <typename Message>
std::string BodyOf(const Message& message) {
  std::string body;
  protocol::Encode(message, &body);
  return body;
}

// What concerns a tenant is asked of its main branch, which is always there.
Scope TenantOf(const Scope& scope) { return {scope.tenant, "main", scope.timeout_ms}; }
// What concerns the database is asked of what is always there, too.
Scope DatabaseOf(const Scope& scope) { return {"default", "main", scope.timeout_ms}; }

}  // namespace

// ---- WriteBatch.

struct WriteBatch::Representation {
  std::shared_ptr<batch::BatchEncoder> encoder =
      std::make_shared<batch::BatchEncoder>(TenantId{}, BranchId{});
  std::vector<batch::SeriesSample> loose;  // added one by one, not yet encoded
  uint64_t last_series = 0;
  bool names_nothing = false;  // a sample of series 0, which is none

  void See(SeriesId series) {
    last_series = std::max(last_series, series.value);
    names_nothing |= series.value == 0;
  }
  void FlushLoose() {
    if (loose.empty()) return;
    encoder->Add(loose);
    loose.clear();
  }
};

WriteBatch::WriteBatch() : representation_(std::make_unique<Representation>()) {}
WriteBatch::WriteBatch(WriteBatch&&) noexcept = default;
WriteBatch& WriteBatch::operator=(WriteBatch&&) noexcept = default;
WriteBatch::~WriteBatch() = default;

void WriteBatch::Add(SeriesId series, int64_t timestamp, double value) {
  representation_->See(series);
  representation_->loose.push_back({series, timestamp, value});
}

void WriteBatch::AddRow(int64_t timestamp, std::span<const SeriesId> series,
                        std::span<const double> values) {
  for (SeriesId id : series) representation_->See(id);
  representation_->FlushLoose();
  representation_->encoder->AddRow(timestamp, series, values);
}

void WriteBatch::AddSeries(SeriesId series, std::span<const int64_t> timestamps,
                           std::span<const double> values) {
  representation_->See(series);
  representation_->FlushLoose();
  representation_->encoder->AddSeries(series, timestamps, values);
}

uint64_t WriteBatch::samples() const {
  return representation_->encoder->sample_count() + representation_->loose.size();
}

uint64_t WriteBatch::bytes() const {
  return representation_->encoder->bytes() +
         representation_->loose.size() * sizeof(batch::SeriesSample);
}

void WriteBatch::Clear() { representation_ = std::make_unique<Representation>(); }

// ---- Client.

StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<io::RealEnvironment> environment,
                         io::RealEnvironment::Start({}));
  auto core = std::make_unique<ClientCore>(std::move(environment), std::move(options));
  NEXUS_RETURN_IF_ERROR(core->Connect());
  return std::unique_ptr<Client>(new Client(std::move(core)));
}

Client::Client(std::unique_ptr<ClientCore> core) : core_(std::move(core)) {}
Client::~Client() = default;

StatusOr<SeriesId> Client::Series(std::string metric, std::vector<Label> labels,
                                  std::string_view tenant) {
  NEXUS_ASSIGN_OR_RETURN(nexus::Labels made, Labels::Make(std::move(metric), std::move(labels)));
  return Series(made, tenant);
}

SeriesId Client::Series(const Labels& labels, std::string_view tenant) {
  return core_->books()->Of(tenant)->Number(labels.Canonical());
}

void Client::AppendAsync(WriteBatch batch, const AppendOptions& options, WriteCallback done) {
  WriteBatch::Representation* representation = batch.representation_.get();
  representation->FlushLoose();
  uint64_t bytes = representation->encoder->bytes();
  uint64_t series = core_->books()->Of(options.scope.tenant)->size();
  Status wrong;
  if (representation->encoder->sample_count() == 0) {
    wrong = InvalidArgument("an empty batch");
  } else if (bytes > protocol::kBatchBytesMax) {
    wrong = InvalidArgument("a batch of {} bytes; at most {} are sent", bytes,
                            protocol::kBatchBytesMax);
  } else if (representation->names_nothing || representation->last_series > series) {
    wrong = InvalidArgument("a batch with an id that is no series of tenant '{}'",
                            options.scope.tenant);
  }
  if (!wrong.ok()) return done(wrong);
  auto write = std::make_unique<Write>();
  write->batch = std::move(representation->encoder);
  write->last_series = representation->last_series;
  write->buffered = options.ack == Ack::kBuffered;
  write->deadline_ns = core_->Deadline(options.scope.timeout_ms);
  write->done = std::move(done);
  core_->Append(options.scope, std::move(write));
}

StatusOr<WriteOutcome> Client::Append(WriteBatch batch, const AppendOptions& options) {
  Notification answered;
  StatusOr<WriteOutcome> result = Unavailable("no answer");
  AppendAsync(std::move(batch), options, [&](StatusOr<WriteOutcome> outcome) {
    result = std::move(outcome);
    answered.Notify();
  });
  answered.Wait();
  return result;
}

void Client::Sync() { core_->Sync(); }

StatusOr<std::unique_ptr<Cursor>> Client::Select(const SelectQuery& query) {
  return Cursor::Open(core_.get(), query.scope, QueryOf(query, protocol::QueryKind::kSelect));
}

StatusOr<std::unique_ptr<Cursor>> Client::Latest(const SelectQuery& query) {
  return Cursor::Open(core_.get(), query.scope, QueryOf(query, protocol::QueryKind::kLatest));
}

StatusOr<std::unique_ptr<Cursor>> Client::SelectAggregate(const SelectQuery& query,
                                                          const Aggregate& aggregate) {
  protocol::Query asked = QueryOf(query, protocol::QueryKind::kAggregate);
  asked.function = aggregate.function;
  asked.percentile = aggregate.percentile;
  asked.step_ns = aggregate.step_ns;
  asked.grouped = aggregate.grouped;
  asked.by = aggregate.by;
  return Cursor::Open(core_.get(), query.scope, asked);
}

StatusOr<std::vector<std::string>> Client::LabelNames(std::string_view selector,
                                                      const Scope& scope) {
  return LabelValues({}, selector, scope);
}

StatusOr<std::vector<std::string>> Client::LabelValues(std::string_view label,
                                                       std::string_view selector,
                                                       const Scope& scope) {
  return core_->Strings(scope, protocol::Opcode::kLabels,
                        BodyOf(protocol::LabelsQuery{std::string(label), std::string(selector)}));
}

StatusOr<std::vector<Labels>> Client::SeriesLabels(std::string_view selector, uint64_t limit,
                                                   const Scope& scope) {
  NEXUS_ASSIGN_OR_RETURN(
      std::vector<std::string> found,
      core_->Strings(scope, protocol::Opcode::kSeries,
                     BodyOf(protocol::SeriesQuery{limit, std::string(selector)})));
  std::vector<Labels> series;
  series.reserve(found.size());
  for (const std::string& canonical : found) {
    NEXUS_ASSIGN_OR_RETURN(Labels labels, Labels::FromCanonical(canonical));
    series.push_back(std::move(labels));
  }
  return series;
}

StatusOr<std::vector<protocol::Stat>> Client::GetStats(const Scope& scope) {
  return core_->AskFor(scope, protocol::Opcode::kStats, {}, protocol::DecodeStats);
}

StatusOr<protocol::Count> Client::Delete(const DeleteRequest& request) {
  Sync();
  protocol::Delete asked;
  asked.dry_run = request.dry_run;
  asked.everywhere = request.everywhere;
  asked.deadline_ms = DeadlineMs(request.scope);
  asked.range = request.range;
  asked.selector = request.selector;
  return core_->AskFor(request.scope, protocol::Opcode::kDelete, BodyOf(asked),
                       protocol::DecodeCount);
}

Status Client::Flush(const Scope& scope) {
  return core_->AskAndWait(scope, protocol::Opcode::kFlush);
}

Status Client::CreateBranch(std::string_view name, protocol::BranchKind kind, const Scope& scope) {
  return core_->AskAndWait(TenantOf(scope), protocol::Opcode::kBranches,
                           BodyOf(protocol::Branches{protocol::BranchAction::kCreate, kind,
                                                     std::string(name), scope.branch}));
}

Status Client::DeleteBranch(std::string_view name, protocol::BranchKind kind, const Scope& scope) {
  return core_->AskAndWait(
      TenantOf(scope), protocol::Opcode::kBranches,
      BodyOf(protocol::Branches{protocol::BranchAction::kDelete, kind, std::string(name), {}}));
}

StatusOr<std::vector<protocol::BranchEntry>> Client::Branches(const Scope& scope) {
  return core_->AskFor(TenantOf(scope), protocol::Opcode::kBranches, BodyOf(protocol::Branches()),
                       protocol::DecodeBranchList);
}

Status Client::ChangeTenant(const protocol::Tenants& change, const Scope& scope) {
  return core_->AskAndWait(DatabaseOf(scope), protocol::Opcode::kTenants, BodyOf(change));
}

StatusOr<std::vector<protocol::TenantEntry>> Client::Tenants(const Scope& scope) {
  return core_->AskFor(DatabaseOf(scope), protocol::Opcode::kTenants, BodyOf(protocol::Tenants()),
                       protocol::DecodeTenantList);
}

StatusOr<protocol::CardinalityReply> Client::Cardinality(uint32_t top, const Scope& scope) {
  return core_->AskFor(TenantOf(scope), protocol::Opcode::kCardinality,
                       BodyOf(protocol::Cardinality{top}), protocol::DecodeCardinalityReply);
}

StatusOr<protocol::RetentionList> Client::AskRetention(const protocol::Retention& asked,
                                                       const Scope& scope) {
  if (asked.rules.size() > protocol::kRetentionRulesMax) {
    return InvalidArgument("{} retention rules; a tenant may have {}", asked.rules.size(),
                           protocol::kRetentionRulesMax);
  }
  return core_->AskFor(TenantOf(scope), protocol::Opcode::kRetention, BodyOf(asked),
                       protocol::DecodeRetentionList);
}

StatusOr<protocol::RetentionList> Client::Retention(const Scope& scope) {
  return AskRetention(protocol::Retention(), scope);
}

Status Client::SetRetention(const std::vector<protocol::RetentionRule>& rules, const Scope& scope) {
  return AskRetention({protocol::RetentionAction::kSet, rules}, scope).status();
}

StatusOr<protocol::RollupList> Client::AskRollups(const protocol::Rollups& asked,
                                                  const Scope& scope) {
  if (asked.rules.size() > protocol::kRollupRulesMax) {
    return InvalidArgument("{} resolutions of rollups are more than any tenant may have",
                           asked.rules.size());
  }
  return core_->AskFor(TenantOf(scope), protocol::Opcode::kRollups, BodyOf(asked),
                       protocol::DecodeRollupList);
}

StatusOr<protocol::RollupList> Client::Rollups(const Scope& scope) {
  return AskRollups(protocol::Rollups(), scope);
}

Status Client::SetRollups(const std::vector<protocol::RollupRule>& rules, const Scope& scope) {
  return AskRollups({protocol::RollupAction::kSet, rules}, scope).status();
}

Status Client::AcceptRetentionClock(const Scope& scope) {
  return AskRetention({protocol::RetentionAction::kAcceptClock, {}}, scope).status();
}

Status Client::Compact(protocol::CompactAction action,
                       const std::function<void(const protocol::Progress&)>& progress,
                       const Scope& scope) {
  return core_->AskAndWait(scope, protocol::Opcode::kCompact, BodyOf(action), progress);
}

StatusOr<protocol::BackupReply> Client::Backup(
    std::string_view destination, const std::function<void(const protocol::Progress&)>& progress,
    const Scope& scope) {
  return core_->AskFor(scope, protocol::Opcode::kBackup,
                       BodyOf(protocol::Backup{std::string(destination)}),
                       protocol::DecodeBackupReply, progress);
}

StatusOr<protocol::ScrubReply> Client::Scrub(
    const std::function<void(const protocol::Progress&)>& progress, const Scope& scope) {
  return core_->AskFor(scope, protocol::Opcode::kScrub, {}, protocol::DecodeScrubReply, progress);
}

Status Client::Ping(int64_t timeout_ms) {
  Scope scope;
  scope.timeout_ms = timeout_ms;
  return core_->AskAndWait(scope, protocol::Opcode::kPing);
}

ServerInfo Client::server() const { return core_->server(); }

}  // namespace nexus::client
