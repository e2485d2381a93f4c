// Options of a simulated world: how long things take, what goes wrong, how big the disk is.
//
// All defaults are a benign world: no faults, generous space. Delays and scheduling are random in
// it all the same, since D10 (completions in any order after any delay) is normal life.

#ifndef NEXUS_IO_SIM_OPTIONS_H_
#define NEXUS_IO_SIM_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string_view>

#include "io/sim/fault.h"

namespace nexus::sim {

// A delay drawn uniformly from [min_ns, min_ns + spread_ns]; the benign choice is min_ns.
struct Latency {
  int64_t min_ns;
  int64_t spread_ns;
};

struct Options {
  FaultRates faults;
  FaultMask mask = FaultMask::All();

  // The spread reaches far beyond the minimum so that operations overtake each other (D10).
  Latency read{20'000, 200'000};
  Latency write{20'000, 400'000};
  Latency sync{50'000, 2'000'000};
  Latency metadata{20'000, 400'000};
  // Each of the two ways of offloaded work: until it runs, and until its end is known.
  Latency work{10'000, 1'000'000};
  // Each step of a connection's making, and each piece on its way.
  Latency network{20'000, 400'000};
  // Bytes on their way, one way of one connection; what is beyond waits with the sender.
  uint64_t network_window_bytes = 64 << 10;
  int64_t slow_ns = 3'000'000'000;  // the most that Fault::kSlowOperation adds

  // Virtual time that each node's run takes; more than 0, so that a loop that only yields ends.
  int64_t step_ns = 1'000;
  // Runs ready nodes in order; else any of the first `schedule_window` by a seeded choice.
  bool fifo = false;
  uint32_t schedule_window = 64;

  bool direct_io = true;                  // whether OpenFlags::direct is granted
  uint64_t capacity_bytes = 64ull << 30;  // changed while running by Disk::SetCapacity
  int64_t wall_start_ns = 1'704'067'200ll * 1'000'000'000;  // 2024-01-01T00:00:00Z

  // Protocol assertions; a broken one ends the program. Off only for tests of what they forbid.
  bool check_overlapping_writes = true;  // two writes in flight to the same bytes of a file
  bool check_write_buffers = true;       // a buffer changed while its write was in flight

  // If set, gets one line for each event of the trace.
  std::function<void(std::string_view line)> trace_sink;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_OPTIONS_H_
