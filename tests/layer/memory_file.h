// MemoryFile: an io::File over a string, read-only, for tests and fuzz targets of the reader.
//
// It can be told to fail the nth read. Threading: as the string is; reading from many threads is
// fine.

#ifndef NEXUS_TESTS_LAYER_MEMORY_FILE_H_
#define NEXUS_TESTS_LAYER_MEMORY_FILE_H_

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "io/file.h"

namespace nexus::layer::testing {

class MemoryFile final : public io::File {
 public:
  explicit MemoryFile(std::string contents, std::string path = "memory.layer")
      : contents_(std::move(contents)), path_(std::move(path)) {}

  // The read with this number, from 0, and all after it fail with EIO.
  void FailReadsFrom(int read) { failing_from_ = read; }

  const std::string& path() const override { return path_; }
  bool direct() const override { return false; }
  void Submit(io::FileOp*) override { NEXUS_CHECK(false); }
  int64_t ReadBlocking(uint64_t offset, MutableBytes into) const override {
    if (failing_from_ >= 0 && reads_++ >= failing_from_) return -EIO;
    if (offset >= contents_.size()) return 0;
    const size_t n = std::min<size_t>(into.size(), contents_.size() - offset);
    std::memcpy(into.data(), contents_.data() + offset, n);
    return static_cast<int64_t>(n);
  }
  int64_t Size() const override { return static_cast<int64_t>(contents_.size()); }
  io::Task<int> Allocate(uint64_t) override { co_return -EROFS; }
  io::Task<int> Truncate(uint64_t) override { co_return -EROFS; }

 private:
  const std::string contents_;
  const std::string path_;
  int failing_from_ = -1;
  mutable std::atomic<int> reads_{0};
};

}  // namespace nexus::layer::testing

#endif  // NEXUS_TESTS_LAYER_MEMORY_FILE_H_
