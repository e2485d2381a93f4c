/* Writes to a nexus server and reads back, in C:  remote HOST:PORT
 *
 * A minute of two series goes in as one batch and is acknowledged when it is on stable storage;
 * then its averages over 20 s come back. Prints what it got; ends with 1 and the reason if
 * something failed.
 */

#include <stdio.h>
#include <string.h>

#include "client/nexus_client.h"

static nexus_client_text text(const char* from) {
  nexus_client_text made = {from, strlen(from)};
  return made;
}

static int fail(const char* doing, const nexus_client_error* error) {
  fprintf(stderr, "%s: %s (code %d)\n", doing, error->message, (int)error->code);
  return 1;
}

static int write_minute(nexus_client* client) {
  nexus_client_error error;
  uint64_t series[2];
  const char* hosts[2] = {"a", "b"};
  for (int i = 0; i < 2; i++) {
    nexus_client_label label = {text("host"), text(hosts[i])};
    if (nexus_client_series(client, text(""), text("remote_example"), &label, 1, &series[i],
                            &error) != 0) {
      return fail("naming a series", &error);
    }
  }
  nexus_client_batch* batch = nexus_client_batch_new();
  for (int second = 0; second < 60; second++) {
    double values[2] = {second, 100 + second};
    nexus_client_batch_add_row(batch, second * INT64_C(1000000000), series, values, 2);
  }
  nexus_client_outcome outcome;
  int32_t code = nexus_client_append(client, batch, NEXUS_CLIENT_DURABLE, NULL, &outcome, &error);
  nexus_client_batch_free(batch);
  if (code != 0) return fail("appending", &error);
  printf("%llu samples are durable\n", (unsigned long long)outcome.accepted);
  return 0;
}

static int read_averages(nexus_client* client) {
  nexus_client_error error;
  nexus_client_query query;
  memset(&query, 0, sizeof(query));
  query.kind = NEXUS_CLIENT_AGGREGATE;
  query.selector = text("remote_example");
  query.first = 0;
  query.last = INT64_C(59999999999);
  query.function = NEXUS_CLIENT_AVG;
  query.step_ns = INT64_C(20000000000);
  nexus_client_cursor* cursor;
  if (nexus_client_query_open(client, &query, &cursor, &error) != 0) return fail("asking", &error);
  nexus_client_chunk chunk;
  int32_t more;
  while ((more = nexus_client_cursor_next(cursor, &chunk, &error)) == 1) {
    for (size_t i = 0; i < chunk.count; i++) {
      printf("%.*s{%.*s=\"%.*s\"} %llds %g\n", (int)chunk.metric.size, chunk.metric.data,
             (int)chunk.labels[0].name.size, chunk.labels[0].name.data,
             (int)chunk.labels[0].value.size, chunk.labels[0].value.data,
             (long long)(chunk.timestamps[i] / 1000000000), chunk.values[i]);
    }
  }
  nexus_client_cursor_free(cursor);
  return more == 0 ? 0 : fail("reading", &error);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: remote HOST:PORT\n");
    return 2;
  }
  nexus_client* client;
  nexus_client_error error;
  if (nexus_client_connect(text(argv[1]), 0, &client, &error) != 0) {
    return fail("connecting", &error);
  }
  int status = write_minute(client);
  if (status == 0) status = read_averages(client);
  nexus_client_close(client);
  return status;
}
