// Names that users give: of tenants, branches, snapshots.
//
// Threading: a pure function.

#ifndef NEXUS_ENGINE_NAMES_H_
#define NEXUS_ENGINE_NAMES_H_

#include <cstddef>
#include <string_view>

#include "base/status.h"

namespace nexus::engine {

inline constexpr size_t kUserNameBytesMax = 64;

// OK, or InvalidArgument; `what` is "tenant", say.
inline Status CheckName(std::string_view what, std::string_view name) {
  bool fine = !name.empty() && name.size() <= kUserNameBytesMax;
  for (char c : name) {
    fine = fine && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '.' || c == '-');
  }
  if (fine) return OkStatus();
  return InvalidArgument("{} name \"{}\": 1 to 64 of letters, digits, _ . - are allowed", what,
                         name);
}

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_NAMES_H_
