// Waiting for the folder's lock. See folder_lock.h.

#include "wal/folder_lock.h"

#include <cerrno>
#include <utility>

#include "io/file_util.h"

namespace nexus::wal {
namespace {

// Short beside the time a killed process's writes take to end, long beside the cost of an attempt.
constexpr int64_t kAttemptIntervalNs = 20'000'000;

}  // namespace

io::Task<StatusOr<std::unique_ptr<io::FileLock>>> AcquireFolderLock(io::Environment* environment,
                                                                    std::string directory,
                                                                    int64_t wait_ns) {
  std::string path = io::JoinPath(directory, kLockFileName);
  int64_t deadline_ns = environment->MonotonicNanos() + wait_ns;
  while (true) {
    io::LockResult result = co_await environment->disk()->Lock(path);
    if (result.error == 0) co_return std::move(result.lock);
    if (result.error != -EWOULDBLOCK) co_return ErrnoStatus(-result.error, "lock", path);
    if (environment->MonotonicNanos() >= deadline_ns) {
      std::string holder = result.holder_pid > 0 ? fmt::format("by pid {}", result.holder_pid)
                                                 : std::string("by another process");
      co_return FailedPrecondition("folder {} is in use {} (waited {} ms)", directory, holder,
                                   wait_ns / 1'000'000);
    }
    co_await environment->executor()->Sleep(kAttemptIntervalNs);
  }
}

}  // namespace nexus::wal
