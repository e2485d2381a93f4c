// The retry loops, whole-file helpers and path helpers. See file_util.h.
//
// Direct files want aligned offsets, so a transfer that stopped inside a sector goes on from that
// sector's start: the bytes are read or written a second time, which harms nobody (they are the
// same bytes, and nobody was told that they are durable).

#include "io/file_util.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

namespace nexus::io {
namespace {

// Interruptions, and calls that moved nothing, in a row before a transfer gives up. A healthy
// system shows a handful at most; without a limit a broken one would spin for ever.
constexpr int kFruitlessMax = 100;

// The first read of a file that claims to be empty: the size of files in /proc is always 0.
constexpr uint64_t kFirstReadBytes = 16384;

// One read or write of a whole buffer, as the sequence of operations that it takes. Shared by the
// awaiting and the blocking loops, which differ only in who performs the operation.
class Transfer {
 public:
  Transfer(const File& file, uint64_t offset, uint64_t bytes)
      : file_(file), offset_(offset), bytes_(bytes) {}

  bool finished() const { return finished_ || done_ == bytes_; }
  uint64_t done() const { return done_; }
  // Where the next operation starts, relative to the buffer.
  uint64_t start() const { return file_.direct() ? done_ / kSectorBytes * kSectorBytes : done_; }
  uint64_t offset() const { return offset_ + start(); }

  // Takes the result of a read from start(); 0 and what the file's size says mean its end.
  Status AddRead(int64_t result) {
    if (result == 0) {
      finished_ = true;
      return OkStatus();
    }
    NEXUS_RETURN_IF_ERROR(Add(result, "read"));
    // Bytes after the end cannot be asked for directly: the offset would not be aligned.
    if (file_.direct() && done_ % kSectorBytes != 0 && done_ < bytes_) {
      int64_t size = file_.Size();
      if (size < 0) return ErrnoStatus(static_cast<int>(-size), "find the size of", file_.path());
      finished_ = offset_ + done_ >= static_cast<uint64_t>(size);
    }
    return OkStatus();
  }

  Status AddWrite(int64_t result) { return Add(result, "write"); }

 private:
  Status Add(int64_t result, std::string_view what) {
    bool interrupted = result == -EINTR || result == -EAGAIN;
    if (result < 0 && !interrupted) {
      return Annotate(ErrnoStatus(static_cast<int>(-result), what, file_.path()),
                      fmt::format("at offset {}", offset()));
    }
    uint64_t reached = interrupted ? done_ : start() + static_cast<uint64_t>(result);
    NEXUS_CHECK(reached <= bytes_);
    fruitless_ = reached > done_ ? 0 : fruitless_ + 1;
    done_ = std::max(done_, reached);
    if (fruitless_ > kFruitlessMax) {
      return Unavailable("{} {}: no progress at offset {} after {} attempts", what, file_.path(),
                         offset_ + done_, fruitless_);
    }
    return OkStatus();
  }

  const File& file_;
  const uint64_t offset_;
  const uint64_t bytes_;
  uint64_t done_ = 0;
  int fruitless_ = 0;
  bool finished_ = false;
};

Status EndedEarly(const File& file, uint64_t offset, uint64_t wanted, uint64_t got) {
  return OutOfRange("read {}: the file ends at {}, {} bytes wanted at offset {}", file.path(),
                    offset + got, wanted, offset);
}

Status TooLarge(const std::string& path, uint64_t bytes_max) {
  return ResourceExhausted("read {}: larger than the {} bytes allowed here", path, bytes_max);
}

// How much to read first of a file of `size` bytes: one byte more than it should have, so that one
// that grew is noticed; never more than the limit and that byte.
uint64_t FirstReadBytes(uint64_t size, uint64_t bytes_max) {
  return std::min(std::max(size, kFirstReadBytes), bytes_max) + 1;
}

Task<Status> WriteAndSync(Disk* disk, std::string path, std::string contents) {
  OpenFlags flags;
  flags.write = flags.create = flags.truncate = true;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<File> file, co_await OpenFile(disk, path, flags));
  NEXUS_CO_RETURN_IF_ERROR(co_await WriteAll(file.get(), 0, AsBytes(contents)));
  co_return co_await SyncFile(file.get());
}

// The folders to make for `path`, outermost first: itself and each of its parents.
std::vector<std::string> Ancestry(std::string_view path) {
  std::vector<std::string> chain;
  for (std::string at(path);; at = ParentPath(at)) {
    std::string parent = ParentPath(at);
    if (parent == at) break;
    chain.push_back(at);
    if (parent == "." || parent == "/") break;
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

}  // namespace

Task<StatusOr<std::unique_ptr<File>>> OpenFile(Disk* disk, std::string path, OpenFlags flags) {
  OpenResult opened = co_await disk->Open(path, flags);
  if (opened.error != 0) co_return ErrnoStatus(-opened.error, "open", path);
  co_return std::move(opened.file);
}

StatusOr<std::unique_ptr<File>> OpenFileBlocking(Disk* disk, const std::string& path) {
  OpenResult opened = disk->OpenBlocking(path);
  if (opened.error != 0) return ErrnoStatus(-opened.error, "open", path);
  return std::move(opened.file);
}

Task<StatusOr<uint64_t>> ReadUpTo(File* file, uint64_t offset, MutableBytes into) {
  Transfer transfer(*file, offset, into.size());
  while (!transfer.finished()) {
    int64_t result = co_await Read(file, transfer.offset(), into.subspan(transfer.start()));
    NEXUS_CO_RETURN_IF_ERROR(transfer.AddRead(result));
  }
  co_return transfer.done();
}

StatusOr<uint64_t> ReadUpToBlocking(const File& file, uint64_t offset, MutableBytes into) {
  Transfer transfer(file, offset, into.size());
  while (!transfer.finished()) {
    int64_t result = file.ReadBlocking(transfer.offset(), into.subspan(transfer.start()));
    NEXUS_RETURN_IF_ERROR(transfer.AddRead(result));
  }
  return transfer.done();
}

Task<Status> ReadExactly(File* file, uint64_t offset, MutableBytes into) {
  NEXUS_CO_ASSIGN_OR_RETURN(uint64_t got, co_await ReadUpTo(file, offset, into));
  if (got < into.size()) co_return EndedEarly(*file, offset, into.size(), got);
  co_return OkStatus();
}

Status ReadExactlyBlocking(const File& file, uint64_t offset, MutableBytes into) {
  NEXUS_ASSIGN_OR_RETURN(uint64_t got, ReadUpToBlocking(file, offset, into));
  return got < into.size() ? EndedEarly(file, offset, into.size(), got) : OkStatus();
}

Task<Status> WriteAll(File* file, uint64_t offset, Bytes from) {
  Transfer transfer(*file, offset, from.size());
  while (!transfer.finished()) {
    int64_t result = co_await Write(file, transfer.offset(), from.subspan(transfer.start()));
    NEXUS_CO_RETURN_IF_ERROR(transfer.AddWrite(result));
  }
  co_return OkStatus();
}

Task<Status> SyncFile(File* file) {
  int64_t result = co_await Sync(file);
  if (result < 0) co_return ErrnoStatus(static_cast<int>(-result), "sync", file->path());
  co_return OkStatus();
}

Task<Status> SyncDirectory(Disk* disk, std::string path) {
  int error = co_await disk->SyncDirectory(path);
  if (error != 0) co_return ErrnoStatus(-error, "sync directory", path);
  co_return OkStatus();
}

Task<Status> Rename(Disk* disk, std::string from, std::string to) {
  int error = co_await disk->Rename(from, to);
  if (error != 0) co_return ErrnoStatus(-error, "rename", fmt::format("{} to {}", from, to));
  co_return OkStatus();
}

Task<Status> Unlink(Disk* disk, std::string path) {
  int error = co_await disk->Unlink(path);
  if (error != 0) co_return ErrnoStatus(-error, "unlink", path);
  co_return OkStatus();
}

namespace {

// EINVAL is the answer of a kernel whose io_uring has no such operation.
bool HasNoLinks(int error) {
  constexpr int kRefusals[] = {EXDEV, EPERM, EMLINK, EOPNOTSUPP, EINVAL, ENOSYS};
  return std::any_of(std::begin(kRefusals), std::end(kRefusals),
                     [error](int refusal) { return error == -refusal; });
}

}  // namespace

Task<StatusOr<bool>> Link(Disk* disk, std::string from, std::string to) {
  int error = co_await disk->Link(from, to);
  if (HasNoLinks(error)) co_return false;
  if (error != 0) co_return ErrnoStatus(-error, "link", fmt::format("{} to {}", from, to));
  co_return true;
}

Task<Status> MakeDirectories(Disk* disk, std::string path) {
  // A parent is synced before anything is made below it, so a folder that exists sits in folders
  // that are durable - but for itself, whose parent is synced here in any case.
  std::vector<std::string> chain = Ancestry(path);
  for (size_t i = 0; i < chain.size(); i++) {
    bool last = i + 1 == chain.size();
    int error = co_await disk->MakeDirectory(chain[i]);
    bool existed = error == -EEXIST;
    // A parent that exists may refuse to be made by another name: read-only or not ours.
    if (!last && (existed || error == -EACCES || error == -EROFS || error == -EPERM)) continue;
    if (error != 0 && !existed) {
      co_return ErrnoStatus(-error, "make directory", chain[i]);
    }
    if (existed) {
      int not_a_directory = co_await disk->SyncDirectory(chain[i]);
      if (not_a_directory != 0) co_return ErrnoStatus(-not_a_directory, "open directory", chain[i]);
    }
    int unsynced = co_await disk->SyncDirectory(ParentPath(chain[i]));
    // Who may not even list the parent of a folder that was there did not make it.
    if (existed && unsynced == -EACCES) continue;
    if (unsynced != 0) co_return ErrnoStatus(-unsynced, "sync directory", ParentPath(chain[i]));
  }
  co_return OkStatus();
}

Task<StatusOr<std::vector<DirectoryEntry>>> List(Disk* disk, std::string path) {
  ListResult listed = co_await disk->List(path);
  if (listed.error != 0) co_return ErrnoStatus(-listed.error, "list", path);
  co_return std::move(listed.entries);
}

Task<Status> ReplaceFile(Disk* disk, std::string path, std::string contents) {
  std::string temporary = path + ".tmp";
  Status written = co_await WriteAndSync(disk, temporary, std::move(contents));
  if (!written.ok()) {
    // The error that counts is the first; a left-over .tmp is unlinked at the next open.
    co_await disk->Unlink(temporary);
    co_return written;
  }
  NEXUS_CO_RETURN_IF_ERROR(co_await Rename(disk, temporary, path));
  co_return co_await SyncDirectory(disk, ParentPath(path));
}

Task<StatusOr<std::string>> ReadWholeFile(Disk* disk, std::string path, uint64_t bytes_max) {
  OpenFlags read_only;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<File> file, co_await OpenFile(disk, path, read_only));
  int64_t size = file->Size();
  if (size < 0) co_return ErrnoStatus(static_cast<int>(-size), "find the size of", path);
  if (static_cast<uint64_t>(size) > bytes_max) co_return TooLarge(path, bytes_max);
  std::string contents(FirstReadBytes(static_cast<uint64_t>(size), bytes_max), '\0');
  uint64_t have = 0;
  while (true) {
    MutableBytes rest = std::as_writable_bytes(std::span(contents)).subspan(have);
    NEXUS_CO_ASSIGN_OR_RETURN(uint64_t got, co_await ReadUpTo(file.get(), have, rest));
    have += got;
    if (have > bytes_max) co_return TooLarge(path, bytes_max);
    if (have < contents.size()) break;
    contents.resize(std::min(contents.size() * 2, bytes_max + 1));
  }
  contents.resize(have);
  co_return contents;
}

StatusOr<std::string> ReadWholeFileBlocking(Disk* disk, const std::string& path,
                                            uint64_t bytes_max) {
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<File> file, OpenFileBlocking(disk, path));
  int64_t size = file->Size();
  if (size < 0) return ErrnoStatus(static_cast<int>(-size), "find the size of", path);
  if (static_cast<uint64_t>(size) > bytes_max) return TooLarge(path, bytes_max);
  std::string contents(FirstReadBytes(static_cast<uint64_t>(size), bytes_max), '\0');
  uint64_t have = 0;
  while (true) {
    MutableBytes rest = std::as_writable_bytes(std::span(contents)).subspan(have);
    NEXUS_ASSIGN_OR_RETURN(uint64_t got, ReadUpToBlocking(*file, have, rest));
    have += got;
    if (have > bytes_max) return TooLarge(path, bytes_max);
    if (have < contents.size()) break;
    contents.resize(std::min<uint64_t>(contents.size() * 2, bytes_max + 1));
  }
  contents.resize(have);
  return contents;
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

std::optional<std::string> PlainPath(std::string_view path) {
  std::string plain = path.starts_with('/') ? "/" : "";
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    if (part == "..") return std::nullopt;
    if (!part.empty() && part != ".") plain += std::string(part) + "/";
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return plain;
}

bool PathsOverlap(std::string_view a, std::string_view b) {
  if (a.starts_with('/') != b.starts_with('/')) return false;
  const std::optional<std::string> plain_a = PlainPath(a);
  const std::optional<std::string> plain_b = PlainPath(b);
  if (!plain_a.has_value() || !plain_b.has_value()) return false;
  return plain_a->starts_with(*plain_b) || plain_b->starts_with(*plain_a);
}

std::string ParentPath(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  while (slash > 0 && path[slash - 1] == '/') slash--;
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

AlignedBuffer::AlignedBuffer(uint64_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  data_ = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kSectorBytes}));
  std::memset(data_, 0, bytes);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) ::operator delete (data_, std::align_val_t{kSectorBytes});
}

}  // namespace nexus::io
