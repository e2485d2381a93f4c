// The table of figures. See stats_figures.h.

#include "server/stats_figures.h"

#include <fmt/format.h>

#include "server/query_output.h"

namespace nexus::server {
namespace {

// Calls visit(name, figure) for every figure, in the order of the output.
template <typename AnyStats, typename Visit>
void VisitFigures(AnyStats& stats, Visit&& visit) {
  visit("series", stats.series);
  visit("samples", stats.samples);
  visit("layers", stats.layers);
  visit("layer_bytes", stats.layer_bytes);
  visit("layer_samples", stats.layer_samples);
  visit("layer_files_open", stats.layer_files_open);
  visit("layer_metadata_bytes", stats.layer_metadata_bytes);
  visit("memtable_samples", stats.memtable_samples);
  visit("memtable_bytes", stats.memtable_bytes);
  visit("wal_bytes", stats.wal_bytes);
  visit("catalog_bytes", stats.catalog_bytes);
  visit("bytes_per_sample", stats.bytes_per_sample);
  visit("durable_lsn", stats.durable_lsn.value);
  visit("applied_lsn", stats.applied_lsn.value);
  visit("catalog_lsn", stats.catalog_lsn.value);
  visit("open_count", stats.open_count);
  visit("appended_batches", stats.appended_batches);
  visit("appended_samples", stats.appended_samples);
  visit("log_rounds", stats.log_rounds);
  visit("flushes", stats.flushes);
  visit("flushed_bytes", stats.flushed_bytes);
  visit("carries", stats.carries);
  visit("carried_bytes", stats.carried_bytes);
  visit("compactions", stats.compactions);
  visit("compacted_bytes", stats.compacted_bytes);
  visit("write_amplification", stats.write_amplification);
  visit("garbage_layers", stats.garbage_layers);
  visit("tombstones", stats.tombstones);
  visit("series_forgotten", stats.series_forgotten);
  visit("layers_expired", stats.layers_expired);
  visit("samples_expired", stats.samples_expired);
  visit("rollup_layers", stats.rollup_layers);
  visit("rollup_bytes", stats.rollup_bytes);
  visit("retention_clock", stats.retention_clock);
  visit("retention_waits_seconds", stats.retention_waits_seconds);
  visit("compaction_state", stats.compaction_state);
  visit("io_backend", stats.io_backend);
  visit("io_fallback", stats.io_fallback);
  visit("write_state", stats.write_state);
}

}  // namespace

std::vector<protocol::Stat> StatsFigures(const Stats& stats) {
  std::vector<protocol::Stat> figures;
  VisitFigures(stats, [&](const char* name, const auto& value) {
    figures.push_back({name, value});
  });
  return figures;
}

Stats StatsFrom(std::span<const protocol::Stat> figures) {
  Stats stats;
  VisitFigures(stats, [&](std::string_view name, auto& value) {
    for (const protocol::Stat& figure : figures) {
      const auto* given = std::get_if<std::remove_cvref_t<decltype(value)>>(&figure.value);
      if (figure.name == name && given != nullptr) value = *given;
    }
  });
  return stats;
}

std::string StatsJson(const Stats& stats) {
  std::string json = "{";
  VisitFigures(stats, [&](const char* name, const auto& value) {
    if (json.size() > 1) json += ',';
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, std::string>) {
      json += fmt::format("\"{}\":{}", name, JsonString(value));
    } else {
      json += fmt::format("\"{}\":{}", name, value);
    }
  });
  return json + "}\n";
}

}  // namespace nexus::server
