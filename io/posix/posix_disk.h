// PosixDisk: names in the operating system's file systems, without io_uring.
//
// What may wait for a device runs on a file thread; locking and asking for free space are done in
// place. The lock is a flock on the lock file, and its open file description needs no help to
// outlive a dying process's writes as it does on a ring: pwrite is synchronous, a thread that is
// killed inside it ends only when it has returned, and the descriptors, and the lock with them, are
// let go by the last thread that ends. Threading: the loop's thread, except OpenBlocking.

#ifndef NEXUS_IO_POSIX_POSIX_DISK_H_
#define NEXUS_IO_POSIX_POSIX_DISK_H_

#include <string>

#include "io/file.h"
#include "io/posix/file_threads.h"

namespace nexus::io {

class PosixDisk : public Disk {
 public:
  explicit PosixDisk(FileThreads* threads) : threads_(threads) {}

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

 private:
  FileThreads* const threads_;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_POSIX_POSIX_DISK_H_
