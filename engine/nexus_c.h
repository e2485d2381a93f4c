// nexus_c: the embedded database for C and whatever calls C, engine/nexus.h behind a C11 interface.
//
//   nexus_options options;
//   nexus_options_init(&options, sizeof(options));
//   options.directory = (nexus_text){"data", 4};
//   nexus_db* db;
//   nexus_error error;
//   if (nexus_open(&options, &db, &error) != NEXUS_OK) return fail(error.message);
//
// Conventions. Handles are opaque. Text and arrays have explicit lengths and need no terminator; a
// nexus_text of size 0 may have any pointer. A call that can fail returns NEXUS_OK or a code of
// nexus_code and fills *error, which may be NULL. No exception crosses this boundary: want of
// memory is RESOURCE_EXHAUSTED, or the end of the program where a call has no error to give. A
// handle is freed by its own function, where NULL is allowed; nothing else needs freeing. Other
// pointers must not be NULL unless it says so.
//
// Growth of the interface: structs that the caller fills begin with `size`, the caller's sizeof.
// What a smaller (older) one lacks has its default; of a larger (newer) one the unknown rest must
// be zero (INVALID_ARGUMENT). Structs that a call fills never change.
//
// What calls mean, in full: engine/nexus.h. Timestamps are nanoseconds since the Unix epoch.
// Threading: a database may be used from any number of threads; a batch, a cursor, a list by one
// at a time (nexus_cursor_cancel: by any). Cursors are freed before their database is closed;
// batches and lists do not depend on it.

#ifndef NEXUS_ENGINE_NEXUS_C_H_
#define NEXUS_ENGINE_NEXUS_C_H_

// The names and headers of C, not of our C++.
// NOLINTBEGIN(modernize-deprecated-headers,modernize-use-using,readability-identifier-naming)
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a caller can do about an error. The numbers are those of the wire (and of gRPC).
enum nexus_code {
  NEXUS_OK = 0,
  NEXUS_CANCELLED = 1,
  NEXUS_UNKNOWN = 2,
  NEXUS_INVALID_ARGUMENT = 3,  // fix the call
  NEXUS_DEADLINE_EXCEEDED = 4,
  NEXUS_NOT_FOUND = 5,
  NEXUS_ALREADY_EXISTS = 6,
  NEXUS_PERMISSION_DENIED = 7,
  NEXUS_RESOURCE_EXHAUSTED = 8,   // slow down, or make room
  NEXUS_FAILED_PRECONDITION = 9,  // fix the call, or what it rests on
  NEXUS_ABORTED = 10,
  NEXUS_OUT_OF_RANGE = 11,
  NEXUS_UNIMPLEMENTED = 12,
  NEXUS_INTERNAL = 13,
  NEXUS_UNAVAILABLE = 14,  // retry with backoff
  NEXUS_DATA_LOSS = 15,    // a named place is damaged
  NEXUS_UNAUTHENTICATED = 16
};

// Filled by every call that is given one, on success too (code 0, empty message).
typedef struct nexus_error {
  int32_t code;
  // Of an append that was refused because batches before it are missing: the sequence that would
  // be taken. 0 otherwise.
  uint64_t expected_sequence;
  char message[1024];  // terminated; cut if longer
} nexus_error;

// Not owned: as long-lived as where it comes from.
typedef struct nexus_text {
  const char* data;
  size_t size;  // bytes
} nexus_text;

typedef struct nexus_label {
  nexus_text name;
  nexus_text value;
} nexus_label;

typedef struct nexus_db nexus_db;
typedef struct nexus_batch nexus_batch;
typedef struct nexus_cursor nexus_cursor;
typedef struct nexus_list nexus_list;

// The version of the library, "0.1.0". Lives for ever.
nexus_text nexus_version(void);

// ---- Opening and closing.

// Long work tells how far it is: `done` of `total` units (bytes or samples; total 0 if unknown).
// Called on a thread of the database; must not call back into it. `activity` is valid meanwhile.
typedef void (*nexus_progressed)(void* context, nexus_text activity, uint64_t done, uint64_t total);

// engine/options.h says of each what it bounds, its range and cost.
typedef struct nexus_options {
  size_t size;
  nexus_text directory;  // made, with its parents, unless `create` is 0
  int32_t create;
  int32_t workers;
  uint64_t memtable_bytes;
  uint64_t page_cache_bytes;
  uint64_t log_segment_bytes;
  uint64_t log_bytes_max;
  int64_t flush_interval_ms;
  uint64_t reserve_bytes;
  int64_t admission_timeout_ms;
  int64_t lock_wait_ms;
  uint64_t catalog_bytes_max;
  nexus_progressed progress;  // may be NULL
  void* progress_context;
} nexus_options;

// Fills in the defaults, and `size`: the caller's sizeof(nexus_options).
void nexus_options_init(nexus_options* options, size_t size);

// Opens or creates a database, recovering what its log holds. *db is NULL if that failed. Blocks
// for the recovery, and for at most lock_wait_ms on a folder in use. Errors: FAILED_PRECONDITION
// (in use by pid N; foreign or missing catalog; newer format), DATA_LOSS (damage to acknowledged
// data: place and way out), PERMISSION_DENIED, NOT_FOUND, INVALID_ARGUMENT (an option out of
// range, named).
int32_t nexus_open(const nexus_options* options, nexus_db** db, nexus_error* error);

// Waits for appends in flight, makes everything durable, frees the folder, and frees `db` whatever
// comes of that. The error is that of the last write or sync. Does not flush: opening again replays
// the log.
int32_t nexus_close(nexus_db* db, nexus_error* error);

// ---- Writing.

// The id of a series, made if new; valid for this tenant while the database is open and the series
// has samples, and for 10 minutes after this call. One without a sample in any branch or snapshot
// is forgotten after that time: appends under its id are INVALID_ARGUMENT, and asked for again it
// gets a new id. `tenant` of size 0: "default". A hash look-up if known, a hand-over to the
// database's thread if new. Errors: INVALID_ARGUMENT names the offending label; NOT_FOUND unknown
// tenant; *series is 0 then.
int32_t nexus_series(nexus_db* db, nexus_text tenant, nexus_text metric, const nexus_label* labels,
                     size_t label_count, uint64_t* series, nexus_error* error);

// Samples to append as one whole: after a crash all of them are there or none. At most 16 MiB
// encoded, about a million samples. Freed by nexus_batch_free.
nexus_batch* nexus_batch_new(void);
void nexus_batch_free(nexus_batch* batch);
// These copy. Neither fails; unknown ids are refused by the append.
void nexus_batch_add(nexus_batch* batch, uint64_t series, int64_t timestamp, double value);
// A scrape: one instant, a value for each series. The fastest form when the same list of series
// comes again and again.
void nexus_batch_add_row(nexus_batch* batch, int64_t timestamp, const uint64_t* series,
                         const double* values, size_t count);
// A run of one series.
void nexus_batch_add_series(nexus_batch* batch, uint64_t series, const int64_t* timestamps,
                            const double* values, size_t count);
uint64_t nexus_batch_samples(const nexus_batch* batch);
uint64_t nexus_batch_bytes(const nexus_batch* batch);  // encoded
void nexus_batch_clear(nexus_batch* batch);

// What NEXUS_OK of an append means.
enum nexus_ack {
  NEXUS_DURABLE = 0,  // on stable storage and visible: it survives a power cut
  NEXUS_BUFFERED = 1  // at most 100 ms from it; a crash within that time loses it, as a whole
};

// A writer that numbers its batches: 128 bits that it chose, within one branch.
typedef struct nexus_producer {
  uint64_t high;
  uint64_t low;
} nexus_producer;

// The number of a batch: sequences of a producer begin at 1 and rise by one, through all its
// epochs. A batch that is sent again under its number is applied once, and gets the first copy's
// answer.
typedef struct nexus_once {
  nexus_producer producer;
  uint64_t epoch;
  uint64_t sequence;
} nexus_once;

// All zero but `size`: durable, tenant "default", branch "main", not numbered.
typedef struct nexus_append_options {
  size_t size;
  int32_t ack;
  nexus_text tenant;
  nexus_text branch;
  const nexus_once* once;  // exactly once; nexus_open_producer first
} nexus_append_options;

typedef struct nexus_outcome {
  uint64_t end_lsn;   // the log position behind the batch, or of a later one of its producer
  int32_t duplicate;  // not 0: it was in the log already
  uint64_t expired;   // samples older than all that the tenant keeps; the others were stored
} nexus_outcome;

// Appends the batch and waits for the ack. The batch is empty afterwards, whatever came of it.
// `options` and `outcome` may be NULL. Errors: RESOURCE_EXHAUSTED - nothing was written, the
// message says what is full; UNAVAILABLE - the log failed, the outcome is unknown until the
// database is opened again; INVALID_ARGUMENT - empty or over-large batch, unknown series id or ack;
// OUT_OF_RANGE - all of it is older than the tenant keeps, and it has no number; NOT_FOUND - tenant
// or branch; FAILED_PRECONDITION - of a numbered batch: unknown producer, fenced epoch, or a gap
// (error->expected_sequence).
int32_t nexus_append(nexus_db* db, nexus_batch* batch, const nexus_append_options* options,
                     nexus_outcome* outcome, nexus_error* error);

// Called once for each append: `error` is NULL if the batch was acknowledged, else `outcome` is.
// Both are valid during the call. It comes on the database's thread, or on the caller's if the call
// is refused at once; must be quick, and must not block nor call the database.
typedef void (*nexus_appended)(void* context, const nexus_outcome* outcome,
                               const nexus_error* error);

// The same without waiting: every error goes to `done`. `options` is read during the call only.
// Blocks only while more than 64 MiB of batches are queued.
void nexus_append_async(nexus_db* db, nexus_batch* batch, const nexus_append_options* options,
                        nexus_appended done, void* context);

// Waits until everything appended before is durable. UNAVAILABLE if the log failed.
int32_t nexus_sync(nexus_db* db, nexus_error* error);

// Moves all samples in memory to layers and trims the log. Returns when they are durable.
int32_t nexus_flush(nexus_db* db, nexus_error* error);

// What a branch knows of a producer.
typedef struct nexus_producer_state {
  uint64_t epoch;
  uint64_t last_sequence;  // every batch up to it is durable; the next is one more
} nexus_producer_state;

// Opens an epoch of a producer, durably, and fences every older one. Epoch 0 asks for one above the
// newest; the epoch that is open already is answered again. `tenant` and `branch` of size 0:
// "default", "main". Errors: FAILED_PRECONDITION - a newer epoch is open; RESOURCE_EXHAUSTED -
// 100,000 producers of the tenant are known; NOT_FOUND.
int32_t nexus_open_producer(nexus_db* db, nexus_producer producer, uint64_t epoch,
                            nexus_text tenant, nexus_text branch, nexus_producer_state* state,
                            nexus_error* error);

// All zero but `size`, `selector` and the range: tenant "default", branch "main".
typedef struct nexus_delete_request {
  size_t size;
  nexus_text selector;  // as a query's, at most 4 KiB; {} chooses every series
  int64_t first;        // timestamps, both included
  int64_t last;
  nexus_text tenant;
  nexus_text branch;
  int32_t dry_run;     // not 0: counts, and deletes nothing
  int32_t everywhere;  // not 0: of every branch and snapshot of the tenant
} nexus_delete_request;

typedef struct nexus_delete_result {
  uint64_t series;  // that the selector chooses
  // Of a dry run: what would go, and of how many series.
  uint64_t samples;
  uint64_t series_with_samples;
  uint64_t
      frozen_left;  // buckets of rollups that are covered in part, and stay: their samples are gone
} nexus_delete_result;

// Deletes samples, durably: those appended before, of the series that the selector chooses, within
// the range. What is appended afterwards stays. Visible at once to queries that begin after it; the
// disk is given back by a later compaction. `result` may be NULL. Errors: INVALID_ARGUMENT
// (selector, range), NOT_FOUND (tenant, branch), RESOURCE_EXHAUSTED - too many deletes wait for a
// compaction, or the log has no room; UNAVAILABLE - the outcome is unknown.
int32_t nexus_delete(nexus_db* db, const nexus_delete_request* request, nexus_delete_result* result,
                     nexus_error* error);

// What a backup or a restore did.
typedef struct nexus_backup_result {
  uint64_t lsn;  // everything in the log below it is in the backup, nothing above
  uint64_t layers;
  uint64_t layer_bytes;
  // Of the layers: were there, by an earlier backup; linked (the same file under a second name);
  // copied.
  uint64_t kept;
  uint64_t linked;
  uint64_t copied;
} nexus_backup_result;

// Copies the database as it is now, everything that was acknowledged before, to another folder,
// while it serves: a missing or empty one, or one with an older backup of it, which stays whole
// until the new one is. Blocks; nexus_close meanwhile ends it. `result` may be NULL. Errors:
// FAILED_PRECONDITION - the folder is something else, in use, or of another database, or a backup
// is under way; INVALID_ARGUMENT - it is the database's own; DATA_LOSS; RESOURCE_EXHAUSTED.
int32_t nexus_backup(nexus_db* db, nexus_text destination, nexus_backup_result* result,
                     nexus_error* error);
// Makes a new database of a backup in a missing or empty folder; nexus_open opens it. What is
// written to it wins over what was restored. `result` may be NULL. Errors: NOT_FOUND - no backup
// there; DATA_LOSS - it is damaged; FAILED_PRECONDITION - the folder is not empty or in use.
int32_t nexus_restore(nexus_text source, nexus_text directory, nexus_backup_result* result,
                      nexus_error* error);

// ---- Reading.

enum nexus_function {
  NEXUS_AVG = 1,
  NEXUS_MIN = 2,
  NEXUS_MAX = 3,
  NEXUS_SUM = 4,
  NEXUS_COUNT = 5,
  NEXUS_FIRST = 6,
  NEXUS_LAST = 7,
  NEXUS_RATE = 8,       // increase over the step (resets removed) / step in seconds
  NEXUS_PERCENTILE = 9  // exact, nearest rank
};

// All zero but `size`, `selector` and the range: tenant "default", branch "main", and the limits
// named below. Copied by the call.
typedef struct nexus_query {
  size_t size;
  nexus_text selector;  // name{a="b",c!="d",e=~"re",f!~"re"}
  int64_t first;        // timestamps, both included
  int64_t last;
  nexus_text tenant;
  nexus_text branch;
  int64_t deadline_ms;    // from the query's start; 0: 60 s, negative: none
  uint64_t memory_bytes;  // decoded samples and aggregate state held at once; 0: 256 MiB
  uint64_t series_max;    // series that the selector may match; 0: 10 million
  // Of nexus_aggregate.
  int32_t function;   // of nexus_function
  int32_t grouped;    // not 0: by `by`, which may be empty: one group
  double percentile;  // of NEXUS_PERCENTILE, in (0, 100]
  int64_t step_ns;    // buckets are aligned to the epoch; 0: one bucket, the whole range
  const nexus_text* by;
  size_t by_count;
  nexus_text as_of;  // a snapshot of the tenant, read instead of the branch; empty for none
} nexus_query;

// Samples of one series or group, in ascending time, unique timestamps; valid until the next call
// on the cursor.
typedef struct nexus_chunk {
  nexus_text metric;
  const nexus_label* labels;
  size_t label_count;
  uint64_t series_index;  // 0, 1, ...: the same for all chunks of one series
  const int64_t* timestamps;
  const double* values;
  size_t count;
} nexus_chunk;

// What a query did.
typedef struct nexus_query_statistics {
  uint64_t series;
  uint64_t samples;  // delivered
  uint64_t chunks_decoded;
  uint64_t chunks_by_statistics;  // answered without decoding
  uint64_t layers;
  uint64_t memtables;
  uint64_t rollup_layers;   // whose buckets were used in place of samples
  uint64_t rollup_buckets;  // so used, of all series
} nexus_query_statistics;

// Raw samples of the matching series. The cursor reads what was acknowledged when it was made,
// unchanged by later appends and flushes, in bounded memory; freed by nexus_cursor_free, before
// nexus_close. *cursor is NULL on an error: INVALID_ARGUMENT (selector, range, step: what is wrong
// and where), NOT_FOUND (tenant, branch), RESOURCE_EXHAUSTED (a limit of the query).
int32_t nexus_select(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                     nexus_error* error);
// One sample for each bucket that has any.
int32_t nexus_aggregate(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                        nexus_error* error);
// The newest sample of each matching series within the range: chunks of one sample.
int32_t nexus_latest(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                     nexus_error* error);

// 1: *chunk is the next one, series in label order; 0: there is none; -1: *error says why
// (DATA_LOSS a damaged layer: samples before it were right; DEADLINE_EXCEEDED, CANCELLED,
// RESOURCE_EXHAUSTED). Works on the calling thread.
int32_t nexus_cursor_next(nexus_cursor* cursor, nexus_chunk* chunk, nexus_error* error);
// Stops the query soon, from any thread: its next chunk is CANCELLED.
void nexus_cursor_cancel(nexus_cursor* cursor);
void nexus_cursor_statistics(const nexus_cursor* cursor, nexus_query_statistics* statistics);
void nexus_cursor_free(nexus_cursor* cursor);

// The newest sample of one series: 1 if it has one, 0 if not, -1 on an error (NOT_FOUND tenant or
// branch).
int32_t nexus_latest_sample(nexus_db* db, uint64_t series, nexus_text tenant, nexus_text branch,
                            int64_t* timestamp, double* value, nexus_error* error);

// ---- What there is. Lists are freed by nexus_list_free; *list is NULL on an error.

// Sorted values of a label, or names of labels if `label` is empty, of the series that `selector`
// matches (empty: of all). Errors: INVALID_ARGUMENT (selector), NOT_FOUND (tenant).
int32_t nexus_label_values(nexus_db* db, nexus_text label, nexus_text selector, nexus_text tenant,
                           nexus_list** list, nexus_error* error);
// Makes a tenant. ALREADY_EXISTS; INVALID_ARGUMENT for a name outside [A-Za-z0-9_.-]{1,64}.
int32_t nexus_create_tenant(nexus_db* db, nexus_text name, nexus_error* error);
// Names of the tenants.
int32_t nexus_tenants(nexus_db* db, nexus_list** list, nexus_error* error);
// Bounds what a tenant may use: `quota` is series_max, samples_per_second, bytes_max,
// query_memory_bytes or concurrent_queries (engine/tenant.h), UINT64_MAX takes it away.
// FAILED_PRECONDITION - it uses more already, nothing is changed; INVALID_ARGUMENT - no such quota;
// NOT_FOUND.
int32_t nexus_set_quota(nexus_db* db, nexus_text tenant, nexus_text quota, uint64_t value,
                        nexus_error* error);
// Deletes a tenant with all that it has. FAILED_PRECONDITION - it is "default"; NOT_FOUND.
int32_t nexus_delete_tenant(nexus_db* db, nexus_text name, nexus_error* error);
// The tenants in the order in which they were made: one text each, a JSON object with name, series,
// samples, layers, layer_bytes, memory_bytes, queries, refused, and the quotas that it has.
int32_t nexus_describe_tenants(nexus_db* db, nexus_list** list, nexus_error* error);

enum nexus_branch_kind { NEXUS_BRANCH = 0, NEXUS_SNAPSHOT = 1 };

// Makes a branch or snapshot of a tenant that begins with what `from`, a branch or snapshot, holds
// now: every append acknowledged before the call. `from` of size 0: "main". It takes a round of the
// log, whatever the size. ALREADY_EXISTS; NOT_FOUND - `from`, tenant; INVALID_ARGUMENT - the name,
// as of a tenant's; RESOURCE_EXHAUSTED - 256 of the tenant.
int32_t nexus_create_branch(nexus_db* db, nexus_text name, int32_t kind, nexus_text from,
                            nexus_text tenant, nexus_error* error);
// FAILED_PRECONDITION - it is main, of the other kind, or appends to it are under way; NOT_FOUND.
int32_t nexus_delete_branch(nexus_db* db, nexus_text name, int32_t kind, nexus_text tenant,
                            nexus_error* error);
// The branches and snapshots of a tenant in the order in which they were made: one text each, a
// JSON object with name, kind, parent, created_ns, created_lsn, layers, layer_bytes, own_bytes.
int32_t nexus_branches(nexus_db* db, nexus_text tenant, nexus_list** list, nexus_error* error);

// For how long samples of the series that the selector chooses are kept.
typedef struct nexus_retention_rule {
  nexus_text selector;
  int64_t duration_ns;
} nexus_retention_rule;

// The retention of a tenant: one text, a JSON object about the clock (head_window_ns, clock_runs,
// clock_ns, wall_ns, clock_waits); then one for each rule in their order (selector, duration_ns).
int32_t nexus_retention(nexus_db* db, nexus_text tenant, nexus_list** list, nexus_error* error);
// Replaces all rules of a tenant; none keeps everything. Of a series the first rule that chooses it
// decides. INVALID_ARGUMENT, nothing is changed - a selector, a duration below head_window_ns
// (with rollups: that and a bucket of the coarsest), a rule that can never decide, more than 64;
// NOT_FOUND.
int32_t nexus_set_retention(nexus_db* db, const nexus_retention_rule* rules, size_t count,
                            nexus_text tenant, nexus_error* error);
// Moves the retention clock to the wall clock, however far that is ahead. FAILED_PRECONDITION: it
// does not run.
int32_t nexus_accept_retention_clock(nexus_db* db, nexus_error* error);

// Aggregates of each series that are kept ready, in buckets of a resolution.
typedef struct nexus_rollup_rule {
  int64_t resolution_ns;  // from 1 s to 1 day; divides a day, and is a multiple of a finer one
  int64_t keep_ns;        // how long, whatever becomes of the samples; 0: for ever
} nexus_rollup_rule;

// The rollups of a tenant: one text for each, the finest first, a JSON object (resolution_ns,
// keep_ns). NOT_FOUND.
int32_t nexus_rollups(nexus_db* db, nexus_text tenant, nexus_list** list, nexus_error* error);
// Replaces them, durably; none keeps no rollups, which is the default. The compactor makes them;
// nexus_aggregate uses them by itself where its step is a multiple of a resolution, and
// nexus_query_statistics tells. What they are: nexus::Database::SetRollups in engine/nexus.h.
// INVALID_ARGUMENT, nothing is changed - more than 4, a resolution or duration out of its bounds, a
// resolution too coarse for the tenant's retention; NOT_FOUND.
int32_t nexus_set_rollups(nexus_db* db, const nexus_rollup_rule* rules, size_t count,
                          nexus_text tenant, nexus_error* error);

// Merges layers until every time window of every branch is in its level, at full speed, makes what
// rollups are due, and deletes what was replaced; what is in memory stays there (nexus_flush).
// Appends and queries go on. `progress` may be NULL; it is called on the database's thread.
// RESOURCE_EXHAUSTED - disk full; DATA_LOSS - a layer is damaged (named); FAILED_PRECONDITION -
// compaction is paused, or the database closes.
int32_t nexus_compact(nexus_db* db, nexus_progressed progress, void* context, nexus_error* error);

// The figures of the database at this moment: one text, a JSON object with the names of
// nexus::Stats in engine/nexus.h.
int32_t nexus_stats(nexus_db* db, nexus_list** list, nexus_error* error);
// What opening found and did: one text, a JSON object with the names of nexus::RecoveryReport.
int32_t nexus_recovery(nexus_db* db, nexus_list** list, nexus_error* error);

size_t nexus_list_size(const nexus_list* list);
// Valid as long as the list. REQUIRES: index < size.
nexus_text nexus_list_get(const nexus_list* list, size_t index);
void nexus_list_free(nexus_list* list);

#ifdef __cplusplus
}
#endif

// NOLINTEND(modernize-deprecated-headers,modernize-use-using,readability-identifier-naming)

#endif  // NEXUS_ENGINE_NEXUS_C_H_
