// Lines of text. See line_protocol.h.

#include "bench/peers/load/line_protocol.h"

#include <fmt/format.h>

#include <iterator>

#include "base/check.h"

namespace nexus::bench {
namespace {

// Of tag names, tag values and field names; a measurement's equals sign may be escaped as well.
std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == ',' || c == '=' || c == ' ') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

LineEncoder::LineEncoder(const Workload& workload)
    : workload_(workload), series_(workload.sources().size()) {
  for (std::string_view metric : workload.metrics()) fields_.push_back(Escaped(metric) + "=");
}

void LineEncoder::Append(const Row& row, std::string* out) {
  NEXUS_CHECK(!row.values.empty());
  out->append(SeriesOf(row.source));
  for (size_t i = 0; i < row.values.size(); i++) {
    out->push_back(i == 0 ? ' ' : ',');
    out->append(fields_[row.metrics[i]]);
    fmt::format_to(std::back_inserter(*out), "{}", row.values[i]);
  }
  fmt::format_to(std::back_inserter(*out), " {}000000\n", row.timestamp_ms);
}

const std::string& LineEncoder::SeriesOf(size_t source) {
  std::string& series = series_[source];
  if (series.empty()) {
    series = Escaped(workload_.measurement());
    for (const Label& tag : workload_.sources()[source].tags) {
      fmt::format_to(std::back_inserter(series), ",{}={}", Escaped(tag.name), Escaped(tag.value));
    }
  }
  return series;
}

}  // namespace nexus::bench
