// Quantiles, machine and build. See readings.h.

#include "bench/readings.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include "base/check.h"
#include "engine/nexus.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

std::string ProcessorName() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string line;
  while (std::getline(cpuinfo, line)) {
    const size_t colon = line.find(':');
    if (line.starts_with("model name") && colon + 2 < line.size()) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

double MillisSince(int64_t begun_ns) {
  return static_cast<double>(io::RealMonotonicNanos() - begun_ns) * 1e-6;
}

Quantiles QuantilesOf(std::vector<double> values) {
  NEXUS_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  auto at = [&](double q) {
    return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
  };
  return {at(0.5), at(0.99), at(0.999), values.back()};
}

void PrintTimes(std::string_view name, std::vector<double> taken_ms, std::string_view calls) {
  const size_t count = taken_ms.size();
  const Quantiles of = QuantilesOf(std::move(taken_ms));
  fmt::print("{:<24} p50 {:7.3f} ms  p99 {:7.3f} ms  max {:8.3f} ms  ({} {})\n", name, of.p50,
             of.p99, of.max, count, calls);
}

void PrintMachineAndBuild() {
  utsname system = {};
  uname(&system);
  fmt::print("machine   {} x {}, Linux {}\n", sysconf(_SC_NPROCESSORS_ONLN), ProcessorName(),
             system.release);
// NDEBUG says nothing: CHECK and assert stay on in every build (.bazelrc).
#if defined(__OPTIMIZE__) && !defined(_GLIBCXX_ASSERTIONS)
  constexpr std::string_view kBuild = "release";
#else
  constexpr std::string_view kBuild =
      "with checked libraries; --config=release is the one to quote";
#endif
  fmt::print("build     nexus {}, compiler {}, {}\n", Version(), __VERSION__, kBuild);
}

}  // namespace nexus::bench
