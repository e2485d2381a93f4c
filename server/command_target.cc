// The two kinds of target. See command_target.h.

#include "server/command_target.h"

#include <utility>

#include "io/address.h"
#include "server/stats_figures.h"
#include "server/wire_backup.h"
#include "server/wire_branches.h"
#include "server/wire_cardinality.h"
#include "server/wire_function.h"
#include "server/wire_retention.h"
#include "server/wire_rollups.h"
#include "server/wire_tenants.h"

namespace nexus::server {
namespace {

constexpr int64_t kConnectTimeoutMs = 5'000;
// For work that waits for others: a server that restarts behind an import reads its whole log
// first, at some 20 M samples a second; a flush writes all that is in memory.
constexpr int64_t kPatienceMs = 600'000;
// A compaction of everything, or a backup, may write all there is: at 100 MB/s a day is 8 TB. The
// connection's pings tell whether the server lives.
constexpr int64_t kCompactTimeoutMs = 24 * 3'600'000;

class LocalTarget : public CommandTarget {
 public:
  LocalTarget(OpenedDatabase opened, const Where& where)
      : opened_(std::move(opened)),
        tenant_(where.tenant),
        sink_(opened_.database.get(), where.tenant, where.branch) {}

  StatusOr<std::unique_ptr<Cursor>> Select(const SelectQuery& query) override {
    return opened_.database->Select(query);
  }
  StatusOr<std::unique_ptr<Cursor>> Aggregate(const AggregateQuery& query) override {
    return opened_.database->Aggregate(query);
  }
  StatusOr<Stats> GetStats() override { return opened_.database->GetStats(); }
  StatusOr<DeleteResult> Delete(const DeleteRequest& request) override {
    return opened_.database->Delete(request);
  }
  Status Flush() override { return opened_.database->Flush(); }
  Status Compact(const ProgressCallback& progress) override {
    return opened_.database->Compact(progress);
  }
  StatusOr<BackupResult> Backup(const std::string& destination,
                                const ProgressCallback& progress) override {
    BackupOptions options;
    options.progress = progress;
    return opened_.database->Backup(destination, options);
  }
  Status PauseCompaction(bool) override {
    return FailedPrecondition(
        "a folder that no server has open has no compactor to pause; give --connect HOST:PORT");
  }
  Status CreateBranch(const std::string& name, BranchKind kind, const std::string& from) override {
    return opened_.database->CreateBranch(name, kind, from, tenant_);
  }
  Status DeleteBranch(const std::string& name, BranchKind kind) override {
    return opened_.database->DeleteBranch(name, kind, tenant_);
  }
  StatusOr<std::vector<BranchInfo>> Branches() override {
    return opened_.database->Branches(tenant_);
  }
  Status CreateTenant(const std::string& name, const QuotaChanges& quotas) override {
    return opened_.database->CreateTenant(name, quotas);
  }
  Status SetTenant(const std::string& name, const QuotaChanges& changes) override {
    return opened_.database->SetTenant(name, changes);
  }
  Status DeleteTenant(const std::string& name) override {
    return opened_.database->DeleteTenant(name);
  }
  StatusOr<std::vector<TenantInfo>> Tenants() override {
    return opened_.database->DescribeTenants();
  }
  StatusOr<CardinalityReport> Cardinality(uint32_t top) override {
    return opened_.database->Cardinality(tenant_, top);
  }
  StatusOr<RetentionInfo> Retention() override { return opened_.database->Retention(tenant_); }
  Status SetRetention(const std::vector<RetentionRule>& rules) override {
    return opened_.database->SetRetention(rules, tenant_);
  }
  Status AcceptRetentionClock() override { return opened_.database->AcceptRetentionClock(); }
  StatusOr<std::vector<RollupRule>> Rollups() override {
    return opened_.database->Rollups(tenant_);
  }
  Status SetRollups(const std::vector<RollupRule>& rules) override {
    return opened_.database->SetRollups(rules, tenant_);
  }
  SampleSink* sink() override { return &sink_; }
  Status Close() override { return opened_.database->Close(); }
  int exit_status() const override { return Finish(*opened_.database); }

 private:
  OpenedDatabase opened_;
  const std::string tenant_;
  DatabaseSink sink_;
};

// An answer from the wire as the engine's.
class RemoteCursor : public Cursor {
 public:
  explicit RemoteCursor(std::unique_ptr<client::Cursor> cursor) : cursor_(std::move(cursor)) {}

  StatusOr<bool> Next(SeriesChunk* chunk) override {
    client::SeriesChunk from;
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor_->Next(&from));
    *chunk = {from.labels, from.metric, from.series_index, from.timestamps, from.values};
    const protocol::ResultEnd& end = cursor_->statistics();
    statistics_ = {end.items,  end.samples,   end.chunks_decoded, end.chunks_by_statistics,
                   end.layers, end.memtables, end.rollup_layers,  end.rollup_buckets};
    return more;
  }
  const QueryStatistics& statistics() const override { return statistics_; }

 private:
  const std::unique_ptr<client::Cursor> cursor_;
  QueryStatistics statistics_;
};

StatusOr<std::unique_ptr<Cursor>> Adapt(StatusOr<std::unique_ptr<client::Cursor>> cursor) {
  NEXUS_RETURN_IF_ERROR(cursor.status());
  return std::make_unique<RemoteCursor>(*std::move(cursor));
}

client::SelectQuery WireQuery(const SelectQuery& query) {
  return {query.selector,
          query.range,
          {query.tenant, query.branch, query.limits.deadline_ms},
          query.as_of};
}

class RemoteTarget : public CommandTarget {
 public:
  RemoteTarget(std::unique_ptr<client::Client> client, const Where& where)
      : client_(std::move(client)),
        scope_{where.tenant, where.branch, kPatienceMs},
        sink_(client_.get(), scope_) {}

  StatusOr<std::unique_ptr<Cursor>> Select(const SelectQuery& query) override {
    return Adapt(client_->Select(WireQuery(query)));
  }
  StatusOr<std::unique_ptr<Cursor>> Aggregate(const AggregateQuery& query) override {
    client::Aggregate aggregate{WireFunction(query.function), query.percentile, query.step_ns,
                                query.grouped, query.by};
    return Adapt(client_->SelectAggregate(WireQuery(query.select), aggregate));
  }
  StatusOr<Stats> GetStats() override {
    NEXUS_ASSIGN_OR_RETURN(std::vector<protocol::Stat> figures, client_->GetStats(scope_));
    return StatsFrom(figures);
  }
  StatusOr<DeleteResult> Delete(const DeleteRequest& request) override {
    NEXUS_ASSIGN_OR_RETURN(protocol::Count count,
                           client_->Delete({request.selector, request.range, scope_,
                                            request.dry_run, request.everywhere}));
    return DeleteResult{count.series, count.samples, count.series_with_samples, count.frozen_left};
  }
  Status Flush() override { return client_->Flush(scope_); }
  Status Compact(const ProgressCallback& progress) override {
    client::Scope scope = scope_;
    scope.timeout_ms = kCompactTimeoutMs;
    auto tell = [&progress](const protocol::Progress& at) {
      progress({at.activity, at.done, at.total});
    };
    return client_->Compact(protocol::CompactAction::kEverything, tell, scope);
  }
  StatusOr<BackupResult> Backup(const std::string& destination,
                                const ProgressCallback& progress) override {
    client::Scope scope = scope_;
    scope.timeout_ms = kCompactTimeoutMs;
    auto tell = [&progress](const protocol::Progress& at) {
      progress({at.activity, at.done, at.total});
    };
    NEXUS_ASSIGN_OR_RETURN(protocol::BackupReply made, client_->Backup(destination, tell, scope));
    return EngineBackup(made);
  }
  Status PauseCompaction(bool paused) override {
    using Action = protocol::CompactAction;
    return client_->Compact(paused ? Action::kPause : Action::kResume, nullptr, scope_);
  }
  Status CreateBranch(const std::string& name, BranchKind kind, const std::string& from) override {
    client::Scope scope = scope_;
    scope.branch = from;
    return client_->CreateBranch(name, WireKind(kind), scope);
  }
  Status DeleteBranch(const std::string& name, BranchKind kind) override {
    return client_->DeleteBranch(name, WireKind(kind), scope_);
  }
  StatusOr<std::vector<BranchInfo>> Branches() override {
    NEXUS_ASSIGN_OR_RETURN(auto entries, client_->Branches(scope_));
    return EngineBranches(entries);
  }
  Status CreateTenant(const std::string& name, const QuotaChanges& quotas) override {
    return client_->ChangeTenant(WireTenants(protocol::TenantAction::kCreate, name, quotas),
                                 scope_);
  }
  Status SetTenant(const std::string& name, const QuotaChanges& changes) override {
    return client_->ChangeTenant(WireTenants(protocol::TenantAction::kSet, name, changes), scope_);
  }
  Status DeleteTenant(const std::string& name) override {
    return client_->ChangeTenant(WireTenants(protocol::TenantAction::kDelete, name, {}), scope_);
  }
  StatusOr<std::vector<TenantInfo>> Tenants() override {
    NEXUS_ASSIGN_OR_RETURN(auto entries, client_->Tenants(scope_));
    return EngineTenants(entries);
  }
  StatusOr<CardinalityReport> Cardinality(uint32_t top) override {
    NEXUS_ASSIGN_OR_RETURN(auto reply, client_->Cardinality(top, scope_));
    return EngineCardinality(reply);
  }
  StatusOr<RetentionInfo> Retention() override {
    NEXUS_ASSIGN_OR_RETURN(auto list, client_->Retention(scope_));
    return EngineRetention(list);
  }
  Status SetRetention(const std::vector<RetentionRule>& rules) override {
    return client_->SetRetention(WireRules(rules), scope_);
  }
  Status AcceptRetentionClock() override { return client_->AcceptRetentionClock(scope_); }
  StatusOr<std::vector<RollupRule>> Rollups() override {
    NEXUS_ASSIGN_OR_RETURN(auto list, client_->Rollups(scope_));
    return EngineRollups(list.rules);
  }
  Status SetRollups(const std::vector<RollupRule>& rules) override {
    return client_->SetRollups(WireRollups(rules), scope_);
  }
  SampleSink* sink() override { return &sink_; }
  Status Close() override { return OkStatus(); }
  int exit_status() const override { return kExitDone; }

 private:
  const std::unique_ptr<client::Client> client_;
  const client::Scope scope_;
  ClientSink sink_;
};

}  // namespace

StatusOr<std::unique_ptr<client::Client>> ConnectTo(const std::string& address,
                                                    int64_t timeout_ms) {
  NEXUS_RETURN_IF_ERROR(Annotate(io::ParseHostPort(address).status(), "--connect"));
  client::ClientOptions options;
  options.address = address;
  options.name = fmt::format("nexus command {}", Version());
  options.connect_timeout_ms = timeout_ms;
  options.on_connection_change = [address](const Status& status) {
    WriteError(status.ok()
                   ? fmt::format("nexus: connected to {} again", address)
                   : fmt::format("nexus: {}; connecting again", FromAbsl(status.message())));
  };
  StatusOr<std::unique_ptr<client::Client>> client = client::Client::Connect(std::move(options));
  // The command was right, whatever keeps it from the server.
  if (!client.ok()) return Unavailable("{}", FromAbsl(client.status().message()));
  return client;
}

StatusOr<std::unique_ptr<CommandTarget>> OpenTarget(const Where& where, bool create) {
  if (where.data.empty() && where.connect.empty()) {
    return InvalidArgument(
        "which database? Give --data DIR for a folder, or --connect HOST:PORT for a running "
        "server");
  }
  if (!where.data.empty() && !where.connect.empty()) {
    return InvalidArgument(
        "--data {} and --connect {} name two databases; give one of them: --connect while a "
        "server runs, else --data",
        where.data, where.connect);
  }
  if (!where.connect.empty()) {
    NEXUS_ASSIGN_OR_RETURN(auto client, ConnectTo(where.connect, kConnectTimeoutMs));
    return std::make_unique<RemoteTarget>(std::move(client), where);
  }
  NEXUS_ASSIGN_OR_RETURN(OpenedDatabase opened, OpenDatabase(where.data, create));
  return std::make_unique<LocalTarget>(std::move(opened), where);
}

int CloseTarget(const Status& status, CommandTarget* target) {
  Status closed = target->Close();
  if (!status.ok()) return Fail(status);
  return closed.ok() ? target->exit_status() : Fail(closed);
}

int RunOnTarget(const Where& where,
                const std::function<StatusOr<std::string>(CommandTarget* target)>& work) {
  StatusOr<std::unique_ptr<CommandTarget>> target = OpenTarget(where, false);
  if (!target.ok()) return Fail(target.status());
  StatusOr<std::string> told = work(target->get());
  if (told.ok()) WriteOutput(*told);
  return CloseTarget(told.status(), target->get());
}

}  // namespace nexus::server
