// Judge: the simulator's oracle (tests/sim/oracle.h) between the threads of a real run.
//
// A batch whose outcome its client will never hear - the client is gone, or the batch was buffered
// when the server died - is doubtful: while the process that may have it lives, it can still come.
// ServerDied() turns what is doubtful into in-doubt for the oracle, whose next look decides.
// Therefore an answer that began before a death is no evidence after it, and is not judged.
//
// Failure: the first violation stays. Threading: any thread.

#ifndef NEXUS_TESTS_KILL_LOOP_JUDGE_H_
#define NEXUS_TESTS_KILL_LOOP_JUDGE_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tests/sim/oracle.h"

namespace nexus::kill_loop {

using sim_test::Observed;
using sim_test::Oracle;
using sim_test::Place;

// What a run did, and met.
struct Totals {
  uint64_t kills = 0;
  uint64_t kills_before_an_answer = 0;  // no batch was acknowledged in that life of the server
  uint64_t clients_dropped = 0;
  uint64_t folders = 0;
  uint64_t full_disks = 0;
  uint64_t scrubs = 0;
  uint64_t batches = 0;
  uint64_t acknowledged = 0;
  uint64_t duplicates = 0;  // acknowledged as one that the server had already
  uint64_t buffered = 0;
  uint64_t refusals = 0;  // writes that a full disk refused
  uint64_t queries = 0;
  uint64_t queries_interrupted = 0;
  uint64_t samples_checked = 0;
  uint64_t decided_present = 0;  // doubtful batches
  uint64_t decided_absent = 0;

  void Add(const Totals& other);
};

class Judge {
 public:
  explicit Judge(uint64_t seed) : oracle_(seed) {}

  struct Batch {
    uint64_t number = 0;
    std::vector<uint64_t> bits;  // of the values to write, one for each place
  };
  Batch Submit(std::vector<Place> places);
  void Acknowledged(uint64_t batch, bool duplicate);
  void Buffered(uint64_t batch);
  // Nobody will say what became of it.
  void Doubtful(uint64_t batch);
  // The process is gone, and the next one has not been started. REQUIRES: clients that were given
  // up have said so (Doubtful).
  void ServerDied();

  // What a question must know about its beginning.
  struct Start {
    uint64_t acknowledgements = 0;
    uint64_t deaths = 0;
    std::set<uint32_t> series;  // that have an acknowledged sample
  };
  Start Begin(bool with_series = false);
  // Judges what a query over these series and times returned; false if it is wrong (failure()).
  bool Check(const Start& start, Oracle::Query query, const std::vector<Observed>& observed);
  // The same for a list of series.
  bool CheckSeries(const Start& start, const std::set<uint32_t>& listed);
  void Interrupted();

  void Fail(std::string what);
  bool failed() const;
  std::string failure() const;
  uint64_t acknowledged() const;
  // Its parts of the totals; the rest is zero.
  Totals totals() const;

 private:
  void FailLocked(std::string what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  Oracle oracle_ ABSL_GUARDED_BY(mutex_);
  // Indexed by the number of the batch.
  std::vector<std::vector<uint32_t>> series_of_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> submitted_series_ ABSL_GUARDED_BY(mutex_);
  std::set<uint32_t> acknowledged_series_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> doubtful_ ABSL_GUARDED_BY(mutex_);
  uint64_t deaths_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<std::string> failure_ ABSL_GUARDED_BY(mutex_);
  Totals totals_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_JUDGE_H_
