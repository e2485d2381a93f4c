// CSV with a header row, as RFC 4180 has it: commas, quotes doubled inside quotes, CRLF or LF.
//
// A column called `timestamp` and one column for each value; empty cells have no sample. The metric
// of a column called `value` is NAME, of others NAME_column (DESIGN section 13). Failure:
// InvalidArgument names line and column. Threading: one thread.

#ifndef NEXUS_SERVER_CSV_READER_H_
#define NEXUS_SERVER_CSV_READER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace nexus::server {

// One line to cells. Errors: InvalidArgument - a quote that is not closed, text behind a closing
// quote.
Status SplitCsvLine(std::string_view line, std::vector<std::string>* cells);

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
