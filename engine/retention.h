// Retention: which samples are too old to be kept (DESIGN section 8).
//
// A tenant has an ordered list of rules, each a selector and a duration; of a series the first that
// chooses it decides. With the retention clock at C a sample of a rule of duration d is *expired*
// if it is older than C - d, the rule's *cut*. Expired samples may disappear at any time and are
// gone after the next compaction; until then queries may show them.
// Rules and clock are state that records of the log make (SetRetention, AcceptClock), so what is
// expired is the same at every replay. The rules stand among the tenant's settings, the clock among
// the database's.
//
// Limits: the constants below. Failure: InvalidArgument says which rule is wrong and what is
// allowed. Threading: RetentionRules is immutable, any thread; RetentionClock belongs to the loop.

#ifndef NEXUS_ENGINE_RETENTION_H_
#define NEXUS_ENGINE_RETENTION_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "catalog/records.h"
#include "engine/retention_rule.h"
#include "engine/selector.h"

namespace nexus::engine {

// Of a tenant. With what is held of a layer for each rule, 24 bytes, 10,000 layers take 16 MB.
inline constexpr size_t kRetentionRulesMax = 64;
// With its duration a rule is the value of a setting.
inline constexpr size_t kRetentionSelectorBytesMax = 4'000;
static_assert(kRetentionSelectorBytesMax + 21 <= catalog::kSettingValueBytesMax);

// At open the wall clock counts if it is at most so far ahead of the retention clock.
inline constexpr int64_t kClockStepMaxNs = int64_t{7} * 24 * 3600 * 1'000'000'000;

class RetentionRules {
 public:
  // Everything is kept.
  RetentionRules() = default;
  // Errors: InvalidArgument - a selector that cannot be read or is too long, a duration that is not
  // positive, a rule that can never decide because of one before it, too many.
  static StatusOr<std::shared_ptr<const RetentionRules>> Make(std::vector<RetentionRule> rules);

  const std::vector<RetentionRule>& rules() const { return rules_; }
  size_t size() const { return rules_.size(); }
  bool empty() const { return rules_.empty(); }
  // The number of the rule that decides about a series; size() if none does.
  size_t RuleOf(std::string_view canonical) const;
  // There is one rule, and it chooses every series: layers need not be asked what they hold.
  bool one_for_all() const { return size() == 1 && selectors_[0].matchers().empty(); }
  // REQUIRES: not empty.
  int64_t shortest_ns() const;
  // Of each rule, in their order, what is older than which is expired; behind them the same for
  // series that no rule chooses: nothing is.
  std::vector<int64_t> CutsAt(int64_t clock_ns) const;
  // What is older than this is expired whatever series it is of; kKeepAll if there is none such.
  int64_t CutOfAllAt(int64_t clock_ns) const;

 private:
  std::vector<RetentionRule> rules_;
  std::vector<Selector> selectors_;
};

// Nothing is older than this.
inline constexpr int64_t kKeepAll = std::numeric_limits<int64_t>::min();

// What is older than this is older than `duration_ns` at `clock_ns`; kKeepAll where no timestamp
// is.
int64_t CutAt(int64_t clock_ns, int64_t duration_ns);

// Puts the rules among a tenant's settings in place of those there, and back. DataLoss: a setting
// that is none of ToSettings.
void RulesToSettings(const std::vector<RetentionRule>& rules,
                     std::vector<catalog::Setting>* settings);
StatusOr<std::vector<RetentionRule>> RulesFromSettings(
    const std::vector<catalog::Setting>& settings);

// The clock of a database's retention. Its value moves with AcceptClock edits alone, never back;
// Now() tells to where the next one may move it.
class RetentionClock {
 public:
  // By what the log says so far; nullopt if it has not begun to run.
  std::optional<int64_t> applied_ns() const { return applied_ns_; }
  // What an edit of the log, or the catalog, says. `monotonic_ns`: now.
  void Apply(int64_t clock_ns, int64_t monotonic_ns);
  // The database has been opened: takes the wall clock if that is at most kClockStepMaxNs ahead.
  void TakeWall(int64_t wall_ns, int64_t monotonic_ns);
  // The clock as it runs: never behind applied_ns(). REQUIRES: it runs.
  int64_t Now(int64_t monotonic_ns) const;
  // How far the wall clock is ahead, if that is too far for TakeWall; else 0.
  int64_t Waits(int64_t wall_ns, int64_t monotonic_ns) const;

 private:
  std::optional<int64_t> applied_ns_;
  int64_t base_ns_ = 0;       // the clock at
  int64_t base_mono_ns_ = 0;  // this time of the monotonic one
};

// The setting of the database under which the clock stands.
inline constexpr std::string_view kRetentionClockSetting = "retention.clock";
catalog::Setting ClockToSetting(int64_t clock_ns);
// nullopt: it is not among them. DataLoss: it cannot be read.
StatusOr<std::optional<int64_t>> ClockFromSettings(const std::vector<catalog::Setting>& settings);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RETENTION_H_
