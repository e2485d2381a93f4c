// Reading line by line. See line_source.h.

#include "server/line_source.h"

#include <cstdio>
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
  buffer_.erase(0, std::exchange(at_, 0));
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
  size_t searched = 0;
  while (true) {
    size_t end = buffer_.find('\n', at_ + searched);
    if (end != std::string::npos) {
      *line = std::string_view(buffer_).substr(at_, end - at_);
      at_ = end + 1;
      line_number_++;
      return true;
    }
    searched = buffer_.size() - at_;
    if (searched > kLineBytesMax) {
      return InvalidArgument("{}: line {} is longer than {} bytes", path_, line_number_ + 1,
                             kLineBytesMax);
    }
    if (at_end_) break;
    NEXUS_RETURN_IF_ERROR(Fill());
  }
  if (at_ == buffer_.size()) return false;
  *line = std::string_view(buffer_).substr(at_);
  at_ = buffer_.size();
  line_number_++;
  return true;
}

}  // namespace nexus::server
