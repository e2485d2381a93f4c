// influx-tcp: line protocol on a plain stream. See lane.h.
//
// Each turn is a connection of its own, since a stream is acknowledged at its end alone: nexus
// answers `ok <accepted lines> <rejected lines> <durable LSN>` after our side has ended
// (docs/operations.md). With no_answer the server says nothing, and its ending of the connection
// is taken for the end of its reading, which promises nothing; the samples count as sent.

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "bench/peers/load/connection.h"
#include "bench/peers/load/lane.h"
#include "bench/peers/load/line_protocol.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

// Of an answer: "ok" and three numbers, or the first bad lines with their reasons.
constexpr size_t kAnswerBytesMax = 64 << 10;

class TcpLane : public Lane {
 public:
  TcpLane(const LaneOptions& options, const Workload& workload, std::atomic<uint64_t>* acknowledged)
      : Lane(acknowledged), options_(options), encoder_(workload) {}

  void Add(const Row& row) override { encoder_.Append(row, &open_); }

  void Close() override {
    bytes_ += open_.size();
    bodies_.push_back(std::exchange(open_, {}));
  }

  size_t bytes() const override { return bytes_; }

  Status Send(size_t body, uint64_t samples, uint64_t rows) override {
    if (!connection_.has_value()) {
      NEXUS_ASSIGN_OR_RETURN(connection_, Connection::Open(options_.address));
    }
    NEXUS_RETURN_IF_ERROR(connection_->Send(bodies_[body]));
    counts_.bytes += bodies_[body].size();
    samples_ += samples;
    lines_ += rows;
    return OkStatus();
  }

  Status Finish() override {
    if (!connection_.has_value()) return OkStatus();
    const int64_t ended = io::RealMonotonicNanos();
    NEXUS_RETURN_IF_ERROR(connection_->EndSending());
    NEXUS_ASSIGN_OR_RETURN(const std::string answer, connection_->ReceiveAll(kAnswerBytesMax));
    connection_.reset();
    if (!options_.no_answer) {
      NEXUS_RETURN_IF_ERROR(Check(answer));
      counts_.ack_ms.push_back(static_cast<double>(io::RealMonotonicNanos() - ended) * 1e-6);
    }
    Acknowledge(std::exchange(samples_, 0));
    lines_ = 0;
    return OkStatus();
  }

  void Clear() override {
    bodies_.clear();
    bytes_ = 0;
  }

 private:
  Status Check(const std::string& answer) const {
    if (answer.empty()) {
      return Unavailable(
          "{}: connection lost before the answer; a server that gives none needs "
          "--no-answer",
          options_.address);
    }
    const std::string expected = fmt::format("ok {} 0 ", lines_);
    if (answer.starts_with(expected)) return OkStatus();
    return FailedPrecondition("{}: sent {} lines, expected '{}LSN', answered: {}", options_.address,
                              lines_, expected, answer);
  }

  const LaneOptions options_;
  LineEncoder encoder_;
  std::string open_;
  std::vector<std::string> bodies_;
  size_t bytes_ = 0;
  std::optional<Connection> connection_;
  // On this connection.
  uint64_t samples_ = 0;
  uint64_t lines_ = 0;
};

}  // namespace

StatusOr<std::unique_ptr<Lane>> OpenInfluxTcp(const LaneOptions& options, const Workload& workload,
                                              std::atomic<uint64_t>* acknowledged) {
  // Whether somebody listens should be known before rows are made.
  NEXUS_RETURN_IF_ERROR(Connection::Open(options.address).status());
  return std::unique_ptr<Lane>(std::make_unique<TcpLane>(options, workload, acknowledged));
}

}  // namespace nexus::bench
