// The walk and its best lists. See cardinality_count.h.

#include "engine/cardinality_count.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/labels.h"

namespace nexus::engine {
namespace {

// About 50 ms: a reader that lives longer makes the catalog's file grow.
constexpr uint64_t kBlocksPerStep = 50'000;

std::string Shown(std::string text) {
  if (text.size() <= kCardinalityTextBytesMax) return text;
  size_t size = kCardinalityTextBytesMax;
  // Not within a character.
  while (size > 0 && (text[size] & 0xC0) == 0x80) size--;
  text.resize(size);
  return text + "...";
}

}  // namespace

CardinalityCount::CardinalityCount(const catalog::Catalog* catalog, TenantId tenant,
                                   SeriesId newer_from, uint32_t top)
    : catalog_(catalog),
      tenant_(tenant),
      newer_from_(newer_from),
      metrics_best_(top),
      labels_best_(top),
      pairs_best_(top) {}

bool CardinalityCount::Best::Before(const Count& a, const Count& b) const {
  const auto order = [this](const Count& count) {
    return std::tuple(~(count.*figure_), count.place.name, count.place.value);
  };
  return order(a) < order(b);
}

void CardinalityCount::Best::Add(const Count& count) {
  if (count.*figure_ == 0) return;
  auto before = [this](const Count& a, const Count& b) { return Before(a, b); };
  if (heap_.size() == top_) {
    if (!Before(count, heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end(), before);
    heap_.pop_back();
  }
  heap_.push_back(count);
  std::push_heap(heap_.begin(), heap_.end(), before);
}

std::vector<CardinalityCount::Count> CardinalityCount::Best::Take() {
  std::sort(heap_.begin(), heap_.end(),
            [this](const Count& a, const Count& b) { return Before(a, b); });
  return std::move(heap_);
}

StatusOr<bool> CardinalityCount::Step() {
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog_->BeginRead());
  Status failed;
  auto visit = [&](const Count& count) {
    if (!name_.has_value() || name_->place.name != count.place.name) {
      EndName();
      StatusOr<std::string> text = reader.LabelText(tenant_, count.place.name);
      failed.Update(text.status());
      of_metrics_ = text.ok() && *text == kMetricNameLabel;
      name_ = Count{{count.place.name, 0}};
    }
    name_->series += count.series;
    name_->newer += count.newer;
    (of_metrics_ ? metrics_ : pairs_)++;
    (of_metrics_ ? metrics_best_ : pairs_best_).Add(count);
  };
  NEXUS_ASSIGN_OR_RETURN(
      bool more, reader.VisitLabelCounts(tenant_, newer_from_, kBlocksPerStep, &from_, visit));
  NEXUS_RETURN_IF_ERROR(failed);
  return more;
}

void CardinalityCount::EndName() {
  if (!name_.has_value() || of_metrics_) return;
  labels_++;
  labels_best_.Add(*name_);
}

StatusOr<std::vector<CardinalityEntry>> CardinalityCount::Entries(catalog::Reader* reader,
                                                                  Best* best, What what) const {
  std::vector<CardinalityEntry> entries;
  for (const Count& count : best->Take()) {
    CardinalityEntry entry;
    // A metric is the value of a label that has no other use.
    const uint32_t name = what == What::kMetric ? count.place.value : count.place.name;
    NEXUS_ASSIGN_OR_RETURN(entry.name, reader->LabelText(tenant_, name));
    if (what == What::kPair) {
      NEXUS_ASSIGN_OR_RETURN(entry.value, reader->LabelText(tenant_, count.place.value));
    }
    entry.name = Shown(std::move(entry.name));
    entry.value = Shown(std::move(entry.value));
    entry.series = count.series;
    entry.grown = count.newer;
    entries.push_back(std::move(entry));
  }
  return entries;
}

StatusOr<CardinalityReport> CardinalityCount::Finish() {
  EndName();
  CardinalityReport report;
  report.metrics = metrics_;
  report.labels = labels_;
  report.pairs = pairs_;
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog_->BeginRead());
  auto fill = [&](Both* both, What what, std::vector<CardinalityEntry>* by_series,
                  std::vector<CardinalityEntry>* by_growth) -> Status {
    NEXUS_ASSIGN_OR_RETURN(*by_series, Entries(&reader, &both->by_series, what));
    NEXUS_ASSIGN_OR_RETURN(*by_growth, Entries(&reader, &both->by_growth, what));
    return OkStatus();
  };
  NEXUS_RETURN_IF_ERROR(
      fill(&metrics_best_, What::kMetric, &report.top_metrics, &report.growing_metrics));
  NEXUS_RETURN_IF_ERROR(
      fill(&labels_best_, What::kLabel, &report.top_labels, &report.growing_labels));
  NEXUS_RETURN_IF_ERROR(fill(&pairs_best_, What::kPair, &report.top_pairs, &report.growing_pairs));
  return report;
}

}  // namespace nexus::engine
