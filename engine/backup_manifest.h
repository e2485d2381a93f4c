// The bytes of the file BACKUP: whose backup a folder is, and which of the images in it is the one.
//
// A backup is a folder with this file, the image of the catalog that it names, and layers/ with the
// layers that the image lists. The file is replaced as a whole, last: what it names is there.
// Failure: parsing takes any bytes; what it refuses, it names. Threading: pure functions. Format:
// docs/format/backup.md.

#ifndef NEXUS_ENGINE_BACKUP_MANIFEST_H_
#define NEXUS_ENGINE_BACKUP_MANIFEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/types.h"
#include "engine/identity.h"

namespace nexus::engine {

inline constexpr std::string_view kBackupManifestName = "BACKUP";

// magic, version, reserved, three feature words, database id, origin, timeline, reserved, created,
// LSN, made, reserved, hash
inline constexpr size_t kBackupManifestBytes =
    8 + 4 + 4 + 3 * 8 + 16 + 16 + 4 + 4 + 8 + 8 + 8 + 32 + 8;
static_assert(kBackupManifestBytes == 144);

struct BackupManifest {
  Identity identity;  // of the database
  // Everything in its log below it is contained; it names the image. 0: no backup has ended here.
  Lsn lsn;
  int64_t made_wall_ns = 0;  // since 1970; told to people, decides nothing

  bool complete() const { return lsn != Lsn(); }
  bool operator==(const BackupManifest&) const = default;
};

std::string EncodeBackupManifest(const BackupManifest& manifest);

// `path` is for messages. Errors: DataLoss - damaged; FailedPrecondition - another format version,
// or a feature that this release does not have, named.
StatusOr<BackupManifest> ParseBackupManifest(std::string_view bytes, std::string_view path);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_BACKUP_MANIFEST_H_
