// RetentionModel: which samples the database may have dropped, by rules and clock as they were
// told.
//
// The clock of the database must move as DESIGN section 8 says: never back, with the monotonic
// clock while the database is open, at an opening to the wall clock at most, and by 7 days at most.
// What is older than a rule says may be absent from then on for ever; what is younger must be
// there. Rules whose outcome is in doubt may be in force until an opening tells. Threading: one
// thread.

#ifndef NEXUS_TESTS_SIM_RETENTION_MODEL_H_
#define NEXUS_TESTS_SIM_RETENTION_MODEL_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/retention_rule.h"
#include "tests/sim/oracle.h"

namespace nexus::sim_test {

// A rule, and the series that its selector chooses.
struct ModelRule {
  RetentionRule rule;
  uint32_t series_first = 0;
  uint32_t series_last = 0;
};
using ModelRules = std::vector<ModelRule>;

// Rules of one of the forms of a scenario's retention: for the series of `region` samples are kept
// for `some_ns`, for all for `all_ns`.
ModelRules MakeRules(int64_t form, const Region& region, int64_t some_ns, int64_t all_ns);

class RetentionModel {
 public:
  // ---- What happens. A Setting without a Set leaves it in doubt.

  void Setting(ModelRules rules);
  void Set(bool done, int64_t now_ns);
  // What the database tells of itself at `now_ns`. What is wrong with it, or nothing. `opened`: it
  // has been opened since the last call; `accepted`: the clock was accepted, or began to run.
  // `wall_jumps`: the wall clock may have jumped since the opening.
  enum class Since : uint8_t { kRunning, kOpened, kAccepted };
  std::optional<std::string> Observe(const RetentionInfo& info, std::optional<int64_t> applied_ns,
                                     int64_t now_ns, Since since, bool wall_jumps);

  // Tells the oracle of a branch what may be absent at `now_ns`.
  void Expire(Oracle* oracle, int64_t now_ns) const;
  // What must be gone after a compaction that began when the clock of the database stood there:
  // samples of the series that are older. Nothing while rules are in doubt.
  std::optional<int64_t> GoneBelow(uint32_t series, int64_t clock_ns) const;

  // Whether a sample may have been rejected at `now_ns` or before, for being too old to be kept
  // whatever its series is. What the database did since the last Observe is not known yet.
  bool MayReject(int64_t timestamp, int64_t now_ns) const;

  bool clock_runs() const { return clock_runs_; }

 private:
  int64_t ClockAt(int64_t now_ns) const { return clock_ns_ + (now_ns - observed_ns_); }

  // Below what time samples may be rejected at `now_ns`.
  int64_t RejectsBelow(int64_t now_ns) const;
  // Before rules or clock change.
  void RememberRejections(int64_t now_ns) { rejected_below_ = RejectsBelow(now_ns); }

  std::vector<ModelRules> possible_ = {{}};
  bool clock_runs_ = false;
  int64_t clock_ns_ = 0;                                          // as observed
  int64_t observed_ns_ = 0;                                       // at this time
  int64_t applied_ns_ = 0;                                        // the furthest that was durable
  int64_t rejected_below_ = std::numeric_limits<int64_t>::min();  // the furthest ever
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_RETENTION_MODEL_H_
