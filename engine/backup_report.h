// What a backup and a restore are asked, and what they did.
//
// Threading: plain values.

#ifndef NEXUS_ENGINE_BACKUP_REPORT_H_
#define NEXUS_ENGINE_BACKUP_REPORT_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "base/types.h"
#include "engine/options.h"

namespace nexus {

struct BackupOptions {
  // No aggregate: see scrub_report.h.
  BackupOptions() = default;

  // Called on a thread of the database; must not call back into it. Units are bytes of layers.
  ProgressCallback progress;
  const std::atomic<bool>* cancel = nullptr;  // set to true from any thread to stop the backup
};

// How the layers that a backup or a restored database needs came to its folder.
struct LayersPlaced {
  LayersPlaced() = default;

  uint64_t kept = 0;    // were there, by an earlier backup
  uint64_t linked = 0;  // the same file under a second name
  uint64_t copied = 0;
  uint64_t copied_bytes = 0;
  bool operator==(const LayersPlaced&) const = default;
};

struct BackupResult {
  BackupResult() = default;

  Lsn lsn;              // everything in the log below it is in the backup, nothing above
  uint64_t layers = 0;  // files
  uint64_t layer_bytes = 0;
  LayersPlaced placed;
  uint64_t removed = 0;  // files that only the older backup in that folder needed
  // Files that nothing needs and that could not be removed: the next backup tries again.
  uint64_t not_removed = 0;
  bool operator==(const BackupResult&) const = default;
};

struct RestoreOptions {
  RestoreOptions() = default;

  std::string source;     // a folder that a backup was made in; only read
  std::string directory;  // of the new database: missing or empty
  ProgressCallback progress;
};

struct RestoreResult {
  RestoreResult() = default;

  Lsn lsn;  // as in BackupResult; the new log goes on above
  uint32_t timeline = 0;
  int64_t made_wall_ns = 0;  // when the backup was made, ns since the Unix epoch
  uint64_t tenants = 0;
  uint64_t series = 0;
  uint64_t layers = 0;
  uint64_t layer_bytes = 0;
  LayersPlaced placed;
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_BACKUP_REPORT_H_
