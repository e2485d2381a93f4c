// What a run writes and asks: series by number, as the oracle knows them.
//
// Each writer has series of its own, since clients that write side by side are not ordered: writer
// w has those from w * kWriterStride on. Threading: plain functions.

#ifndef NEXUS_TESTS_KILL_LOOP_WORKLOAD_H_
#define NEXUS_TESTS_KILL_LOOP_WORKLOAD_H_

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"

namespace nexus::kill_loop {

inline constexpr uint32_t kWriterStride = 1000;
// Of one writer; they come into being while it writes, so that the catalog grows all the time.
inline constexpr uint32_t kWriterSeries = 200;
// Places that are written again and again come from so many timestamps.
inline constexpr int64_t kTimestamps = 400;
inline constexpr char kMetric[] = "written";

inline std::vector<Label> LabelsOf(uint32_t series) {
  return {{"series", fmt::format("{:06}", series)},
          {"writer", fmt::format("{}", series / kWriterStride)}};
}

inline std::string SelectorOfWriter(uint32_t writer) {
  return fmt::format("{}{{writer=\"{}\"}}", kMetric, writer);
}
inline std::string SelectorOfSeries(uint32_t series) {
  return fmt::format("{}{{series=\"{:06}\"}}", kMetric, series);
}

// The number of a series that has these labels.
inline std::optional<uint32_t> SeriesOf(const std::vector<Label>& labels) {
  for (const Label& label : labels) {
    if (label.name != "series") continue;
    uint32_t number = 0;
    const std::string_view text = label.value;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return number;
  }
  return std::nullopt;
}

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_WORKLOAD_H_
