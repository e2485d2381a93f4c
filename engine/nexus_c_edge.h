// What the files of the C interface share: its handles, and the crossing of the edge - text and
// structs in, statuses and what was thrown out.
//
// Failure: what libraries below throw (want of memory) is caught by Guarded; where a call has no
// error to give, NeverThrows ends the program.
// Threading: that of nexus_c.h.

#ifndef NEXUS_ENGINE_NEXUS_C_EDGE_H_
#define NEXUS_ENGINE_NEXUS_C_EDGE_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/nexus.h"
#include "engine/nexus_c.h"

// Handles have the names of C.
// NOLINTBEGIN(readability-identifier-naming)
struct nexus_db {
  std::unique_ptr<nexus::Database> database;
};
struct nexus_list {
  std::vector<std::string> texts;
};
// NOLINTEND(readability-identifier-naming)

namespace nexus::c_edge {

inline std::string_view ViewOf(nexus_text text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
inline std::string_view TenantOf(nexus_text text) {
  return text.size == 0 ? "default" : ViewOf(text);
}
inline std::string_view BranchOf(nexus_text text) { return text.size == 0 ? "main" : ViewOf(text); }
inline nexus_text TextOf(std::string_view text) { return {text.data(), text.size()}; }

// The code of a status, with *error filled; `error` may be null.
int32_t Fill(const Status& status, nexus_error* error);
// The same for what was thrown: without a Status, for which there may be no memory.
int32_t FillThrown(int32_t code, const char* message, nexus_error* error) noexcept;

// The code of what `call` returns (a Status) or throws, with *error filled.
template <typename Call>
int32_t Guarded(nexus_error* error, Call&& call) noexcept {
  try {
    return Fill(call(), error);
  } catch (const std::bad_alloc&) {
    return FillThrown(NEXUS_RESOURCE_EXHAUSTED, "out of memory", error);
  } catch (const std::exception& thrown) {
    return FillThrown(NEXUS_INTERNAL, thrown.what(), error);
  }
}

template <typename Call>
auto NeverThrows(Call&& call) noexcept {
  return call();
}

// Of a struct that a caller filled: what is wrong with its first field, the size; and with what is
// behind the `known` bytes that this library knows.
Status CheckSized(const void* given, size_t known, const char* name);

// Copies what of *given both sides know over *full, which has the defaults.
template <typename Struct>
Status ReadSized(const Struct* given, const char* name, Struct* full) {
  NEXUS_RETURN_IF_ERROR(CheckSized(given, sizeof(Struct), name));
  std::memcpy(full, given, std::min(given->size, sizeof(Struct)));
  return OkStatus();
}

}  // namespace nexus::c_edge

#endif  // NEXUS_ENGINE_NEXUS_C_EDGE_H_
