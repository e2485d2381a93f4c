// CSV with a header row, as RFC 4180 has it: commas, quotes doubled inside quotes, newlines inside
// quotes, CRLF or LF.
//
// A column called `timestamp` and one column for each value; empty cells have no sample. The metric
// of a column called `value` is NAME, of others NAME_column (DESIGN section 13). Failure:
// InvalidArgument names line and column. Threading: one thread.

#ifndef NEXUS_SERVER_CSV_READER_H_
#define NEXUS_SERVER_CSV_READER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace nexus::server {

// Lines to records: a line that ends inside quotes goes on with the next one.
//
// A quote that is never closed must not swallow the file: when kRecordLinesMax lines or
// kRecordBytesMax bytes have not closed it, or the file ends, each of the lines is a record of its
// own, and the first one fails as such.
class CsvRecords {
 public:
  // Cells of several lines are addresses or remarks; telemetry has none.
  static constexpr size_t kRecordLinesMax = 100;
  // Looking for the closing quote after each line reads a record at most kRecordLinesMax times.
  static constexpr size_t kRecordBytesMax = 1 << 16;

  // Takes a record and the number of its first line.
  using Visit = std::function<Status(std::string_view record, uint64_t line)>;
  explicit CsvRecords(Visit visit) : visit_(std::move(visit)) {}

  // Takes the next line. Errors: those of `visit`, at which it stops.
  Status Line(std::string_view line, uint64_t number);
  // Takes the end of the file.
  Status End();

 private:
  const Visit visit_;
  std::vector<std::string> held_;  // lines of a record that is not whole yet
  std::string record_;             // the same, joined
  uint64_t first_line_ = 0;
};

// One record to cells. Errors: InvalidArgument - a quote that is not closed, text behind a closing
// quote.
Status SplitCsvRecord(std::string_view record, std::vector<std::string>* cells);

struct CsvValue {
  size_t column = 0;  // of value_columns()
  double value = 0;
};

struct CsvRow {
  int64_t timestamp_ns = 0;
  std::vector<CsvValue> values;
};

class CsvReader {
 public:
  // Reads the header row. Errors: InvalidArgument - no column called timestamp, no other column, a
  // name twice.
  Status ReadHeader(std::string_view line);
  // Names of the value columns, in order.
  const std::vector<std::string>& value_columns() const { return value_columns_; }
  // Reads a row. An empty line gives a row without values.
  Status ReadRow(std::string_view line, CsvRow* row);

 private:
  std::vector<std::string> cells_;
  std::vector<std::string> value_columns_;
  size_t timestamp_column_ = 0;
};

// NAME for the column `value`, else NAME_column.
std::string CsvMetric(std::string_view name, std::string_view column);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_CSV_READER_H_
