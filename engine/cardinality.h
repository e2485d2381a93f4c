// Which metrics, labels and label values a tenant's series come from.
//
// Threading: plain values.

#ifndef NEXUS_ENGINE_CARDINALITY_H_
#define NEXUS_ENGINE_CARDINALITY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

inline constexpr uint32_t kCardinalityTopMax = 1000;
// Names and values of a report that are longer end so, with "..." behind.
inline constexpr size_t kCardinalityTextBytesMax = 512;

struct CardinalityEntry {
  std::string name;   // of a metric or label
  std::string value;  // of a pair
  uint64_t series = 0;
  uint64_t grown = 0;  // of these, those that are new since the database was opened
  bool operator==(const CardinalityEntry&) const = default;
};

// The longest lists are as long as was asked for. What has not grown is in no list of growth.
struct CardinalityReport {
  uint64_t series = 0;
  uint64_t grown = 0;    // since the database was opened
  uint64_t metrics = 0;  // different names of metrics
  uint64_t labels = 0;   // different names of labels
  uint64_t pairs = 0;    // different label=value
  // By number of series, the most first.
  std::vector<CardinalityEntry> top_metrics;
  std::vector<CardinalityEntry> top_labels;
  std::vector<CardinalityEntry> top_pairs;
  // By number of new series.
  std::vector<CardinalityEntry> growing_metrics;
  std::vector<CardinalityEntry> growing_labels;
  std::vector<CardinalityEntry> growing_pairs;
  bool operator==(const CardinalityReport&) const = default;
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_CARDINALITY_H_
