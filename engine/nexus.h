// nexus: an embedded time-series database. This header is all that a linking program needs.
//
//   nexus::Options options;
//   options.directory = "data";
//   auto db = nexus::Database::Open(options);
//   nexus::WriteBatch batch;
//   auto cpu = (*db)->Series("cpu_usage", {{"host", "a"}});
//   batch.Add(*cpu, now_ns, 42.0);
//   nexus::Status acked = (*db)->Append(std::move(batch));     // OK: it survives a power cut
//
// Data model: tenant -> branch -> series (metric name and labels) -> samples (int64 nanoseconds,
// any 64-bit pattern of a double). A snapshot is a branch that takes no samples. Of two samples of
// one series and timestamp the later write wins. Out of order and years late is normal input.
//
// Durability is chosen at the call (see Ack). What a query can read is durable.
// Errors (DESIGN section 11): Unavailable retry with backoff; DataLoss a named place is damaged;
// ResourceExhausted slow down or make room; InvalidArgument, NotFound, FailedPrecondition fix the
// call. Threading: a Database may be used from any number of threads. It owns its threads: one that
// runs the log and the memtable, `workers` that encode, one for the catalog.

#ifndef NEXUS_ENGINE_NEXUS_H_
#define NEXUS_ENGINE_NEXUS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "base/types.h"
#include "engine/backup_report.h"
#include "engine/cardinality.h"
#include "engine/options.h"
#include "engine/query.h"
#include "engine/retention_rule.h"
#include "engine/rollup_rule.h"
#include "engine/scrub_report.h"
#include "engine/tenant.h"

namespace nexus {

// What OK of an append means.
enum class Ack : uint8_t {
  // The batch is on stable storage and visible: it survives a power cut.
  kDurable,
  // The batch is in the log buffer; at most 100 ms from durable. A crash of the process or the
  // machine
  // within that time loses it - always a suffix of what was appended, never a part of a batch.
  kBuffered,
};

// Samples to append as one whole: after a crash all of them are there or none. At most 16 MiB
// encoded (about a million samples). Columns are copied. Not thread-safe; movable.
class WriteBatch {
 public:
  WriteBatch();
  WriteBatch(WriteBatch&&) noexcept;
  WriteBatch& operator=(WriteBatch&&) noexcept;
  ~WriteBatch();

  void Add(SeriesId series, int64_t timestamp, double value);
  // A scrape: one instant, a value for each series. The fastest form when the same list of series
  // comes again and again. REQUIRES: equal sizes.
  void AddRow(int64_t timestamp, std::span<const SeriesId> series, std::span<const double> values);
  // A run of one series. REQUIRES: equal sizes.
  void AddSeries(SeriesId series, std::span<const int64_t> timestamps,
                 std::span<const double> values);

  uint64_t samples() const;
  uint64_t bytes() const;
  void Clear();

 private:
  friend class Database;
  friend class DatabaseCore;
  struct Representation;
  std::unique_ptr<Representation> representation_;
};

// The number of a batch: sequences of a producer begin at 1 and rise by one, through all its
// epochs. A batch that is sent again under its number is applied once, and gets the first copy's
// answer.
struct ProducerSequence {
  ProducerId producer;
  uint64_t epoch = 0;
  uint64_t sequence = 0;
};

struct AppendOptions {
  Ack ack = Ack::kDurable;
  std::string_view tenant = "default";
  std::string_view branch = "main";
  // Exactly once: open the producer first (OpenProducer). A batch whose outcome is unknown
  // (Unavailable, a crash) is sent again under the same number; one that was refused gives its
  // number back.
  std::optional<ProducerSequence> once;
};

struct AppendOutcome {
  Lsn end;                 // the log position behind the batch, or of a later one of its producer
  bool duplicate = false;  // it was in the log already
  // Samples that are older than anything the tenant's retention keeps; the others were stored.
  uint64_t expired = 0;
  // Of these: the tenant, the oldest time that is kept, the way out. Empty for a duplicate.
  std::string reason;
};

// What a branch knows of a producer.
struct ProducerState {
  uint64_t epoch = 0;
  uint64_t last_sequence = 0;  // every batch up to it is durable; the next is one more
};

// Of an append that was refused because batches before it are missing (FailedPrecondition): the
// sequence that would be taken. nullopt of any other status.
std::optional<uint64_t> ExpectedSequence(const Status& status);

// Of an append that was refused for its tenant's samples_per_second (ResourceExhausted): after how
// long the next passes. nullopt of any other status.
std::optional<uint64_t> RetryAfterMs(const Status& status);

enum class BranchKind : uint8_t {
  kBranch,
  kSnapshot,  // read-only
};

// A branch or snapshot of a tenant.
struct BranchInfo {
  std::string name;
  BranchKind kind = BranchKind::kBranch;
  std::string parent;      // what it was made from; empty for main, and if that is deleted
  int64_t created_ns = 0;  // by the wall clock, ns since the Unix epoch; 0 for main
  Lsn created;             // it began with what its parent held there; 0 for main
  uint64_t layers = 0;     // it names
  uint64_t layer_bytes = 0;
  uint64_t own_bytes = 0;  // of these, in files that no other names: what deleting it frees
};

// Of an append that was refused because it names a series that the tenant does not have
// (InvalidArgument): its id was not given by Database::Series since the database was opened, or it
// was forgotten - see there.
bool IsUnknownSeries(const Status& status);

// Of an append that was refused because all of its samples are older than anything its tenant's
// retention keeps (OutOfRange). One that has a number is not refused: see AppendOutcome::expired.
bool IsExpired(const Status& status);

using AppendCallback = std::function<void(StatusOr<AppendOutcome>)>;

// Figures of a database at one moment.
struct Stats {
  uint64_t series = 0;
  uint64_t samples =
      0;  // in layers and memtables; a sample written twice may count twice until merged
  uint64_t layers = 0;
  uint64_t layer_bytes = 0;
  uint64_t layer_samples = 0;
  uint64_t layer_files_open = 0;  // files of layers that are open now
  // Memory for knowing the layers: their place in the layer map, and what was read of their page
  // lists.
  uint64_t layer_metadata_bytes = 0;
  uint64_t memtable_samples = 0;
  uint64_t memtable_bytes = 0;
  uint64_t wal_bytes = 0;       // of the segments on disk
  uint64_t wal_live_bytes = 0;  // not yet trimmed records
  uint64_t catalog_bytes = 0;   // pages in use
  double bytes_per_sample = 0;  // (layer_bytes + catalog_bytes) / samples
  Lsn durable_lsn;
  Lsn applied_lsn;
  Lsn catalog_lsn;  // persisted by the catalog
  uint64_t open_count = 0;
  uint64_t appended_batches = 0;  // since open
  uint64_t appended_samples = 0;
  uint64_t log_rounds = 0;
  uint64_t flushes = 0;
  uint64_t flushed_bytes = 0;    // of layers, by flushes since open
  uint64_t carries = 0;          // small memtables written to the log again, since open
  uint64_t carried_bytes = 0;    // of the log, by these
  uint64_t compactions = 0;      // jobs of the compactor since open
  uint64_t compacted_bytes = 0;  // of layers, by these
  // (flushed_bytes + compacted_bytes) / flushed_bytes; 0 before the first flush.
  double write_amplification = 0;
  uint64_t garbage_layers = 0;    // retired, their files not yet deleted
  uint64_t tombstones = 0;        // deletes that compactions have yet to carry out, of each branch
  uint64_t series_forgotten = 0;  // since open, for want of samples (Options::series_grace_ms)
  uint64_t layers_expired = 0;    // retired whole since open, for retention
  uint64_t samples_expired = 0;   // that were too old when they were appended, since open
  uint64_t rollup_layers = 0;     // of `layers`, those of rollups; their buckets are no samples
  uint64_t rollup_bytes = 0;
  // Where the retention clock stands, in RFC 3339; empty while no tenant has had a retention.
  std::string retention_clock;
  // How far the wall clock is ahead of it, if that is more than 7 days; else 0. Until it is
  // accepted (AcceptRetentionClock) the retention clock goes on from where it stands.
  uint64_t retention_waits_seconds = 0;
  std::string compaction_state;  // "idle", "running: ...", "paused", "off", "failed: ..."
  std::string io_backend;
  std::string io_fallback;  // why io_uring is not used although it could have been; or empty
  std::string write_state;  // "ok", or why writing is refused
};

// What opening found and did.
struct RecoveryReport {
  bool created = false;
  uint64_t replayed_records = 0;
  uint64_t replayed_batches = 0;
  uint64_t replayed_samples = 0;
  uint64_t replayed_bytes = 0;
  uint64_t torn_tail_bytes = 0;  // unacknowledged bytes behind the cut
  double seconds = 0;
  // Damage that cost no samples (an image, say): named here, mended by itself.
  std::vector<std::string> damage;
  std::vector<std::string> notes;  // files quarantined, orphans removed, for the log
};

class Database {
 public:
  // Opens or creates, recovering what the log holds. Blocks for at most lock_wait_ms on a folder in
  // use. Errors: FailedPrecondition (in use by pid N; foreign or missing catalog; newer format),
  // DataLoss (damage to acknowledged data: segment, offset, LSN and the way out), PermissionDenied,
  // NotFound, InvalidArgument (an option out of range, named).
  static StatusOr<std::unique_ptr<Database>> Open(Options options);
  // Closes as Close() does, ignoring its status.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // The id of a series, made if new; valid for this tenant while the database is open and the
  // series has samples, and for Options::series_grace_ms after this call. A series without a sample
  // in any branch or snapshot is forgotten after that time: appends under its id are refused
  // (IsUnknownSeries), and asked for again it gets a new id. Costs a hash look-up if known (keep
  // the id all the same), a hand-over to the database's thread if new. Errors: InvalidArgument
  // names the offending label; NotFound unknown tenant; ResourceExhausted - the tenant's
  // series_max.
  StatusOr<SeriesId> Series(std::string metric, std::vector<Label> labels,
                            std::string_view tenant = "default");
  StatusOr<SeriesId> Series(const Labels& labels, std::string_view tenant = "default");
  // The same for many at once, in one hand-over for all that are new.
  StatusOr<std::vector<SeriesId>> Series(std::span<const Labels> labels,
                                         std::string_view tenant = "default");

  // Appends and waits for the ack. Errors: ResourceExhausted - nothing was written: memory or disk
  // is full, or a quota of the tenant reached (RetryAfterMs), the message says which; Unavailable -
  // the log failed, the outcome is unknown until reopened; InvalidArgument - empty or over-large
  // batch, unknown series id (IsUnknownSeries); OutOfRange - all of it is expired (IsExpired);
  // FailedPrecondition - of a numbered batch: unknown producer, fenced epoch, or a gap
  // (ExpectedSequence).
  StatusOr<AppendOutcome> Append(WriteBatch batch, const AppendOptions& options = {});
  // The same without waiting: `done` is called exactly once, on the database's thread; it must be
  // quick and must not block or call blocking methods. Blocks only while more than 64 MiB of
  // batches are queued.
  void AppendAsync(WriteBatch batch, const AppendOptions& options, AppendCallback done);
  // Waits until everything appended before is durable.
  Status Sync();

  // Opens an epoch of a producer, durably, and fences every older one: their batches are refused
  // from now on. Epoch 0 asks for one above the newest; the epoch that is open already is answered
  // again. Errors: FailedPrecondition - a newer epoch is open; ResourceExhausted - 100,000
  // producers of the tenant are known (silent ones are forgotten after 7 days); NotFound.
  StatusOr<ProducerState> OpenProducer(ProducerId producer, uint64_t epoch = 0,
                                       std::string_view tenant = "default",
                                       std::string_view branch = "main");

  // Moves all samples in memory to layers and trims the log. Returns when they are durable.
  Status Flush();

  // Merges layers until every time window of every branch is in its level, at full speed, and
  // deletes what was replaced; what is in memory stays there (Flush). Appends and queries go on.
  // `progress`, if not empty, is called on the database's thread: bytes done and known of the job
  // under way. The first error of a job ends it: ResourceExhausted - disk full; DataLoss - a layer
  // is damaged (named); FailedPrecondition - compaction is paused, or the database closes.
  Status Compact(const ProgressCallback& progress = {});
  // The compactor gives up what it does and begins nothing until it is resumed or the database is
  // opened again.
  void PauseCompaction();
  void ResumeCompaction();
  // Deletes samples of a branch, durably: those of the series that the selector chooses, within the
  // range, that were appended before - acknowledged ones and those this thread has handed over.
  // What is appended afterwards stays, at the same timestamps too. Visible at once to queries that
  // begin after it; those that run see what they saw. The disk is given back by the next compaction
  // of the windows, and listings of labels and series may show a series without samples. A dry run
  // counts what would go. Blocks on the catalog for counting, about 1 us a series. Errors:
  // InvalidArgument - selector or range; NotFound; ResourceExhausted - too many deletes wait for a
  // compaction, or the log has no room; Unavailable - the log failed, the outcome is unknown until
  // reopened.
  StatusOr<DeleteResult> Delete(const DeleteRequest& request);

  // A cursor opens files of the database as it reads: it must be destroyed before the Database is.
  StatusOr<std::unique_ptr<Cursor>> Select(const SelectQuery& query);
  StatusOr<std::unique_ptr<Cursor>> Aggregate(const AggregateQuery& query);
  // The newest sample of each matching series within the range: chunks of one sample.
  StatusOr<std::unique_ptr<Cursor>> Latest(const SelectQuery& query);
  // The newest sample of one series; nullopt if it has none.
  StatusOr<std::optional<Sample>> Latest(SeriesId series, std::string_view tenant = "default",
                                         std::string_view branch = "main");

  // Sorted. `selector` may be empty: everything.
  StatusOr<std::vector<std::string>> LabelNames(std::string_view selector = {},
                                                std::string_view tenant = "default");
  StatusOr<std::vector<std::string>> LabelValues(std::string_view label,
                                                 std::string_view selector = {},
                                                 std::string_view tenant = "default");
  // Labels of the matching series in label order, at most `limit` (ResourceExhausted beyond).
  StatusOr<std::vector<Labels>> SeriesLabels(std::string_view selector, uint64_t limit = 1'000'000,
                                             std::string_view tenant = "default");

  // Makes a tenant. AlreadyExists; InvalidArgument for a name outside [A-Za-z0-9_.-]{1,64};
  // ResourceExhausted - there are 65,536.
  Status CreateTenant(std::string_view name, const QuotaChanges& quotas = {});
  // Changes quotas of a tenant, durably. Errors, nothing changed then: FailedPrecondition - it has
  // more series or bytes already than series_max or bytes_max would allow; InvalidArgument - no
  // change; NotFound.
  Status SetTenant(std::string_view name, const QuotaChanges& changes);
  // Deletes a tenant with all that it has, durably. Open cursors read on; appends that are under
  // way end NotFound or before it. Its files go in the background, the rows of its series in
  // pieces, a few seconds a million. The name may be used again, for another tenant. Errors:
  // FailedPrecondition - it is "default"; NotFound; Unavailable - the log failed.
  Status DeleteTenant(std::string_view name);
  std::vector<std::string> Tenants();
  // In the order in which they were made. Costs a walk over all layers.
  StatusOr<std::vector<TenantInfo>> DescribeTenants();
  // Which metrics, labels and label values the tenant's series come from, and which grow: the first
  // `top`, at most 1,000, of each. Counts what is known now; about 2 us a label=value, in steps
  // that hold up nobody, in memory for `top` entries. NotFound, InvalidArgument.
  StatusOr<CardinalityReport> Cardinality(std::string_view tenant = "default", uint32_t top = 10);

  // Makes a snapshot or branch that begins with what `from`, a branch or snapshot, holds now: every
  // append that was acknowledged before the call, and none that is submitted after it returns.
  // Takes a round of the log whatever the size, copies no samples. Producers are not inherited:
  // whoever appends to the new branch under numbers opens an epoch there. Names are unique among a
  // tenant's branches and snapshots. Errors: AlreadyExists; NotFound - `from`, tenant;
  // InvalidArgument for a name outside [A-Za-z0-9_.-]{1,64}; ResourceExhausted - the tenant has
  // 256; Unavailable - the log failed, ListBranches of the reopened database tells.
  Status CreateBranch(std::string_view name, BranchKind kind = BranchKind::kBranch,
                      std::string_view from = "main", std::string_view tenant = "default");
  // In the order in which they were made, main first. NotFound.
  StatusOr<std::vector<BranchInfo>> Branches(std::string_view tenant = "default");
  // What only it names goes; cursors that are open read on. Those made from it stay as they are.
  // Errors: FailedPrecondition - it is main, of the other kind, or appends to it are under way;
  // NotFound; Unavailable.
  Status DeleteBranch(std::string_view name, BranchKind kind = BranchKind::kBranch,
                      std::string_view tenant = "default");

  // For how long the tenant keeps samples. NotFound.
  StatusOr<RetentionInfo> Retention(std::string_view tenant = "default");
  // Replaces all rules of the tenant, durably; none keeps everything. Of the rules the first whose
  // selector chooses a series decides. Samples of every branch, but not of snapshots, that are
  // older than the retention clock less the rule's duration may disappear at any time from then on,
  // and are gone after the next compaction (Compact). The clock runs from the first rule of the
  // database on, beginning at the wall clock; it never goes back, and jumps of the wall clock do
  // not reach it while the database is open: opening takes the wall clock if that is at most 7 days
  // ahead. Errors: InvalidArgument, nothing is changed - a selector, a duration below
  // RetentionInfo::head_window_ns (with rollups: that and a bucket of the coarsest), a rule that
  // can never decide, more than 64; NotFound; Unavailable.
  Status SetRetention(const std::vector<RetentionRule>& rules, std::string_view tenant = "default");
  // Which rollups the tenant keeps, ascending by resolution; none by default. NotFound.
  StatusOr<std::vector<RollupRule>> Rollups(std::string_view tenant = "default");
  // Replaces them, durably. Of each series the compactor then keeps, for each bucket of each
  // resolution, count, sum, extremes, first, last and increase. Aggregate() uses them by itself
  // where its step is a multiple of a resolution and they are right: results are those of the
  // samples, sums and averages within 2 ulp; QueryStatistics tells. Once samples are dropped by
  // retention their buckets stay as they are, as long as their own rule says by retention's clock,
  // and answer such queries. A bucket of which samples are gone is never computed anew: what comes
  // late for it is not in it, and a delete takes it only if it covers it whole.
  // Cost: 16 columns a bucket; of samples that are 10 s apart, buckets of a minute may take twice
  // as many bytes as the samples. Resolutions that are not named any more lose their buckets.
  // Errors: InvalidArgument, nothing is changed - more than 4, a resolution that is not from 1 s to
  // 1 day, does not divide a day, is no multiple of the finer one, or cannot be made in time: the
  // tenant's shortest retention is less than a bucket and the head window; NotFound; Unavailable.
  Status SetRollups(const std::vector<RollupRule>& rules, std::string_view tenant = "default");
  // Moves the retention clock of the database to the wall clock, however far that is ahead; what is
  // expired by then is lost. FailedPrecondition: the clock does not run.
  Status AcceptRetentionClock();

  StatusOr<Stats> GetStats();
  // The physical check, while the database serves: every checksum of layers, log, catalog and
  // images, every statistic, and that all parts agree. Changes nothing; reads in small pieces.
  // Damage is in the report, which is then not clean(). Blocks; a Close meanwhile ends it. Errors:
  // FailedPrecondition - another scrub of it is under way, or it is closing; Cancelled,
  // DeadlineExceeded. Of a stopped database: `nexus scrub --data DIR`.
  StatusOr<ScrubReport> Scrub(const ScrubOptions& options = {});
  // Copies the database as it is now to another folder, while it serves: everything that was
  // acknowledged before the call - all tenants, branches, snapshots, producers, deletes. A missing
  // or empty folder is made a backup; one that holds an older backup of this database becomes the
  // new one, and a crash or an error on the way leaves the older one whole. Layers that are there
  // are kept; others are hard links where the file system can, copies where not (on the same disk a
  // backup costs next to no space, and is lost with the disk). Moves what is in memory to layers.
  // Replaced layers stay on the disk meanwhile. Blocks; a Close meanwhile ends it. Errors:
  // FailedPrecondition - the folder is something else, or of another database, or in use, or a
  // backup is under way; InvalidArgument - it lies in the database's own; ResourceExhausted;
  // DataLoss - a layer is damaged (named); Cancelled; Unavailable.
  StatusOr<BackupResult> Backup(std::string_view destination, const BackupOptions& options = {});
  const RecoveryReport& recovery() const;

  // Waits for appends in flight, makes everything durable, writes the closing mark, frees the
  // folder. Does not flush: reopening replays the log. Later calls fail with FailedPrecondition.
  Status Close();

 private:
  class Implementation;
  explicit Database(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

// Makes a new database of a backup, in a missing or empty folder; Database::Open opens it. Every
// layer is read and checked; then it is a hard link where the file system can, else a copy. The new
// database has an id of its own; what is written to it wins over what was restored. Producers go on
// behind what the backup has of them. A crash leaves a folder that nothing opens and that may be
// restored into again. Starts threads of its own; blocks. Errors: NotFound - no backup there;
// DataLoss - it is damaged (the file is named); FailedPrecondition - the folder is not empty or in
// use, or the first backup never ended; ResourceExhausted.
StatusOr<RestoreResult> Restore(const RestoreOptions& options);

// Library version, "0.1.0".
std::string_view Version();

}  // namespace nexus

#endif  // NEXUS_ENGINE_NEXUS_H_
