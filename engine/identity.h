// Identity: which database a folder is. The bytes of the file IDENTITY and back.
//
// The file is written once, when the folder is made, and never changed. Every other file of the
// folder carries the database id, so that files of two databases do not mix.
// Failure: parsing takes any bytes; what it refuses, it names. Threading: pure functions. Format:
// docs/format/identity.md.

#ifndef NEXUS_ENGINE_IDENTITY_H_
#define NEXUS_ENGINE_IDENTITY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/types.h"

namespace nexus::engine {

// magic, version, reserved, database id, created, three feature words, reserved, hash
inline constexpr size_t kIdentityBytes = 8 + 4 + 4 + 16 + 8 + 3 * 8 + 32 + 8;
static_assert(kIdentityBytes == 104);

struct Identity {
  DatabaseId database;
  int64_t created_wall_ns = 0;  // since 1970; told to people, decides nothing
  bool operator==(const Identity&) const = default;
};

std::string EncodeIdentity(const Identity& identity);

// `path` is for messages. Errors: DataLoss - damaged; FailedPrecondition - another format version,
// or a feature that this release does not have, named.
StatusOr<Identity> ParseIdentity(std::string_view bytes, std::string_view path);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_IDENTITY_H_
