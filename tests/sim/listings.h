// What the label index must list: every series that has samples, once. A series that was forgotten
// and came back has another id; two of the same labels would share its samples.

#ifndef NEXUS_TESTS_SIM_LISTINGS_H_
#define NEXUS_TESTS_SIM_LISTINGS_H_

#include <optional>
#include <string>
#include <vector>

#include "engine/core.h"
#include "tests/sim/oracle.h"

namespace nexus::sim_test {

// What is wrong with the listings of the database, of which `observed` was read just before, or
// nothing. Errors of reading are no violation.
std::optional<std::string> CheckListings(engine::DatabaseCore* core,
                                         const std::vector<Observed>& observed);

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_LISTINGS_H_
