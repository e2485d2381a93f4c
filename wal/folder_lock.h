// AcquireFolderLock: one process at a time writes in a database's folder.
//
// The lock is a file of the folder named `lock`; the operating system holds it (io::FileLock) until
// the last write of its owner has finished, even of one that was killed. Threading: loop thread.

#ifndef NEXUS_WAL_FOLDER_LOCK_H_
#define NEXUS_WAL_FOLDER_LOCK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "io/environment.h"
#include "io/task.h"

namespace nexus::wal {

inline constexpr char kLockFileName[] = "lock";
// A killed process keeps its lock until its I/O has ended: milliseconds, seconds on a sick disk.
inline constexpr int64_t kLockWaitDefaultNs = 5'000'000'000;

// Takes the lock of `directory`, trying again for up to `wait_ns`. Errors: FailedPrecondition
// "folder X is in use by pid N" if another holds it all that time; NotFound, PermissionDenied, ...
// if the lock file cannot be opened. The lock frees with the result.
io::Task<StatusOr<std::unique_ptr<io::FileLock>>> AcquireFolderLock(io::Environment* environment,
                                                                    std::string directory,
                                                                    int64_t wait_ns);

}  // namespace nexus::wal

#endif  // NEXUS_WAL_FOLDER_LOCK_H_
