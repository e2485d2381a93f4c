// System calls on names in the operating system's file systems, as all backends make them: opening
// flags, listing, the lock file, free space. Results are 0 or -errno. Threading: any, no state.

#ifndef NEXUS_IO_REAL_NAMES_H_
#define NEXUS_IO_REAL_NAMES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "io/file.h"

namespace nexus::io {

inline constexpr mode_t kFileMode = 0644;
inline constexpr mode_t kDirectoryMode = 0755;

// The flags of open(2).
int SystemFlags(OpenFlags flags);
// Switches an open file to direct I/O; false where its file system has none. Asking for it in the
// open itself would, where it is refused, already have created the file.
bool SwitchToDirect(int fd);
// In byte order of names. Can take long.
ListResult ListDirectory(const std::string& path);

struct TakenLock {
  int error = 0;           // 0, -EWOULDBLOCK if another holds it, or another -errno
  int fd = -1;             // without an error: holds the lock, until it is closed
  int64_t holder_pid = 0;  // with -EWOULDBLOCK: the pid written in the file, 0 if unknown
};
// Takes the lock of a lock file, made if missing, without waiting, and writes our pid into it.
TakenLock TakeLock(const std::string& path);

SpaceResult SpaceFreeAt(const std::string& path);

// RLIMIT_NOFILE, the soft limit.
uint64_t OpenFilesMax();

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_NAMES_H_
