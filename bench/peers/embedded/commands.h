// The commands of the program `embedded`: each measures one thing about one engine in a process of
// its own and gives one JSON object. main.cc has their options.
//
// Directories are the caller's to wipe: ingest, latency and series add to what is there and make it
// if need be, all others need it. Errors: of the engine, or InvalidArgument, NotFound for what was
// asked; the message says what, where and the way out. Threading: called once, by main.

#ifndef NEXUS_BENCH_PEERS_EMBEDDED_COMMANDS_H_
#define NEXUS_BENCH_PEERS_EMBEDDED_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "bench/peers/embedded/figures.h"
#include "bench/peers/embedded/store.h"
#include "bench/workload.h"

namespace nexus::bench {

// Which engine, where, over which data.
struct Place {
  std::string engine;
  std::string duckdb_library;
  std::string directory;
  bool buffered = false;  // commits need not be durable
  WorkloadOptions workload;
};

struct IngestOptions {
  double limit_seconds = 0;    // 0: none
  uint64_t batch_samples = 0;  // 0: the engine's own
  bool synchronous = false;    // never hand over a batch before the one before it is committed
  bool progress = false;
};

struct AskOptions {
  std::string kind = "latest";
  uint64_t count = 100;
  uint64_t answers = 10;  // told at most
  bool cold = false;
};

// {"engines": [{"engine": ..., "version": ... or null}, ...]}: null where the library is not here.
StatusOr<JsonLine> ListEngines(const std::string& duckdb_library);

// ingest.cc: all of the workload, or whole ticks up to the limit.
StatusOr<JsonLine> Ingest(const Place& place, const IngestOptions& options);
// writes.cc: `count` durable commits of ten samples, each waited for.
StatusOr<JsonLine> MeasureLatency(const Place& place, uint64_t count);
// writes.cc: `count` series that were not there, one sample each.
StatusOr<JsonLine> MakeSeries(const Place& place, uint64_t count);

// writes.cc: a database of nexus with the workload's tenants, for a server that is then started
// over it: the wire protocol makes none.
StatusOr<JsonLine> MakeTenants(const Place& place);

// reads.cc.
StatusOr<JsonLine> Settle(const Place& place, bool compact);
StatusOr<JsonLine> Ask(const Place& place, const AskOptions& options);
StatusOr<JsonLine> Truth(const WorkloadOptions& workload, const AskOptions& options);
StatusOr<JsonLine> Scan(const Place& place);
StatusOr<JsonLine> Restart(const Place& place, std::optional<uint64_t> expected_samples);

// What the commands share (commands.cc): an engine that is open, and its workload.
struct Session {
  std::unique_ptr<Workload> workload;
  std::unique_ptr<Store> store;
  StoreOptions options;     // it is open with them
  double open_seconds = 0;  // of the engine's own opening

  // The fields that each answer begins with.
  JsonLine Begin(const Place& place) const;
};

// `create` makes the directory. Errors: NotFound - it is not there, or empty, and should not be
// made.
StatusOr<Session> OpenSession(const Place& place, bool create);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_EMBEDDED_COMMANDS_H_
