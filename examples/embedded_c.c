// Embeds nexus in a C program:  embedded_c FOLDER
//
// A minute of two series goes in as one numbered batch, acknowledged when it is on stable storage;
// sent again under its number it is not applied twice. Then its averages over 20 s are read back.
// Prints what it got; ends with 1 and the reason if something failed.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/nexus_c.h"

static nexus_text text(const char* from) {
  nexus_text made = {from, strlen(from)};
  return made;
}

static int fail(const char* doing, const nexus_error* error) {
  fprintf(stderr, "%s: %s (code %d)\n", doing, error->message, (int)error->code);
  return 1;
}

static int append_minute(nexus_db* db, const uint64_t* series, const nexus_once* once) {
  nexus_error error;
  nexus_batch* batch = nexus_batch_new();
  for (int second = 0; second < 60; second++) {
    double values[2] = {second, 100 + second};
    nexus_batch_add_row(batch, second * INT64_C(1000000000), series, values, 2);
  }
  nexus_append_options options = {.size = sizeof(options), .ack = NEXUS_DURABLE, .once = once};
  nexus_outcome outcome;
  uint64_t samples = nexus_batch_samples(batch);
  int32_t code = nexus_append(db, batch, &options, &outcome, &error);
  nexus_batch_free(batch);
  if (code != NEXUS_OK) return fail("appending", &error);
  printf("%" PRIu64 " samples are durable%s\n", samples,
         outcome.duplicate ? ", and were before" : "");
  return 0;
}

static int write_minute(nexus_db* db) {
  nexus_error error;
  uint64_t series[2];
  const char* hosts[2] = {"a", "b"};
  for (int i = 0; i < 2; i++) {
    nexus_label label = {text("host"), text(hosts[i])};
    if (nexus_series(db, text(""), text("embedded_example"), &label, 1, &series[i], &error) !=
        NEXUS_OK) {
      return fail("naming a series", &error);
    }
  }
  nexus_producer me = {2026, 1};  // a random number, kept by whoever sends
  nexus_producer_state state;
  if (nexus_open_producer(db, me, 0, text(""), text(""), &state, &error) != NEXUS_OK) {
    return fail("opening the producer", &error);
  }
  nexus_once once = {me, state.epoch, state.last_sequence + 1};
  int status = append_minute(db, series, &once);
  return status != 0 ? status : append_minute(db, series, &once);
}

static int read_averages(nexus_db* db) {
  nexus_error error;
  nexus_query query = {.size = sizeof(query),
                       .selector = text("embedded_example"),
                       .first = 0,
                       .last = INT64_C(59999999999),
                       .function = NEXUS_AVG,
                       .step_ns = INT64_C(20000000000)};
  nexus_cursor* cursor;
  if (nexus_aggregate(db, &query, &cursor, &error) != NEXUS_OK) return fail("asking", &error);
  nexus_chunk chunk;
  int32_t more;
  while ((more = nexus_cursor_next(cursor, &chunk, &error)) == 1) {
    for (size_t i = 0; i < chunk.count; i++) {
      printf("%.*s{%.*s=\"%.*s\"} %" PRId64 "s %g\n", (int)chunk.metric.size, chunk.metric.data,
             (int)chunk.labels[0].name.size, chunk.labels[0].name.data,
             (int)chunk.labels[0].value.size, chunk.labels[0].value.data,
             chunk.timestamps[i] / INT64_C(1000000000), chunk.values[i]);
    }
  }
  nexus_cursor_free(cursor);
  return more == 0 ? 0 : fail("reading", &error);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: embedded_c FOLDER\n");
    return 2;
  }
  nexus_options options;
  nexus_options_init(&options, sizeof(options));
  options.directory = text(argv[1]);
  nexus_db* db;
  nexus_error error;
  if (nexus_open(&options, &db, &error) != NEXUS_OK) return fail("opening", &error);
  int status = write_minute(db);
  if (status == 0) status = read_averages(db);
  if (nexus_close(db, &error) != NEXUS_OK && status == 0) status = fail("closing", &error);
  return status;
}
