// Query results as text: an aligned table, JSON lines (DESIGN section 13), or CSV. Streams: nothing
// is held but the line being written.
//
// Threading: one thread.

#ifndef NEXUS_SERVER_QUERY_OUTPUT_H_
#define NEXUS_SERVER_QUERY_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/query.h"

namespace nexus::server {

enum class OutputFormat : uint8_t { kTable, kJson, kCsv };

// The shortest decimal that reads back as the same bits; NaN, +Inf, -Inf.
std::string FormatValue(double value);
// A JSON string, quoted.
std::string JsonString(std::string_view text);
// metric{a="b"}, or {a="b"} for a group without a metric, or "all" for a group without labels.
std::string SeriesName(const SeriesChunk& chunk);

class QueryWriter {
 public:
  explicit QueryWriter(OutputFormat format) : format_(format) {}

  // False if the output has no reader any more.
  bool Write(const SeriesChunk& chunk);
  // Ends what is open. REQUIRES: called once, at the end.
  bool Finish();

 private:
  bool WriteRows(const SeriesChunk& chunk);
  bool WriteJson(const SeriesChunk& chunk);

  const OutputFormat format_;
  bool started_ = false;
  uint64_t series_index_ = 0;
  bool series_is_empty_ = true;  // no sample of it has been written yet
};

// In the largest unit that gives a whole number: 7d, 90m.
std::string DurationText(int64_t duration_ns);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_QUERY_OUTPUT_H_
