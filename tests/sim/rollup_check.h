// Checks of rollups: what a query answers by them is what the samples say, and what is frozen
// stays.
//
// The samples themselves are judged by the oracle, in the same version of the database. A bucket
// whose samples may have expired cannot be told from them; but once it is frozen it never changes
// again: it is there as it was, or gone. Threading: one thread.

#ifndef NEXUS_TESTS_SIM_ROLLUP_CHECK_H_
#define NEXUS_TESTS_SIM_ROLLUP_CHECK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/core.h"

namespace nexus::sim_test {

// Compares an aggregate of the branch by rollups with the one by samples; which, `turn` says: so
// many in a row compare all there are. What is wrong, or nothing. `buckets` grows by how many
// buckets stood for samples. Errors: those of the queries.
inline constexpr uint64_t kRollupComparisons = 6;
StatusOr<std::optional<std::string>> CompareRollups(engine::DatabaseCore* core,
                                                    const std::string& branch,
                                                    const std::string& selector, TimeRange range,
                                                    uint64_t turn, uint64_t* buckets);

// What was seen of frozen buckets of main.
class FrozenBuckets {
 public:
  // What is wrong with those that are there now, or nothing.
  StatusOr<std::optional<std::string>> Check(engine::DatabaseCore* core);
  // The catalog was lost: what a guess lists is not held to it.
  void Forget() { seen_.clear(); }
  uint64_t count() const { return seen_.size(); }

 private:
  // By resolution, series and beginning: the bits of all columns.
  std::map<std::tuple<int64_t, uint64_t, int64_t>, std::vector<uint64_t>> seen_;
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_ROLLUP_CHECK_H_
