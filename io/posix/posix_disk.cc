// System calls on names. See posix_disk.h.

#include "io/posix/posix_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "io/posix/posix_file.h"
#include "io/real/names.h"

namespace nexus::io {
namespace {

int Result(int of_call) { return of_call < 0 ? -errno : of_call; }

int SyncDirectoryNow(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  int result = Result(fsync(fd));
  close(fd);
  return result;
}

class PosixFileLock : public FileLock {
 public:
  explicit PosixFileLock(int fd) : fd_(fd) {}
  ~PosixFileLock() override { close(fd_); }

 private:
  const int fd_;
};

}  // namespace

Task<OpenResult> PosixDisk::Open(std::string path, OpenFlags flags) {
  auto open_it = [name = path.c_str(), flags] {
    return Result(open(name, SystemFlags(flags), kFileMode));
  };
  int fd = co_await OnFileThread(threads_, open_it);
  if (fd < 0) co_return OpenResult(fd, nullptr);
  bool direct = flags.direct && SwitchToDirect(fd);
  co_return OpenResult(0, std::make_unique<PosixFile>(threads_, std::move(path), fd, direct));
}

OpenResult PosixDisk::OpenBlocking(std::string path) {
  int fd = open(path.c_str(), SystemFlags(OpenFlags()));
  if (fd < 0) return OpenResult(-errno, nullptr);
  return OpenResult(0, std::make_unique<PosixFile>(nullptr, std::move(path), fd, false));
}

Task<int> PosixDisk::Rename(std::string from, std::string to) {
  auto rename_it = [from = from.c_str(), to = to.c_str()] { return Result(rename(from, to)); };
  int result = co_await OnFileThread(threads_, rename_it);
  co_return result;
}

Task<int> PosixDisk::Unlink(std::string path) {
  auto unlink_it = [name = path.c_str()] { return Result(unlink(name)); };
  int result = co_await OnFileThread(threads_, unlink_it);
  co_return result;
}

Task<int> PosixDisk::Link(std::string from, std::string to) {
  auto link_it = [from = from.c_str(), to = to.c_str()] { return Result(link(from, to)); };
  int result = co_await OnFileThread(threads_, link_it);
  co_return result;
}

Task<int> PosixDisk::MakeDirectory(std::string path) {
  auto make_it = [name = path.c_str()] { return Result(mkdir(name, kDirectoryMode)); };
  int result = co_await OnFileThread(threads_, make_it);
  co_return result;
}

Task<int> PosixDisk::RemoveDirectory(std::string path) {
  auto remove_it = [name = path.c_str()] { return Result(rmdir(name)); };
  int result = co_await OnFileThread(threads_, remove_it);
  co_return result;
}

Task<int> PosixDisk::SyncDirectory(std::string path) {
  int result = co_await OnFileThread(threads_, [&path] { return SyncDirectoryNow(path); });
  co_return result;
}

Task<ListResult> PosixDisk::List(std::string path) {
  ListResult listed(0, {});
  auto list = [&path, &listed] {
    listed = ListDirectory(path);
    return listed.error;
  };
  co_await OnFileThread(threads_, list);
  co_return listed;
}

Task<LockResult> PosixDisk::Lock(std::string path) {
  TakenLock taken = TakeLock(path);
  if (taken.error != 0) co_return LockResult(taken.error, taken.holder_pid, nullptr);
  co_return LockResult(0, 0, std::make_unique<PosixFileLock>(taken.fd));
}

Task<SpaceResult> PosixDisk::FreeSpace(std::string path) { co_return SpaceFreeAt(path); }

}  // namespace nexus::io
