// Influx line protocol: bytes to lines, one line of text to points.
//
//   measurement[,tag=value...] field=value[,field=value...] [timestamp]
//
// Backslash escapes comma, blank, '=' and itself in names and tag values (and '"' and '\' in field
// strings); before anything else it stands for itself. Field values: 1.5, 1e9, 42i, 42u,
// t/true/f/false (1 and 0); strings are skipped, since a sample is a number. A newline ends a line
// in strings too, so that a quote without its pair costs one line. A field becomes the metric
// measurement_field; tags become labels.
//
// Two readings. ScanLine takes a line apart in place and copies nothing; series and fields are the
// bytes as they stand, whose hash (HashSeries, HashField) finds a series that came before. Only for
// a new one its names are read (ParseSeries, ParseName). ParseLine does all of it.
//
// Failure: InvalidArgument with the column (from 1) and what was expected; a line is taken whole or
// not. Source of the grammar: InfluxData, "Line protocol reference". Threading: pure functions.

#ifndef NEXUS_SERVER_LINE_PROTOCOL_H_
#define NEXUS_SERVER_LINE_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/labels.h"
#include "base/status.h"

namespace nexus::server {

// Whole lines off the front of a buffer that grows at its end: what stands behind the last newline
// waits for more. The caller owns the buffer and gives it anew with each call; bytes already seen
// must not change.
class LineSplitter {
 public:
  // The next whole line without its newline, a view of `buffer`; nullopt if there is none yet.
  // Each byte is searched once, however often this is asked.
  std::optional<std::string_view> Next(std::string_view buffer);
  // What stands behind the last whole line: a line that no newline ends, if nothing follows.
  std::string_view Rest(std::string_view buffer) const { return buffer.substr(at_); }
  // Bytes at the front of the buffer that are no longer needed. The caller takes them away before
  // the next call.
  size_t TakeConsumed();

 private:
  size_t at_ = 0;        // where the next line begins
  size_t searched_ = 0;  // there is no newline from at_ up to here
};

// A field as it stands in the line.
struct RawField {
  std::string_view name;  // with its escapes
  double value = 0;
};

// One line taken apart in place: views of its text. Reused from line to line.
struct RawLine {
  std::string_view series;           // measurement and tags, with their escapes; "" if no line
  size_t series_column = 0;          // where it begins in the line, from 0
  std::vector<RawField> fields;      // numeric ones
  size_t skipped_fields = 0;         // strings
  std::optional<int64_t> timestamp;  // as written, in the unit of the caller's choice
};

// Scans a line without its newline. Empty lines and comments (#) give a line without fields.
// Fields and timestamp are checked; of the series only the end is looked for, the rest is
// ParseSeries's.
Status ScanLine(std::string_view text, RawLine* line);

// Hashes of a series' raw bytes and of one of its fields: equal bytes, equal hash. Seeded, so that
// who does not know the seed cannot make two series meet.
Hash128 HashSeries(std::string_view series, uint64_t seed);
Hash128 HashField(const Hash128& series, std::string_view field, uint64_t seed);

// Reads measurement and tags of a raw series. Columns of errors count from `first_column`, its own
// in the line.
Status ParseSeries(std::string_view series, size_t first_column, std::string* measurement,
                   std::vector<Label>* tags);
// A raw name without its escapes.
std::string Unescape(std::string_view raw);

struct LineField {
  std::string name;
  double value = 0;
};

// One line, taken apart and read. Reused from line to line.
struct ParsedLine {
  std::string measurement;
  std::vector<Label> tags;
  std::vector<LineField> fields;     // numeric ones
  size_t skipped_fields = 0;         // strings
  std::optional<int64_t> timestamp;  // as written, in the unit of the caller's choice
};

// ScanLine and then ParseSeries.
Status ParseLine(std::string_view text, ParsedLine* line);

// True for a line of StatsD: a ':' and behind it a '|' before the first blank without backslash.
bool IsStatsd(std::string_view text);

// The metric of a field: measurement_field.
std::string MetricOf(std::string_view measurement, std::string_view field);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_LINE_PROTOCOL_H_
