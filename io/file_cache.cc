// Opening and closing in turn. See file_cache.h.

#include "io/file_cache.h"

#include <cerrno>
#include <utility>

#include "base/check.h"

namespace nexus::io {

// All but the path is guarded by the cache's mutex; `file` may be read without it between Enter and
// Leave.
class FileCache::CachedFile : public File {
 public:
  CachedFile(FileCache* cache, std::string path)
      : place(1, this), at(place.begin()), cache_(cache), path_(std::move(path)) {}
  ~CachedFile() override { cache_->Remove(this); }

  const std::string& path() const override { return path_; }
  bool direct() const override { return false; }
  void Submit(FileOp*) override { NEXUS_CHECK(false); }
  int64_t ReadBlocking(uint64_t offset, MutableBytes into) const override {
    auto* self = const_cast<CachedFile*>(this);
    const int error = cache_->Enter(self);
    if (error != 0) return error;
    const int64_t result = file->ReadBlocking(offset, into);
    cache_->Leave(self);
    return result;
  }
  int64_t Size() const override {
    auto* self = const_cast<CachedFile*>(this);
    const int error = cache_->Enter(self);
    if (error != 0) return error;
    const int64_t bytes = file->Size();
    cache_->Leave(self);
    return bytes;
  }
  Task<int> Allocate(uint64_t) override { co_return -EBADF; }
  Task<int> Truncate(uint64_t) override { co_return -EBADF; }

  std::unique_ptr<File> file;  // null: closed
  bool opening = false;
  uint64_t readers = 0;
  // Its place among the idle ones, kept here while it is closed or read: moving it costs nothing.
  Idle place;
  const Idle::iterator at;

 private:
  FileCache* const cache_;
  const std::string path_;
};

std::unique_ptr<File> FileCache::Make(std::string path) {
  return std::make_unique<CachedFile>(this, std::move(path));
}

std::unique_ptr<File> FileCache::TakeIdle() {
  CachedFile* const victim = idle_.front();
  victim->place.splice(victim->place.begin(), idle_, idle_.begin());
  return std::move(victim->file);
}

int FileCache::Enter(CachedFile* file) {
  // Closed when this returns, without the lock; the place that it had is the new file's.
  std::unique_ptr<File> closed;
  {
    MutexLock lock(&mutex_);
    for (;;) {
      if (file->file != nullptr) {
        if (file->readers++ == 0) file->place.splice(file->place.begin(), idle_, file->at);
        return 0;
      }
      if (!file->opening && open_ < open_max_) {
        open_++;
        break;
      }
      if (!file->opening && !idle_.empty()) {
        closed = TakeIdle();
        break;
      }
      changed_.Wait(&mutex_);
    }
    file->opening = true;
    openings_++;
  }
  closed.reset();
  return OpenNow(file);
}

int FileCache::OpenNow(CachedFile* file) {
  OpenResult opened = disk_->OpenBlocking(file->path());
  if (opened.error == -EMFILE || opened.error == -ENFILE) {
    std::list<std::unique_ptr<File>> closed;
    {
      MutexLock lock(&mutex_);
      while (!idle_.empty()) closed.push_back(TakeIdle());
    }
    const uint64_t places = closed.size();
    closed.clear();
    {
      MutexLock lock(&mutex_);
      open_ -= places;
    }
    opened = disk_->OpenBlocking(file->path());
  }
  MutexLock lock(&mutex_);
  file->opening = false;
  if (opened.error == 0) {
    file->file = std::move(opened.file);
    file->readers = 1;
  } else {
    open_--;
  }
  // Those who wait for this file, or for a place.
  changed_.NotifyAll();
  return opened.error;
}

void FileCache::Leave(CachedFile* file) {
  MutexLock lock(&mutex_);
  if (--file->readers > 0) return;
  idle_.splice(idle_.end(), file->place);
  changed_.NotifyAll();
}

void FileCache::Remove(CachedFile* file) {
  std::unique_ptr<File> closed;
  {
    MutexLock lock(&mutex_);
    NEXUS_CHECK(file->readers == 0);
    NEXUS_CHECK(!file->opening);
    if (file->file == nullptr) return;
    file->place.splice(file->place.begin(), idle_, file->at);
    closed = std::move(file->file);
  }
  closed.reset();
  MutexLock lock(&mutex_);
  open_--;
  changed_.NotifyAll();
}

FileCache::Counters FileCache::counters() const {
  MutexLock lock(&mutex_);
  return {open_, openings_};
}

}  // namespace nexus::io
