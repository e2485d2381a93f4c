// The figures of a database as JSON, for the C interface (engine/nexus_c.h).
//
// Names are those of the structs; texts that are not UTF-8 pass as they are.
// Threading: pure.

#ifndef NEXUS_ENGINE_NEXUS_C_JSON_H_
#define NEXUS_ENGINE_NEXUS_C_JSON_H_

#include <string>
#include <vector>

#include "engine/nexus.h"

namespace nexus::engine {

// One JSON object on one line, without a newline.
std::string ToJson(const Stats& stats);
std::string ToJson(const RecoveryReport& report);
std::string ToJson(const BranchInfo& branch);
std::string ToJson(const TenantInfo& tenant);
std::string ToJson(const RollupRule& rule);
// One about the clock, then one for each rule.
std::vector<std::string> ToJsonTexts(const RetentionInfo& info);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_NEXUS_C_JSON_H_
