// The place of damage in an error: its offset in the file, for reports that list places.
//
// A message says where the damage is for people; this says it for programs, beside the message.
// Annotate (base/status.h) drops it: give the place last.
// Threading: pure functions.

#ifndef NEXUS_BASE_STATUS_PLACE_H_
#define NEXUS_BASE_STATUS_PLACE_H_

#include <cstdint>
#include <optional>

#include "base/status.h"

namespace nexus {

// The same error with its place; one that it had is replaced. OK stays OK.
Status AtOffset(Status status, uint64_t offset);

// The place that AtOffset gave; nullopt if there is none.
std::optional<uint64_t> OffsetOf(const Status& status);

}  // namespace nexus

#endif  // NEXUS_BASE_STATUS_PLACE_H_
