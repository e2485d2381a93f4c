// Scrapes as batches. See host_metrics.h.

#include "server/host_metrics.h"

#include "base/mutex.h"
#include "batch/batch_encoder.h"
#include "engine/nexus.h"

namespace nexus::server {
namespace {

// One scrape, waited for.
struct Scrape : engine::CommitRequest {
  Scrape() : CommitRequest(Kind::kBatch, {}, &Done, &Release), encoder({}, {}) {}
  static void Done(CommitRequest* request, const Status& status) {
    static_cast<Scrape*>(request)->status = status;
  }
  static void Release(CommitRequest* request) { static_cast<Scrape*>(request)->finished.Notify(); }

  batch::BatchEncoder encoder;
  Status status;
  Notification finished;
};

}  // namespace

StatusOr<size_t> HostMetrics::Record() {
  NEXUS_ASSIGN_OR_RETURN(const HostReadings* readings, sampler_.Sample());
  StatusOr<size_t> recorded = Append(*readings);
  if (!IsUnknownSeries(recorded.status())) return recorded;
  // Some were not present for so long that they were forgotten.
  ids_.clear();
  return Append(*readings);
}

StatusOr<size_t> HostMetrics::Append(const HostReadings& readings) {
  if (ids_.size() < readings.series.size()) {
    std::vector<std::string> added;
    for (size_t i = ids_.size(); i < readings.series.size(); i++) {
      added.push_back(readings.series[i].Canonical());
    }
    NEXUS_ASSIGN_OR_RETURN(
        std::vector<SeriesId> made,
        environment_->BlockOn(core_->interner()->Intern(TenantId{}, std::move(added))));
    ids_.insert(ids_.end(), made.begin(), made.end());
  }
  std::vector<SeriesId> row;
  for (uint32_t place : readings.present) row.push_back(ids_[place]);
  Scrape scrape;
  scrape.encoder.AddRow(environment_->WallNanos(), row, readings.values);
  scrape.body = scrape.encoder.Finish();
  scrape.deadline_ns =
      environment_->MonotonicNanos() + core_->state()->options.admission_timeout_ms * 1'000'000;
  environment_->RunOnLoop([&] { core_->committer()->Submit(&scrape); });
  scrape.finished.Wait();
  NEXUS_RETURN_IF_ERROR(scrape.status);
  return row.size();
}

}  // namespace nexus::server
