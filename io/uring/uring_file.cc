// System calls on one open file. See uring_file.h.

#include "io/uring/uring_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace nexus::io {

UringFile::~UringFile() { close(handle_.fd); }

void UringFile::Submit(FileOp* op) {
  NEXUS_CHECK(loop_ != nullptr);
  loop_->Submit(op, &handle_);
}

int64_t UringFile::ReadBlocking(uint64_t offset, MutableBytes into) const {
  ssize_t read = pread(handle_.fd, into.data(), into.size(), static_cast<off_t>(offset));
  return read < 0 ? -errno : read;
}

int64_t UringFile::Size() const {
  struct stat status;
  return fstat(handle_.fd, &status) < 0 ? -errno : status.st_size;
}

Task<int> UringFile::Allocate(uint64_t bytes) {
  // Never shrinks: a size below the present one only makes sure of the space.
  int result = co_await loop_->Call([fd = handle_.fd, bytes](io_uring_sqe* sqe) {
    io_uring_prep_fallocate(sqe, fd, 0, 0, static_cast<off_t>(bytes));
  });
  co_return result;
}

Task<int> UringFile::Truncate(uint64_t bytes) {
  // This liburing has no such operation, and giving back large extents can take milliseconds.
  int result = co_await loop_->Run(Lane::kWorker, [fd = handle_.fd, bytes] {
    return ftruncate(fd, static_cast<off_t>(bytes)) < 0 ? -errno : 0;
  });
  co_return result;
}

}  // namespace nexus::io
