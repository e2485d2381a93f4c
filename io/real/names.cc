// See names.h.

#include "io/real/names.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

namespace nexus::io {
namespace {

// A lock file holds its holder's pid, padded: written over the last holder's, so that no truncation
// has to wait for what the disk still has to do for that one.
constexpr size_t kLockFileBytes = 24;

// The pid written in a lock file, 0 if there is none.
int64_t HolderPid(int fd) {
  char text[kLockFileBytes];
  ssize_t bytes = pread(fd, text, sizeof(text), 0);
  int64_t pid = 0;
  if (bytes > 0) std::from_chars(text, text + bytes, pid);
  return pid;
}

// 0 or -errno.
int WritePid(int fd) {
  std::string text = std::to_string(getpid());
  text.resize(kLockFileBytes - 1, ' ');
  text += '\n';
  ssize_t written = pwrite(fd, text.data(), text.size(), 0);
  if (written < 0) return -errno;
  return written == kLockFileBytes ? 0 : -EIO;
}

}  // namespace

int SystemFlags(OpenFlags flags) {
  int result = O_CLOEXEC | (flags.write ? O_RDWR : O_RDONLY);
  if (flags.create) result |= O_CREAT;
  if (flags.create && flags.exclusive) result |= O_EXCL;
  if (flags.truncate) result |= O_TRUNC;
  return result;
}

bool SwitchToDirect(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0;
}

ListResult ListDirectory(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return ListResult(-errno, {});
  std::vector<DirectoryEntry> entries;
  int error = 0;
  while (true) {
    errno = 0;
    dirent* found = readdir(directory);
    if (found == nullptr) {
      error = -errno;
      break;
    }
    std::string_view name = found->d_name;
    if (name == "." || name == "..") continue;
    struct stat status;
    // Whoever was unlinked since is not there any more.
    if (fstatat(dirfd(directory), found->d_name, &status, 0) < 0) continue;
    DirectoryEntry entry;
    entry.name = name;
    entry.is_directory = S_ISDIR(status.st_mode);
    if (S_ISREG(status.st_mode)) entry.bytes = static_cast<uint64_t>(status.st_size);
    entries.push_back(std::move(entry));
  }
  closedir(directory);
  std::sort(entries.begin(), entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  return ListResult(error, std::move(entries));
}

TakenLock TakeLock(const std::string& path) {
  TakenLock taken;
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) {
    taken.error = -errno;
    return taken;
  }
  taken.error = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : WritePid(fd);
  if (taken.error == 0) {
    taken.fd = fd;
    return taken;
  }
  if (taken.error == -EWOULDBLOCK) taken.holder_pid = HolderPid(fd);
  close(fd);
  return taken;
}

SpaceResult SpaceFreeAt(const std::string& path) {
  struct statvfs space;
  SpaceResult result;
  if (statvfs(path.c_str(), &space) < 0) {
    result.error = -errno;
  } else {
    result.available_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  }
  return result;
}

uint64_t OpenFilesMax() {
  rlimit limit;
  // It cannot fail for a limit that exists.
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 0;
  return limit.rlim_cur;
}

}  // namespace nexus::io
