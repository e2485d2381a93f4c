// What retention has to do with the layers of a branch: which are dropped whole, which are worth
// writing again, and of which rules a job may drop samples.
//
// A sample that was written twice is in two layers until they are merged. So that the older value
// never shows where the newer one was dropped, a layer's expired samples of a rule are dropped only
// if no layer before it in write order that overlaps them, nor a memtable, holds expired samples of
// that rule, but for those that the same job drops. The oldest layers go first, then.
//
// A layer is dropped whole if everything in it is expired. It is written again if at least half of
// its samples are expired, or all of some rule's: so writing again costs no more bytes than it
// frees, and beyond that one time for each rule; or as soon as anything is expired, if compaction
// was asked for by hand.
//
// Threading: pure functions.

#ifndef NEXUS_ENGINE_RETENTION_PLAN_H_
#define NEXUS_ENGINE_RETENTION_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"

namespace nexus::engine {

// What a layer holds of one rule's series.
struct RuleContents {
  uint64_t samples = 0;  // about so many, and 0 only if there are none
  TimeRange range{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
  bool is_exact = false;  // else `range` holds them all, and more
};

// What a layer holds of each rule, and behind them of series that no rule chooses.
struct RetentionContents {
  std::vector<RuleContents> rules;
};

struct RetentionLayer {
  TimeRange range;
  WriteOrder low;
  WriteOrder high;
  uint32_t level = 0;
  uint64_t samples = 0;
  std::shared_ptr<const RetentionContents> contents;  // null: not known
};

// A branch as retention sees it.
struct RetentionSituation {
  struct InMemory {
    TimeRange range;
    WriteOrder low;
  };
  std::vector<RetentionLayer> layers;  // in write order, oldest first
  std::vector<InMemory> memtables;
  std::vector<int64_t> cuts;  // RetentionRules::CutsAt
  // The same as of when compaction was asked for by hand: what is older goes at once. Or empty.
  std::vector<int64_t> eager_cuts;
};

struct RetentionPlan {
  std::vector<size_t> survey;  // layers whose contents must be known first
  std::vector<size_t> drop;    // layers to be retired without a successor, all at once
  std::vector<char> rewrite;   // by layer: whether it is worth writing again
};

// Layers whose contents, or how old they are, must be known before anything is decided.
RetentionPlan PlanRetention(const RetentionSituation& situation);

// Of each rule, and behind them of no rule: the cut below which a job with these inputs may drop
// samples of it, kKeepAll if it must not.
std::vector<int64_t> CutsForJob(const RetentionSituation& situation,
                                const std::vector<char>& is_input);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RETENTION_PLAN_H_
