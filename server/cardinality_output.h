// A report of cardinality for people and for scripts.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_CARDINALITY_OUTPUT_H_
#define NEXUS_SERVER_CARDINALITY_OUTPUT_H_

#include <string>

#include "engine/cardinality.h"

namespace nexus::server {

std::string CardinalityTable(const std::string& tenant, const CardinalityReport& report);
// One object on one line.
std::string CardinalityJson(const std::string& tenant, const CardinalityReport& report);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_CARDINALITY_OUTPUT_H_
