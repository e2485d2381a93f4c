// The loops above the seam: whole reads and writes, and errors with names.
//
// Short results and -EINTR are retried here, so that the retrying is tested on every backend. A
// failed sync is never retried (D3). Errors carry the operation, the path and the errno text
// (ErrnoStatus in base/status.h).

#ifndef NEXUS_IO_FILE_UTIL_H_
#define NEXUS_IO_FILE_UTIL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "io/file.h"

namespace nexus::io {

// Opens; NotFound, AlreadyExists, PermissionDenied, ResourceExhausted by name.
Task<StatusOr<std::unique_ptr<File>>> OpenFile(Disk* disk, std::string path, OpenFlags flags);
StatusOr<std::unique_ptr<File>> OpenFileBlocking(Disk* disk, const std::string& path);

// Fills the buffer from `offset`, or as much as the file has: the bytes read.
Task<StatusOr<uint64_t>> ReadUpTo(File* file, uint64_t offset, MutableBytes into);
StatusOr<uint64_t> ReadUpToBlocking(const File& file, uint64_t offset, MutableBytes into);
// Fills the whole buffer. OutOfRange if the file ends before.
Task<Status> ReadExactly(File* file, uint64_t offset, MutableBytes into);
Status ReadExactlyBlocking(const File& file, uint64_t offset, MutableBytes into);
Task<Status> WriteAll(File* file, uint64_t offset, Bytes from);
Task<Status> SyncFile(File* file);
Task<Status> SyncDirectory(Disk* disk, std::string path);
Task<Status> Rename(Disk* disk, std::string from, std::string to);
Task<Status> Unlink(Disk* disk, std::string path);
// A second name for a file: see Disk::Link. False where there can be none: in another file system,
// or one without such names; for a file that is not ours, or has as many as it may have.
Task<StatusOr<bool>> Link(Disk* disk, std::string from, std::string to);
// Makes a directory and its missing parents and syncs each parent. An existing one is fine.
Task<Status> MakeDirectories(Disk* disk, std::string path);
Task<StatusOr<std::vector<DirectoryEntry>>> List(Disk* disk, std::string path);

// Writes `<path>.tmp`, syncs it, renames it over `path`, syncs the directory: after OK the file has
// these bytes for good; after a crash at any point, the old ones or the new ones (D4, D5).
Task<Status> ReplaceFile(Disk* disk, std::string path, std::string contents);
// Reads a whole file of at most `bytes_max` bytes; ResourceExhausted if it is larger.
Task<StatusOr<std::string>> ReadWholeFile(Disk* disk, std::string path, uint64_t bytes_max);
StatusOr<std::string> ReadWholeFileBlocking(Disk* disk, const std::string& path,
                                            uint64_t bytes_max);

// "<directory>/<name>"; the folder of a path.
std::string JoinPath(std::string_view directory, std::string_view name);
std::string ParentPath(std::string_view path);
// A path without "." and empty parts, with a slash behind each part, so that one lies below another
// if it begins with it; nullopt if it has "..", which only the file system understands.
std::optional<std::string> PlainPath(std::string_view path);
// True if one of two paths is the other, or lies below it, as far as their names tell.
bool PathsOverlap(std::string_view a, std::string_view b);

// Sector-aligned memory for direct I/O, zero-filled.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(uint64_t bytes);
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();
  std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }
  MutableBytes span() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_FILE_UTIL_H_
