// Batching of imports. See importer.h.

#include "server/importer.h"

#include <utility>

namespace nexus::server {
namespace {

// 50,000 samples are 0.6 to 1.4 MB of log: the disk's flush is spread over enough of them.
constexpr size_t kBatchSamples = 50'000;
constexpr size_t kRejectionsKept = 10;

}  // namespace

Importer::Importer(SampleSink* sink, ImporterOptions options) : sink_(sink), options_(options) {}

Importer::~Importer() {
  MutexLock lock(&mutex_);
  while (in_flight_ > 0) changed_.Wait(&mutex_);
}

std::optional<SeriesSlot> Importer::Find(const Hash128& key) const {
  auto at = slots_.find(key);
  if (at == slots_.end()) return std::nullopt;
  return at->second;
}

SeriesSlot Importer::Make(const Hash128& key, Labels labels) {
  auto slot = static_cast<SeriesSlot>(ids_.size() + new_labels_.size());
  new_labels_.push_back(std::move(labels));
  slots_.emplace(key, slot);
  return slot;
}

void Importer::Add(SeriesSlot series, int64_t timestamp_ns, double value) {
  pending_.push_back({SeriesId{series}, timestamp_ns, value});
  samples_++;
}

Status Importer::EndLine() {
  const bool full = slots_.size() >= options_.cached_series_max;
  if (pending_.size() < kBatchSamples && !full) return OkStatus();
  NEXUS_RETURN_IF_ERROR(AppendPending());
  if (full) {
    slots_.clear();
    ids_.clear();
  }
  return OkStatus();
}

void Importer::Reject(std::string message) {
  rejected_++;
  if (rejections_.size() < kRejectionsKept) rejections_.push_back(std::move(message));
}

Status Importer::FirstError() {
  MutexLock lock(&mutex_);
  return error_;
}

uint64_t Importer::samples() const { return samples_ - refused(); }

uint64_t Importer::refused() const {
  MutexLock lock(&mutex_);
  return refused_;
}

std::string Importer::refusal() const {
  MutexLock lock(&mutex_);
  return refusal_;
}

// The ids of all new series, in one hand-over.
Status Importer::ResolveNewSeries() {
  if (new_labels_.empty()) return OkStatus();
  NEXUS_ASSIGN_OR_RETURN(std::vector<SeriesId> made, sink_->Series(new_labels_));
  for (SeriesId id : made) distinct_.insert(id.value);
  ids_.insert(ids_.end(), made.begin(), made.end());
  new_labels_.clear();
  return OkStatus();
}

Status Importer::AppendPending() {
  NEXUS_RETURN_IF_ERROR(FirstError());
  NEXUS_RETURN_IF_ERROR(ResolveNewSeries());
  if (pending_.empty()) return OkStatus();
  for (SeriesSample& sample : pending_) sample.series = ids_[sample.series.value];
  {
    MutexLock lock(&mutex_);
    in_flight_++;
  }
  sink_->AppendAsync(pending_, [this](const StatusOr<SinkOutcome>& outcome) {
    MutexLock lock(&mutex_);
    if (!outcome.ok()) {
      error_.Update(outcome.status());
    } else if (outcome->refused > 0) {
      refused_ += outcome->refused;
      refusal_ = outcome->reason;
    }
    if (--in_flight_ == 0) changed_.NotifyAll();
  });
  pending_.clear();
  return OkStatus();
}

Status Importer::Finish() {
  NEXUS_RETURN_IF_ERROR(AppendPending());
  MutexLock lock(&mutex_);
  while (in_flight_ > 0) changed_.Wait(&mutex_);
  return error_;
}

}  // namespace nexus::server
