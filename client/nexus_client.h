// nexus_client: the client of a nexus server, for C and whatever calls C.
//
// Handles are opaque; text and arrays have explicit lengths and need no terminator; no exception
// crosses this boundary. A call that can fail returns 0 for success or a code of nexus_client_code
// and fills *error, which may be NULL. Nothing that is returned needs freeing but handles, each by
// its own function; NULL is allowed there.
//
// What calls mean, in full: client/client.h. A lost connection is made again by itself; durable
// batches are applied exactly once. Threading: a client may be used from any number of threads; a
// batch, a cursor or a list by one at a time. Batches, cursors and lists are freed before their
// client.

#ifndef NEXUS_CLIENT_NEXUS_CLIENT_H_
#define NEXUS_CLIENT_NEXUS_CLIENT_H_

// The names and headers of C, not of our C++.
// NOLINTBEGIN(modernize-deprecated-headers,modernize-use-using,readability-identifier-naming)

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a caller can do about an error. The numbers are those of the wire (and of gRPC). */
enum nexus_client_code {
  NEXUS_CLIENT_OK = 0,
  NEXUS_CLIENT_CANCELLED = 1,
  NEXUS_CLIENT_UNKNOWN = 2,
  NEXUS_CLIENT_INVALID_ARGUMENT = 3,  /* fix the call */
  NEXUS_CLIENT_DEADLINE_EXCEEDED = 4, /* the message says whether the server may have the batch */
  NEXUS_CLIENT_NOT_FOUND = 5,
  NEXUS_CLIENT_ALREADY_EXISTS = 6,
  NEXUS_CLIENT_PERMISSION_DENIED = 7,
  NEXUS_CLIENT_RESOURCE_EXHAUSTED = 8, /* slow down, or make room */
  NEXUS_CLIENT_FAILED_PRECONDITION = 9,
  NEXUS_CLIENT_ABORTED = 10,
  NEXUS_CLIENT_OUT_OF_RANGE = 11,
  NEXUS_CLIENT_UNIMPLEMENTED = 12,
  NEXUS_CLIENT_INTERNAL = 13,
  NEXUS_CLIENT_UNAVAILABLE = 14, /* retry with backoff */
  NEXUS_CLIENT_DATA_LOSS = 15,   /* the server's files are damaged, at a named place */
  NEXUS_CLIENT_UNAUTHENTICATED = 16
};

typedef struct nexus_client_error {
  int32_t code;
  char message[1024]; /* terminated; cut if longer */
} nexus_client_error;

typedef struct nexus_client_text {
  const char* data;
  size_t size;
} nexus_client_text;

typedef struct nexus_client_label {
  nexus_client_text name;
  nexus_client_text value;
} nexus_client_label;

/* Whose data, and how long the call may take. Zeroed: tenant "default", branch "main", 60 s. */
typedef struct nexus_client_scope {
  nexus_client_text tenant;
  nexus_client_text branch;
  int64_t timeout_ms;
} nexus_client_scope;

typedef struct nexus_client nexus_client;
typedef struct nexus_client_batch nexus_client_batch;
typedef struct nexus_client_cursor nexus_client_cursor;
typedef struct nexus_client_list nexus_client_list;

/* ---- The connection. */

/* Connects to "host:port" and waits for the greeting, for at most timeout_ms (0: 5 s). */
int32_t nexus_client_connect(nexus_client_text address, int64_t timeout_ms, nexus_client** client,
                             nexus_client_error* error);
/* Ends what is under way, and frees. */
void nexus_client_close(nexus_client* client);
int32_t nexus_client_ping(nexus_client* client, int64_t timeout_ms, nexus_client_error* error);

/* ---- Writing. */

/* The id of a series, valid for this client and tenant. No round trip. `tenant` of size 0:
 * "default". */
int32_t nexus_client_series(nexus_client* client, nexus_client_text tenant,
                            nexus_client_text metric, const nexus_client_label* labels,
                            size_t label_count, uint64_t* series, nexus_client_error* error);

nexus_client_batch* nexus_client_batch_new(void);
void nexus_client_batch_free(nexus_client_batch* batch);
/* Timestamps are nanoseconds since the Unix epoch. */
void nexus_client_batch_add(nexus_client_batch* batch, uint64_t series, int64_t timestamp,
                            double value);
/* One instant, a value for each series. */
void nexus_client_batch_add_row(nexus_client_batch* batch, int64_t timestamp,
                                const uint64_t* series, const double* values, size_t count);
/* A run of one series. */
void nexus_client_batch_add_series(nexus_client_batch* batch, uint64_t series,
                                   const int64_t* timestamps, const double* values, size_t count);
uint64_t nexus_client_batch_samples(const nexus_client_batch* batch);

enum nexus_client_ack {
  NEXUS_CLIENT_DURABLE = 0, /* on stable storage */
  NEXUS_CLIENT_BUFFERED = 1 /* at most 100 ms from it; not sent again if lost */
};

typedef struct nexus_client_outcome {
  uint64_t end_lsn;  /* the log position behind the batch */
  uint64_t accepted; /* samples */
  uint64_t rejected; /* samples */
  int32_t duplicate; /* not 0: an earlier copy had arrived, and this is its answer */
} nexus_client_outcome;

/* Appends the batch and waits. The batch is empty afterwards, whatever came of it. `scope` and
 * `outcome` may be NULL. */
int32_t nexus_client_append(nexus_client* client, nexus_client_batch* batch, int32_t ack,
                            const nexus_client_scope* scope, nexus_client_outcome* outcome,
                            nexus_client_error* error);

/* Called once for each append, on a thread of the client: must be quick and must not block nor call
 * the client. `error` is NULL if the batch was acknowledged; both are valid during the call. */
typedef void (*nexus_client_appended)(void* context, const nexus_client_outcome* outcome,
                                      const nexus_client_error* error);
/* The same without waiting; blocks only while more than 128 MiB are queued. */
void nexus_client_append_async(nexus_client* client, nexus_client_batch* batch, int32_t ack,
                               const nexus_client_scope* scope, nexus_client_appended done,
                               void* context);
/* Waits until every batch given before is answered. */
void nexus_client_sync(nexus_client* client);
/* Moves the server's samples in memory to layers. */
int32_t nexus_client_flush(nexus_client* client, int64_t timeout_ms, nexus_client_error* error);

/* ---- Deleting. */

typedef struct nexus_client_delete_request {
  nexus_client_text selector; /* as a query's, at most 4 KiB; {} chooses every series */
  int64_t first;              /* timestamps, both included */
  int64_t last;
  nexus_client_scope scope;
  int32_t dry_run;    /* not 0: counts, and deletes nothing */
  int32_t everywhere; /* not 0: of every branch and snapshot of the scope's tenant */
} nexus_client_delete_request;

typedef struct nexus_client_delete_result {
  uint64_t series; /* that the selector chooses */
  /* Of a dry run: what would go, and of how many series. */
  uint64_t samples;
  uint64_t series_with_samples;
} nexus_client_delete_result;

/* Deletes samples, durably: those acknowledged before, and all batches given to this client before,
 * which it waits for. What is appended afterwards stays. `result` may be NULL. */
int32_t nexus_client_delete(nexus_client* client, const nexus_client_delete_request* request,
                            nexus_client_delete_result* result, nexus_client_error* error);

/* ---- Branches and snapshots. A scope may be NULL. */

enum nexus_client_branch_kind { NEXUS_CLIENT_BRANCH = 0, NEXUS_CLIENT_SNAPSHOT = 1 };

/* Makes one of the scope's tenant, which begins with what the scope's branch holds. */
int32_t nexus_client_create_branch(nexus_client* client, nexus_client_text name, int32_t kind,
                                   const nexus_client_scope* scope, nexus_client_error* error);
/* Deletes one of the scope's tenant. */
int32_t nexus_client_delete_branch(nexus_client* client, nexus_client_text name, int32_t kind,
                                   const nexus_client_scope* scope, nexus_client_error* error);
/* Those of the scope's tenant: one text each, a JSON object. */
int32_t nexus_client_branches(nexus_client* client, const nexus_client_scope* scope,
                              nexus_client_list** list, nexus_client_error* error);

/* ---- Tenants. */

/* Makes one. */
int32_t nexus_client_create_tenant(nexus_client* client, nexus_client_text name, int64_t timeout_ms,
                                   nexus_client_error* error);
/* Deletes one with all that it has. */
int32_t nexus_client_delete_tenant(nexus_client* client, nexus_client_text name, int64_t timeout_ms,
                                   nexus_client_error* error);
/* Bounds what one may use; `quota` as of nexus_set_quota in engine/nexus_c.h, UINT64_MAX for none.
 */
int32_t nexus_client_set_quota(nexus_client* client, nexus_client_text tenant,
                               nexus_client_text quota, uint64_t value, int64_t timeout_ms,
                               nexus_client_error* error);
/* One text each, a JSON object. */
int32_t nexus_client_tenants(nexus_client* client, int64_t timeout_ms, nexus_client_list** list,
                             nexus_client_error* error);

/* ---- Retention, of the scope's tenant. A scope may be NULL. */

typedef struct nexus_client_retention_rule {
  nexus_client_text selector;
  int64_t duration_ns;
} nexus_client_retention_rule;

/* One text, a JSON object, about the clock; then one for each rule, in their order. */
int32_t nexus_client_retention(nexus_client* client, const nexus_client_scope* scope,
                               nexus_client_list** list, nexus_client_error* error);
/* Replaces all rules; none keeps everything. */
int32_t nexus_client_set_retention(nexus_client* client, const nexus_client_retention_rule* rules,
                                   size_t count, const nexus_client_scope* scope,
                                   nexus_client_error* error);
/* Moves the retention clock of the server to its wall clock. */
int32_t nexus_client_accept_retention_clock(nexus_client* client, const nexus_client_scope* scope,
                                            nexus_client_error* error);

/* ---- Reading. */

enum nexus_client_query_kind {
  NEXUS_CLIENT_SELECT = 1,
  NEXUS_CLIENT_AGGREGATE = 2,
  NEXUS_CLIENT_LATEST = 3
};

enum nexus_client_function {
  NEXUS_CLIENT_AVG = 1,
  NEXUS_CLIENT_MIN = 2,
  NEXUS_CLIENT_MAX = 3,
  NEXUS_CLIENT_SUM = 4,
  NEXUS_CLIENT_COUNT = 5,
  NEXUS_CLIENT_FIRST = 6,
  NEXUS_CLIENT_LAST = 7,
  NEXUS_CLIENT_RATE = 8,
  NEXUS_CLIENT_PERCENTILE = 9
};

typedef struct nexus_client_query {
  int32_t kind;
  nexus_client_text selector; /* name{a="b",c!="d",e=~"re",f!~"re"} */
  int64_t first;              /* timestamps, both included */
  int64_t last;
  nexus_client_scope scope;
  /* Of NEXUS_CLIENT_AGGREGATE. */
  int32_t function;
  double percentile; /* of NEXUS_CLIENT_PERCENTILE, in (0, 100] */
  int64_t step_ns;   /* 0: one bucket, the whole range */
  int32_t grouped;   /* not 0: by `by`, which may be empty */
  const nexus_client_text* by;
  size_t by_count;
  nexus_client_text as_of; /* a snapshot, read instead of the branch; empty for none */
} nexus_client_query;

/* Samples of one series or group, in ascending time; valid until the next call on the cursor. */
typedef struct nexus_client_chunk {
  nexus_client_text metric;
  const nexus_client_label* labels;
  size_t label_count;
  uint64_t series_index; /* 0, 1, ...: the same for all chunks of one series */
  const int64_t* timestamps;
  const double* values;
  size_t count;
} nexus_client_chunk;

int32_t nexus_client_query_open(nexus_client* client, const nexus_client_query* query,
                                nexus_client_cursor** cursor, nexus_client_error* error);
/* 1: *chunk is the next one; 0: there is none; -1: *error says why. */
int32_t nexus_client_cursor_next(nexus_client_cursor* cursor, nexus_client_chunk* chunk,
                                 nexus_client_error* error);
void nexus_client_cursor_free(nexus_client_cursor* cursor);

/* Sorted values of a label, or names of labels if `label` is empty. `selector` may be empty. */
int32_t nexus_client_label_values(nexus_client* client, nexus_client_text label,
                                  nexus_client_text selector, const nexus_client_scope* scope,
                                  nexus_client_list** list, nexus_client_error* error);
/* The server's figures: one text, a JSON object. */
int32_t nexus_client_stats(nexus_client* client, nexus_client_list** list,
                           nexus_client_error* error);
size_t nexus_client_list_size(const nexus_client_list* list);
/* Valid as long as the list. */
nexus_client_text nexus_client_list_get(const nexus_client_list* list, size_t index);
void nexus_client_list_free(nexus_client_list* list);

#ifdef __cplusplus
}
#endif

// NOLINTEND(modernize-deprecated-headers,modernize-use-using,readability-identifier-naming)

#endif /* NEXUS_CLIENT_NEXUS_CLIENT_H_ */
