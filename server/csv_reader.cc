// Cells, header, rows. See csv_reader.h.

#include "server/csv_reader.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/time_text.h"

namespace nexus::server {
namespace {

// True if the text ends inside a quoted cell. Quotes elsewhere than at a cell's begin are text.
bool EndsInsideQuotes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (text[at] == '"') {
      at = text.find('"', at + 1);
      while (at != std::string_view::npos && text.substr(at, 2) == "\"\"") {
        at = text.find('"', at + 2);
      }
      if (at == std::string_view::npos) return true;
    }
    at = std::min(text.find(',', at), text.size());
    at++;
  }
  return false;
}

}  // namespace

Status CsvRecords::Line(std::string_view line, uint64_t number) {
  if (held_.empty()) {
    if (!EndsInsideQuotes(line)) return visit_(line, number);
    first_line_ = number;
    record_ = line;
  } else {
    record_ += '\n';
    record_ += line;
  }
  held_.emplace_back(line);
  if (!EndsInsideQuotes(record_)) {
    held_.clear();
    return visit_(record_, first_line_);
  }
  return held_.size() < kRecordLinesMax && record_.size() < kRecordBytesMax ? OkStatus() : End();
}

Status CsvRecords::End() {
  for (size_t i = 0; i < held_.size(); i++) {
    NEXUS_RETURN_IF_ERROR(visit_(held_[i], first_line_ + i));
  }
  held_.clear();
  return OkStatus();
}

Status SplitCsvRecord(std::string_view record, std::vector<std::string>* cells) {
  cells->clear();
  if (record.ends_with('\r')) record.remove_suffix(1);
  size_t at = 0;
  while (true) {
    std::string cell;
    if (at < record.size() && record[at] == '"') {
      const size_t opened = at++;
      while (at < record.size() && (record[at] != '"' || record.substr(at, 2) == "\"\"")) {
        at += record[at] == '"' ? 1 : 0;
        cell += record[at++];
      }
      if (at == record.size())
        return InvalidArgument("column {}: the quote is not closed", opened + 1);
      at++;
      if (at < record.size() && record[at] != ',') {
        return InvalidArgument("column {}: expected a comma behind the closing quote", at + 1);
      }
    } else {
      size_t end = std::min(record.find(',', at), record.size());
      cell = record.substr(at, end - at);
      at = end;
    }
    cells->push_back(std::move(cell));
    if (at == record.size()) return OkStatus();
    at++;
  }
}

Status CsvReader::ReadHeader(std::string_view line) {
  if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);  // a byte order mark
  NEXUS_RETURN_IF_ERROR(Annotate(SplitCsvRecord(line, &cells_), "line 1"));
  auto timestamp = std::find(cells_.begin(), cells_.end(), "timestamp");
  if (timestamp == cells_.end()) {
    return InvalidArgument("line 1: the header row has no column called \"timestamp\"");
  }
  timestamp_column_ = static_cast<size_t>(timestamp - cells_.begin());
  value_columns_.clear();
  for (size_t i = 0; i < cells_.size(); i++) {
    if (i == timestamp_column_) continue;
    if (cells_[i].empty())
      return InvalidArgument("line 1: column {} of the header row has no name", i + 1);
    if (std::count(cells_.begin(), cells_.end(), cells_[i]) > 1) {
      return InvalidArgument("line 1: the header row names \"{}\" twice", cells_[i]);
    }
    value_columns_.push_back(cells_[i]);
  }
  if (value_columns_.empty())
    return InvalidArgument("line 1: the header row has no column beside \"timestamp\"");
  return OkStatus();
}

Status CsvReader::ReadRow(std::string_view line, CsvRow* row) {
  row->values.clear();
  if (line.empty() || line == "\r") return OkStatus();
  NEXUS_RETURN_IF_ERROR(SplitCsvRecord(line, &cells_));
  if (cells_.size() != value_columns_.size() + 1) {
    return InvalidArgument("{} cells, expected {}", cells_.size(), value_columns_.size() + 1);
  }
  NEXUS_ASSIGN_OR_RETURN(row->timestamp_ns, ParseTime(cells_[timestamp_column_]));
  for (size_t i = 0, column = 0; i < cells_.size(); i++) {
    if (i == timestamp_column_) continue;
    const std::string& cell = cells_[i];
    CsvValue value{column++, 0};
    if (cell.empty()) continue;
    const char* end = cell.data() + cell.size();
    auto [stop, error] = std::from_chars(cell.data(), end, value.value);
    if (error != std::errc() || stop != end) {
      return InvalidArgument("column \"{}\": \"{}\" is not a number", value_columns_[value.column],
                             cell);
    }
    row->values.push_back(value);
  }
  return OkStatus();
}

std::string CsvMetric(std::string_view name, std::string_view column) {
  return column == "value" ? std::string(name) : std::string(name) + "_" + std::string(column);
}

}  // namespace nexus::server
