// Retention as users state it: for how long samples of which series are kept.
//
// Threading: plain values. What a rule means: engine/nexus.h, docs/operations.md.

#ifndef NEXUS_ENGINE_RETENTION_RULE_H_
#define NEXUS_ENGINE_RETENTION_RULE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

// Of a tenant's list the first rule whose selector chooses a series decides about it; a series that
// none chooses is kept for ever.
struct RetentionRule {
  std::string selector;
  int64_t duration_ns = 0;
  bool operator==(const RetentionRule&) const = default;
};

// What a tenant keeps, and where the clock stands by which that is judged.
struct RetentionInfo {
  std::vector<RetentionRule> rules;
  // The shortest retention that a rule may have: samples so young may still be in memory or in
  // level 0.
  int64_t head_window_ns = 0;
  // It runs once a tenant of the database has had a rule. Nanoseconds since the Unix epoch.
  bool clock_runs = false;
  int64_t clock_ns = 0;
  int64_t wall_ns = 0;
  // The wall clock is more than 7 days ahead of it: samples older than it says stay until it is
  // accepted.
  bool clock_waits = false;
  bool operator==(const RetentionInfo&) const = default;
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_RETENTION_RULE_H_
