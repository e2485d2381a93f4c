// FileCache: any number of files through few descriptors, with right contents and true errors.

#include "io/file_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"

namespace nexus::io {
namespace {

// Files whose content is their path; counts those that are open. One may be so twice for a moment:
// a thread that takes its descriptor closes it without the cache's lock, while another opens it
// anew.
class FakeDisk : public Disk {
 public:
  OpenResult OpenBlocking(std::string path) override {
    MutexLock lock(&mutex_);
    if (error_ != 0) return OpenResult(std::exchange(error_, 0), nullptr);
    if (open_.size() >= descriptors_) return OpenResult(-EMFILE, nullptr);
    open_.insert(path);
    most_ = std::max(most_, open_.size());
    return OpenResult(0, std::make_unique<FakeFile>(this, std::move(path)));
  }

  // The next opening fails.
  void FailOnce(int error) {
    MutexLock lock(&mutex_);
    error_ = error;
  }
  void SetDescriptors(size_t descriptors) { descriptors_ = descriptors; }
  std::multiset<std::string> open() const {
    MutexLock lock(&mutex_);
    return open_;
  }
  size_t most() const {
    MutexLock lock(&mutex_);
    return most_;
  }

  Task<OpenResult> Open(std::string, OpenFlags) override { co_return OpenResult(-EIO, nullptr); }
  Task<int> Rename(std::string, std::string) override { co_return -EIO; }
  Task<int> Unlink(std::string) override { co_return -EIO; }
  Task<int> Link(std::string, std::string) override { co_return -EIO; }
  Task<int> MakeDirectory(std::string) override { co_return -EIO; }
  Task<int> RemoveDirectory(std::string) override { co_return -EIO; }
  Task<int> SyncDirectory(std::string) override { co_return -EIO; }
  Task<ListResult> List(std::string) override { co_return ListResult(-EIO, {}); }
  Task<LockResult> Lock(std::string) override { co_return LockResult(-EIO, 0, nullptr); }
  Task<SpaceResult> FreeSpace(std::string) override { co_return SpaceResult(); }

 private:
  class FakeFile : public File {
   public:
    FakeFile(FakeDisk* disk, std::string path) : disk_(disk), path_(std::move(path)) {}
    ~FakeFile() override {
      MutexLock lock(&disk_->mutex_);
      disk_->open_.erase(disk_->open_.find(path_));
    }
    const std::string& path() const override { return path_; }
    bool direct() const override { return false; }
    void Submit(FileOp*) override { NEXUS_CHECK(false); }
    int64_t ReadBlocking(uint64_t offset, MutableBytes into) const override {
      std::this_thread::yield();
      const size_t n = std::min<size_t>(into.size(), path_.size() - offset);
      std::memcpy(into.data(), path_.data() + offset, n);
      return static_cast<int64_t>(n);
    }
    int64_t Size() const override { return static_cast<int64_t>(path_.size()); }
    Task<int> Allocate(uint64_t) override { co_return -EBADF; }
    Task<int> Truncate(uint64_t) override { co_return -EBADF; }

   private:
    FakeDisk* const disk_;
    const std::string path_;
  };

  mutable Mutex mutex_;
  std::multiset<std::string> open_ ABSL_GUARDED_BY(mutex_);
  size_t most_ ABSL_GUARDED_BY(mutex_) = 0;
  int error_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t descriptors_ = 1000;
};

// What the file holds, or the error.
std::string Read(const File& file) {
  char text[64];
  const int64_t n = file.ReadBlocking(0, std::as_writable_bytes(std::span(text)));
  return n < 0 ? std::to_string(n) : std::string(text, static_cast<size_t>(n));
}

TEST(FileCache, FilesAreOpenedByTheirFirstReadAndNoMoreThanAllowedAtATime) {
  FakeDisk disk;
  FileCache cache(&disk, 2);
  std::vector<std::unique_ptr<File>> files;
  for (int i = 0; i < 5; i++) files.push_back(cache.Make("file" + std::to_string(i)));
  EXPECT_TRUE(disk.open().empty());
  for (int round = 0; round < 3; round++) {
    for (const auto& file : files) EXPECT_EQ(Read(*file), file->path());
  }
  EXPECT_EQ(files[1]->Size(), 5);
  EXPECT_EQ(disk.most(), 2u);
  EXPECT_EQ(cache.counters().open, 2u);
}

TEST(FileCache, TheOneReadLongestAgoIsClosed) {
  FakeDisk disk;
  FileCache cache(&disk, 2);
  const auto a = cache.Make("a"), b = cache.Make("b"), c = cache.Make("c");
  Read(*a);
  Read(*b);
  Read(*a);
  Read(*c);
  EXPECT_EQ(disk.open(), (std::multiset<std::string>{"a", "c"}));
  EXPECT_EQ(cache.counters().openings, 3u);
}

TEST(FileCache, AFileThatGoesIsClosedAndGivesItsPlace) {
  FakeDisk disk;
  FileCache cache(&disk, 2);
  auto a = cache.Make("a");
  const auto b = cache.Make("b"), c = cache.Make("c");
  Read(*a);
  Read(*b);
  a.reset();
  EXPECT_EQ(disk.open(), (std::multiset<std::string>{"b"}));
  Read(*c);
  EXPECT_EQ(disk.open(), (std::multiset<std::string>{"b", "c"}));
}

TEST(FileCache, AnErrorOfOpeningIsTheReadsAndIsNotKept) {
  FakeDisk disk;
  FileCache cache(&disk, 1);
  const auto a = cache.Make("a"), b = cache.Make("b");
  Read(*a);
  for (int i = 0; i < 3; i++) {
    disk.FailOnce(-EIO);
    EXPECT_EQ(Read(*b), std::to_string(-EIO));
    EXPECT_EQ(cache.counters().open, 0u) << "a place is lost";
  }
  EXPECT_EQ(Read(*b), "b");
  EXPECT_EQ(Read(*a), "a");
}

TEST(FileCache, WithoutDescriptorsThoseThatAreIdleAreClosed) {
  FakeDisk disk;
  FileCache cache(&disk, 100);
  std::vector<std::unique_ptr<File>> files;
  for (int i = 0; i < 10; i++) files.push_back(cache.Make("file" + std::to_string(i)));
  disk.SetDescriptors(3);
  for (int round = 0; round < 3; round++) {
    for (const auto& file : files) EXPECT_EQ(Read(*file), file->path());
  }
  disk.SetDescriptors(0);
  const auto one_more = cache.Make("one more");
  EXPECT_EQ(Read(*one_more), std::to_string(-EMFILE)) << "there was nothing left to close";
  EXPECT_EQ(cache.counters().open, 0u);
}

TEST(FileCache, ReadersOfOneFileShareItsOpening) {
  FakeDisk disk;
  FileCache cache(&disk, 3);
  const auto file = cache.Make("file");
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; t++) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < 100; i++) ASSERT_EQ(Read(*file), file->path());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(disk.most(), 1u);
  EXPECT_EQ(cache.counters().openings, 1u);
}

TEST(FileCache, ManyThreadsShareFewPlaces) {
  FakeDisk disk;
  FileCache cache(&disk, 3);
  std::vector<std::unique_ptr<File>> files;
  for (int i = 0; i < 16; i++) files.push_back(cache.Make("file" + std::to_string(i)));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; t++) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 500; i++) {
        const File& file = *files[(i * (t + 1) + t) % files.size()];
        ASSERT_EQ(Read(file), file.path());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(disk.most(), 3u);
}

}  // namespace
}  // namespace nexus::io
