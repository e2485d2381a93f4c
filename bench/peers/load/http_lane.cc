// influx-http and remote-write: each body is a POST on a connection that is kept, answered with 2xx
// before the next one goes. See lane.h.
//
// 429 and 503 mean "later": the body is sent again after Retry-After (1 s if it is not told), at
// most kTriesMax times; each is counted. Bodies of remote write are compressed when they are made.

#include <fmt/format.h>
#include <snappy.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "bench/peers/load/http.h"
#include "bench/peers/load/lane.h"
#include "bench/peers/load/line_protocol.h"
#include "bench/peers/load/remote_write.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

// With waits of a second: a server that refuses for a minute does not recover by waiting.
constexpr int kTriesMax = 60;

struct Snappy {
  static std::string Compressed(const std::string& body) {
    std::string out;
    snappy::Compress(body.data(), body.size(), &out);
    return out;
  }
};

struct Plain {
  static std::string Compressed(std::string& body) { return std::move(body); }
};

template <typename Encoder, typename Compression>
class HttpLane : public Lane {
 public:
  HttpLane(HttpConnection connection, std::string head, const Workload& workload,
           std::atomic<uint64_t>* acknowledged)
      : Lane(acknowledged),
        connection_(std::move(connection)),
        head_(std::move(head)),
        encoder_(workload) {}

  void Add(const Row& row) override { encoder_.Append(row, &open_); }

  void Close() override {
    const size_t bytes = open_.size();
    bodies_.push_back(Compression::Compressed(open_));
    bodies_.back().shrink_to_fit();
    bytes_ += bodies_.back().size();
    open_.clear();
    // The next one is about as long.
    open_.reserve(bytes + bytes / 8);
  }

  size_t bytes() const override { return bytes_; }

  Status Send(size_t body, uint64_t samples, uint64_t) override {
    const std::string& text = bodies_[body];
    const std::string head = fmt::format("{}Content-Length: {}\r\n\r\n", head_, text.size());
    const int64_t started = io::RealMonotonicNanos();
    for (int tries = 1;; tries++) {
      NEXUS_ASSIGN_OR_RETURN(const HttpResponse response, connection_.Exchange(head, text));
      if (response.ok()) break;
      const bool later = response.status == 429 || response.status == 503;
      if (!later || tries == kTriesMax) {
        return FailedPrecondition("the server refused a body of {} samples: {}", samples,
                                  response.ToString());
      }
      counts_.retries++;
      std::this_thread::sleep_for(
          std::chrono::duration<double>(std::max(response.retry_after_seconds, 1.0)));
    }
    counts_.ack_ms.push_back(static_cast<double>(io::RealMonotonicNanos() - started) * 1e-6);
    counts_.bytes += text.size();
    Acknowledge(samples);
    return OkStatus();
  }

  Status Finish() override { return OkStatus(); }

  void Clear() override {
    bodies_.clear();
    bytes_ = 0;
  }

 private:
  HttpConnection connection_;
  const std::string head_;
  Encoder encoder_;
  std::string open_;
  std::vector<std::string> bodies_;
  size_t bytes_ = 0;
};

template <typename Encoder, typename Compression>
StatusOr<std::unique_ptr<Lane>> Open(const LaneOptions& options, std::string_view usual_url,
                                     std::string_view headers, const Workload& workload,
                                     std::atomic<uint64_t>* acknowledged) {
  NEXUS_ASSIGN_OR_RETURN(HttpConnection connection, HttpConnection::Open(options.address));
  std::string head =
      fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nexus-bench\r\n{}",
                  options.url.empty() ? usual_url : options.url, options.address, headers);
  return std::unique_ptr<Lane>(std::make_unique<HttpLane<Encoder, Compression>>(
      std::move(connection), std::move(head), workload, acknowledged));
}

}  // namespace

StatusOr<std::unique_ptr<Lane>> OpenInfluxHttp(const LaneOptions& options, const Workload& workload,
                                               std::atomic<uint64_t>* acknowledged) {
  return Open<LineEncoder, Plain>(options, "/write?db=bench",
                                  "Content-Type: text/plain; charset=utf-8\r\n", workload,
                                  acknowledged);
}

StatusOr<std::unique_ptr<Lane>> OpenRemoteWrite(const LaneOptions& options,
                                                const Workload& workload,
                                                std::atomic<uint64_t>* acknowledged) {
  return Open<RemoteWriteEncoder, Snappy>(options, "/api/v1/write",
                                          "Content-Type: application/x-protobuf\r\n"
                                          "Content-Encoding: snappy\r\n"
                                          "X-Prometheus-Remote-Write-Version: 0.1.0\r\n",
                                          workload, acknowledged);
}

}  // namespace nexus::bench
