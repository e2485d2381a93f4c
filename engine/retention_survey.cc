// Walks over layers. See retention_survey.h.

#include "engine/retention_survey.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "layer/layer_scan.h"

namespace nexus::engine {
namespace {

// Memory for labels ahead of a walk.
constexpr uint64_t kLabelBytes = 256 << 10;
// Of series logged at once: a record has 16 MiB at most.
constexpr uint64_t kLostBytesMax = 4 << 20;

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

LostSeries::LostSeries(TenantId tenant, Readers retiring, Readers staying)
    : tenant_(tenant), retiring_(std::move(retiring)), staying_(std::move(staying)) {}

StatusOr<bool> LostSeries::IsHeld(SeriesId id) {
  for (size_t i = 0; i < staying_.size(); i++) {
    NEXUS_ASSIGN_OR_RETURN(std::optional<uint32_t> place, staying_[i]->FindSeries(id, &context_));
    if (!place.has_value()) continue;
    // Series that one layer holds together another one holds together, too.
    if (i > 0) std::swap(staying_[0], staying_[i]);
    return true;
  }
  return false;
}

StatusOr<std::vector<catalog::SeriesDefinition>> LostSeries::Next(size_t count_max) {
  std::vector<catalog::SeriesDefinition> lost;
  uint64_t bytes = 0;
  while (lost.size() < count_max && bytes < kLostBytesMax) {
    if (cursor_ == nullptr) {
      if (next_ == retiring_.size()) break;
      cursor_ = std::make_unique<layer::SeriesCursor>(retiring_[next_++], 0, kLabelBytes);
    }
    if (!cursor_->Next()) {
      NEXUS_RETURN_IF_ERROR(cursor_->status());
      cursor_.reset();
      continue;
    }
    const SeriesId id = cursor_->id();
    if (seen_.Contains(id)) continue;
    seen_.Add(id);
    NEXUS_ASSIGN_OR_RETURN(bool held, IsHeld(id));
    if (held) continue;
    lost.push_back({tenant_, id, std::string(cursor_->labels())});
    bytes += lost.back().canonical.size();
  }
  return lost;
}

}  // namespace nexus::engine
