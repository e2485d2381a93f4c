// Planted bugs: mistakes that a storage engine can make, in its real code, each off unless asked
// for by name. They test the tests: the simulator must find every one (docs/testing.md).
//
//   if (NEXUS_PLANTED("ack-on-write")) ...
//
// Only builds with NEXUS_PLANTED_BUGS know them: tests/sim:nexus-sim-planted, and everything with
// --config=planted. In every other build NEXUS_PLANTED is false, and not even the names are in the
// program (tests/sim:planted_absent_test). At most one is on in a process. Threading: Plant before
// anything else runs; NEXUS_PLANTED anywhere.

#ifndef NEXUS_BASE_PLANTED_H_
#define NEXUS_BASE_PLANTED_H_

#include <span>
#include <string_view>

namespace nexus {

struct PlantedBug {
  std::string_view name;
  std::string_view what;
};

// All that this build knows.
std::span<const PlantedBug> PlantedBugs();
// Turns one on; false if there is none of this name.
bool Plant(std::string_view name);

#ifdef NEXUS_PLANTED_BUGS
bool IsPlanted(std::string_view name);
#define NEXUS_PLANTED(name) ::nexus::IsPlanted(name)
#else
inline constexpr bool kNothingPlanted = false;
#define NEXUS_PLANTED(name) ::nexus::kNothingPlanted
#endif

}  // namespace nexus

#endif  // NEXUS_BASE_PLANTED_H_
