// The reserve file. See reserve.h.

#include "engine/reserve.h"

#include <utility>

#include "io/file_util.h"

namespace nexus::engine {

Reserve::Reserve(io::Environment* environment, std::string path, uint64_t bytes)
    : environment_(environment), path_(std::move(path)), bytes_(bytes) {}

io::Task<Status> Reserve::Restore() {
  if (held_ || bytes_ == 0) co_return OkStatus();
  io::Disk* disk = environment_->disk();
  io::SpaceResult space = co_await disk->FreeSpace(io::ParentPath(path_));
  if (space.error < 0) co_return ErrnoStatus(-space.error, "free space of", path_);
  if (space.available_bytes < 3 * bytes_) co_return OkStatus();
  io::OpenFlags flags;
  flags.write = true;
  flags.create = true;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> file,
                            co_await io::OpenFile(disk, path_, flags));
  int allocated = co_await file->Allocate(bytes_);
  if (allocated < 0) co_return ErrnoStatus(-allocated, "allocate", path_);
  held_ = true;
  co_return OkStatus();
}

io::Task<bool> Reserve::Release() {
  // One that an earlier opening left on a disk that is full since is not held, but there.
  if (bytes_ == 0) co_return false;
  held_ = false;
  Status status = co_await io::Unlink(environment_->disk(), path_);
  co_return status.ok();
}

}  // namespace nexus::engine
