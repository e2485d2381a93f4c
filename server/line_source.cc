// Reading line by line. See line_source.h.

#include "server/line_source.h"

#include <cstdio>
#include <optional>
#include <utility>

#include "io/file_util.h"

namespace nexus::server {
namespace {

constexpr size_t kReadBytes = 1 << 20;

}  // namespace

LineSource::LineSource(std::string path, std::unique_ptr<io::File> file)
    : path_(std::move(path)), file_(std::move(file)) {}

StatusOr<std::unique_ptr<LineSource>> LineSource::Open(io::Disk* disk, const std::string& path) {
  std::unique_ptr<io::File> file;
  if (path != "-") {
    NEXUS_ASSIGN_OR_RETURN(file, io::OpenFileBlocking(disk, path));
  }
  std::unique_ptr<LineSource> source(
      new LineSource(path == "-" ? "standard input" : path, std::move(file)));
  if (source->file_ != nullptr) {
    source->bytes_total_ = static_cast<uint64_t>(std::max<int64_t>(source->file_->Size(), 0));
  }
  return source;
}

Status LineSource::Fill() {
  buffer_.erase(0, splitter_.TakeConsumed());
  const size_t have = buffer_.size();
  buffer_.resize(have + kReadBytes);
  uint64_t got = 0;
  if (file_ != nullptr) {
    MutableBytes into = std::as_writable_bytes(std::span(buffer_)).subspan(have);
    NEXUS_ASSIGN_OR_RETURN(got, io::ReadUpToBlocking(*file_, offset_, into));
  } else {
    got = std::fread(buffer_.data() + have, 1, kReadBytes, stdin);
  }
  buffer_.resize(have + got);
  offset_ += got;
  at_end_ = got == 0;
  return OkStatus();
}

StatusOr<bool> LineSource::Next(std::string_view* line) {
  std::optional<std::string_view> next = splitter_.Next(buffer_);
  while (!next.has_value() && !at_end_) {
    if (splitter_.Rest(buffer_).size() > kLineBytesMax) {
      return InvalidArgument("{}: line {} is longer than {} bytes", path_, line_number_ + 1,
                             kLineBytesMax);
    }
    NEXUS_RETURN_IF_ERROR(Fill());
    next = splitter_.Next(buffer_);
  }
  if (!next.has_value()) {
    // The last line may lack its newline.
    next = splitter_.Rest(buffer_);
    if (next->empty()) return false;
    last_line_ = *next;
    next = last_line_;
    buffer_.clear();
    splitter_ = {};
  }
  *line = *next;
  line_number_++;
  return true;
}

}  // namespace nexus::server
