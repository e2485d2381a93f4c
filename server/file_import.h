// FileImport: the lines of one file of line protocol or CSV into an Importer.
//
// A line that is wrong is counted and kept as a message (Importer::Reject), and the rest is
// imported; a line is taken whole or not at all. Failure: what ends the import - a CSV header that
// means nothing, and the importer's errors. Threading: one thread.

#ifndef NEXUS_SERVER_FILE_IMPORT_H_
#define NEXUS_SERVER_FILE_IMPORT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "server/importer.h"

namespace nexus::server {

struct ImportedFile {
  std::string shown_name;     // in messages
  std::vector<Label> labels;  // for every series, besides its own
  uint64_t seed = 0;          // of the keys of series, the same for all files of an importer
};

// The unit of an integer timestamp.
struct TimestampUnit {
  std::string_view name = "ns";  // "ns", "us", "ms", "s"
  int64_t nanos = 1;
};
// REQUIRES: one of the names.
TimestampUnit UnitOf(std::string_view name);

class FileImport {
 public:
  // The importer outlives it.
  FileImport(ImportedFile file, Importer* importer) : file_(std::move(file)), importer_(importer) {}
  virtual ~FileImport() = default;
  FileImport(const FileImport&) = delete;
  FileImport& operator=(const FileImport&) = delete;

  // The next line without its newline, and its number from 1. Errors: those that end the import.
  virtual Status Line(std::string_view line, uint64_t number) = 0;
  // No more lines. Errors: as Line.
  virtual Status End() { return OkStatus(); }

 protected:
  // Labels of a new series, with those of every series.
  StatusOr<Labels> LabelsOf(std::string metric, std::vector<Label> labels) const;
  // What is wrong in a line is counted; other errors are passed on.
  Status CountRejection(Status status, uint64_t number);

  const ImportedFile file_;
  Importer* const importer_;
};

// Line protocol with timestamps in `unit`; a line without one is of the time `wall_ns` gives.
std::unique_ptr<FileImport> MakeInfluxImport(ImportedFile file, TimestampUnit unit,
                                             int64_t (*wall_ns)(), Importer* importer);
// CSV; `name` makes the metrics (CsvMetric).
std::unique_ptr<FileImport> MakeCsvImport(ImportedFile file, std::string name, Importer* importer);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_FILE_IMPORT_H_
