// System calls on one open file. See posix_file.h.

#include "io/posix/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace nexus::io {

PosixFile::~PosixFile() { close(handle_.fd); }

void PosixFile::Submit(FileOp* op) {
  NEXUS_CHECK(threads_ != nullptr);
  threads_->Submit(op, &handle_);
}

int64_t PosixFile::ReadBlocking(uint64_t offset, MutableBytes into) const {
  ssize_t read = pread(handle_.fd, into.data(), into.size(), static_cast<off_t>(offset));
  return read < 0 ? -errno : read;
}

int64_t PosixFile::Size() const {
  struct stat status;
  return fstat(handle_.fd, &status) < 0 ? -errno : status.st_size;
}

Task<int> PosixFile::Allocate(uint64_t bytes) {
  // Never shrinks: a size below the present one only makes sure of the space.
  auto allocate = [fd = handle_.fd, bytes] {
    return fallocate(fd, 0, 0, static_cast<off_t>(bytes)) < 0 ? -errno : 0;
  };
  int result = co_await OnFileThread(threads_, allocate);
  co_return result;
}

Task<int> PosixFile::Truncate(uint64_t bytes) {
  auto truncate = [fd = handle_.fd, bytes] {
    return ftruncate(fd, static_cast<off_t>(bytes)) < 0 ? -errno : 0;
  };
  int result = co_await OnFileThread(threads_, truncate);
  co_return result;
}

}  // namespace nexus::io
