// Feed: sends a workload to a server over a wire format and several connections, and measures it.
//
// Each source belongs to one connection, so that the samples of a series arrive in order. Bodies
// are of at most `batch` samples and hold whole ticks where those fit, else pieces of one tick; so
// all connections meet the same tick boundaries, and a limit ends them at one.
//
// Generating and encoding are not measured: bodies are made beforehand in slices of slice_bytes,
// and the clock, CPU time and limit run only while a slice is sent. Between slices a server has
// time that is not counted, some seconds per million of rows; what it does then behind its
// acknowledgements is in its own CPU time.
//
// A tick is a run of rows within kTickMs of the clock; rows that come late and in no order make
// ticks of their own. Threading: Run uses a thread for each connection and one for progress.

#ifndef NEXUS_BENCH_PEERS_LOAD_FEED_H_
#define NEXUS_BENCH_PEERS_LOAD_FEED_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/peers/load/lane.h"
#include "bench/workload.h"

namespace nexus::bench {

struct FeedOptions {
  LaneOptions lane;
  size_t batch = 5000;  // samples
  size_t connections = 2;
  double limit_seconds = 0;  // of sending; 0: none
  // Encoded, of all connections; with what encoders keep the client stays below 1 GiB.
  size_t slice_bytes = 512 << 20;
  // Called at least each 50 ms from the first connection on, on a thread of the feed's own, with
  // the samples acknowledged so far. A lost connection ends the feed well then.
  std::function<void(uint64_t)> progress;
};

struct FeedResult {
  uint64_t samples = 0;           // acknowledged; where a server acknowledges nothing, sent
  std::optional<uint64_t> ticks;  // whole ones; unknown after a lost connection
  double seconds = 0;             // of sending
  double preparing_seconds = 0;
  double client_cpu_seconds = 0;  // of this process while sending
  uint64_t bytes = 0;
  uint64_t retries = 0;
  std::vector<double> ack_ms;  // ascending
  std::string ended;           // "all sent", "limit", "connection lost"
};

// Errors: those of lanes; of options InvalidArgument.
StatusOr<FeedResult> Feed(const FeedOptions& options, Workload* workload);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_FEED_H_
