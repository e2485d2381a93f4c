// What benches measure and print alike: times by the monotonic clock, their quantiles, the machine
// and the build.
//
// Threading: any thread.

#ifndef NEXUS_BENCH_READINGS_H_
#define NEXUS_BENCH_READINGS_H_

#include <cstdint>
#include <string_view>
#include <vector>

namespace nexus::bench {

// Of the clock of io::RealMonotonicNanos.
double MillisSince(int64_t begun_ns);

struct Quantiles {
  double p50 = 0;
  double p99 = 0;
  double p999 = 0;
  double max = 0;
};

// Each is a value that was measured, the one at rank floor(q * (n - 1)). REQUIRES: not empty.
Quantiles QuantilesOf(std::vector<double> values);

// "NAME  p50 ... ms  p99 ... ms  max ... ms  (N CALLS)". REQUIRES: not empty.
void PrintTimes(std::string_view name, std::vector<double> taken_ms, std::string_view calls);

// The processor and the kernel; the version, the compiler, and whether it is a release build.
void PrintMachineAndBuild();

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_READINGS_H_
