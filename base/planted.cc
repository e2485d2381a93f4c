// The planted bugs by name. See planted.h.

#include "base/planted.h"

#include <cstdlib>

#include "base/check.h"

namespace nexus {

#ifdef NEXUS_PLANTED_BUGS

namespace {

constexpr PlantedBug kBugs[] = {
    {"none", "nothing is wrong"},
};

const PlantedBug* Find(std::string_view name) {
  for (const PlantedBug& bug : kBugs) {
    if (bug.name == name) return &bug;
  }
  return nullptr;
}

const PlantedBug*& Current() {
  static const PlantedBug* current = [] {
    const char* asked = std::getenv("NEXUS_PLANT");
    return asked == nullptr ? nullptr : Find(asked);
  }();
  return current;
}

}  // namespace

std::span<const PlantedBug> PlantedBugs() { return kBugs; }

bool Plant(std::string_view name) {
  Current() = Find(name);
  return Current() != nullptr;
}

bool IsPlanted(std::string_view name) {
  // A name that is not in the list could never be turned on.
  NEXUS_CHECK(Find(name) != nullptr);
  return Current() != nullptr && Current()->name == name;
}

#else

std::span<const PlantedBug> PlantedBugs() { return {}; }

bool Plant(std::string_view) { return false; }

#endif

}  // namespace nexus
