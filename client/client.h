// nexus::client::Client: a database at the other end of a connection. This header is all that a
// program needs that speaks to a nexus server.
//
//   auto client = nexus::client::Client::Connect({.address = "127.0.0.1:8080"});
//   auto cpu = (*client)->Series("cpu_usage", {{"host", "a"}});
//   nexus::client::WriteBatch batch;
//   batch.Add(*cpu, now_ns, 42.0);
//   auto acked = (*client)->Append(std::move(batch));     // OK: it survives a power cut, once
//
// The calls are those of the embedded database (engine/nexus.h), over the wire.
//
// A lost connection is made again by itself, with backoff. What was asked meanwhile waits for it,
// until its deadline. Durable batches are applied exactly once over any number of reconnects, in
// the order they were given to one tenant and branch; each is acknowledged when it is on the
// server's stable storage.
//
// Errors (DESIGN section 11): Unavailable - no connection, or it was lost within an answer; of a
// batch it says that the outcome is unknown. DeadlineExceeded - the call's time is over; the
// message says whether the server may have the batch. ResourceExhausted - the server is full.
// InvalidArgument, NotFound, FailedPrecondition - fix the call. Threading: a Client may be used
// from any number of threads; it owns one. Callbacks come on that one: they must be quick, and must
// not block nor call blocking methods.

#ifndef NEXUS_CLIENT_CLIENT_H_
#define NEXUS_CLIENT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "base/types.h"
#include "client/protocol/backup.h"
#include "client/protocol/branches.h"
#include "client/protocol/cardinality.h"
#include "client/protocol/delete.h"
#include "client/protocol/progress.h"
#include "client/protocol/query.h"
#include "client/protocol/retention.h"
#include "client/protocol/rollups.h"
#include "client/protocol/scrub.h"
#include "client/protocol/tenants.h"
#include "client/write_queue.h"

namespace nexus::client {

struct ClientOptions {
  std::string address;                // "host:port"
  std::string name = "nexus client";  // for the server's log, at most 64 bytes
  DatabaseId expected;                // zero: any
  // CRC-32 instead of XXH3: slower, for tests.
  bool crc32 = false;
  // How long Connect waits for the server's greeting. Default 5 s.
  int64_t connect_timeout_ms = 5'000;
  // Connect goes on trying for connect_timeout_ms; else a first refusal ends it.
  bool wait_for_server = false;
  // Told why when an established connection is lost, and OK when there is one again. Calls wait
  // meanwhile, for as long as their scopes allow. Runs on the client's own thread and must not call
  // the client.
  std::function<void(const Status&)> on_connection_change;
};

enum class Ack : uint8_t {
  kDurable,   // on stable storage
  kBuffered,  // in the server's log buffer, at most 100 ms from durable; not sent again if lost
};

// Whose data a call is about, and how long it may take.
struct Scope {
  std::string tenant = "default";
  std::string branch = "main";
  int64_t timeout_ms = 60'000;
};

// Samples to append as one whole, at most 15.9 MiB encoded (about a million). Columns are copied.
// Not thread-safe; movable.
class WriteBatch {
 public:
  WriteBatch();
  WriteBatch(WriteBatch&&) noexcept;
  WriteBatch& operator=(WriteBatch&&) noexcept;
  ~WriteBatch();

  // Ids are of Client::Series, of the same client and tenant.
  void Add(SeriesId series, int64_t timestamp, double value);
  // A scrape: one instant, a value for each series. REQUIRES: equal sizes.
  void AddRow(int64_t timestamp, std::span<const SeriesId> series, std::span<const double> values);
  // A run of one series. REQUIRES: equal sizes.
  void AddSeries(SeriesId series, std::span<const int64_t> timestamps,
                 std::span<const double> values);

  uint64_t samples() const;
  uint64_t bytes() const;
  void Clear();

 private:
  friend class Client;
  struct Representation;
  std::unique_ptr<Representation> representation_;
};

struct AppendOptions {
  Ack ack = Ack::kDurable;
  Scope scope;
};

struct Aggregate {
  protocol::Function function = protocol::Function::kAvg;
  double percentile = 0;  // of kPercentile, in (0, 100]
  int64_t step_ns = 0;    // 0: one bucket, the whole range
  bool grouped = false;   // by `by`, which may be empty: one group
  std::vector<std::string> by;
};

struct SelectQuery {
  std::string selector;
  TimeRange range;  // closed
  Scope scope;
  std::string as_of;  // a snapshot of the tenant, read instead of the branch; empty for none
};

// Samples of one series or group, in ascending time; valid until the next call.
struct SeriesChunk {
  const std::vector<Label>* labels = nullptr;
  std::string_view metric;
  uint64_t series_index = 0;
  std::span<const int64_t> timestamps;
  std::span<const double> values;
};

class ClientCore;

// An answer that streams: holds about 2 MiB, however long it is and however slowly it is read.
// Threading: one thread at a time, not a callback's. Destroying it early cancels the query. It must
// not outlive its client.
class Cursor {
 public:
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // The next chunk, series in label order; false at the end. Blocks.
  StatusOr<bool> Next(SeriesChunk* chunk);
  // Known at the end.
  const protocol::ResultEnd& statistics() const;

 private:
  friend class Client;
  class Implementation;
  static std::unique_ptr<Cursor> Open(ClientCore* client, const Scope& scope,
                                      const protocol::Query& query);
  explicit Cursor(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

// What to delete.
struct DeleteRequest {
  std::string selector;  // as a query's, at most 4 KiB; {} chooses every series
  TimeRange range;       // closed
  Scope scope;
  bool dry_run = false;
  bool everywhere = false;  // in every branch and snapshot of the scope's tenant
};

struct ServerInfo {
  std::string server;  // name and version
  DatabaseId database;
};

class Client {
 public:
  // Starts a thread and connects. Errors: Unavailable (nobody there, or no greeting in time),
  // FailedPrecondition (another database or version), InvalidArgument (address).
  static StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);
  // Ends what is under way as Cancelled. Call Sync() first where batches matter.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The id of a series, valid for this client and tenant. Costs no round trip: the server hears of
  // it with the first batch that names it. Errors: InvalidArgument names the offending label.
  StatusOr<SeriesId> Series(std::string metric, std::vector<Label> labels,
                            std::string_view tenant = "default");
  SeriesId Series(const Labels& labels, std::string_view tenant = "default");

  // Appends and waits for the acknowledgement, which tells samples that were rejected; the others
  // were accepted.
  StatusOr<WriteOutcome> Append(WriteBatch batch, const AppendOptions& options = {});
  // The same without waiting: `done` is called exactly once. Blocks only while more than 64 MiB of
  // batches are queued.
  void AppendAsync(WriteBatch batch, const AppendOptions& options, WriteCallback done);
  // Waits until every batch given before is answered, well or not.
  void Sync();

  // What is wrong with a query its cursor says, at the first Next.
  StatusOr<std::unique_ptr<Cursor>> Select(const SelectQuery& query);
  StatusOr<std::unique_ptr<Cursor>> SelectAggregate(const SelectQuery& query,
                                                    const Aggregate& aggregate);
  // The newest sample of each matching series within the range: chunks of one sample.
  StatusOr<std::unique_ptr<Cursor>> Latest(const SelectQuery& query);

  // Sorted. `selector` may be empty: everything.
  StatusOr<std::vector<std::string>> LabelNames(std::string_view selector = {},
                                                const Scope& scope = {});
  StatusOr<std::vector<std::string>> LabelValues(std::string_view label,
                                                 std::string_view selector = {},
                                                 const Scope& scope = {});
  // In label order, at most `limit` (ResourceExhausted beyond).
  StatusOr<std::vector<Labels>> SeriesLabels(std::string_view selector, uint64_t limit = 1'000'000,
                                             const Scope& scope = {});

  // The server's figures, in its order; names are those of `nexus stats --format json`, which is
  // what ToJson makes of them.
  StatusOr<std::vector<protocol::Stat>> GetStats(const Scope& scope = {});
  // Deletes samples of the series that the selector chooses, within the range, durably: those that
  // were acknowledged before, and all batches given to this client before, which it waits for; what
  // is appended afterwards stays. A dry run counts what would go. Errors: those of the engine's
  // Database::Delete.
  StatusOr<protocol::Count> Delete(const DeleteRequest& request);
  // Moves all samples in memory to layers.
  Status Flush(const Scope& scope = {});
  // Makes a branch or snapshot of the scope's tenant, which begins with what the scope's branch (or
  // snapshot) holds; see engine/nexus.h. If the connection is lost within it, it is asked again:
  // AlreadyExists may then be the answer to what the lost one did.
  Status CreateBranch(std::string_view name, protocol::BranchKind kind, const Scope& scope = {});
  // Deletes one of the scope's tenant; NotFound likewise.
  Status DeleteBranch(std::string_view name, protocol::BranchKind kind, const Scope& scope = {});
  // Those of the scope's tenant, in the order in which they were made.
  StatusOr<std::vector<protocol::BranchEntry>> Branches(const Scope& scope = {});
  // Makes, changes, deletes or lists tenants; see engine/nexus.h. Of the scope only the time
  // counts. If the connection is lost within a creation, it is asked again: AlreadyExists may be
  // the answer.
  Status ChangeTenant(const protocol::Tenants& change, const Scope& scope = {});
  StatusOr<std::vector<protocol::TenantEntry>> Tenants(const Scope& scope = {});
  // Which metrics, labels and label values the series of the scope's tenant come from: the first
  // `top`, at most 1,000, of each list.
  StatusOr<protocol::CardinalityReply> Cardinality(uint32_t top, const Scope& scope = {});
  // For how long samples of the scope's tenant are kept.
  StatusOr<protocol::RetentionList> Retention(const Scope& scope = {});
  // Replaces all rules of the scope's tenant; engine/nexus.h tells what they mean.
  Status SetRetention(const std::vector<protocol::RetentionRule>& rules, const Scope& scope = {});
  // Moves the retention clock to the server's wall clock, however far that is ahead.
  Status AcceptRetentionClock(const Scope& scope = {});
  // Which rollups the scope's tenant keeps, ascending by resolution.
  StatusOr<protocol::RollupList> Rollups(const Scope& scope = {});
  // Replaces them; engine/nexus.h tells what they mean.
  Status SetRollups(const std::vector<protocol::RollupRule>& rules, const Scope& scope = {});
  // Brings every window of every branch into its level, as `nexus compact` does, and lets go of
  // what that replaces - or pauses the compactor until it is resumed or the server restarts.
  // `progress` as of Scrub. What was begun goes on if the connection ends.
  Status Compact(protocol::CompactAction action,
                 const std::function<void(const protocol::Progress&)>& progress,
                 const Scope& scope);
  // Makes a consistent copy of the server's database, while it serves, in a folder of the server's
  // machine: see engine/nexus.h. `destination` is an absolute path there. `progress` as of Scrub.
  // Ends when the connection does. Errors: PermissionDenied - the server writes backups elsewhere,
  // or nowhere (its setting backup_directory); those of the engine's Database::Backup.
  StatusOr<protocol::BackupReply> Backup(
      std::string_view destination, const std::function<void(const protocol::Progress&)>& progress,
      const Scope& scope);
  // The physical check of the server's database while it serves: what is damaged, and what was
  // checked. `progress` may be empty; it is called on a thread of the client and must be quick.
  // It reads everything there is: give it time. Ends when the connection does. Errors:
  // FailedPrecondition - a scrub is under way.
  StatusOr<protocol::ScrubReply> Scrub(
      const std::function<void(const protocol::Progress&)>& progress, const Scope& scope);
  Status Ping(int64_t timeout_ms = 5'000);
  ServerInfo server() const;

 private:
  explicit Client(std::unique_ptr<ClientCore> core);
  StatusOr<protocol::RetentionList> AskRetention(const protocol::Retention& asked,
                                                 const Scope& scope);
  StatusOr<protocol::RollupList> AskRollups(const protocol::Rollups& asked, const Scope& scope);
  std::unique_ptr<ClientCore> core_;
};

// One object on one line; values that JSON lacks are strings ("NaN", "+Inf", "-Inf").
std::string ToJson(std::span<const protocol::Stat> stats);

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_CLIENT_H_
