// OpenHandle: an open file as the loops of the real world know it, and what a failed sync does to
// it (D3). Threading: the loop's, but for the descriptor, which never changes.

#ifndef NEXUS_IO_REAL_OPEN_HANDLE_H_
#define NEXUS_IO_REAL_OPEN_HANDLE_H_

#include <cerrno>
#include <cstdint>

#include "io/file.h"

namespace nexus::io {

struct OpenHandle {
  int fd = -1;
  bool sync_failed = false;  // what follows on this handle fails, but for reads

  // False if the operation must not be given to the system any more: it ends -EIO.
  bool Takes(FileOp::Kind kind) const { return !sync_failed || kind == FileOp::Kind::kRead; }
  // What a sync that ended with `result` tells its caller. A sync that was in flight when another
  // failed fails too: the kernel tells a failure to one sync only. Cancelled is not failed: the
  // write before it was not whole.
  int64_t SyncResult(int64_t result) {
    if (result < 0 && result != -ECANCELED) sync_failed = true;
    return result == 0 && sync_failed ? -EIO : result;
  }
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_OPEN_HANDLE_H_
