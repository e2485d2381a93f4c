// Reports of cardinality by their two descriptions: the engine's and the wire's.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_WIRE_CARDINALITY_H_
#define NEXUS_SERVER_WIRE_CARDINALITY_H_

#include <array>
#include <vector>

#include "client/protocol/cardinality.h"
#include "engine/cardinality.h"

namespace nexus::server {

static_assert(protocol::kCardinalityTopMax == kCardinalityTopMax);
static_assert(kCardinalityTextBytesMax + 3 <= protocol::kCardinalityTextBytesMax);

// The lists in the order of the wire.
template <typename Report>
auto ListsOf(Report& report) {
  return std::array{&report.top_metrics,     &report.top_labels,     &report.top_pairs,
                    &report.growing_metrics, &report.growing_labels, &report.growing_pairs};
}

inline protocol::CardinalityReply WireCardinality(const CardinalityReport& report) {
  protocol::CardinalityReply reply;
  reply.series = report.series;
  reply.grown = report.grown;
  reply.metrics = report.metrics;
  reply.labels = report.labels;
  reply.pairs = report.pairs;
  size_t next = 0;
  for (const auto* list : ListsOf(report)) {
    auto& into = reply.lists[next++];
    for (const CardinalityEntry& entry : *list) {
      into.push_back({entry.name, entry.value, entry.series, entry.grown});
    }
  }
  return reply;
}

inline CardinalityReport EngineCardinality(const protocol::CardinalityReply& reply) {
  CardinalityReport report;
  report.series = reply.series;
  report.grown = reply.grown;
  report.metrics = reply.metrics;
  report.labels = reply.labels;
  report.pairs = reply.pairs;
  size_t next = 0;
  for (auto* list : ListsOf(report)) {
    for (const auto& entry : reply.lists[next++]) {
      list->push_back({entry.name, entry.value, entry.series, entry.grown});
    }
  }
  return report;
}

}  // namespace nexus::server

#endif  // NEXUS_SERVER_WIRE_CARDINALITY_H_
