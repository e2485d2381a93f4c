// Questions in the languages of the systems: what to ask so that the answer is of exactly the
// question's samples.
//
// Windows. A question's is closed, in milliseconds. Range selectors of Prometheus 2.42 are closed
// at both ends, [t-d, t]; those of VictoriaMetrics' rollup functions are (t-d, t]. So each is asked
// at the window's last millisecond, Prometheus with a range that is a millisecond shorter.
// VictoriaMetrics is asked for raw samples by /api/v1/export, whose bounds are closed, and always
// with nocache=1, without which it moves start and end to multiples of the step. Data is old, so
// that a time is always given. InfluxQL compares times as written, and its minutes are given the
// window's offset from the epoch's.
//
// Names. A source is named by the first tag that tells all sources apart. The metric has the prefix
// that the feed gave it: line protocol makes <measurement>_<field> of it in nexus and
// VictoriaMetrics. InfluxDB has measurement and field. Threading: pure functions.

#ifndef NEXUS_BENCH_PEERS_LOAD_REQUESTS_H_
#define NEXUS_BENCH_PEERS_LOAD_REQUESTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bench/peers/questions.h"
#include "bench/workload.h"

namespace nexus::bench {

enum class System : uint8_t { kNexus, kPrometheus, kVictoriaMetrics, kInfluxDb };

// nexus, prometheus, victoriametrics, influxdb. Errors: InvalidArgument, listing them.
StatusOr<System> SystemOf(std::string_view name);

// What questions of a workload speak about.
struct Subject {
  std::string metric;  // with its prefix
  std::string measurement;
  std::string field;
  std::string database;
  std::string tag;                  // tells the sources apart
  std::vector<std::string> values;  // of the tag, by source
  // Every source goes on to the end: its latest sample is within the usual lookback of it.
  bool steady = false;
};

// Errors: FailedPrecondition - no single tag tells the sources apart.
StatusOr<Subject> SubjectOf(const Workload& workload, std::string_view workload_name,
                            std::string_view metric_prefix, std::string_view database);

// metric{tag="a"} or metric{tag=~"a|b"}; all of the metric if there are no sources.
std::string SelectorOf(const Subject& subject, const std::vector<size_t>& sources);

// The target of a GET. REQUIRES: a system that is asked over HTTP.
std::string TargetOf(System system, const Subject& subject, const Question& question);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_REQUESTS_H_
