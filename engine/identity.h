// Identity: which database a folder is. The bytes of the file IDENTITY and back.
//
// The file is written once, when the folder is made, and never changed. Every other file of the
// folder carries the database id, so that files of two databases do not mix. A restored database
// has an id of its own, and its layers, which are those of the backup, go on carrying the id of the
// database that they come from; so do new ones, so that they can be merged with them.
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

// magic, version, reserved, database id, created, three feature words, origin, timeline, reserved,
// hash
inline constexpr size_t kIdentityBytes = 8 + 4 + 4 + 16 + 8 + 3 * 8 + 16 + 4 + 12 + 8;
static_assert(kIdentityBytes == 104);

struct Identity {
  DatabaseId database;
  int64_t created_wall_ns = 0;  // since 1970; told to people, decides nothing
  // Of a restored database: the one that the first backup was of. Zero: it was not restored.
  DatabaseId origin;
  // What is written is ordered behind all of lower timelines (WriteOrder). Raised by each restore.
  uint32_t timeline = 0;

  // The id that stands in the layers.
  DatabaseId layers() const { return origin == DatabaseId() ? database : origin; }
  bool operator==(const Identity&) const = default;
};

std::string EncodeIdentity(const Identity& identity);

// `path` is for messages. Errors: DataLoss - damaged; FailedPrecondition - another format version,
// or a feature that this release does not have, named.
StatusOr<Identity> ParseIdentity(std::string_view bytes, std::string_view path);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_IDENTITY_H_
