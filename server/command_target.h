// CommandTarget: the database that a command works on - opened in this process, or served by
// another one. Commands ask it and print what it answers; they do not know which it is.
//
// Failure: errors are those of engine/nexus.h and client/client.h; they mean the same exit status
// from both (Fail). Threading: the main thread.

#ifndef NEXUS_SERVER_COMMAND_TARGET_H_
#define NEXUS_SERVER_COMMAND_TARGET_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "client/client.h"
#include "engine/nexus.h"
#include "engine/query.h"
#include "server/command.h"
#include "server/sample_sink.h"

namespace nexus::server {

class CommandTarget {
 public:
  virtual ~CommandTarget() = default;

  // Cursors must not outlive the target.
  virtual StatusOr<std::unique_ptr<Cursor>> Select(const SelectQuery& query) = 0;
  virtual StatusOr<std::unique_ptr<Cursor>> Aggregate(const AggregateQuery& query) = 0;
  virtual StatusOr<Stats> GetStats() = 0;
  virtual StatusOr<DeleteResult> Delete(const DeleteRequest& request) = 0;
  // Moves all samples in memory to layers.
  virtual Status Flush() = 0;
  // Compacts everything; `progress` is told how far it is.
  virtual Status Compact(const ProgressCallback& progress) = 0;
  // Of a server: `destination` is a path of its machine.
  virtual StatusOr<BackupResult> Backup(const std::string& destination,
                                        const ProgressCallback& progress) = 0;
  // Stops the compactor of a running server, or lets it go on. FailedPrecondition for a folder.
  virtual Status PauseCompaction(bool paused) = 0;
  // Of the tenant of Where. See engine/nexus.h.
  virtual Status CreateBranch(const std::string& name, BranchKind kind,
                              const std::string& from) = 0;
  virtual Status DeleteBranch(const std::string& name, BranchKind kind) = 0;
  virtual StatusOr<std::vector<BranchInfo>> Branches() = 0;
  virtual Status CreateTenant(const std::string& name, const QuotaChanges& quotas) = 0;
  virtual Status SetTenant(const std::string& name, const QuotaChanges& changes) = 0;
  virtual Status DeleteTenant(const std::string& name) = 0;
  virtual StatusOr<std::vector<TenantInfo>> Tenants() = 0;
  // Of the tenant of Where.
  virtual StatusOr<CardinalityReport> Cardinality(uint32_t top) = 0;
  virtual StatusOr<RetentionInfo> Retention() = 0;
  virtual Status SetRetention(const std::vector<RetentionRule>& rules) = 0;
  virtual Status AcceptRetentionClock() = 0;
  virtual StatusOr<std::vector<RollupRule>> Rollups() = 0;
  virtual Status SetRollups(const std::vector<RollupRule>& rules) = 0;
  // For the tenant and branch of Where; lives as long as the target.
  virtual SampleSink* sink() = 0;

  // Ends the work with the database. REQUIRES: no cursors, no batches under way.
  virtual Status Close() = 0;
  // kExitDone, or kExitDamaged if opening found damage that it could mend.
  virtual int exit_status() const = 0;
};

// Opens or connects. `create` makes a missing folder. Errors: InvalidArgument - not exactly one of
// --data and --connect, or no address; Unavailable - nobody answers there; those of OpenDatabase.
StatusOr<std::unique_ptr<CommandTarget>> OpenTarget(const Where& where, bool create);

// Closes the target and gives the exit status of the command, whose work ended with `status`.
int CloseTarget(const Status& status, CommandTarget* target);

// Opens what is there, does `work`, prints what it tells, and closes. Gives the exit status of the
// command. What can be checked without the database is checked before: a recovery may take minutes.
int RunOnTarget(const Where& where,
                const std::function<StatusOr<std::string>(CommandTarget* target)>& work);

// Adds to `parent` a command with the options of Where, which is run by `run`. `Arguments` has a
// `where`; the invocation keeps them.
template <typename Arguments>
CLI::App* AddTargetCommand(CLI::App* parent, Invocation* invocation, const char* name,
                           const char* help, int (*run)(const Arguments& arguments),
                           const std::shared_ptr<Arguments>& arguments) {
  CLI::App* command = parent->add_subcommand(name, help);
  AddWhere(command, &arguments->where);
  command->callback([invocation, run, arguments] {
    invocation->run = [run, arguments] { return run(*arguments); };
  });
  return command;
}

// Likewise, one that reports: with --format, which is the `format` of `arguments`.
template <typename Arguments>
CLI::App* AddReportCommand(CLI::App* parent, Invocation* invocation, const char* name,
                           const char* help, int (*run)(const Arguments& arguments),
                           const std::shared_ptr<Arguments>& arguments) {
  CLI::App* command = AddTargetCommand(parent, invocation, name, help, run, arguments);
  AddReportFormat(command, &arguments->format);
  return command;
}

// Connects to the server of --connect and has its answer to a PING. Errors: InvalidArgument - no
// address; Unavailable - what keeps it from answering within `timeout_ms`.
StatusOr<std::unique_ptr<client::Client>> ConnectTo(const std::string& address, int64_t timeout_ms);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_COMMAND_TARGET_H_
