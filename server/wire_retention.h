// Retention by its two descriptions: the engine's and the wire's.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_WIRE_RETENTION_H_
#define NEXUS_SERVER_WIRE_RETENTION_H_

#include <vector>

#include "client/protocol/retention.h"
#include "engine/nexus.h"

namespace nexus::server {

inline std::vector<RetentionRule> EngineRules(const std::vector<protocol::RetentionRule>& rules) {
  std::vector<RetentionRule> made;
  for (const protocol::RetentionRule& rule : rules) {
    made.push_back({rule.selector, rule.duration_ns});
  }
  return made;
}

inline std::vector<protocol::RetentionRule> WireRules(const std::vector<RetentionRule>& rules) {
  std::vector<protocol::RetentionRule> made;
  for (const RetentionRule& rule : rules) made.push_back({rule.selector, rule.duration_ns});
  return made;
}

inline protocol::RetentionList WireRetention(const RetentionInfo& info) {
  return {info.clock_runs, info.clock_waits,    info.clock_ns,
          info.wall_ns,    info.head_window_ns, WireRules(info.rules)};
}

inline RetentionInfo EngineRetention(const protocol::RetentionList& list) {
  return {EngineRules(list.rules), list.head_window_ns, list.clock_runs,
          list.clock_ns,           list.wall_ns,        list.clock_waits};
}

}  // namespace nexus::server

#endif  // NEXUS_SERVER_WIRE_RETENTION_H_
