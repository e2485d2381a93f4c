// A walk over a layer. See retention_survey.h.

#include "engine/retention_survey.h"

#include <algorithm>
#include <utility>

#include "layer/layer_scan.h"

namespace nexus::engine {
namespace {

// Memory for labels ahead of a walk.
constexpr uint64_t kLabelBytes = 256 << 10;

// The part of the samples that is `series` of all.
uint64_t ShareOf(uint64_t samples, uint64_t series, uint64_t all) {
  if (series == 0) return 0;
  const double share = static_cast<double>(series) / static_cast<double>(all);
  return std::max<uint64_t>(1, static_cast<uint64_t>(static_cast<double>(samples) * share));
}

// Of these rules the chunks' headers tell exactly.
Status Measure(std::shared_ptr<const layer::LayerReader> reader, const RetentionRules& rules,
               RetentionContents* contents) {
  layer::LayerScan scan(std::move(reader), kLabelBytes);
  while (true) {
    NEXUS_ASSIGN_OR_RETURN(bool more, scan.NextSeries());
    if (!more) return OkStatus();
    RuleContents& rule = contents->rules[rules.RuleOf(scan.labels())];
    if (!rule.is_exact) continue;
    while (true) {
      NEXUS_ASSIGN_OR_RETURN(bool another, scan.NextChunk());
      if (!another) break;
      rule.samples += scan.chunk().count;
      rule.range.first = std::min(rule.range.first, scan.chunk().range.first);
      rule.range.last = std::max(rule.range.last, scan.chunk().range.last);
    }
  }
}

}  // namespace

StatusOr<RetentionContents> SurveyLayer(std::shared_ptr<const layer::LayerReader> reader,
                                        const RetentionRules& rules,
                                        const std::vector<int64_t>& cuts) {
  const layer::LayerSummary& summary = reader->summary();
  std::vector<uint64_t> series(rules.size() + 1);
  layer::SeriesCursor cursor(reader, 0, kLabelBytes);
  while (cursor.Next()) series[rules.RuleOf(cursor.labels())]++;
  NEXUS_RETURN_IF_ERROR(cursor.status());
  RetentionContents contents;
  contents.rules.resize(series.size());
  bool measures = false;
  for (size_t rule = 0; rule < series.size(); rule++) {
    RuleContents& one = contents.rules[rule];
    one.is_exact = series[rule] > 0 && cuts[rule] > summary.range.first;
    if (one.is_exact) {
      measures = true;
    } else if (series[rule] > 0) {
      one.samples = ShareOf(summary.samples, series[rule], summary.series);
      one.range = summary.range;
    }
  }
  if (measures) NEXUS_RETURN_IF_ERROR(Measure(std::move(reader), rules, &contents));
  return contents;
}

}  // namespace nexus::engine
