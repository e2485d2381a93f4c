// The figures of `nexus stats`, by name: as JSON, on the wire, and back.
//
// One table names them all, so that a figure of the engine is added in one place. Names are stable
// surfaces (DESIGN section 13). Threading: pure functions.

#ifndef NEXUS_SERVER_STATS_FIGURES_H_
#define NEXUS_SERVER_STATS_FIGURES_H_

#include <span>
#include <string>
#include <vector>

#include "client/protocol/query.h"
#include "engine/nexus.h"

namespace nexus::server {

std::vector<protocol::Stat> StatsFigures(const Stats& stats);
// Figures that this program does not know are passed over; those that are missing stay zero.
Stats StatsFrom(std::span<const protocol::Stat> figures);
// One object, one line.
std::string StatsJson(const Stats& stats);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_STATS_FIGURES_H_
