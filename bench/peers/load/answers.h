// Answers out of the responses of servers, as count and sum of the values in them.
//
//   ParsePrometheus  the JSON of /api/v1/query and /api/v1/query_range: a vector or a matrix
//   ParseExport      the lines of JSON of VictoriaMetrics' /api/v1/export
//   ParseInflux      the JSON of InfluxDB's /query: every second column; null is no value
//
// Errors: DataLoss - not that JSON, with what is wrong; FailedPrecondition - the server's own
// error. Threading: pure functions.

#ifndef NEXUS_BENCH_PEERS_LOAD_ANSWERS_H_
#define NEXUS_BENCH_PEERS_LOAD_ANSWERS_H_

#include <string_view>

#include "base/status.h"
#include "bench/peers/questions.h"

namespace nexus::bench {

StatusOr<Answer> ParsePrometheus(std::string_view body);
StatusOr<Answer> ParseExport(std::string_view body);
StatusOr<Answer> ParseInflux(std::string_view body);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_ANSWERS_H_
