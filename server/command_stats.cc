// `nexus stats` and `nexus flush`.

#include <fmt/format.h>

#include <memory>

#include "server/cardinality_output.h"
#include "server/command.h"
#include "server/command_target.h"
#include "server/query_output.h"
#include "server/stats_figures.h"

namespace nexus::server {
namespace {

std::string CompactionText(const Stats& stats) {
  std::string text = stats.compaction_state;
  if (stats.flushed_bytes > 0) {
    text += fmt::format("; since opening {} flushed, {} written by {} jobs: amplification {:.2f}",
                        FormatBytes(stats.flushed_bytes), FormatBytes(stats.compacted_bytes),
                        stats.compactions, stats.write_amplification);
  }
  if (stats.tombstones > 0) text += fmt::format("; {} deletes to carry out", stats.tombstones);
  if (stats.garbage_layers > 0) {
    text += fmt::format("; {} retired layers to delete", stats.garbage_layers);
  }
  return text;
}

std::string RetentionText(const Stats& stats) {
  std::string text = "its clock stands at " + stats.retention_clock;
  if (stats.retention_waits_seconds > 0) {
    text += fmt::format(
        "; the wall clock is {} days ahead, which waits for: nexus retention accept-clock",
        stats.retention_waits_seconds / 86'400);
  }
  return text;
}

std::string StatsTable(const Stats& stats) {
  std::string out;
  auto row = [&](std::string_view name, std::string_view value) {
    out += fmt::format("{:<18} {}\n", name, value);
  };
  row("series", FormatCount(stats.series));
  row("samples",
      fmt::format("{} ({} in layers, {} in memory)", FormatCount(stats.samples),
                  FormatCount(stats.layer_samples), FormatCount(stats.memtable_samples)));
  row("layers", fmt::format("{} of {}; {} files open, {} of memory to know them", stats.layers,
                            FormatBytes(stats.layer_bytes), stats.layer_files_open,
                            FormatBytes(stats.layer_metadata_bytes)));
  if (stats.rollup_layers > 0) {
    row("rollups", fmt::format("{} of these layers, {}", stats.rollup_layers,
                               FormatBytes(stats.rollup_bytes)));
  }
  row("catalog", FormatBytes(stats.catalog_bytes));
  row("bytes per sample", stats.samples == 0
                              ? "-"
                              : fmt::format("{:.3f} (layers and catalog)", stats.bytes_per_sample));
  row("log", fmt::format("{} on disk, durable to LSN {}", FormatBytes(stats.wal_bytes),
                         stats.durable_lsn.value));
  row("memory", fmt::format("{} of samples not yet in layers", FormatBytes(stats.memtable_bytes)));
  row("compaction", CompactionText(stats));
  if (!stats.retention_clock.empty()) row("retention", RetentionText(stats));
  row("opened", fmt::format("{} times", stats.open_count));
  row("I/O", stats.io_backend);
  if (!stats.io_fallback.empty()) row("I/O fallback", stats.io_fallback);
  row("writing", stats.write_state);
  return out;
}

struct StatsArguments {
  Where where;
  std::string format = "table";
  bool cardinality = false;
  uint32_t top = 10;
};

int RunStats(const StatsArguments& arguments) {
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    const bool json = arguments.format == "json";
    if (arguments.cardinality) {
      const std::string& tenant = arguments.where.tenant;
      NEXUS_ASSIGN_OR_RETURN(CardinalityReport report, target->Cardinality(arguments.top));
      return json ? CardinalityJson(tenant, report) : CardinalityTable(tenant, report);
    }
    NEXUS_ASSIGN_OR_RETURN(Stats stats, target->GetStats());
    return json ? StatsJson(stats) : StatsTable(stats);
  });
}

struct FlushArguments {
  Where where;
};

int RunFlush(const FlushArguments& arguments) {
  return RunOnTarget(arguments.where, [](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_RETURN_IF_ERROR(target->Flush());
    NEXUS_ASSIGN_OR_RETURN(Stats stats, target->GetStats());
    return fmt::format("flushed: {} samples in {} layers of {}\n", FormatCount(stats.layer_samples),
                       stats.layers, FormatBytes(stats.layer_bytes));
  });
}

}  // namespace

void AddStatsCommand(CLI::App* app, Invocation* invocation) {
  auto arguments = std::make_shared<StatsArguments>();
  CLI::App* command = AddReportCommand(
      app, invocation, "stats", "Print what is stored and what it takes", &RunStats, arguments);
  auto* cardinality =
      command->add_flag("--cardinality", arguments->cardinality,
                        "print which metrics and labels the tenant's series come from, and grow");
  command->add_option("--top", arguments->top, "entries of each list of --cardinality")
      ->check(CLI::Range(1u, kCardinalityTopMax))
      ->needs(cardinality)
      ->capture_default_str();
}

void AddFlushCommand(CLI::App* app, Invocation* invocation) {
  AddTargetCommand(app, invocation, "flush", "Move all samples from the log into layers", &RunFlush,
                   std::make_shared<FlushArguments>());
}

}  // namespace nexus::server
