// Speed of the line protocol parser by itself: lines taken apart in place, as for series that are
// known, and read whole.
//
// items_per_second is samples.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "base/check.h"
#include "server/line_protocol.h"

namespace nexus::server {
namespace {

// A line as telegraf sends one: ten tags, then fields.
std::string Line(int64_t fields) {
  std::string line =
      "cpu,hostname=host_731,region=eu-central-1,datacenter=eu-central-1a,rack=42,os=Ubuntu16."
      "04LTS,"
      "arch=x64,team=LON,service=11,service_version=1,service_environment=production ";
  for (int64_t f = 0; f < fields; f++) {
    line += fmt::format("{}usage_{}={}", f == 0 ? "" : ",", f, static_cast<double>(f) * 7.25);
  }
  return line + " 1735689600000000000";
}

void Scan(benchmark::State& state) {
  const std::string text = Line(state.range(0));
  RawLine line;
  for (auto _ : state) {
    NEXUS_CHECK(ScanLine(text, &line).ok());
    const Hash128 series = HashSeries(line.series, 42);
    for (const RawField& field : line.fields) {
      benchmark::DoNotOptimize(HashField(series, field.name, 42));
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(Scan)->ArgName("fields")->Arg(1)->Arg(10);

void Parse(benchmark::State& state) {
  const std::string text = Line(state.range(0));
  ParsedLine line;
  for (auto _ : state) NEXUS_CHECK(ParseLine(text, &line).ok());
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(Parse)->ArgName("fields")->Arg(1)->Arg(10);

}  // namespace
}  // namespace nexus::server
