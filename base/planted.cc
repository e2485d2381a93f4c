// The planted bugs by name. See planted.h.

#include "base/planted.h"

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

const PlantedBug* current = nullptr;

}  // namespace

std::span<const PlantedBug> PlantedBugs() { return kBugs; }

bool Plant(std::string_view name) {
  current = Find(name);
  return current != nullptr;
}

bool IsPlanted(std::string_view name) {
  // A name that is not in the list could never be turned on.
  NEXUS_CHECK(Find(name) != nullptr);
  return current != nullptr && current->name == name;
}

#else

std::span<const PlantedBug> PlantedBugs() { return {}; }

bool Plant(std::string_view) { return false; }

#endif

}  // namespace nexus
