// UringFile: an open file of the operating system.
//
// Direct or buffered as File::direct() says; descriptors are closed on exec. Results are the
// kernel's, unchanged but for this: after a failed sync writes and syncs end -EIO (D3).
// Threading: Submit, Allocate and Truncate on the loop's thread; ReadBlocking, Size and the
// destructor on any.

#ifndef NEXUS_IO_URING_URING_FILE_H_
#define NEXUS_IO_URING_URING_FILE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "io/file.h"
#include "io/uring/loop.h"

namespace nexus::io {

class UringFile : public File {
 public:
  // Takes over `fd`. `loop` may be null for a file that is only read blocking.
  UringFile(UringLoop* loop, std::string path, int fd, bool direct)
      : loop_(loop), path_(std::move(path)), direct_(direct), handle_{fd} {}
  ~UringFile() override;

  const std::string& path() const override { return path_; }
  bool direct() const override { return direct_; }
  void Submit(FileOp* op) override;
  int64_t ReadBlocking(uint64_t offset, MutableBytes into) const override;
  int64_t Size() const override;
  Task<int> Allocate(uint64_t bytes) override;
  Task<int> Truncate(uint64_t bytes) override;

 private:
  UringLoop* const loop_;
  const std::string path_;
  const bool direct_;
  OpenHandle handle_;  // the descriptor never changes; the rest is the loop's
};

}  // namespace nexus::io

#endif  // NEXUS_IO_URING_URING_FILE_H_
