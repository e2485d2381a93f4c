// Batching of imports. See importer.h.

#include "server/importer.h"

#include <span>
#include <utility>

namespace nexus::server {
namespace {

// 50,000 samples are 0.6 to 1.4 MB of log: the disk's flush is spread over enough of them.
constexpr size_t kBatchSamples = 50'000;
constexpr size_t kRejectionsKept = 10;

}  // namespace

Importer::Importer(Database* database, std::string tenant, std::string branch)
    : database_(database), tenant_(std::move(tenant)), branch_(std::move(branch)) {}

Importer::~Importer() {
  MutexLock lock(&mutex_);
  while (in_flight_ > 0) changed_.Wait(&mutex_);
}

const SeriesSlot* Importer::Find(const std::string& key) const {
  auto at = slots_.find(key);
  return at == slots_.end() ? nullptr : &at->second;
}

SeriesSlot Importer::Make(std::string key, Labels labels) {
  auto slot = static_cast<SeriesSlot>(labels_.size());
  labels_.push_back(std::move(labels));
  slots_.emplace(std::move(key), slot);
  return slot;
}

Status Importer::Add(SeriesSlot series, int64_t timestamp_ns, double value) {
  pending_.push_back({series, timestamp_ns, value});
  samples_++;
  return pending_.size() < kBatchSamples ? OkStatus() : AppendPending();
}

void Importer::Reject(std::string message) {
  rejected_++;
  if (rejections_.size() < kRejectionsKept) rejections_.push_back(std::move(message));
}

Status Importer::FirstError() {
  MutexLock lock(&mutex_);
  return error_;
}

Status Importer::AppendPending() {
  NEXUS_RETURN_IF_ERROR(FirstError());
  if (pending_.empty()) return OkStatus();
  if (ids_.size() < labels_.size()) {
    std::span<const Labels> added = std::span(labels_).subspan(ids_.size());
    NEXUS_ASSIGN_OR_RETURN(std::vector<SeriesId> made, database_->Series(added, tenant_));
    ids_.insert(ids_.end(), made.begin(), made.end());
  }
  WriteBatch batch;
  for (const Pending& sample : pending_)
    batch.Add(ids_[sample.series], sample.timestamp_ns, sample.value);
  pending_.clear();
  {
    MutexLock lock(&mutex_);
    in_flight_++;
  }
  AppendOptions options;
  options.tenant = tenant_;
  options.branch = branch_;
  database_->AppendAsync(std::move(batch), options, [this](StatusOr<AppendOutcome> outcome) {
    MutexLock lock(&mutex_);
    if (!outcome.ok()) error_.Update(outcome.status());
    if (--in_flight_ == 0) changed_.NotifyAll();
  });
  return OkStatus();
}

Status Importer::Finish() {
  NEXUS_RETURN_IF_ERROR(AppendPending());
  MutexLock lock(&mutex_);
  while (in_flight_ > 0) changed_.Wait(&mutex_);
  return error_;
}

}  // namespace nexus::server
