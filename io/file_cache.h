// FileCache: read-only files by name, of which a bounded number is open at a time.
//
// A file of the cache is opened by the first read and stays open until another needs its place: of
// those that nobody reads just now, the one read longest ago is closed. So any number of files can
// be read through few descriptors, by opening and closing in turn. Where all that are open are
// being read, the next reader waits; reads end, so it does not wait for ever.
// Failure: what opening gives is the result of the read that needed it, and the next read tries
// again. If the process, or the machine, has no descriptor left (EMFILE, ENFILE), what is open and
// not being read is closed, and the opening tried once more.
// Threading: any thread but a loop's, which may only make and destroy files. A file is destroyed
// when nobody reads it.
//
// Costs two locks a read, 0.1 us; an opening about 5 us.

#ifndef NEXUS_IO_FILE_CACHE_H_
#define NEXUS_IO_FILE_CACHE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/mutex.h"
#include "io/file.h"

namespace nexus::io {

class FileCache {
 public:
  // `open_max`: at least 1. `disk` must outlive the cache, which must outlive its files.
  FileCache(Disk* disk, uint64_t open_max) : disk_(disk), open_max_(open_max) {
    NEXUS_CHECK(open_max_ > 0);
  }
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;

  // Does nothing yet. Of the file only path, direct, ReadBlocking and Size may be called; the last
  // two open it.
  std::unique_ptr<File> Make(std::string path);

  uint64_t open_max() const { return open_max_; }
  struct Counters {
    uint64_t open = 0;      // now
    uint64_t openings = 0;  // ever
  };
  Counters counters() const;

 private:
  class CachedFile;
  using Idle = std::list<CachedFile*>;

  // Opens the file unless it is, and keeps it so until Leave. 0 or -errno.
  int Enter(CachedFile* file);
  void Leave(CachedFile* file);
  void Remove(CachedFile* file);
  int OpenNow(CachedFile* file);
  // Takes what is read least out of the idle ones, to be closed without the lock.
  std::unique_ptr<File> TakeIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Disk* const disk_;
  const uint64_t open_max_;
  mutable Mutex mutex_;
  CondVar changed_;
  Idle idle_ ABSL_GUARDED_BY(mutex_);          // open and not being read, longest ago first
  uint64_t open_ ABSL_GUARDED_BY(mutex_) = 0;  // being opened, open, or being closed
  uint64_t openings_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_FILE_CACHE_H_
