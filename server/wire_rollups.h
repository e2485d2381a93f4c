// Rollups by their two descriptions: the engine's and the wire's.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_WIRE_ROLLUPS_H_
#define NEXUS_SERVER_WIRE_ROLLUPS_H_

#include <vector>

#include "client/protocol/rollups.h"
#include "engine/nexus.h"

namespace nexus::server {

inline std::vector<RollupRule> EngineRollups(const std::vector<protocol::RollupRule>& rules) {
  std::vector<RollupRule> made;
  for (const protocol::RollupRule& rule : rules) {
    made.push_back({rule.resolution_ns, rule.keep_ns});
  }
  return made;
}

inline std::vector<protocol::RollupRule> WireRollups(const std::vector<RollupRule>& rules) {
  std::vector<protocol::RollupRule> made;
  for (const RollupRule& rule : rules) made.push_back({rule.resolution_ns, rule.keep_ns});
  return made;
}

}  // namespace nexus::server

#endif  // NEXUS_SERVER_WIRE_ROLLUPS_H_
