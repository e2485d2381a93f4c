// File and Disk: the seam to storage. Raw results cross it; the retry loops live above
// (io/file_util.h).
//
// The disk contract D1-D10 (TESTING section 2) says what a completion means. In short:
//   D1 a completed write is visible, not durable.   D2 a sync covers writes completed before it was
//   submitted, or before it in the same linked chain.   D3 after a failed sync the handle is dead.
//   D4 create, rename, unlink need the directory's sync.   D7 unsynced data may be torn per sector;
//   other sectors are unharmed.   D9 any write may fail or be short.   D10 completions in any
//   order.
//
// Asynchronous operations (FileOp) are owned by the caller and pinned until `done` is called, which
// the loop does, never the submitting call; submitting does not allocate. Tasks are for the rare
// operations. All results are bytes or zero, or a negative errno; never a Status. Threading: loop
// thread, except ReadBlocking, which any thread but the loop's should use: workers and callers that
// read immutable files need no hand-over (a wake costs 60 us here, a cached read 5).

#ifndef NEXUS_IO_FILE_H_
#define NEXUS_IO_FILE_H_

#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "io/task.h"

namespace nexus::io {

// Torn writes tear at this grain; direct I/O is aligned to it (offset, length and address).
inline constexpr uint64_t kSectorBytes = 4096;

struct FileOp {
  enum class Kind : uint8_t {
    kRead,
    kWrite,
    kSync,           // fdatasync
    kWriteThenSync,  // one linked chain: the sync runs only if the write was whole, else -ECANCELED
  };
  using Done = void (*)(FileOp*);

  FileOp(Kind op, uint64_t at, MutableBytes bytes, Done completed)
      : kind(op), offset(at), buffer(bytes), done(completed) {}
  FileOp(const FileOp&) = delete;
  FileOp& operator=(const FileOp&) = delete;

  Kind kind;
  uint64_t offset;
  MutableBytes buffer;  // a write only reads from it
  Done done;
  int64_t result = 0;       // of the read, write or sync
  int64_t sync_result = 0;  // of the sync of kWriteThenSync
  FileOp* next = nullptr;   // the backend's
  void* backend = nullptr;  // the backend's
};

class File {
 public:
  // Closes. REQUIRES: no operation in flight (in the simulator: or the world has crashed).
  virtual ~File() = default;

  virtual const std::string& path() const = 0;
  // True if the file was opened for direct I/O: offset, length and address must be sector-aligned.
  virtual bool direct() const = 0;

  virtual void Submit(FileOp* op) = 0;

  // Reads at an offset and waits. Any thread. Bytes read (0 at the end, maybe fewer than asked) or
  // -errno.
  virtual int64_t ReadBlocking(uint64_t offset, MutableBytes into) const = 0;

  // The file's size in bytes or -errno. Any thread.
  virtual int64_t Size() const = 0;
  // Reserves space for [0, bytes) and extends the size to it; what was not written reads as zeros.
  virtual Task<int> Allocate(uint64_t bytes) = 0;
  virtual Task<int> Truncate(uint64_t bytes) = 0;
};

struct OpenFlags {
  bool write = false;
  bool create = false;     // makes it if missing
  bool exclusive = false;  // with create: fails with -EEXIST if present
  bool truncate = false;
  bool direct = false;  // direct I/O if the file system has it; see File::direct()
};

struct OpenResult {
  OpenResult(int failed, std::unique_ptr<File> opened) : error(failed), file(std::move(opened)) {}
  int error;  // 0 or a negative errno
  std::unique_ptr<File> file;
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  uint64_t bytes = 0;  // size of a regular file
};

struct ListResult {
  ListResult(int failed, std::vector<DirectoryEntry> listed)
      : error(failed), entries(std::move(listed)) {}
  int error;
  std::vector<DirectoryEntry> entries;  // in byte order of names
};

// Holds a lock file. The lock is kept by the open file description, which the backend also
// registers with the kernel's I/O context: it frees only when the kernel has finished every write
// this process had in flight, so a successor never meets a dead process's writes.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct LockResult {
  LockResult(int failed, int64_t pid, std::unique_ptr<FileLock> taken)
      : error(failed), holder_pid(pid), lock(std::move(taken)) {}
  int error;           // 0, -EWOULDBLOCK if another holds it, or another -errno
  int64_t holder_pid;  // with -EWOULDBLOCK: the pid written in the file, 0 if unknown
  std::unique_ptr<FileLock> lock;
};

struct SpaceResult {
  int error = 0;
  uint64_t available_bytes = 0;
};

// Names are paths as the operating system takes them. Parameters by value: the tasks outlive the
// call.
class Disk {
 public:
  virtual ~Disk() = default;

  virtual Task<OpenResult> Open(std::string path, OpenFlags flags) = 0;
  // The same for callers off the loop (workers, tools); read-only.
  virtual OpenResult OpenBlocking(std::string path) = 0;
  // Replaces an existing target (D5). Durable after SyncDirectory of its folder (D4); likewise all
  // below.
  virtual Task<int> Rename(std::string from, std::string to) = 0;
  virtual Task<int> Unlink(std::string path) = 0;
  // Gives a file a second name, which must be free (-EEXIST) and in the same file system (-EXDEV).
  // -EPERM, -EMLINK, -EOPNOTSUPP: the file system does not do that, or not once more.
  virtual Task<int> Link(std::string from, std::string to) = 0;
  virtual Task<int> MakeDirectory(std::string path) = 0;
  virtual Task<int> RemoveDirectory(std::string path) = 0;
  virtual Task<int> SyncDirectory(std::string path) = 0;
  virtual Task<ListResult> List(std::string path) = 0;
  // Takes the lock without waiting; writes this process's pid into the file.
  virtual Task<LockResult> Lock(std::string path) = 0;
  virtual Task<SpaceResult> FreeSpace(std::string path) = 0;

  // Tells the kernel of a buffer that writes will come from, to save pinning it each time.
  // Optional: a backend may do nothing. The buffer must stay mapped until UnregisterBuffer.
  virtual void RegisterBuffer(MutableBytes) {}
  virtual void UnregisterBuffer(MutableBytes) {}
};

// Awaitable of one operation: `int64_t n = co_await Read(file, offset, buffer);`
class FileOpAwaiter : FileOp {
 public:
  FileOpAwaiter(File* file, Kind op, uint64_t at, MutableBytes bytes)
      : FileOp(op, at, bytes, &Complete), file_(file) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    file_->Submit(this);
  }
  int64_t await_resume() const { return result; }

 private:
  static void Complete(FileOp* op) { static_cast<FileOpAwaiter*>(op)->waiter_.resume(); }
  File* file_;
  std::coroutine_handle<> waiter_;
};

inline FileOpAwaiter Read(File* file, uint64_t offset, MutableBytes into) {
  return FileOpAwaiter(file, FileOp::Kind::kRead, offset, into);
}
inline FileOpAwaiter Write(File* file, uint64_t offset, Bytes from) {
  // The backend only reads a write's buffer; FileOp has one span type for both directions.
  auto* bytes = const_cast<std::byte*>(from.data());
  return FileOpAwaiter(file, FileOp::Kind::kWrite, offset, {bytes, from.size()});
}
inline FileOpAwaiter Sync(File* file) { return FileOpAwaiter(file, FileOp::Kind::kSync, 0, {}); }

}  // namespace nexus::io

#endif  // NEXUS_IO_FILE_H_
