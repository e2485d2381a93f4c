// nxp1: nexus's own protocol through client::Client: durable batches, pipelined, exactly once. See
// lane.h.
//
// A body is one batch for each tenant that it has rows of. Rows of one instant and tenant become
// one wide row. A lost connection ends the lane, although the client would go on by itself: a feed
// is to find out what a killed server had acknowledged. Threading: the client calls back on a
// thread of its own; what it touches is behind the mutex.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "bench/peers/load/lane.h"
#include "client/client.h"
#include "client/write_queue.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

// Two windows of the client (client/write_queue.h): it always finds a batch to send, and what else
// waits would only add to the measured latency.
constexpr uint64_t kUnansweredMax = 2 * client::kWindowBatches;
// The client blocks at 64 MiB of batches; below that a lost connection is noticed at once.
constexpr uint64_t kUnansweredBytesMax = 32 << 20;

struct TenantBatch {
  std::string tenant;
  client::WriteBatch batch;
};

class Nxp1Lane : public Lane {
 public:
  Nxp1Lane(const LaneOptions& options, const Workload& workload,
           std::atomic<uint64_t>* acknowledged)
      : Lane(acknowledged),
        unanswered_max_(options.one_by_one ? 1 : kUnansweredMax),
        workload_(workload),
        ids_(workload.sources().size()) {}

  Status Connect(const std::string& address) {
    client::ClientOptions options;
    options.address = address;
    options.name = "nexus-bench";
    options.on_connection_change = [this](const Status& status) {
      if (!status.ok()) End(Unavailable("connection lost: {}", status.ToString()));
    };
    NEXUS_ASSIGN_OR_RETURN(client_, client::Client::Connect(std::move(options)));
    return OkStatus();
  }

  void Add(const Row& row) override {
    const std::string& tenant = workload_.sources()[row.source].tenant;
    if (row.timestamp_ms != row_timestamp_ms_ || tenant != row_tenant_) FlushRow();
    row_timestamp_ms_ = row.timestamp_ms;
    row_tenant_ = tenant;
    const std::vector<SeriesId>& ids = IdsOf(row.source);
    for (uint8_t metric : row.metrics) row_ids_.push_back(ids[metric]);
    row_values_.insert(row_values_.end(), row.values.begin(), row.values.end());
  }

  void Close() override {
    FlushRow();
    for (const TenantBatch& batch : open_) bytes_ += batch.batch.bytes();
    bodies_.push_back(std::exchange(open_, {}));
    place_of_tenant_.clear();
  }

  size_t bytes() const override { return bytes_; }

  Status Send(size_t body, uint64_t, uint64_t) override {
    for (TenantBatch& batch : bodies_[body]) {
      const uint64_t bytes = batch.batch.bytes();
      const uint64_t samples = batch.batch.samples();
      NEXUS_RETURN_IF_ERROR(WaitOrLeave(unanswered_max_, bytes));
      client::AppendOptions options;
      options.scope.tenant = batch.tenant;
      const int64_t started = io::RealMonotonicNanos();
      client_->AppendAsync(std::move(batch.batch), options,
                           [=, this](StatusOr<client::WriteOutcome> outcome) {
                             Answered(outcome, samples, bytes, started);
                           });
    }
    return OkStatus();
  }

  Status Finish() override { return WaitOrLeave(0, 0); }

  void Clear() override {
    bodies_.clear();
    bytes_ = 0;
  }

 private:
  const std::vector<SeriesId>& IdsOf(size_t source) {
    std::vector<SeriesId>& ids = ids_[source];
    const size_t metrics = workload_.metrics().size();
    for (size_t m = ids.size(); m < metrics; m++) {
      ids.push_back(client_->Series(workload_.LabelsOf(source * metrics + m),
                                    workload_.sources()[source].tenant));
    }
    return ids;
  }

  void FlushRow() {
    if (row_ids_.empty()) return;
    const auto [place, is_new] = place_of_tenant_.try_emplace(row_tenant_, open_.size());
    if (is_new) open_.push_back({row_tenant_, {}});
    open_[place->second].batch.AddRow(row_timestamp_ms_ * 1'000'000, row_ids_, row_values_);
    row_ids_.clear();
    row_values_.clear();
  }

  void Answered(const StatusOr<client::WriteOutcome>& outcome, uint64_t samples, uint64_t bytes,
                int64_t started) {
    const double ms = static_cast<double>(io::RealMonotonicNanos() - started) * 1e-6;
    MutexLock lock(&mutex_);
    unanswered_--;
    unanswered_bytes_ -= bytes;
    if (!outcome.ok()) {
      EndLocked(outcome.status());
    } else if (!outcome->rejected.empty()) {
      EndLocked(FailedPrecondition("samples were rejected: {}", outcome->reason));
    } else {
      counts_.ack_ms.push_back(ms);
      counts_.bytes += bytes;
      Acknowledge(samples);
    }
    changed_.NotifyAll();
  }

  void End(Status status) {
    MutexLock lock(&mutex_);
    EndLocked(std::move(status));
    changed_.NotifyAll();
  }

  void EndLocked(Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (failure_.ok()) failure_ = std::move(status);
  }

  // As Wait; a failure is told when nothing more is called back.
  Status WaitOrLeave(uint64_t unanswered_max, uint64_t bytes) {
    Status status = Wait(unanswered_max, bytes);
    if (!status.ok()) client_.reset();
    return status;
  }

  // Waits until a batch of `bytes` more is within the bounds, and counts it in; with 0 of
  // `unanswered_max` until all is answered.
  Status Wait(uint64_t unanswered_max, uint64_t bytes) {
    MutexLock lock(&mutex_);
    while (failure_.ok() && unanswered_ > 0 &&
           (unanswered_ >= unanswered_max || unanswered_bytes_ + bytes > kUnansweredBytesMax)) {
      changed_.Wait(&mutex_);
    }
    NEXUS_RETURN_IF_ERROR(failure_);
    if (unanswered_max > 0) unanswered_++;
    unanswered_bytes_ += bytes;
    return OkStatus();
  }

  const uint64_t unanswered_max_;
  const Workload& workload_;
  std::vector<std::vector<SeriesId>> ids_;  // by source; made at its first row
  // The row that is being gathered.
  int64_t row_timestamp_ms_ = 0;
  std::string row_tenant_;
  std::vector<SeriesId> row_ids_;
  std::vector<double> row_values_;
  std::vector<TenantBatch> open_;
  absl::flat_hash_map<std::string, size_t> place_of_tenant_;  // in open_
  std::vector<std::vector<TenantBatch>> bodies_;
  size_t bytes_ = 0;

  Mutex mutex_;
  CondVar changed_;
  uint64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;  // batches
  uint64_t unanswered_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  Status failure_ ABSL_GUARDED_BY(mutex_);
  // Last: it calls back until it is gone.
  std::unique_ptr<client::Client> client_;
};

}  // namespace

StatusOr<std::unique_ptr<Lane>> OpenNxp1(const LaneOptions& options, const Workload& workload,
                                         std::atomic<uint64_t>* acknowledged) {
  auto lane = std::make_unique<Nxp1Lane>(options, workload, acknowledged);
  NEXUS_RETURN_IF_ERROR(lane->Connect(options.address));
  return std::unique_ptr<Lane>(std::move(lane));
}

}  // namespace nexus::bench
