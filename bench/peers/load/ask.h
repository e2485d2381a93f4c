// Ask: questions to a server over one connection, one after the other, each measured.
//
// The time of a question is from sending it to having its answer whole: the last byte of an HTTP
// body, which is parsed afterwards; or the end of nexus's own client's cursor, whose decoding is
// thus within the time. Errors: those of the connection; FailedPrecondition - the server refused a
// question. Threading: one thread.

#ifndef NEXUS_BENCH_PEERS_LOAD_ASK_H_
#define NEXUS_BENCH_PEERS_LOAD_ASK_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/peers/load/requests.h"
#include "bench/peers/questions.h"
#include "bench/workload.h"

namespace nexus::bench {

// Unmeasured questions in front; other ones than those measured, of the same kind.
inline constexpr size_t kWarmUpQuestions = 10;

struct AskResult {
  std::vector<double> ms;  // in the order of the questions
  std::vector<Answer> answers;
};

// The server at `address`.
StatusOr<AskResult> Ask(System system, const std::string& address, const Subject& subject,
                        const Workload& workload, std::span<const Question> warm_up,
                        std::span<const Question> questions);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_ASK_H_
