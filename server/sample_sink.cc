// The two sinks. See sample_sink.h.

#include "server/sample_sink.h"

#include <utility>

namespace nexus::server {
namespace {

template <typename Batch>
Batch BatchOf(std::span<const SeriesSample> samples) {
  Batch batch;
  for (const SeriesSample& sample : samples)
    batch.Add(sample.series, sample.timestamp_ns, sample.value);
  return batch;
}

uint64_t SamplesOf(const protocol::Ranges& ranges) {
  uint64_t samples = 0;
  for (const batch::RejectedRange& range : ranges) samples += range.count;
  return samples;
}

}  // namespace

DatabaseSink::DatabaseSink(Database* database, std::string tenant, std::string branch)
    : database_(database), tenant_(std::move(tenant)), branch_(std::move(branch)) {}

StatusOr<std::vector<SeriesId>> DatabaseSink::Series(std::span<const Labels> labels) {
  return database_->Series(labels, tenant_);
}

void DatabaseSink::AppendAsync(std::span<const SeriesSample> samples, SinkCallback done) {
  AppendOptions options;
  options.tenant = tenant_;
  options.branch = branch_;
  database_->AppendAsync(
      BatchOf<WriteBatch>(samples), options,
      [done = std::move(done), count = samples.size()](const StatusOr<AppendOutcome>& outcome) {
        if (outcome.ok()) {
          return done(SinkOutcome{outcome->expired, outcome->reason});
        }
        if (!IsExpired(outcome.status())) return done(outcome.status());
        const std::string why(FromAbsl(outcome.status().message()));
        done(SinkOutcome{count, why});
      });
}

ClientSink::ClientSink(client::Client* client, client::Scope scope)
    : client_(client), options_{client::Ack::kDurable, std::move(scope)} {}

StatusOr<std::vector<SeriesId>> ClientSink::Series(std::span<const Labels> labels) {
  std::vector<SeriesId> ids;
  ids.reserve(labels.size());
  for (const Labels& each : labels) ids.push_back(client_->Series(each, options_.scope.tenant));
  return ids;
}

void ClientSink::AppendAsync(std::span<const SeriesSample> samples, SinkCallback done) {
  client_->AppendAsync(BatchOf<client::WriteBatch>(samples), options_,
                       [done = std::move(done)](const StatusOr<client::WriteOutcome>& outcome) {
                         if (!outcome.ok()) return done(outcome.status());
                         done(SinkOutcome{SamplesOf(outcome->rejected), outcome->reason});
                       });
}

}  // namespace nexus::server
