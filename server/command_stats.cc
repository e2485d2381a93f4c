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

int RunStats(const Where& where, const std::string& format) {
  StatusOr<std::unique_ptr<CommandTarget>> target = OpenTarget(where, false);
  if (!target.ok()) return Fail(target.status());
  StatusOr<Stats> stats = (*target)->GetStats();
  if (stats.ok()) WriteOutput(format == "json" ? StatsJson(*stats) : StatsTable(*stats));
  return CloseTarget(stats.status(), target->get());
}

struct StatsArguments {
  Where where;
  std::string format = "table";
  bool cardinality = false;
  uint32_t top = 10;
};

int RunCardinality(const StatsArguments& arguments) {
  StatusOr<std::unique_ptr<CommandTarget>> target = OpenTarget(arguments.where, false);
  if (!target.ok()) return Fail(target.status());
  StatusOr<CardinalityReport> report = (*target)->Cardinality(arguments.top);
  if (report.ok()) {
    const std::string& tenant = arguments.where.tenant;
    WriteOutput(arguments.format == "json" ? CardinalityJson(tenant, *report)
                                           : CardinalityTable(tenant, *report));
  }
  return CloseTarget(report.status(), target->get());
}

int RunFlush(const Where& where) {
  StatusOr<std::unique_ptr<CommandTarget>> target = OpenTarget(where, false);
  if (!target.ok()) return Fail(target.status());
  Status status = (*target)->Flush();
  StatusOr<Stats> stats = (*target)->GetStats();
  if (status.ok()) status = stats.status();
  if (status.ok()) {
    WriteOutput(fmt::format("flushed: {} samples in {} layers of {}\n",
                            FormatCount(stats->layer_samples), stats->layers,
                            FormatBytes(stats->layer_bytes)));
  }
  return CloseTarget(status, target->get());
}

}  // namespace

void AddStatsCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("stats", "Print what is stored and what it takes");
  auto arguments = std::make_shared<StatsArguments>();
  AddWhere(command, &arguments->where);
  AddReportFormat(command, &arguments->format);
  auto* cardinality =
      command->add_flag("--cardinality", arguments->cardinality,
                        "print which metrics and labels the tenant's series come from, and grow");
  command->add_option("--top", arguments->top, "entries of each list of --cardinality")
      ->check(CLI::Range(1u, kCardinalityTopMax))
      ->needs(cardinality)
      ->capture_default_str();
  command->callback([invocation, arguments] {
    invocation->run = [arguments] {
      return arguments->cardinality ? RunCardinality(*arguments)
                                    : RunStats(arguments->where, arguments->format);
    };
  });
}

void AddFlushCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("flush", "Move all samples from the log into layers");
  auto where = std::make_shared<Where>();
  AddWhere(command, where.get());
  command->callback(
      [invocation, where] { invocation->run = [where] { return RunFlush(*where); }; });
}

}  // namespace nexus::server
