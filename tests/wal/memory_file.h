// MemoryFile: bytes in memory as a file to read, for tests and fuzz targets of readers.
//
// Only reading works; it is all a reader asks for. Threading: any, the bytes do not change.

#ifndef NEXUS_TESTS_WAL_MEMORY_FILE_H_
#define NEXUS_TESTS_WAL_MEMORY_FILE_H_

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "io/file.h"

namespace nexus::wal {

class MemoryFile : public io::File {
 public:
  explicit MemoryFile(std::string contents) : contents_(std::move(contents)) {}

  const std::string& path() const override { return path_; }
  bool direct() const override { return false; }
  void Submit(io::FileOp*) override { NEXUS_CHECK(false); }
  int64_t ReadBlocking(uint64_t offset, MutableBytes into) const override {
    if (offset >= contents_.size()) return 0;
    uint64_t bytes = std::min<uint64_t>(into.size(), contents_.size() - offset);
    std::memcpy(into.data(), contents_.data() + offset, bytes);
    largest_read_ = std::max(largest_read_, into.size());
    return static_cast<int64_t>(bytes);
  }
  int64_t Size() const override { return static_cast<int64_t>(contents_.size()); }
  io::Task<int> Allocate(uint64_t) override { co_return -EROFS; }
  io::Task<int> Truncate(uint64_t) override { co_return -EROFS; }

  uint64_t largest_read() const { return largest_read_; }

 private:
  const std::string path_ = "memory";
  const std::string contents_;
  mutable uint64_t largest_read_ = 0;
};

}  // namespace nexus::wal

#endif  // NEXUS_TESTS_WAL_MEMORY_FILE_H_
