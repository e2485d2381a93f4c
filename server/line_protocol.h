// Influx line protocol: one line of text to points.
//
//   measurement[,tag=value...] field=value[,field=value...] [timestamp]
//
// Backslash escapes comma, blank, '=' and itself in names and tag values (and '"' and '\' in field
// strings); before anything else it stands for itself. Field values: 1.5, 1e9, 42i, 42u,
// t/true/f/false (1 and 0); strings are skipped, since a sample is a number. A newline ends a line
// in strings too, so that a quote without its pair costs one line. A field becomes the metric
// measurement_field; tags become labels. Failure: InvalidArgument with the column (from 1) and what
// was expected; a line is taken whole or not. Source of the grammar: InfluxData, "Line protocol
// reference". Threading: pure functions.

#ifndef NEXUS_SERVER_LINE_PROTOCOL_H_
#define NEXUS_SERVER_LINE_PROTOCOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "base/status.h"

namespace nexus::server {

struct LineField {
  std::string name;
  double value = 0;
};

// One line, taken apart. Reused from line to line.
struct ParsedLine {
  std::string measurement;
  std::vector<Label> tags;
  std::vector<LineField> fields;     // numeric ones
  size_t skipped_fields = 0;         // strings
  std::optional<int64_t> timestamp;  // as written, in the unit of the caller's choice
};

// Parses a line without its newline. Empty lines and comments (#) give a line without fields.
Status ParseLine(std::string_view text, ParsedLine* line);

// The metric of a field: measurement_field.
std::string MetricOf(const ParsedLine& line, const LineField& field);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_LINE_PROTOCOL_H_
