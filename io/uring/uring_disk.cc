// System calls on names. See uring_disk.h.

#include "io/uring/uring_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "io/uring/uring_file.h"

namespace nexus::io {
namespace {

constexpr mode_t kFileMode = 0644;
constexpr mode_t kDirectoryMode = 0755;

int SystemFlags(OpenFlags flags) {
  int result = O_CLOEXEC | (flags.write ? O_RDWR : O_RDONLY);
  if (flags.create) result |= O_CREAT;
  if (flags.create && flags.exclusive) result |= O_EXCL;
  if (flags.truncate) result |= O_TRUNC;
  return result;
}

// Switches an open file to direct I/O; false where its file system has none. Asking for it in the
// open itself would, where it is refused, already have created the file.
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

// Holds the descriptor, the lock and the place in the ring's file table. Released on the loop's
// thread, or once the loop has stopped.
class UringFileLock : public FileLock {
 public:
  UringFileLock(UringLoop* loop, int fd, int slot) : loop_(loop), fd_(fd), slot_(slot) {}
  ~UringFileLock() override {
    if (loop_->ring() != nullptr) loop_->ring()->UnregisterFile(slot_);
    // At once: the kernel may take its time to let go of a registered file.
    flock(fd_, LOCK_UN);
    close(fd_);
  }

 private:
  UringLoop* const loop_;
  const int fd_;
  const int slot_;
};

// Writes the pid and registers the file whose lock was taken.
LockResult KeepLock(UringLoop* loop, int fd) {
  int slot = WritePid(fd);
  if (slot == 0) slot = loop->ring()->RegisterFile(fd);
  if (slot < 0) {
    close(fd);
    return LockResult(slot, 0, nullptr);
  }
  return LockResult(0, 0, std::make_unique<UringFileLock>(loop, fd, slot));
}

}  // namespace

Task<int> UringDisk::OpenDescriptor(std::string path, int flags) {
  int fd = co_await loop_->Call([name = path.c_str(), flags](io_uring_sqe* sqe) {
    io_uring_prep_openat(sqe, AT_FDCWD, name, flags, kFileMode);
  });
  co_return fd;
}

Task<OpenResult> UringDisk::Open(std::string path, OpenFlags flags) {
  int fd = co_await OpenDescriptor(path, SystemFlags(flags));
  if (fd < 0) co_return OpenResult(fd, nullptr);
  bool direct = flags.direct && SwitchToDirect(fd);
  co_return OpenResult(0, std::make_unique<UringFile>(loop_, std::move(path), fd, direct));
}

OpenResult UringDisk::OpenBlocking(std::string path) {
  int fd = open(path.c_str(), SystemFlags(OpenFlags()));
  if (fd < 0) return OpenResult(-errno, nullptr);
  return OpenResult(0, std::make_unique<UringFile>(nullptr, std::move(path), fd, false));
}

Task<int> UringDisk::Rename(std::string from, std::string to) {
  int result = co_await loop_->Call([from = from.c_str(), to = to.c_str()](io_uring_sqe* sqe) {
    io_uring_prep_renameat(sqe, AT_FDCWD, from, AT_FDCWD, to, 0);
  });
  co_return result;
}

Task<int> UringDisk::UnlinkAt(std::string path, int flags) {
  int result = co_await loop_->Call([name = path.c_str(), flags](io_uring_sqe* sqe) {
    io_uring_prep_unlinkat(sqe, AT_FDCWD, name, flags);
  });
  co_return result;
}

Task<int> UringDisk::Unlink(std::string path) { return UnlinkAt(std::move(path), 0); }

Task<int> UringDisk::RemoveDirectory(std::string path) {
  return UnlinkAt(std::move(path), AT_REMOVEDIR);
}

Task<int> UringDisk::MakeDirectory(std::string path) {
  int result = co_await loop_->Call([name = path.c_str()](io_uring_sqe* sqe) {
    io_uring_prep_mkdirat(sqe, AT_FDCWD, name, kDirectoryMode);
  });
  co_return result;
}

Task<int> UringDisk::SyncDirectory(std::string path) {
  int fd = co_await OpenDescriptor(std::move(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) co_return fd;
  int result = co_await loop_->Call([fd](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, fd, 0); });
  close(fd);
  co_return result;
}

Task<ListResult> UringDisk::List(std::string path) {
  auto list = [&path] { return ListDirectory(path); };
  ListResult listed = co_await loop_->Run(Lane::kWorker, list);
  co_return listed;
}

Task<LockResult> UringDisk::Lock(std::string path) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) co_return LockResult(-errno, 0, nullptr);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) co_return KeepLock(loop_, fd);
  int error = -errno;
  int64_t holder = error == -EWOULDBLOCK ? HolderPid(fd) : 0;
  close(fd);
  co_return LockResult(error, holder, nullptr);
}

Task<SpaceResult> UringDisk::FreeSpace(std::string path) {
  struct statvfs space;
  SpaceResult result;
  if (statvfs(path.c_str(), &space) < 0) {
    result.error = -errno;
  } else {
    result.available_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  }
  co_return result;
}

}  // namespace nexus::io
