// Lane: one connection of a feed, with the bodies that it will send.
//
// A lane is prepared and sent in turns: rows are added and closed into bodies, numbered from 0; the
// bodies are sent in order; then it is cleared. What a body is - an HTTP request, text, a batch -
// is the wire format's own business, one file each:
//   http_lane.cc  influx-http and remote-write: a POST a body, each waited for
//   tcp_lane.cc   influx-tcp: all bodies of a turn are one stream, acknowledged at its end
//   nxp1_lane.cc  nxp1: batches are sent ahead of their acknowledgements
//
// Errors of sending: Unavailable - the connection was lost; what was acknowledged before stays
// counted. Others: what the server said. Threading: one thread at a time prepares, sends or looks.

#ifndef NEXUS_BENCH_PEERS_LOAD_LANE_H_
#define NEXUS_BENCH_PEERS_LOAD_LANE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/workload.h"

namespace nexus::bench {

struct LaneOptions {
  std::string path;         // influx-http, influx-tcp, remote-write, nxp1
  std::string address;      // host:port
  std::string url;          // target of a POST; "": the path's usual one
  bool no_answer = false;   // influx-tcp: the server says nothing at the end of a stream
  bool one_by_one = false;  // nxp1: each body waits for the acknowledgement of the one before
};

// What became of the bodies sent so far.
struct LaneCounts {
  uint64_t samples = 0;  // acknowledged; with no_answer, sent
  uint64_t bytes = 0;    // of bodies; of nxp1, of encoded batches
  uint64_t retries = 0;  // after 429 and 503
  std::vector<double> ack_ms;
};

class Lane {
 public:
  virtual ~Lane() = default;

  // ---- Preparing.

  virtual void Add(const Row& row) = 0;
  // Ends the open body. REQUIRES: rows were added to it.
  virtual void Close() = 0;
  // Of the closed bodies.
  virtual size_t bytes() const = 0;

  // ---- Sending.

  // `samples` and `rows` are those of the body.
  virtual Status Send(size_t body, uint64_t samples, uint64_t rows) = 0;
  // Waits until all that was sent is acknowledged.
  virtual Status Finish() = 0;
  // Forgets the bodies.
  virtual void Clear() = 0;

  const LaneCounts& counts() const { return counts_; }

 protected:
  // `acknowledged` is the sum over all lanes, looked at by any thread.
  explicit Lane(std::atomic<uint64_t>* acknowledged) : acknowledged_(acknowledged) {}
  void Acknowledge(uint64_t samples) {
    counts_.samples += samples;
    *acknowledged_ += samples;
  }

  LaneCounts counts_;

 private:
  std::atomic<uint64_t>* const acknowledged_;
};

// Connects. The workload outlives the lane. Errors: InvalidArgument - there is no such path.
StatusOr<std::unique_ptr<Lane>> OpenLane(const LaneOptions& options, const Workload& workload,
                                         std::atomic<uint64_t>* acknowledged);

// The ways of single files.
StatusOr<std::unique_ptr<Lane>> OpenInfluxHttp(const LaneOptions& options, const Workload& workload,
                                               std::atomic<uint64_t>* acknowledged);
StatusOr<std::unique_ptr<Lane>> OpenRemoteWrite(const LaneOptions& options,
                                                const Workload& workload,
                                                std::atomic<uint64_t>* acknowledged);
StatusOr<std::unique_ptr<Lane>> OpenInfluxTcp(const LaneOptions& options, const Workload& workload,
                                              std::atomic<uint64_t>* acknowledged);
StatusOr<std::unique_ptr<Lane>> OpenNxp1(const LaneOptions& options, const Workload& workload,
                                         std::atomic<uint64_t>* acknowledged);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_LANE_H_
