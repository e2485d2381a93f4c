// A scrub's report for people, as JSON, and on the wire and back.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_SCRUB_OUTPUT_H_
#define NEXUS_SERVER_SCRUB_OUTPUT_H_

#include <string>

#include "client/protocol/scrub.h"
#include "engine/scrub_report.h"

namespace nexus::server {

protocol::ScrubReply ScrubReplyOf(const ScrubReport& report);
// Figures that this program does not know are passed over; those that are missing stay zero.
ScrubReport ScrubReportFrom(const protocol::ScrubReply& reply);

// One object, one line.
std::string ScrubJson(const ScrubReport& report);
// A block for each finding, then what was checked.
std::string ScrubTable(const ScrubReport& report);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SCRUB_OUTPUT_H_
