// Rows held in memory. See rows.h.

#include "bench/peers/embedded/rows.h"

#include <fmt/format.h>

#include <numeric>

namespace nexus::bench {

bool Slice::Fill(Workload* workload, uint64_t samples) {
  rows_.clear();
  metrics_.clear();
  values_.clear();
  Row row;
  while (values_.size() < samples && workload->Next(&row)) Add(row);
  return !rows_.empty();
}

void Slice::Add(const Row& row) {
  rows_.push_back(row);
  metrics_.insert(metrics_.end(), row.metrics.begin(), row.metrics.end());
  values_.insert(values_.end(), row.values.begin(), row.values.end());
}

std::span<const Row> Slice::rows() {
  // Only here, since the columns moved while they grew.
  size_t at = 0;
  for (Row& row : rows_) {
    const size_t count = row.values.size();
    row.metrics = std::span(metrics_).subspan(at, count);
    row.values = std::span(values_).subspan(at, count);
    at += count;
  }
  return rows_;
}

uint64_t SamplesOf(std::span<const Row> rows) {
  uint64_t samples = 0;
  for (const Row& row : rows) samples += row.values.size();
  return samples;
}

std::span<const Row> BatchFrom(std::span<const Row> rows, size_t first, uint64_t samples) {
  uint64_t held = 0;
  size_t end = first;
  while (end < rows.size() && held < samples) held += rows[end++].values.size();
  return rows.subspan(first, end - first);
}

bool HasTicks(const WorkloadOptions& options) {
  return options.name == "cpu" || options.name == "mixed" || options.name == "tenants";
}

Source SourceOf(const Workload& workload, size_t source) {
  if (source < kAddedSources) return workload.sources()[source];
  const size_t number = source - kAddedSources;
  Source added;
  added.tags = {
      {"arch", number % 2 == 0 ? "x64" : "x86"},
      {"datacenter", fmt::format("region-{}-{}", number % 9, number % 3)},
      {"hostname", fmt::format("added_{}", number)},
      {"os", fmt::format("debian_{}", 10 + number % 3)},
      {"rack", fmt::format("{}", number % 100)},
      {"region", fmt::format("region-{}", number % 9)},
      {"service", fmt::format("{}", number % 20)},
      {"service_environment", number % 3 == 0 ? "production" : "test"},
      {"service_version", fmt::format("{}", number % 2)},
      {"team", fmt::format("team-{}", number % 4)},
  };
  return added;
}

Slice AddedRows(const Workload& workload, size_t first, size_t sources, int64_t step) {
  std::vector<uint8_t> metrics(workload.metrics().size());
  std::iota(metrics.begin(), metrics.end(), uint8_t{0});
  Slice added;
  for (size_t source = first; source < first + sources; source++) {
    const std::vector<double> values(metrics.size(), static_cast<double>(source % 101));
    added.Add({.source = kAddedSources + source,
               .timestamp_ms = workload.last_ms() + kAddedAfterMs + step,
               .metrics = metrics,
               .values = values});
  }
  return added;
}

}  // namespace nexus::bench
