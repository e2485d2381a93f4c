// UringDisk: names in the operating system's file systems.
//
// What liburing 2.3 has as an operation goes through the ring (open, rename, unlink, mkdir, sync);
// listing and truncating, which can take long, run on a worker; the rest is done in place because
// it does not wait for a device. The lock is a flock on the lock file; its open file description is
// registered in the ring's file table, so that it lives - and the lock with it - until the kernel
// has ended every operation of a process that died (DESIGN section 4, "Recovery"). Threading: the
// loop's thread, except OpenBlocking.

#ifndef NEXUS_IO_URING_URING_DISK_H_
#define NEXUS_IO_URING_URING_DISK_H_

#include <string>

#include "io/file.h"
#include "io/uring/loop.h"

namespace nexus::io {

class UringDisk : public Disk {
 public:
  explicit UringDisk(UringLoop* loop) : loop_(loop) {}

  Task<OpenResult> Open(std::string path, OpenFlags flags) override;
  OpenResult OpenBlocking(std::string path) override;
  Task<int> Rename(std::string from, std::string to) override;
  Task<int> Unlink(std::string path) override;
  Task<int> Link(std::string from, std::string to) override;
  Task<int> MakeDirectory(std::string path) override;
  Task<int> RemoveDirectory(std::string path) override;
  Task<int> SyncDirectory(std::string path) override;
  Task<ListResult> List(std::string path) override;
  Task<LockResult> Lock(std::string path) override;
  Task<SpaceResult> FreeSpace(std::string path) override;
  void RegisterBuffer(MutableBytes buffer) override { loop_->ring()->RegisterBuffer(buffer); }
  void UnregisterBuffer(MutableBytes buffer) override { loop_->ring()->UnregisterBuffer(buffer); }

 private:
  Task<int> OpenDescriptor(std::string path, int flags);
  Task<int> UnlinkAt(std::string path, int flags);

  UringLoop* const loop_;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_URING_DISK_H_
