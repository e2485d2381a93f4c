// SampleSink: where imported samples go - a database in this process, or one behind a connection.
//
// Batches are appended durably, in the order given, ahead of their acknowledgements; each is whole
// and applied once. Memory is bounded: AppendAsync blocks while 64 MiB (a database) or 128 MiB (a
// connection) of batches are not yet acknowledged.
// Failure: what a batch ends with; see engine/nexus.h and client/client.h.
// Threading: calls come from one thread; `done` comes on another, which it must not block.

#ifndef NEXUS_SERVER_SAMPLE_SINK_H_
#define NEXUS_SERVER_SAMPLE_SINK_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "base/types.h"
#include "client/client.h"
#include "engine/nexus.h"

namespace nexus::server {

struct SeriesSample {
  SeriesId series;
  int64_t timestamp_ns = 0;
  double value = 0;
};

// What became of an acknowledged batch.
struct SinkOutcome {
  uint64_t refused = 0;  // samples that were not taken; all others are durable
  std::string reason;    // of these, if it is known
};
using SinkCallback = std::function<void(StatusOr<SinkOutcome>)>;

class SampleSink {
 public:
  virtual ~SampleSink() = default;
  // The ids of series, made if new, in the order of `labels`; valid for this sink.
  virtual StatusOr<std::vector<SeriesId>> Series(std::span<const Labels> labels) = 0;
  // `done` is called exactly once, when the samples are durable or it is known why not.
  virtual void AppendAsync(std::span<const SeriesSample> samples, SinkCallback done) = 0;
};

// Into a database, which must outlive it.
class DatabaseSink : public SampleSink {
 public:
  DatabaseSink(Database* database, std::string tenant, std::string branch);
  StatusOr<std::vector<SeriesId>> Series(std::span<const Labels> labels) override;
  void AppendAsync(std::span<const SeriesSample> samples, SinkCallback done) override;

 private:
  Database* const database_;
  const std::string tenant_;
  const std::string branch_;
};

// Over a connection. A batch waits for a server that is away until the timeout of `scope` is over.
// The client must outlive it.
class ClientSink : public SampleSink {
 public:
  ClientSink(client::Client* client, client::Scope scope);
  StatusOr<std::vector<SeriesId>> Series(std::span<const Labels> labels) override;
  void AppendAsync(std::span<const SeriesSample> samples, SinkCallback done) override;

 private:
  client::Client* const client_;
  const client::AppendOptions options_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SAMPLE_SINK_H_
