// System calls on names. See uring_disk.h.

#include "io/uring/uring_disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "io/real/names.h"
#include "io/uring/uring_file.h"

namespace nexus::io {
namespace {

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

// Registers the file whose lock was taken.
LockResult KeepLock(UringLoop* loop, int fd) {
  int slot = loop->ring()->RegisterFile(fd);
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

Task<int> UringDisk::Link(std::string from, std::string to) {
  int result = co_await loop_->Call([from = from.c_str(), to = to.c_str()](io_uring_sqe* sqe) {
    io_uring_prep_linkat(sqe, AT_FDCWD, from, AT_FDCWD, to, 0);
  });
  co_return result;
}

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
  TakenLock taken = TakeLock(path);
  if (taken.error != 0) co_return LockResult(taken.error, taken.holder_pid, nullptr);
  co_return KeepLock(loop_, taken.fd);
}

Task<SpaceResult> UringDisk::FreeSpace(std::string path) { co_return SpaceFreeAt(path); }

}  // namespace nexus::io
