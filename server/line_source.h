// LineSource: the lines of a file or of standard input, in bounded memory.
//
// A line longer than kLineBytesMax is an error that names the line. Threading: one thread.

#ifndef NEXUS_SERVER_LINE_SOURCE_H_
#define NEXUS_SERVER_LINE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "io/file.h"
#include "server/line_protocol.h"

namespace nexus::server {

// The longest line of honest line protocol seen has some 10 KiB; a hundred times that.
inline constexpr size_t kLineBytesMax = 1 << 20;

class LineSource {
 public:
  // "-" is standard input.
  static StatusOr<std::unique_ptr<LineSource>> Open(io::Disk* disk, const std::string& path);

  // The next line without its newline, valid until the next call; false at the end.
  // Errors: InvalidArgument (a line too long), and those of reading.
  StatusOr<bool> Next(std::string_view* line);

  const std::string& path() const { return path_; }
  uint64_t line_number() const { return line_number_; }
  uint64_t bytes_done() const { return offset_ - splitter_.Rest(buffer_).size(); }
  uint64_t bytes_total() const { return bytes_total_; }  // 0 if unknown

 private:
  LineSource(std::string path, std::unique_ptr<io::File> file);
  Status Fill();

  const std::string path_;
  const std::unique_ptr<io::File> file_;  // null: standard input
  uint64_t bytes_total_ = 0;
  std::string buffer_;
  LineSplitter splitter_;
  std::string last_line_;  // the one that no newline ends
  uint64_t offset_ = 0;    // bytes read
  uint64_t line_number_ = 0;
  bool at_end_ = false;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_LINE_SOURCE_H_
